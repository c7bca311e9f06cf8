"""How figures and their conditions are written, wherever they are shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from tritonrepo.bench.claim import Judgement, State
from tritonrepo.bench.figures import ENOUGH, Distribution, Figures, Goodput, Slo
from tritonrepo.bench.load import Load, Shape
from tritonrepo.bench.measures import idle, late
from tritonrepo.bench.result import INTERRUPTED, Result
from tritonrepo.diagnostics import counted, some
from tritonrepo.plain import inline

NONE = "–"
"""What stands for a figure that nobody has."""

FEW = f"A p99 is shown from {ENOUGH} requests on: of fewer, it would be little more than the largest value."
"""Why a 99th percentile is not shown."""


MOST = 3
"""How many targets are named in a title."""

OWN = "a part of the figures is its own time"

METRICS = {"ttft": "TTFT", "itl": "ITL", "tpot": "TPOT", "latency": "latency"}
"""Names of the metrics that an SLO limits, as they are shown."""

NEAR, EXACT = 0.95, 1e-6
"""From which share on a decimal is shown, and how far a product of floats may be off."""

DECIMALS = ((1000, 0), (100, 0), (10, 1), (1, 2))
"""From which value on how many decimals are shown: three figures that count."""


def number(value: float | None) -> str:
    """Return a figure with three digits that count, thousands apart; NONE for None and for what is not finite."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    size = abs(value)
    places = next((places for least, places in DECIMALS if round(size, places) >= least), None)
    if places is None:
        places = min(6, 2 - math.floor(math.log10(size)))
    return f"{value:,.{places}f}"


def percent(share: float | None) -> str:
    """Return a share as percent; near the whole with a decimal, and 100% only of the whole itself."""
    if share is None or not math.isfinite(share):
        return NONE
    if NEAR <= share < 1:
        return f"{math.floor(share * 1000 + EXACT) / 10:.1f}%"
    return f"{share:.0%}" if share > 0.1 else f"{share:.1%}"  # noqa: PLR2004


def p50(found: Distribution | None) -> str:
    """Return a median."""
    return number(found.p50 if found else None)


def p99(found: Distribution | None) -> str:
    """Return a 99th percentile; NONE if there are too few values."""
    return number(found.p99 if found else None)


def good(found: Goodput | None) -> str:
    """Return a goodput with its share of all requests."""
    return f"{number(found.requests_per_s)}/s ({percent(found.share)})" if found else NONE


def slo(limits: Slo) -> str:
    """Return an SLO."""
    return ", ".join(f"{METRICS.get(name, inline(name))} ≤ {most:,.6g} ms" for name, most in limits.most_ms.items())


def at(load: Load) -> str:
    """Return the level of a load, as short as in a row of a table."""
    most = f", at most {load.concurrency:,} at once" if load.concurrency is not None else ""
    match load.shape:
        case Shape.CLOSED:
            return f"{load.concurrency:,} at once"
        case Shape.POISSON:
            return f"{number(load.rate)} req/s{most}"
        case Shape.RAMP:
            return f"{number(load.rate_from)} to {number(load.rate)} req/s{most}"
        case Shape.TRACE:
            return f"trace{most}"


def level(load: Load) -> float | None:
    """Return the number that a sweep varies: requests in flight of a closed loop, else requests per second."""
    if load.shape is Shape.CLOSED:
        return None if load.concurrency is None else float(load.concurrency)
    return load.rate


def label(result: Result) -> str:
    """Return what tells a result apart from the others: its target and its load."""
    return f"{inline(result.target)}, {at(result.load)}"


def names(results: Sequence[Result]) -> list[str]:
    """Return a name for each result, as short as tells them apart: the load, the target, or both."""
    for short in ([at(result.load) for result in results], [inline(result.target) for result in results]):
        if len({*short}) == len(results) > 1:
            return short
    return [label(result) for result in results]


def several(targets: Iterable[str]) -> str:
    """Return the names of targets, each once, in a sentence."""
    return some([*dict.fromkeys(map(inline, targets))], MOST) or "nothing"


def lag(figures: Figures) -> str:
    """Return how late the client's own loop was; "" if nobody looked."""
    found = figures.lag_ms
    if found is None:
        return ""
    last = f"largest {number(found.most)}" if found.p99 is None else f"p99 {number(found.p99)}"
    return f"p50 {number(found.p50)} ms, {last} ms"


