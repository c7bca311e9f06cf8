"""What aiperf and genai-perf write as JSON: a distribution a metric, each with its unit.

Source: ai-dynamo/aiperf, docs/reference/json-export-schema.md, 0.14; genai-perf, docs/files.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonrepo.bench.claim import Claim
from tritonrepo.bench.tables.building import Built
from tritonrepo.bench.tables.headings import UNITS_MS, Meaning
from tritonrepo.bench.tables.places import Places, real

METRICS = {
    "time_to_first_token": "ttft",
    "inter_token_latency": "itl",
    "request_latency": "latency",
    "output_sequence_length": "output_tokens",
    "input_sequence_length": "input_tokens",
    "request_throughput": "requests_per_s",
    "output_token_throughput": "output_tokens_per_s",
    "total_token_throughput": "total_tokens_per_s",
    "request_count": "succeeded",
    "error_request_count": "failed",
    "benchmark_duration": "duration_s",
    "goodput": "goodput_per_s",
    "total_output_sequence_length": "output_tokens_total",
    "total_osl": "output_tokens_total",
    "total_isl": "input_tokens_total",
}
"""Metric → its field of a claim."""

SINGLE = {
    "requests_per_s",
    "output_tokens_per_s",
    "total_tokens_per_s",
    "succeeded",
    "failed",
    "duration_s",
    "goodput_per_s",
}
POINTS = {"avg": "mean", "min": "min", "max": "max", "std": "std"}
CONFIG = ("input_config", "config", "benchmark_config")
DEEPEST = 8
"""Levels of the configuration that are looked into."""


def is_aiperf(data: object) -> bool:
    """Return whether data is such a document: a known metric that is an object with a unit."""
    return isinstance(data, Mapping) and any(isinstance(_metrics(data).get(name), Mapping) for name in METRICS)


def _metrics(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metrics: at the top, or in `records` of early versions of aiperf."""
    inner = data.get("records")
    return inner if isinstance(inner, Mapping) else data


def of_json(data: Mapping[str, Any], places: Places) -> Claim:
    """Return what the document claims."""
    built = Built()
    for name, field in METRICS.items():
        stats = _metrics(data).get(name)
        if isinstance(stats, Mapping):
            _add(built, field, stats, places, name)
    for key, field in (("concurrency", "concurrency"), ("request_rate", "offered_per_s")):
        found = {*_configured(data, key)}
        if len(found) == 1:
            built.add(Meaning(field), found.pop(), 0.0, places.of(key))
        elif found:
            built.remarks.append((places.of(key), f'"{key}" has several values; none is used'))
    return built.claim(_name(data), places.of(next(name for name in METRICS if name in _metrics(data))))


def _add(built: Built, field: str, stats: Mapping[str, Any], places: Places, name: str) -> None:
    unit = str(stats.get("unit", "")).lower()
    timed = field in {"ttft", "itl", "latency", "duration_s"}
    if timed and unit not in UNITS_MS:
        built.remarks.append((places.of(name), f'"{name}" has no unit that is understood'))
        return
    factor = (UNITS_MS[unit] / (1e3 if field == "duration_s" else 1.0)) if timed else 1.0
    for point, value in stats.items():
        meant = _meant(field, point)
        if meant is not None and isinstance(value, int | float) and not isinstance(value, bool):
            built.add(meant, real(value) * factor, 0.0, places.of(point, name))


def _meant(field: str, point: str) -> Meaning | None:
    if field in SINGLE or field.endswith("_total"):
        return Meaning(field) if point == "avg" else None
    if point in POINTS:
        return Meaning(field, POINTS[point])
    return Meaning(field, point) if point[:1] == "p" and point[1:].replace(".", "", 1).isdigit() else None


def _configured(data: Mapping[str, Any], key: str) -> Iterator[float]:
    """Yield the numbers of a key anywhere in the configuration, apart from phases that are no part of the results."""
    left: list[tuple[Any, int]] = [(data.get(name), 0) for name in CONFIG]
    while left:
        value, depth = left.pop()
        if depth > DEEPEST:
            continue
        if isinstance(value, list):
            left += [(inner, depth + 1) for inner in value]
        elif isinstance(value, Mapping) and value.get("exclude_from_results") is not True:
            found = value.get(key)
            if isinstance(found, int | float) and not isinstance(found, bool) and found > 0:
                yield real(found)
            left += [(inner, depth + 1) for inner in value.values()]


def _name(data: Mapping[str, Any]) -> str:
    names = [name for part in CONFIG for name in _models(data.get(part))]
    return " ".join(dict.fromkeys(names))[:80]


def _models(config: Any) -> Iterator[str]:  # noqa: ANN401  data from a file
    """Yield the names of models: of 0.13 they are in `models`, a list of objects with a name."""
    if not isinstance(config, Mapping):
        return
    for key in ("model_names", "model", "model_name", "endpoint", "models", "items"):
        value = config.get(key)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            named = [each.get("name") if isinstance(each, Mapping) else each for each in value]
            yield from (each for each in named if isinstance(each, str))
        elif isinstance(value, Mapping):
            yield from _models(value)
