"""What `vllm bench serve` and SGLang's `bench_serving` write: a JSON object a run, or a block of text in a log.

Source: vllm, benchmarks/serve.py; sglang, bench_serving.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tritonrepo.bench.claim import Claim
from tritonrepo.bench.tables.building import Built, Reading, claim
from tritonrepo.bench.tables.headings import Meaning
from tritonrepo.bench.tables.places import Places, real
from tritonrepo.bench.tables.runs import Entry, Run
from tritonrepo.bench.tables.texts import pairs
from tritonrepo.diagnostics import Span

BLOCK = "Serving Benchmark Result"
STAMP = re.compile(r"^(?:\S*\d{4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}:\d{2}\S*\s+)?")
TIME = re.compile(r"(mean|median|std|p\d{1,2}(?:\.\d+)?)_(ttft|tpot|itl|e2el|e2e_latency)_ms")
ENDS = re.compile(r"=+")
KEYS = {
    "duration": "duration_s",
    "completed": "succeeded",
    "failed": "failed",
    "max_concurrency": "concurrency",
    "concurrency": "in_flight",
    "request_rate": "offered_per_s",
    "total_input_tokens": "input_tokens_total",
    "total_output_tokens": "output_tokens_total",
    "request_throughput": "requests_per_s",
    "request_goodput": "goodput_per_s",
    "output_throughput": "output_tokens_per_s",
    "input_throughput": "input_tokens_per_s",
    "total_token_throughput": "total_tokens_per_s",
}
"""Key of a result → its field of a claim."""


def is_serving(data: object) -> bool:
    """Return whether data is a result of such a tool."""
    return isinstance(data, Mapping) and "request_throughput" in data and ("completed" in data or "duration" in data)


def of_json(data: Mapping[str, Any], places: Places) -> Claim:
    """Return what a result claims; a time of 0 is what these tools write for one that was not measured."""
    built = Built()
    for key, value in data.items():
        meant = _meant(key)
        if meant is None or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if key in {"request_rate", "max_concurrency"} and value == float("inf"):
            continue
        built.add(meant, real(value), 0.0, places.of(key))
    words = [
        str(data[key]) for key in ("label", "backend", "model_id", "server_info") if isinstance(data.get(key), str)
    ]
    return built.claim(" ".join(words[:2]), places.of("request_throughput"), gaps=True)


def _meant(key: str) -> Meaning | None:
    if key in KEYS:
        return Meaning(KEYS[key])
    found = TIME.fullmatch(key)
    if found is None:
        return None
    point = {"median": "p50"}.get(found[1], found[1])
    return Meaning("latency" if found[2].startswith("e2e") else found[2], point)


def of_text(text: str, path: str) -> Iterator[Claim]:
    """Yield what each block of a log claims; some tools print the concurrency before it."""
    lines = [(number, STAMP.sub("", line)) for number, line in enumerate(text.splitlines(), 1)]
    before: list[tuple[int, str]] = []
    block: list[tuple[int, str]] | None = None
    start = 0
    for number, line in lines:
        if BLOCK in line:
            if block is not None:
                yield from _claimed(block, before, Span(path, start))
                before = []
            block, start = [], number
        elif block is not None and ENDS.fullmatch(line.strip()):
            yield from _claimed(block, before, Span(path, start))
            block, before = None, []
        elif block is not None:
            block.append((number, line))
        else:
            before.append((number, line))
    if block is not None:
        yield from _claimed(block, before, Span(path, start))


def _claimed(block: Sequence[tuple[int, str]], before: Sequence[tuple[int, str]], at: Span) -> Iterator[Claim]:
    said = pairs(block, at.path)
    names = {name.text.lower() for name, _ in said}
    limited = any("request concurrency" in name for name in names)
    limits = [pair for pair in pairs(before, at.path) if pair[0].text.lower() == "maximum request concurrency"]
    kept = [pair for pair in (*said, *([] if limited else limits[-1:])) if not _unlimited(pair[0].text, pair[1].text)]
    measured = [value for name, value in kept if limited and name.text.lower() == "concurrency"]
    rest = [(name, value) for name, value in kept if value not in measured]
    entries = tuple(
        Entry(name, "", value) for name, value in rest if not name.text.lower().startswith(("backend", "peak"))
    )
    found = claim(Run(_backend(said), at, entries), Reading(), gaps=True, in_flight=_measured(measured))
    if found is not None:
        yield found


def _unlimited(name: str, value: str) -> bool:
    return name.lower() == "traffic request rate" and not value.strip()[:1].isdigit()


def _measured(cells: Sequence[Any]) -> float | None:
    try:
        return float(cells[0].text) if cells else None
    except ValueError:
        return None


def _backend(said: Sequence[tuple[Any, Any]]) -> str:
    return next((value.text for name, value in said if name.text.lower() == "backend"), "")
