"""Grids of cells as runs: one a row, one a column, or one whose columns are the points of distributions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tritonrepo.bench.tables.cells import LONGEST, NOTHING, Cell, Stated, number
from tritonrepo.bench.tables.headings import NAME, UNITS_MS, meaning, point_of, within
from tritonrepo.diagnostics import Span

Grid = Sequence[Sequence[Cell]]
"""Rows of cells; the first has the headings."""

POINTS = 2
"""So many headings that are points of distributions make a table of one run."""


class Entry(NamedTuple):
    """A cell with its heading, and the point of a distribution that its column is, if any."""

    heading: Cell
    point: str
    cell: Cell


POINT = r"p\d{1,2}(?:\.\d{1,2})?|median|mean|avg|average|min|max"
PAIR = re.compile(rf"(?<![a-z0-9])({POINT})\s{{0,3}}/\s{{0,3}}({POINT})(?![a-z0-9])", re.IGNORECASE)
"""A heading of two points of a distribution, such as `TTFT P50 / P99 (ms)`."""

LOADS = {r"([\d,]+) at once": "concurrency", r"([\d.,]+) req/s": "request rate"}
"""Pattern of a load as `bench` writes it → what its number is."""


class Run(NamedTuple):
    """What a table says of one run; `name` is "" if nothing names it."""

    name: str
    at: Span
    entries: tuple[Entry, ...]


def apart(entry: Entry) -> list[Entry]:
    """Return a cell of two figures as two cells, and a load as `bench` writes it as what its number is."""
    text = entry.cell.text[:LONGEST].strip()
    if entry.heading.text.strip().lower() == "load":
        for pattern, meant in LOADS.items():
            if found := re.fullmatch(pattern, text):
                return [_part(entry, meant, found[1])]
    heading, cells = entry.heading.text[:LONGEST].strip(), text.split("/")
    pair = PAIR.search(heading)
    if pair is None or len(cells) != 2:  # noqa: PLR2004  a pair
        return [] if pair is not None and text.lower() in NOTHING else [entry]
    before, after = heading[: pair.start()], heading[pair.end() :]
    return [_part(entry, f"{before}{pair[at]}{after}", cell) for at, cell in zip((1, 2), cells, strict=True)]


def _part(entry: Entry, heading: str, cell: str) -> Entry:
    return Entry(Cell(heading, entry.heading.at), entry.point, Cell(cell.strip(), entry.cell.at))


def runs(grids: Iterable[Grid]) -> Iterator[Run]:
    """Yield the runs of tables; of a tool that writes distributions and then single values, both are one run."""
    open_: Run | None = None
    for grid in map(_joined, grids):
        if len(grid) < 2 or not grid[0]:  # noqa: PLR2004  headings and a row
            continue
        if open_ is not None and len(grid[0]) == 2:  # noqa: PLR2004  a name and its value
            values = tuple(Entry(row[0], "", row[1]) for row in grid[1:] if len(row) > 1)
            open_ = open_._replace(entries=(*open_.entries, *values))
            continue
        if open_ is not None:
            yield open_
            open_ = None
        points = [point_of(cell.text) for cell in grid[0]]
        if sum(map(bool, points)) >= POINTS and any(_is_heading(row[0]) for row in grid[1:] if row):
            open_ = _of_points(grid, points)
        else:
            yield from _of_columns(grid) if _metrics_are_rows(grid) else _of_rows(grid)
    if open_ is not None:
        yield open_


def _joined(grid: Grid) -> Grid:
    """Return a grid with one row of headings: cells over several columns, and those below them, are joined."""
    many = next((n for n, row in enumerate(grid) if any(isinstance(number(cell), Stated) for cell in row)), 0)
    if many < 2 or not _spans(grid[:many]):  # noqa: PLR2004  a row of headings below another
        return grid
    levels = [_filled(row, len(grid[0])) for row in grid[:many]]
    heads = []
    for cells in zip(*levels, strict=True):
        words = dict.fromkeys(_bracketed(cell.text) for cell in cells if cell.text.strip())
        heads.append(Cell(" ".join(words), cells[0].at))
    return [heads, *grid[many:]]


def _spans(rows: Grid) -> bool:
    """Return whether a heading is over several columns, and below it are units or points of a distribution."""
    empty = [column for column, cell in enumerate(rows[0]) if column > 1 and not cell.text.strip()]
    below = [row[column].text.strip() for row in rows[1:] for column in empty if column < len(row)]
    return any(point_of(text) or text.lower() in UNITS_MS for text in below)


def _filled(row: Sequence[Cell], width: int) -> list[Cell]:
    """Return a row of headings in which an empty one, but for the first, is that before it."""
    found: list[Cell] = []
    for column in range(width):
        cell = row[column] if column < len(row) else Cell("", row[0].at)
        found.append(found[-1] if column > 1 and not cell.text.strip() else cell)
    return found


def _bracketed(text: str) -> str:
    """Return a part of a heading; a unit that stands alone is put in brackets."""
    text = text.strip()
    return f"({text})" if text.lower() in UNITS_MS else text


def _of_points(grid: Grid, points: Sequence[str]) -> Run:
    cells = ((row[0], point, cell) for row in grid[1:] if row for point, cell in zip(points[1:], row[1:], strict=False))
    return Run("", grid[0][0].at, tuple(Entry(*each) for each in cells if each[1]))


def _metrics_are_rows(grid: Grid) -> bool:
    """Return whether the first column has more headings than the first row."""
    above = sum(_is_heading(cell) for cell in grid[0][1:])
    return sum(_is_heading(row[0]) for row in grid[1:] if row) > above


def _is_heading(cell: Cell) -> bool:
    found = meaning(cell.text, "mean")
    return not isinstance(found, str) and found.field != NAME


def _of_rows(grid: Grid) -> Iterator[Run]:
    heads = grid[0]
    names = [column for column, head in enumerate(heads) if _is_name(head)]
    for row in grid[1:]:
        entries = tuple(Entry(head, "", cell) for head, cell in zip(heads, row, strict=False))
        named = [row[column].text.strip() for column in names if column < len(row) and row[column].text.strip()]
        if any(cell.text.strip() for cell in row):
            yield Run(" ".join(named), row[0].at, entries)


def _is_name(cell: Cell) -> bool:
    found = meaning(cell.text)
    return not cell.text.strip() or (not isinstance(found, str) and found.field == NAME)


def _of_columns(grid: Grid) -> Iterator[Run]:
    for column, head in enumerate(grid[0][1:], 1):
        point = within(head.text)
        rows = [row for row in grid[1:] if len(row) > column]
        name = head.text.strip()
        yield Run(
            "" if name.lower() == "value" else name, head.at, tuple(Entry(row[0], point, row[column]) for row in rows)
        )
