"""Runs of a table as claims: each cell with its unit in the field that its heading means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tritonrepo.bench.claim import Claim
from tritonrepo.bench.tables.cells import LONGEST, Cell, Stated, Unread, number
from tritonrepo.bench.tables.headings import IGNORED, LENGTHS, NAME, PER_REQUEST, PER_TOKEN, UNITS_MS, Meaning, meaning
from tritonrepo.bench.tables.runs import Entry, Run, apart
from tritonrepo.diagnostics import Span

COUNTS = {"concurrency", "sent", "succeeded", "failed", "max_num_seqs", "replicas"}
"""Fields whose numbers are exact, whatever zeros they end with."""

WHOLE = COUNTS - {"concurrency"}
TIMES = {"ttft", "itl", "tpot", "latency"}
FIELDS = ({"", "mean"}, {"mean", "p50", "p99"})
"""Points that have fields of their own: of what is not a time, and of times."""

LIMIT = re.compile(r"\bmax(?:imum)?[ _](?:request[ _])?concurrency", re.IGNORECASE)
"""Heading beside which a plain `Concurrency` is not the limit."""

CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "input tokens": ("input_tokens", "asked_input_tokens"),
    "output tokens": ("output_tokens", "asked_output_tokens"),
    "concurrency": ("concurrency", "offered_per_s"),
    "number of requests": ("sent", "succeeded"),
}
"""Condition without which nobody can repeat a run → the fields that state it."""

WORDS = {
    "dataset": ("dataset", "prompts", "corpus"),
    "date": ("date", "day"),
    "driver": ("driver", "cuda"),
    "version of the engine": ("version",),
    "number of runs": ("runs", "repeats", "trials"),
}
"""Other conditions → words of a heading that state them."""


class Built:
    """The fields of a claim while its cells are read."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.spreads: dict[str, dict[str, float]] = {}
        self.rounded: dict[str, float] = {}
        self.cells: dict[str, Span] = {}
        self.remarks: list[tuple[Span, str]] = []

    def add(self, meant: Meaning, value: float, rounded: float, at: Span) -> bool:
        """Keep a figure in the unit of claims; return False if it is there already."""
        key = _key(meant)
        if key in self.cells:
            return False
        self.cells[key] = at
        self.rounded[key] = 0.0 if meant.field in COUNTS else rounded
        if meant.point and (value or meant.field in LENGTHS):
            self.spreads.setdefault(meant.field, {})[meant.point] = value
        if meant.point in FIELDS[meant.field in TIMES]:
            self.fields[key] = int(value) if meant.field in WHOLE and value.is_integer() else value
        return True

    def claim(self, name: str, at: Span, **others: Any) -> Claim:  # noqa: ANN401  fields of a claim
        """Return the claim; a mean length follows from a total and the requests, or from two rates."""
        for length in LENGTHS:
            for whole, part in ((f"{length}_total", "succeeded"), (f"{length}_per_s", "requests_per_s")):
                total, many = self.fields.get(whole), self.fields.get(part)
                fewest = (many or 0) - self.rounded.get(part, 0.0)
                if total is not None and fewest > 0 and length not in self.fields:
                    self.fields[length] = total / many
                    self.rounded[length] = (total + self.rounded[whole]) / fewest - total / many
        lengths = self.spreads.get("output_tokens", {})
        fixed = lengths.get("std") == 0 or ("min" in lengths and lengths["min"] == lengths.get("max"))
        return Claim(
            name=short(name) or (f"line {at.line}" if at.line else at.path),
            at=at,
            spreads=self.spreads,
            rounded=self.rounded,
            cells=self.cells,
            remarks=tuple(dict.fromkeys(self.remarks)),
            fixed_length=fixed,
            **{**self.fields, **others},
        )


def _key(meant: Meaning) -> str:
    """Return the field of a figure, or what its point is called among the cells."""
    if meant.field in TIMES:
        return f"{meant.field}_{meant.point}"
    if meant.field in LENGTHS and meant.point != "mean":
        return f"{meant.field}_{meant.point}" if meant.point else f"asked_{meant.field}"
    return meant.field


class Reading:
    """How the cells of a file are read: whether a comma stands before decimals, and what headings mean.

    A heading is looked into once, however many rows are below it.
    """

    def __init__(self, *, comma: bool = False) -> None:
        self.comma = comma
        self._meanings: dict[tuple[str, str], Meaning | str] = {}

    def meaning(self, heading: str, point: str) -> Meaning | str:
        """Return what a heading means, or why it is not clear."""
        if (heading, point) not in self._meanings:
            self._meanings[heading, point] = meaning(heading, point)
        return self._meanings[heading, point]


