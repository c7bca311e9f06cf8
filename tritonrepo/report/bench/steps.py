"""What the server itself says of the time of a run: its steps, what it counted, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.bench.result import Observed, Step
from tritonrepo.plain import inline
from tritonrepo.report.bench.shown import NONE, number, percent
from tritonrepo.report.table import table

GB = 1e9

PARTS = ("queue", "input", "inference", "output")
"""What the time of a step is made of, in the order in which it passes."""

HEAD = ("model", "version", "requests", "failed", *PARTS, "whole", "batch")


def parts(step: Step) -> tuple[float, float, float, float]:
    """Return the milliseconds of a step in the order of PARTS."""
    return step.queue_ms, step.input_ms, step.infer_ms, step.output_ms


def rows(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Return the rows of a table of steps under HEAD; a step that another calls is indented below it."""
    depth: dict[str, int] = {}
    found = []
    for step in steps:
        depth[step.model] = depth.get(step.within, -1) + 1 if step.within else 0
        whole = step.whole_ms if step.whole_ms is not None else sum(parts(step))
        name = f"{'  ' * depth[step.model]}{inline(step.model)}{' (streams)' if step.streams else ''}"
        counts = (f"{step.requests:,}", f"{step.failed:,}")
        times = (*map(number, parts(step)), number(whole))
        found.append((name, inline(step.version), *counts, *times, number(step.batch) if step.batch else NONE))
    return found


def lines(observed: Observed) -> Iterator[str]:
    """Yield the table of steps, what was counted and observed, and why something is not known."""
    if observed.steps:
        yield from table(HEAD, rows(observed.steps)).split("\n")
        yield "Mean milliseconds of a request in each step."
    yield from (inline(f"{name}: {said}") for name, said in values(observed))
    yield from (inline(note) for note in observed.notes)
    yield from (f"not known: {inline(why)}" for why in observed.missing)


def values(observed: Observed) -> Iterator[tuple[str, str]]:
    """Yield what was counted, the largest values, the times and the GPUs: a name and its figures."""
    for name, grown in observed.counts.items():
        yield _words(name), _value(name, grown)
    for name, most in observed.gauges.items():
        yield f"{_words(name)}, largest", _value(name, most)
    for name, (mean, median) in observed.histograms.items():
        yield _words(name), f"mean {number(mean)} ms, p50 {number(median)} ms"
    for gpu, found in observed.gpus.items():
        yield f"GPU {gpu}", ", ".join(f"{_words(name)} {_value(name, mean)}" for name, mean in found.items())


def _words(meaning: str) -> str:
    """Return a meaning of the catalogue of metrics as words."""
    return meaning.replace("_", " ").removeprefix("gpu ").replace("kv ", "KV ")


def _value(meaning: str, value: float) -> str:
    """Return a value with its unit, as far as the meaning says it."""
    if "memory" in meaning:
        return f"{number(value / GB)} GB"
    if meaning.endswith(("usage", "utilization")) and "power" not in meaning:
        return percent(value)
    return f"{number(value)} W" if "power" in meaning else f"{value:,.0f}" if value == round(value) else number(value)
