"""Requests one by one in the shape of aiperf's `profile_export.jsonl`, which `aiperf plot` reads beside its document.

Source: aiperf 0.13, src/aiperf/common/models/record_models.py (MetricRecordInfo), and for what the readers need
src/aiperf/plot/core/mode_detector.py and src/aiperf/analysis/swim_lane.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from tritonrepo.bench.record import Record
from tritonrepo.bench.result import Result
from tritonrepo.plain import escaped, hidden

RECORDS = "profile_export.jsonl"
"""Name of aiperf's file in its folder."""

TOOL = "tritonrepo"
"""What stands for the names of aiperf's processes."""


def lines(result: Result, records: Sequence[Record]) -> Iterator[str]:
    """Yield a line of JSON for each request; times of day follow from the date of the result and the run's clock."""
    try:
        began_ns = round(datetime.fromisoformat(result.began).timestamp()) * 10**9
    except ValueError:
        began_ns = 0
    for place, record in enumerate(records):
        phase = "warmup" if record.warm_up else "profiling"
        metadata = {
            "session_num": place,
            "conversation_id": f"{TOOL}-{place}",
            "turn_index": 0,
            "request_start_ns": began_ns + round(1e9 * record.sent_s),
            "request_end_ns": began_ns + round(1e9 * record.ended_s),
            "worker_id": TOOL,
            "record_processor_id": TOOL,
            "benchmark_phase": phase,
            "phase_kind": phase,
            "was_cancelled": False,
        }
        said: dict[str, object] = {"metadata": metadata, "metrics": _metrics(record) if record.ok else {}}
        if not record.ok:
            said["error"] = {"type": record.status or None, "message": hidden(record.error)}
        yield escaped(json.dumps(said, ensure_ascii=True))


def _metrics(record: Record) -> dict[str, object]:
    """Return what is known of a request that succeeded, in aiperf's units."""
    itl_s = record.itl_s
    found: dict[str, tuple[object, str]] = {
        "request_latency": (1000 * record.latency_s, "ms"),
        "time_to_first_token": (None if record.ttft_s is None else 1000 * record.ttft_s, "ms"),
        "inter_token_latency": (None if itl_s is None else 1000 * itl_s, "ms"),
        "inter_chunk_latency": ([1000 * gap for gap in record.gaps_s] or None, "ms"),
        "output_token_throughput_per_user": (1 / itl_s if itl_s else None, "tokens/sec/user"),
        "output_sequence_length": (record.answer_tokens, "tokens"),
        "input_sequence_length": (record.prompt_tokens, "tokens"),
    }
    return {name: {"value": value, "unit": unit} for name, (value, unit) in found.items() if value is not None}