def early(results: Sequence[Result]) -> list[str]:
    """Return a line on each result whose run ended before its load was over."""
    return [
        f"{label(result)}: interrupted: these are the figures of what was answered by then"
        if result.ended_early == INTERRUPTED
        else f"{label(result)}: the run gave up: {inline(result.ended_early)[:300]}"
        for result in results
        if result.ended_early
    ]


def whole(results: Sequence[Result]) -> list[str]:
    """Return a line on each result whose answers have tokens, and no time to the first of them."""
    return [
        f"{label(result)}: TTFT and ITL are not known, since the answers came whole"
        f"{', not as a stream: ask …/generate_stream' if result.target.rstrip('/').endswith('/generate') else ''}"
        for result in results
        if result.figures.output_tokens is not None and result.figures.ttft_ms is None
    ]


def broken(judged: Sequence[Judgement]) -> list[Judgement]:
    """Return the judgements that say that figures cannot be true."""
    return [each for each in judged if each.state is State.BROKEN]


def sides(judged: Judgement) -> list[str]:
    """Return what a judgement says, its two sides, and what would have to be so instead."""
    found = [
        f"{judged.state}: {inline(judged.says)} [{judged.check}]",
        f"  {inline(judged.left)}",
        f"  {inline(judged.right)}",
    ]
    return found + ([f"  for it to be true: {inline(judged.instead)}"] if judged.instead else [])


def tally(results: Sequence[Result]) -> str:
    """Return how many checks say what."""
    states = [each.state for result in results for each in result.judgements]
    told = [f"{state} {states.count(state):,}" for state in State if states.count(state)]
    return f"{counted(len(states), 'check')} of plausibility: {', '.join(told)}" if states else ""


def spread(result: Result) -> str:
    """Return what the repeats of a run range over; "" of one."""
    if len(result.repeats) < 2:  # noqa: PLR2004  one says nothing of others
        return ""
    found: Mapping[str, list[float | None]] = {
        "req/s": [each.requests_per_s for each in result.repeats],
        "output tok/s": [each.output_tokens_per_s for each in result.repeats],
        "TTFT p50 ms": [each.ttft_ms.p50 if each.ttft_ms else None for each in result.repeats],
        "latency p50 ms": [each.latency_ms.p50 if each.latency_ms else None for each in result.repeats],
    }
    told = [
        f"{name} {number(min(known))} to {number(max(known))}"
        for name, values in found.items()
        if (known := [value for value in values if value is not None])
    ]
    return f"{label(result)}: over {len(result.repeats)} repeats, {', '.join(told)}"


def bound(results: Sequence[Result]) -> list[str]:
    """Return lines on the results whose client was too slow for what it measures: one each, of many one for all."""
    found = [result for result in results if result.client_bound]
    if len(found) > MOST:
        return [f"client-bound: the client was late itself in {len(found)} of {len(results)} loads; {OWN}"]
    return [f"{label(result)}: client-bound: {_slow(result)}; {OWN}" for result in found]


def _slow(result: Result) -> str:
    if few := unused(result):
        return f"{few}, as the client sent the next ones late"
    return f"the client was late itself ({lag(result.figures) or 'lag unknown'})"


def unused(result: Result) -> str:
    """Return how few requests of a closed loop were in flight, if this alone shows that its client was too slow."""
    figures, load = result.figures, result.load
    if late(figures) or not idle(figures, load):
        return ""
    return f"{number(figures.in_flight)} of {load.concurrency or 1:,} requests were in flight on average"


def sentence(says: Sequence[str]) -> str:
    """Return messages as sentences."""
    return " ".join(f"{each[:1].upper()}{each[1:]}." for each in says)


def failures(result: Result, most: int = 8) -> list[str]:
    """Return a line for each reason for which requests failed, the most frequent first."""
    ordered = sorted(result.figures.errors.items(), key=lambda each: (-each[1], each[0]))
    lines = [f"{times:,} × {inline(reason)[:300]}" for reason, times in ordered[:most]]
    return lines + ([f"{counted(len(ordered) - most, 'more reason')}"] if len(ordered) > most else [])
