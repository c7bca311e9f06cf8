"""Where each card and each line of a drawn pipeline is: columns from left to right, in the order in which data flows.

A card is a step, or the inputs or outputs of the pipeline; its rows are its ports. A tensor that skips columns runs
below their cards, in a lane of its own, so that no line crosses a card.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple
from unicodedata import east_asian_width

from tritonrepo.plain import inline
from tritonrepo.report.graph import END, START, Edge, Pipeline, Step, edges

CHARACTER = 7.3
"""Width of a character of the font, which has one width for all, at the size of the port names."""

NAME, TITLE, SMALL = 1.25, 1.1, 0.92
"""Sizes of the names of pipelines, of titles and of types, as multiples of that of the port names."""

ROW, HEAD, FOOT, PADDING, BETWEEN = 22, 50, 24, 16, 28
COLUMN, BELOW, LANE = 84, 26, 16
LONGEST = 40
"""Longer names are cut: they would push everything else out of sight."""


class Row(NamedTuple):
    """A port on one side of a card: its name and its type, which is "" where the other end of the line has it."""

    name: str
    type: str = ""


@dataclass(slots=True)
class Card:
    """A card with its left and right rows, and its place once it is known."""

    title: str
    about: str
    left: tuple[Row, ...] = ()
    right: tuple[Row, ...] = ()
    foot: str = ""
    column: int = 0
    x: float = 0
    y: float = 0
    width: float = field(init=False)
    height: float = field(init=False)

    def __post_init__(self) -> None:
        """Measure the card."""
        sides = [max((_row_width(row) for row in rows), default=0) for rows in (self.left, self.right)]
        widths = [
            sum(sides) + 2 * PADDING * all(sides),
            width(self.title) * TITLE,
            width(self.about) * SMALL,
            width(self.foot) * SMALL,
        ]
        self.width = max(widths) + 2 * PADDING
        rows = max(len(self.left), len(self.right))
        self.height = HEAD + rows * ROW + (FOOT if self.foot else 0) + PADDING / 2

    def row_y(self, number: int) -> float:
        """Return the middle of a row."""
        return self.y + HEAD + (number + 0.5) * ROW


class Line(NamedTuple):
    """A line between two ports; `lane` has the left, the right and the height of the part below other cards."""

    edge: Edge
    start: tuple[float, float]
    end: tuple[float, float]
    lane: tuple[float, float, float] | None


class Drawing(NamedTuple):
    """The cards and lines of a pipeline, and the size of both together."""

    cards: Sequence[Card]
    lines: Sequence[Line]
    width: float
    height: float


def width(text: str) -> float:
    """Return the width of a text at the size of the port names."""
    return CHARACTER * sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def _row_width(row: Row) -> float:
    return width(row.name) + (width(f" {row.type}") * SMALL if row.type else 0)


def cut(text: str) -> str:
    """Return a name as it is drawn."""
    text = inline(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def laid_out(pipeline: Pipeline) -> Drawing:
    """Return the drawing of a pipeline."""
    found = [] if pipeline.alone else list(edges(pipeline))
    cards = _cards(pipeline)
    if not pipeline.alone:
        _arrange(cards, found, len(pipeline.steps))
    columns = _columns(cards.values())
    lanes = _lanes(cards, found, columns)
    lines = [_line(edge, cards, lanes, columns) for edge in found]
    bottom = max([card.y + card.height for card in cards.values()] + list(lanes.values()))
    return Drawing(list(cards.values()), lines, max(right for _, right in columns), bottom)


def _cards(pipeline: Pipeline) -> dict[int, Card]:
    """Return the cards by the position of their step."""
    given = tuple(Row(cut(each.name), f"{each.type}{'?' if each.optional else ''}") for each in pipeline.inputs)
    taken = tuple(Row(cut(each.name), each.type) for each in pipeline.outputs)
    if pipeline.alone:
        return {0: _card(pipeline.steps[0], given, taken)}
    cards = {place: _step(step) for place, step in enumerate(pipeline.steps)}
    return {START: Card("inputs", "", right=given), **cards, END: Card("outputs", "", left=taken)}


def _step(step: Step) -> Card:
    left = tuple(Row(cut(port.name)) for port in step.takes)
    return _card(step, left, tuple(Row(cut(port.name), port.type) for port in step.gives))


def _card(step: Step, left: tuple[Row, ...], right: tuple[Row, ...]) -> Card:
    foot = f"calls {', '.join(map(cut, step.calls))}" if step.calls else ""
    return Card(cut(step.model), cut(step.about), left, right, foot)


def _arrange(cards: Mapping[int, Card], found: Iterable[Edge], steps: int) -> None:
    """Set the column of each card: one behind the last that it reads from; in a cycle, steps stay in their order."""
    sources: dict[int, set[int]] = defaultdict(set)
    for edge in found:
        sources[edge.target].add(edge.source)
    earlier = {place: {source for source in sources[place] if source < place} for place in range(steps)}
    columns = _settled(sources, steps) or _settled(earlier, steps) or {}
    for place, column in columns.items():
        cards[place].column = column
    cards[END].column = 1 + max(columns.values(), default=0)


def _settled(sources: Mapping[int, set[int]], steps: int) -> dict[int, int] | None:
    """Return the column of each step; None if there is a cycle."""
    columns = {START: 0} | dict.fromkeys(range(steps), 1)
    for _ in range(steps + 1):  # each round settles at least one step
        before = dict(columns)
        for place in range(steps):
            columns[place] = 1 + max((columns[source] for source in sources.get(place, ())), default=0)
        if columns == before:
            return columns
    return None


def _columns(cards: Iterable[Card]) -> list[tuple[float, float]]:
    """Place the cards of each column below each other, and return the left and right of each column."""
    members: dict[int, list[Card]] = defaultdict(list)
    for card in cards:
        members[card.column].append(card)
    x, found = 0.0, []
    for column in range(max(members) + 1):
        widest, y = max((card.width for card in members[column]), default=0), 0.0
        for card in members[column]:
            card.x, card.y = x + (widest - card.width) / 2, y
            y += card.height + BETWEEN
        found.append((x, x + widest))
        x += widest + COLUMN
    return found


def _lanes(
    cards: Mapping[int, Card], found: Iterable[Edge], columns: Sequence[tuple[float, float]]
) -> dict[tuple[int, int], float]:
    """Return the height of the lane of each tensor that skips columns."""
    bottoms = [0.0] * len(columns)
    for card in cards.values():
        bottoms[card.column] = max(bottoms[card.column], card.y + card.height)
    last: dict[tuple[int, int], int] = {}
    for edge in found:
        last[edge.source, edge.out] = max(last.get((edge.source, edge.out), 0), cards[edge.target].column)
    lanes: dict[tuple[int, int], float] = {}
    taken: dict[int, set[float]] = defaultdict(set)
    for (source, out), end in last.items():
        between = range(cards[source].column + 1, end)
        if between:
            top = max(bottoms[column] for column in between) + BELOW
            free = (top + LANE * n for n in count())
            height = next(y for y in free if all(abs(y - other) >= LANE for c in between for other in taken[c]))
            lanes[source, out] = height
            for column in between:
                taken[column].add(height)
    return lanes


def _line(
    edge: Edge,
    cards: Mapping[int, Card],
    lanes: Mapping[tuple[int, int], float],
    columns: Sequence[tuple[float, float]],
) -> Line:
    source, target = cards[edge.source], cards[edge.target]
    start = (source.x + source.width, source.row_y(edge.out))
    end = (target.x, target.row_y(edge.into))
    if target.column <= source.column + 1:
        return Line(edge, start, end, None)
    left, right = columns[source.column + 1][0], columns[target.column - 1][1]
    return Line(edge, start, end, (left, right, lanes[edge.source, edge.out]))