def claim(run: Run, reading: Reading, **others: Any) -> Claim | None:  # noqa: ANN401  fields of a claim
    """Return what a run claims; None if nothing of it is understood, nor anything said of a cell under a figure."""
    built = Built()
    for entry in _counted(run.entries):
        for each in apart(entry):
            built.remarks += _read(built, each, reading)
    places = {entry.cell.at for entry in run.entries}
    if not built.cells and not any(at in places for at, _ in built.remarks):
        return None
    return built.claim(run.name, run.at, **others)


def _counted(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the entries; beside a highest concurrency, a plain one is what was counted in flight."""
    limited = any(LIMIT.search(entry.heading.text) for entry in entries)
    for entry in entries:
        plain = entry.heading.text.strip().lower() == "concurrency"
        yield entry._replace(heading=Cell("in flight", entry.heading.at)) if limited and plain else entry


def still_unstated(found: Claim) -> tuple[str, ...]:
    """Return the conditions of a claim that are not stated, after options have stated some of its fields."""
    return tuple(
        what for what in found.unstated if all(getattr(found, field) is None for field in CONDITIONS.get(what, ()))
    )


def unstated(run: Run, found: Claim) -> tuple[str, ...]:
    """Return the conditions that neither a field nor a heading states."""
    heads = " ".join(entry.heading.text.lower() for entry in run.entries if entry.cell.text.strip())
    absent = [what for what, fields in CONDITIONS.items() if all(getattr(found, field) is None for field in fields)]
    return (*absent, *(what for what, words in WORDS.items() if not any(word in heads for word in words)))


def _read(built: Built, entry: Entry, reading: Reading) -> Iterator[tuple[Span, str]]:
    heading = short(entry.heading.text)
    if not heading or not entry.cell.text.strip():
        return
    found = number(entry.cell, comma=reading.comma)
    meant = _meant(heading, entry.point, found, reading)
    if isinstance(meant, str):
        yield entry.heading.at, f'"{heading}" {meant}'
    elif meant.field in {NAME, IGNORED}:
        return
    elif isinstance(found, Unread):
        if found.why:
            yield entry.cell.at, f'"{short(entry.cell.text)}" under "{heading}" {found.why}'
    elif (factor := _factor(meant, found)) is None:
        yield entry.cell.at, f'"{short(entry.cell.text)}" under "{heading}" has no unit that is understood'
    elif not built.add(meant, found.value * factor, found.rounded * abs(factor), found.at):
        yield entry.heading.at, f'"{heading}" is stated twice; the first counts'


def _meant(heading: str, point: str, found: Stated | Unread, reading: Reading) -> Meaning | str:
    """Return what a heading means; the unit of its cell can make it clear."""
    meant = reading.meaning(heading, point)
    if isinstance(meant, str) and isinstance(found, Stated) and found.unit:
        again = reading.meaning(f"{heading} ({found.unit})", point)
        return meant if isinstance(again, str) else again
    return meant


def _factor(meant: Meaning, found: Stated) -> float | None:
    """Return what a number is multiplied by: the unit in its cell goes before that of the heading."""
    unit = found.unit.lower()
    if meant.field in TIMES:
        return UNITS_MS.get(unit, meant.factor if not unit else None)
    if meant.field == "duration_s":
        return UNITS_MS[unit] / 1e3 if unit in UNITS_MS else meant.factor if not unit else None
    if meant.field in {"memory_efficiency", "memory_utilization"}:
        return 0.01 if unit == "%" else meant.factor if meant.factor is not None else _share(found.value)
    return meant.factor if not unit or _of(meant.field, unit) else None


def _of(field: str, unit: str) -> bool:
    """Return whether a unit in a cell is that of a rate or of a count."""
    if field.endswith("_per_s"):
        return bool(re.fullmatch(PER_TOKEN if "tokens" in field else PER_REQUEST, unit))
    return unit in {"tokens", "tok", "requests", "req"}


def _share(value: float) -> float | None:
    return 1.0 if value <= 1 else None


def short(text: str) -> str:
    """Return a text of a file as far as a message shows it."""
    text = " ".join(text[: 2 * LONGEST].split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
