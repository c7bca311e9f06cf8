"""Results in the forms of other tools: aiperf's export, and the file of vLLM's `bench serve`.

The names are theirs, the definitions ours where theirs differ: docs/bench-results.md says where. What we do not measure
is left out. Sources: aiperf 0.13, src/aiperf/common/models/export_models.py (schema 1.4) and src/aiperf/metrics/types;
vLLM 0.32, vllm/benchmarks/serve.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from statistics import pstdev

from tritonrepo.bench.figures import ENOUGH, Distribution, percentile
from tritonrepo.bench.load import Shape
from tritonrepo.bench.record import Record
from tritonrepo.bench.result import INTERRUPTED, Result
from tritonrepo.plain import hidden
from tritonrepo.report.json import dumps

AIPERF = "profile_export_aiperf.json"
"""Name of aiperf's file in its folder."""

SCHEMA = "1.4"
"""Version of aiperf's export whose shape this is."""

SHARES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
"""Percentiles of aiperf."""

Values = Mapping[str, float | int | str | None]


def aiperf(result: Result, records: Sequence[Record] = ()) -> str:
    """Return a result in the shape of aiperf's `profile_export_aiperf.json`.

    With the records, all percentiles of aiperf are there; without, those that a result has.
    """
    good = [record for record in records if record.ok and not record.warm_up]
    found, rates = result.figures, "requests/sec"
    failed, answers, prompts = sum(found.errors.values()), found.output_tokens, found.input_tokens
    read, written = (_total(each) if each else None for each in (prompts, answers))
    both = None if read is None or written is None else read + written
    metrics: dict[str, Values | None] = {
        "request_throughput": _one(found.requests_per_s, rates),
        "request_count": _one(found.succeeded, "requests"),
        "error_request_count": _one(failed, "requests") if failed else None,
        "completed_request_count": _one(found.sent, "requests"),
        "request_error_rate": _one(_per(100 * failed, found.sent), "%"),
        "request_latency": _many(found.latency_ms, [record.latency_s for record in good]),
        "time_to_first_token": _many(found.ttft_ms, [record.ttft_s for record in good]),
        "inter_token_latency": _many(found.itl_ms, [record.itl_s for record in good]),
        "inter_chunk_latency": _many(found.chunk_ms, [gap for record in good for gap in record.gaps_s]),
        "output_token_throughput": _one(found.output_tokens_per_s, "tokens/sec"),
        "output_token_throughput_per_user": _per_user([record.itl_s for record in good]),
        "output_sequence_length": _many(answers, [record.answer_tokens for record in good], "tokens"),
        "input_sequence_length": _many(prompts, [record.prompt_tokens for record in good], "tokens"),
        "total_isl": _one(read, "tokens"),
        "total_osl": _one(written, "tokens"),
        "input_token_throughput": _one(_per(read, found.duration_s), "tokens/sec"),
        "total_token_throughput": _one(_per(both, found.duration_s), "tokens/sec"),
        "benchmark_duration": _one(found.duration_s, "sec"),
        "goodput": _one(found.goodput.requests_per_s, rates) if found.goodput else None,
        "good_request_count": _one(found.goodput.good, "requests") if found.goodput else None,
        "good_request_fraction": _one(found.goodput.share, "ratio") if found.goodput else None,
    }
    errors = [
        {"error_details": {"message": hidden(why)}, "count": times} for why, times in sorted(found.errors.items())
    ]
    began, ended = _span(result)
    document: dict[str, object] = {"schema_version": SCHEMA, "start_time": began, "end_time": ended}
    document |= {"was_cancelled": result.ended_early == INTERRUPTED, "is_complete": not result.ended_early}
    if result.ended_early:
        document["incomplete_reason"] = result.ended_early
    return dumps({**document, "error_summary": errors, **{name: said for name, said in metrics.items() if said}})


def vllm(result: Result, records: Sequence[Record] = ()) -> str:
    """Return a result in the shape that `vllm bench serve --save-result` writes, with records as --save-detailed.

    It is a line, as with --append-result.
    """
    found, load, prompts = result.figures, result.load, result.prompts
    input_tokens, output_tokens = (_total(each) for each in (found.input_tokens, found.output_tokens))
    date = _began(result)
    said: dict[str, object] = {
        "date": f"{date:%Y%m%d-%H%M%S}" if date else result.began,
        "endpoint_type": result.protocol,
        "backend": result.protocol,
        "label": result.target,
        "model_id": result.model,
        "tokenizer_id": None,
        "num_prompts": found.sent,
        "request_rate": "inf" if load.shape is Shape.CLOSED or load.rate is None else load.rate,
        "burstiness": 1.0,
        "max_concurrency": load.concurrency,
        "duration": found.duration_s,
        "completed": found.succeeded,
        "failed": sum(found.errors.values()),
        "total_input_tokens": input_tokens,
        "total_output_tokens": output_tokens,
        "request_throughput": found.requests_per_s,
        "request_goodput": found.goodput.requests_per_s if found.goodput else None,
        "output_throughput": found.output_tokens_per_s,
        "total_token_throughput": (input_tokens + output_tokens) / found.duration_s if found.duration_s else None,
        "rtfx": 0.0,
        "tritonrepo": {"tool": result.tool, "tokens_from": found.tokens_from, "prompts": prompts.source},
    }
    for name, values in (
        ("ttft", found.ttft_ms),
        ("tpot", found.tpot_ms),
        ("itl", found.chunk_ms),
        ("e2el", found.latency_ms),
    ):
        for key, value in _vllm_metric(values).items():
            said[f"{key}_{name}_ms"] = value
    if not result.generates:
        said |= {"total_input_sequences": round(found.items_per_s * found.duration_s)}
        said |= {"input_sequence_throughput": found.items_per_s}
    whole = {**said, **_detailed([record for record in records if not record.warm_up])}
    return json.dumps(json.loads(dumps(whole)))


