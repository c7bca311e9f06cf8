"""The pipeline of `bench compare`: two files of results, matched, compared, and held against a limit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.bench.comparing import FAILED, Comparison, Side, Verdict, compare
from tritonrepo.bench.record import Record
from tritonrepo.bench.recorded import records
from tritonrepo.bench.result import Result
from tritonrepo.bench.saved import results
from tritonrepo.diagnostics import Diagnostic, Severity, Span, fatal
from tritonrepo.flows.named import text
from tritonrepo.report.bench.shown import at

RESULT = "bench-result"
WRITTEN = "Name a file that bench has written."

RECORDS = ".jsonl"
"""Ending of the records that are looked for next to a file of results."""

MORE_FAILED = 0.01
"""By which share of all requests more may fail, whatever the limit of the other metrics is."""


class File(NamedTuple):
    """A file of results, and that of its records: None for one next to it with the ending .jsonl, if it is there."""

    path: Path
    records: Path | None = None


class Compared(NamedTuple):
    """The comparisons of two files, what in them has no counterpart, and what is wrong."""

    comparisons: tuple[Comparison, ...]
    alone: tuple[str, ...]
    found: tuple[Diagnostic, ...]


def bench_compare(
    before: File, after: File, *, fail_above: float | None = None, metrics: Collection[str] = ()
) -> Compared:
    """Return what differs between two files of results; raise Stop for one that cannot be used.

    Args:
        before: What is compared with.
        after: What is judged.
        fail_above: Share by which nothing may be worse for certain, 0.05 for 5 %; None to judge nothing.
        metrics: Names of the metrics to compare; all if empty.
    """
    sides = [_sides(each) for each in (before, after)]
    pairs, alone = matched(*sides)
    if not pairs:
        message = f"no result of {after.path} has the load of one of {before.path}"
        raise fatal("bench-compare", str(after.path), message, "Compare results of the same loads.")
    made = [_of(compare(*pair), metrics) for pair in pairs]
    found = [diagnostic for each in made for diagnostic in judged(each, str(after.path), fail_above)]
    if fail_above is not None:
        lost = [side.name for side in sides[0] if side.name in alone]
        found += unjudged(made, lost, str(after.path), metrics)
    return Compared(tuple(made), tuple(alone), tuple(found))


def unjudged(
    made: Sequence[Comparison], lost: Sequence[str], path: str, metrics: Collection[str]
) -> Iterator[Diagnostic]:
    """Yield what a limit cannot be held against: loads that are gone, and metrics of which nothing is certain."""
    messages = [f"{name} has no counterpart" for name in lost]
    for each in made:
        certain = {one.metric for one in each.differences if one.verdict is not Verdict.UNKNOWN}
        missing = [name for name in metrics if name not in certain]
        why = next((one.why for one in each.differences if one.why), "the results do not have it")
        if missing or not certain - {FAILED}:
            messages.append(f"{each.after}: {_unknown(missing)}: {why}")
    for message in messages:
        hint = "Measure with --repeats 3 or more, or with --records, and the same loads."
        yield Diagnostic("bench-unjudged", Severity.ERROR, Span(path), message, hint)


def judged(found: Comparison, path: str, fail_above: float | None) -> Iterator[Diagnostic]:
    """Yield that a comparison is void, and each metric that is worse by more than the limit for certain."""
    if found.void:
        severity = Severity.WARNING if fail_above is None else Severity.ERROR
        told = ", ".join(each.name for each in found.void)
        message = f"{found.after}: the comparison is void, because these differ: {told}"
        yield Diagnostic("bench-conditions", severity, Span(path), message, "Measure both under the same conditions.")
    for each in found.differences if fail_above is not None else ():
        limit = MORE_FAILED if each.metric == FAILED else fail_above or 0
        if each.surely_worse > limit:
            message = (
                f"{found.after}: {each.metric} is worse by {each.surely_worse:.1%} or more, the limit is {limit:.1%}"
            )
            hint = f"It was {each.before:,.4g} and is {each.after:,.4g}."
            yield Diagnostic("bench-regression", Severity.ERROR, Span(path), message, hint)


def _unknown(missing: Sequence[str]) -> str:
    return f"{' and '.join(missing)} cannot be judged" if missing else "no metric can be judged"


def matched(before: Sequence[Side], after: Sequence[Side]) -> tuple[list[tuple[Side, Side]], list[str]]:
    """Return the pairs of results, and the names of those that have no counterpart.

    Two results that are alone are a pair. Others are if they have the same load, and the same target or, if the files
    have no target in common, the targets at the same place among those of their file.
    """
    if len(before) == len(after) == 1:
        return [(before[0], after[0])], []
    names = [list(dict.fromkeys(side.result.target for side in sides)) for sides in (before, after)]
    by_place = not {*names[0]} & {*names[1]}
    keys = [
        [(place if by_place else (side.result.target, side.result.model), at(side.result.load)) for side, place in each]
        for each in (_placed(before, names[0]), _placed(after, names[1]))
    ]
    left = dict(zip(keys[0], before, strict=True))
    right = dict(zip(keys[1], after, strict=True))
    pairs = [(side, right[key]) for key, side in left.items() if key in right]
    paired = {id(side) for pair in pairs for side in pair}
    return pairs, [side.name for side in (*before, *after) if id(side) not in paired]


def _placed(sides: Sequence[Side], names: Sequence[str]) -> list[tuple[Side, int]]:
    return [(side, names.index(side.result.target)) for side in sides]


def _of(found: Comparison, metrics: Collection[str]) -> Comparison:
    """Return a comparison of these metrics alone; of all if none is named."""
    kept = tuple(each for each in found.differences if not metrics or each.metric in metrics)
    return Comparison(found.before, found.after, found.conditions, kept)


def _sides(file: File) -> list[Side]:
    found = results(text(file.path, RESULT, WRITTEN), str(file.path))
    if not found:
        raise fatal(RESULT, str(file.path), "the file holds no result", "Measure something first.")
    every = _records(file, found)
    return [Side(_name(file.path, each), each, every.get(n, ())) for n, each in enumerate(found)]


def _records(file: File, found: Sequence[Result]) -> dict[int, tuple[Record, ...]]:
    beside = file.path.with_suffix(RECORDS)
    path = file.records or (beside if beside.is_file() else None)
    if path is None:
        return {}
    every = records(text(path, RESULT, WRITTEN), str(path))
    for number, result in enumerate(found):
        counted = sum(not record.warm_up for record in every.get(number, ()))
        if counted != result.figures.sent:
            message = f"these are not the records of {file.path}: {counted:,} requests, not {result.figures.sent:,}"
            hint = "Name the file that the same run has written with --records."
            raise fatal("bench-records", str(path), message, hint)
    return every


def _name(path: Path, result: Result) -> str:
    return f"{path}: {result.target}, {at(result.load)}"
