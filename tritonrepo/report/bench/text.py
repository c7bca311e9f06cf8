"""Results as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.bench.result import Result
from tritonrepo.plain import printable
from tritonrepo.report.bench import shown, steps
from tritonrepo.report.bench.columns import columns, few
from tritonrepo.report.bench.conditions import conditions
from tritonrepo.report.table import table

FEW = 3
"""Up to so many results, what the server says of each is shown without `verbose`."""


def text(results: Sequence[Result], *, verbose: bool = False) -> Iterator[str]:
    """Yield the table, what failed, the time of the server's steps, the judgements and the conditions.

    Judgements that hold are counted, with `verbose` also listed.
    """
    if not results:
        yield "Nothing was measured."
        return
    found = columns(results)
    rows = [[each.of(result) for each in found] for result in results]
    yield from table([each.name for each in found], rows).split("\n")
    yield "Times in milliseconds."
    if few(results):
        yield shown.FEW
    for part in (
        shown.early(results),
        shown.whole(results),
        _failed(results),
        shown.bound(results),
        _repeats(results),
        _steps(results, verbose),
        _judged(results, verbose),
    ):
        lines = [printable(line) for line in part]
        if lines:
            yield from ("", *lines)
    yield ""
    yield from (printable(f"{name}: {said}") for name, said in conditions(results))


def _failed(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        if lines := shown.failures(result):
            yield f"{shown.label(result)}: {sum(result.figures.errors.values()):,} failed"
            yield from (f"  {line}" for line in lines)


def _repeats(results: Sequence[Result]) -> list[str]:
    return [line for result in results if (line := shown.spread(result))]


def _steps(results: Sequence[Result], verbose: bool) -> Iterator[str]:  # noqa: FBT001  private
    if len(results) > FEW and not verbose:
        return
    for result in results:
        if lines := [*steps.lines(result.observed)]:
            yield f"{shown.label(result)}: what the server says"
            yield from (f"  {line}" for line in lines)


def _judged(results: Sequence[Result], verbose: bool) -> Iterator[str]:  # noqa: FBT001  private
    for result in results:
        for each in result.judgements if verbose else shown.broken(result.judgements):
            first, *others = shown.sides(each)
            yield f"{shown.label(result)}: {first}"
            yield from others
    if told := shown.tally(results):
        yield told