def _vllm_metric(found: Distribution | None) -> Mapping[str, float | None]:
    if found is None:
        return dict.fromkeys(("mean", "median", "std", "p50", "p90", "p95", "p99"))
    named = {"mean": found.mean, "median": found.p50, "std": found.std}
    return {**named, "p50": found.p50, "p90": found.p90, "p95": found.p95, "p99": found.p99}


def _detailed(records: Sequence[Record]) -> dict[str, object]:
    if not records:
        return {}
    return {
        "input_lens": [record.prompt_tokens or 0 for record in records],
        "output_lens": [record.answer_tokens or 0 if record.ok else 0 for record in records],
        "ttfts": [record.ttft_s or 0.0 if record.ok else 0.0 for record in records],
        "itls": [list(record.gaps_s) if record.ok else [] for record in records],
        "latencies": [record.latency_s if record.ok else 0.0 for record in records],
        "start_times": [record.sent_s for record in records],
        "queue_times": [record.queued_s or 0.0 for record in records],
        "errors": [hidden(record.error) for record in records],
        "max_output_tokens_per_s": _busiest(records),
        "max_concurrent_requests": _most_in_flight(records),
    }


def _busiest(records: Sequence[Record]) -> float:
    """Return the tokens of the busiest second."""
    seconds: dict[int, float] = {}
    for record in records:
        if record.ok and record.answer_tokens and record.pieces:
            each = record.answer_tokens / len(record.pieces)
            for piece in record.pieces:
                tokens = each if piece.tokens is None else piece.tokens
                seconds[int(piece.at_s)] = seconds.get(int(piece.at_s), 0.0) + tokens
    return float(max(seconds.values(), default=0.0))


def _most_in_flight(records: Sequence[Record]) -> int:
    """Return the most requests that were in flight at a time."""
    changes = [(record.sent_s, 1) for record in records] + [(record.ended_s, -1) for record in records]
    return max(accumulate(change for _, change in sorted(changes)), default=0)


def _one(value: float | None, unit: str) -> Values | None:
    return None if value is None or not math.isfinite(value) else {"unit": unit, "avg": value}


def _many(found: Distribution | None, values: Sequence[float | None], unit: str = "ms") -> Values | None:
    if found is None:
        return None
    ordered = sorted(value * (1000 if unit == "ms" else 1) for value in values if value is not None)
    shares: dict[str, float | None] = {"p50": found.p50, "p90": found.p90, "p95": found.p95, "p99": found.p99}
    if ordered:
        shares = {f"p{share}": percentile(ordered, share / 100) for share in SHARES}
        shares |= {} if len(ordered) >= ENOUGH else {"p99": None}
    said: dict[str, float | int | str | None] = {"unit": unit, "avg": found.mean, **shares}
    said |= {"min": found.least, "max": found.most, "std": found.std, "count": found.n, "sum": found.mean * found.n}
    return {name: value for name, value in said.items() if value is not None}


def _per_user(itls_s: Sequence[float | None]) -> Values | None:
    values = sorted(1 / value for value in itls_s if value)
    if not values:
        return None
    shares = {f"p{share}": percentile(values, share / 100) for share in SHARES if share < 99 or len(values) >= ENOUGH}  # noqa: PLR2004
    ends = {"min": values[0], "max": values[-1], "std": pstdev(values), "count": len(values), "sum": sum(values)}
    return {"unit": "tokens/sec/user", "avg": sum(values) / len(values), **shares, **ends}


def _per(value: float | None, of: float) -> float | None:
    return None if value is None or not of else value / of


def _total(found: Distribution | None) -> int:
    return round(found.mean * found.n) if found else 0


def _began(result: Result) -> datetime | None:
    try:
        return datetime.fromisoformat(result.began)
    except ValueError:
        return None


def _span(result: Result) -> tuple[str | None, str | None]:
    began = _began(result)
    if began is None:
        return None, None
    return began.isoformat(), (began + timedelta(seconds=result.figures.duration_s)).isoformat()
