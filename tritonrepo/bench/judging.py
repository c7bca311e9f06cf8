"""Whether the figures of a run can be true together, by arithmetic and by what hardware allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from tritonrepo.bench.checks import flight, memory, server, spread, sums, times
from tritonrepo.bench.claim import Claim, Judgement, State
from tritonrepo.bench.figures import Distribution, Figures
from tritonrepo.bench.result import Observed, Result
from tritonrepo.diagnostics import Span

CHECKS: tuple[Callable[[Claim], Iterator[Judgement]], ...] = (
    flight.in_flight,
    flight.in_flight_counted,
    flight.output_rate,
    flight.decoding,
    times.latency_sum,
    times.latency_order,
    times.tpot_itl,
    server.server_tokens,
    server.server_ttft,
    server.prefix_cache,
    server.client_lag,
    times.memory_floor,
    spread.percentiles,
    spread.means,
    sums.sums,
    sums.bounds,
    memory.kv_cache,
    memory.memory_efficiency,
    memory.conditions,
)
"""All checks in the order in which they are printed."""

CELLS = {
    "in-flight": ("requests_per_s", "latency_mean", "latency_p50"),
    "output-rate": ("output_tokens_per_s",),
    "decoding": ("output_tokens_per_s",),
    "latency-sum": ("latency_mean", "latency_p50"),
    "latency-order": ("ttft_mean", "ttft_p50", "ttft_p99"),
    "memory-floor": ("itl_p50", "tpot_mean", "tpot_p50", "itl_mean"),
    "memory-efficiency": ("memory_efficiency",),
    "goodput": ("goodput_per_s",),
    "duration": ("duration_s",),
}
"""Check → the fields at whose cells it is reported, the first that the table states."""

POSITIVE = {"duration_s", "concurrency", "max_num_seqs", "replicas", "bandwidth", "weights_bytes", "tokens_per_step"}
"""Figures that cannot be 0."""


def judge(claim: Claim) -> tuple[Judgement, ...]:
    """Return what each check says of a claim.

    Values that cannot be figures, such as a negative time, are reported and left out of the other checks.
    """
    wrong = tuple(_values(claim))
    sound = replace(claim, **dict.fromkeys((field for field, _ in wrong), None))  # type: ignore[arg-type]  # all optional
    sound = replace(sound, spreads={name: _sound(points) for name, points in claim.spreads.items()})
    return (*(judgement for _, judgement in wrong), *(found for check in CHECKS for found in check(sound)))


def cells_of(claim: Claim, judgement: Judgement) -> Span:
    """Return the place of the cell that a judgement is about; that of the row if it is about several."""
    named = (field for field in CELLS.get(judgement.check, ()) if field in claim.cells)
    return next((claim.cells[field] for field in named), claim.at)


def _values(claim: Claim) -> Iterator[tuple[str, Judgement]]:
    for field in fields(claim):
        value = getattr(claim, field.name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        zero = field.name not in POSITIVE or claim.rounded.get(field.name, 0.0) > 0
        if math.isfinite(value) and (value > 0 or (value == 0 and zero)):
            continue
        least = "more than 0" if field.name in POSITIVE else "0 or more"
        left = f"{field.name.replace('_', ' ')} {value:g}"
        yield field.name, Judgement("values", State.BROKEN, left, f"a number, {least}", "not a figure", least)


def _sound(points: Mapping[str, float]) -> Mapping[str, float]:
    return {point: value for point, value in points.items() if math.isfinite(value) and value >= 0}


POINTS = {"min": "least", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "max": "most", "mean": "mean"}
"""Point of a distribution in a claim → its name in ours."""


def of_result(result: Result, at: Span | None = None) -> Claim:
    """Return what a result of ours claims; `at` is where it stands."""
    figures, hardware, load = result.figures, result.hardware, result.load
    return Claim(
        name=result.target,
        at=at or Span(result.target),
        concurrency=load.concurrency,
        in_flight=figures.in_flight if figures.steady_s else None,
        duration_s=figures.duration_s,
        sent=figures.sent,
        succeeded=figures.succeeded,
        failed=sum(figures.errors.values()),
        requests_per_s=figures.requests_per_s,
        output_tokens_per_s=figures.output_tokens_per_s,
        input_tokens_per_s=figures.input_tokens_per_s,
        lag_p99=None if figures.lag_ms is None else figures.lag_ms.p99 or figures.lag_ms.most,
        max_num_seqs=hardware.max_num_seqs,
        replicas=hardware.replicas,
        weights_bytes=hardware.weights_bytes,
        bandwidth=hardware.bandwidth,
        tokens_per_step=hardware.tokens_per_step,
        window_s=figures.steady_s[1] - figures.steady_s[0] if figures.steady_s else None,
        steady_requests_per_s=figures.steady_requests_per_s,
        goodput_per_s=None if figures.goodput is None else figures.goodput.requests_per_s,
        tokens_from=figures.tokens_from,
        **_times(figures),
        **_tokens(figures),
        **_observed(result.observed),
    )


def _times(figures: Figures) -> dict[str, Any]:
    whole = {"ttft": figures.ttft_ms, "itl": figures.itl_ms, "tpot": figures.tpot_ms, "latency": figures.latency_ms}
    given = {name: found for name, found in whole.items() if found is not None}
    lengths = {"input_tokens": figures.input_tokens, "output_tokens": figures.output_tokens}
    spreads = {name: _points(found) for name, found in {**given, **lengths}.items() if found is not None}
    stated = {
        f"{name}_{point}": getattr(found, point) for name, found in given.items() for point in ("mean", "p50", "p99")
    }
    return {**stated, "spreads": spreads}


def _points(found: Distribution) -> Mapping[str, float]:
    stated = {point: getattr(found, name) for point, name in POINTS.items()} | {"std": found.std}
    return {point: value for point, value in stated.items() if value is not None}


def _tokens(figures: Figures) -> dict[str, Any]:
    """Return the tokens of requests; a mean only if it is that of all requests that succeeded."""
    told: dict[str, Any] = {}
    for name, found in {"input_tokens": figures.input_tokens, "output_tokens": figures.output_tokens}.items():
        if found is not None:
            told[f"{name}_total"] = found.mean * found.n
            told[name] = found.mean if found.n == figures.succeeded else None
    out = figures.output_tokens
    return {**told, "fixed_length": out is not None and out.n == figures.succeeded and out.least == out.most}


def _observed(observed: Observed) -> dict[str, Any]:
    counts = observed.counts
    mean, p50 = observed.histograms.get("first_token", (None, None))
    return {
        "server_output_tokens": counts.get("generated_tokens"),
        "server_prompt_tokens": counts.get("prompt_tokens"),
        "server_cached_tokens": counts.get("prefix_cache_hits"),
        "server_ttft_mean": mean,
        "server_ttft_p50": p50,
    }
