"""A plot of lines, steps and points between two axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.report.plots.axes import Axis, figure
from tritonrepo.report.plots.text import DASHES, TONES, cut, whole, width, words

WIDTH, HEIGHT = 560.0, 250.0
"""Size of the plot with its axes; the legend is above it."""

RIGHT, BELOW, ROW = 18.0, 40.0, 19.0
SWATCH = 46.0
"""Room for the line of a series in the legend: long enough to tell one kind of line from another beside its point."""

CLOSE = 11.0
"""Height of a text beside a point."""

HIGH = 16.0
"""Height of a text above a line."""

SAID = 60
"""Characters of what a line says that are drawn."""


class Kind(StrEnum):
    """How points are drawn."""

    LINE = "line"
    STEPS = "steps"
    """A value holds from its point to the next."""
    POINTS = "points"
    CROSSES = "crosses"


class Series(NamedTuple):
    """Points with a name; `tone` is the number of its colour, `dash` of its kind of line.

    `marked` draws each point of a line, `filled` what is below it. `texts` are written beside the points.
    """

    name: str
    points: Sequence[tuple[float, float]]
    tone: int = 0
    dash: int = 0
    kind: Kind = Kind.LINE
    marked: bool = False
    filled: bool = False
    texts: Sequence[str] = ()


class Rule(NamedTuple):
    """A line across the plot at a value of an axis, with what it says; an alarm is in the colour of what is wrong."""

    at: float
    says: str
    vertical: bool = False
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: the title and what it shows in words, for readers who do not see it, the axes and what is on them.

    Points that are not finite are left out, and those outside of the bounds are on them.
    """

    title: str
    about: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    rules: Sequence[Rule] = ()
    height: float = HEIGHT
    width: float = WIDTH


class _Room(NamedTuple):
    """Where the plot is in its picture."""

    left: float
    top: float
    right: float
    bottom: float

    def x(self, axis: Axis, value: float) -> float:
        return self.left + axis.place(value) * (self.right - self.left)

    def y(self, axis: Axis, value: float) -> float:
        return self.bottom - axis.place(value) * (self.bottom - self.top)


def chart(drawn: Chart) -> str:
    """Return the plot as an SVG element, for a page with the style of plots."""
    left = 12 + max([width(figure(value)) for value in drawn.y.ticks] or [0])
    legend = _legend([each for each in drawn.series if each.name], drawn.width)
    top = ROW * (len(legend) + 1) + 6
    room = _Room(left, top, drawn.width - RIGHT, top + drawn.height - BELOW)
    body = [
        *_rows(legend),
        *_axes(drawn, room),
        *(line for each in drawn.series for line in _series(each, drawn, room)),
        *sorted((line for each, row in _placed(drawn, room) for line in _drawn(each, drawn, room, row)), key=_above),
    ]
    return whole(drawn.title, drawn.about, (drawn.width, top + drawn.height), "\n".join(body))


def _legend(series: Sequence[Series], most: float) -> list[list[tuple[float, Series]]]:
    """Return the rows of the legend: the series with their horizontal places."""
    rows: list[list[tuple[float, Series]]] = [[]] if len(series) > 1 else []
    x = 0.0
    for each in series if len(series) > 1 else ():
        wide = SWATCH + width(cut(each.name)) + 18
        if x and x + wide > most:
            rows.append([])
            x = 0.0
        rows[-1].append((x, each))
        x += wide
    return rows


def _rows(legend: list[list[tuple[float, Series]]]) -> Iterator[str]:
    for number, row in enumerate(legend):
        y = ROW * number + 8
        for x, each in row:
            yield f"<g><title>{words(each.name)}</title>"
            if each.kind in {Kind.LINE, Kind.STEPS}:
                yield f'<path class="{_line(each)}" d="M{x + 1:.1f} {y:.1f}h{SWATCH - 8:.0f}"/>'
            if each.marked or each.kind in {Kind.POINTS, Kind.CROSSES}:
                yield _mark(each, x + SWATCH / 2 - 3, y)
            yield f'<text x="{x + SWATCH - 1:.1f}" y="{y + 4:.1f}">{words(cut(each.name))}</text></g>'


def _axes(drawn: Chart, room: _Room) -> Iterator[str]:
    yield f'<text class="name" x="0" y="{room.top - 10:.1f}">{words(drawn.y.name)}</text>'
    for value in drawn.y.ticks:
        y = room.y(drawn.y, value)
        yield f'<path class="grid" d="M{room.left:.1f} {y:.1f}H{room.right:.1f}"/>'
        yield f'<text class="tick" x="{room.left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{figure(value)}</text>'
    last = -math.inf
    for value in drawn.x.ticks:
        x, half = room.x(drawn.x, value), width(figure(value)) / 2
        yield f'<path class="base" d="M{x:.1f} {room.bottom:.1f}v4"/>'
        if x - half > last + 4:
            where = f'x="{x:.1f}" y="{room.bottom + 17:.1f}" text-anchor="middle"'
            yield f'<text class="tick" {where}>{figure(value)}</text>'
            last = x + half
    yield f'<path class="base" d="M{room.left:.1f} {room.bottom:.1f}H{room.right:.1f}"/>'
    below = f'x="{room.right:.1f}" y="{room.bottom + 34:.1f}" text-anchor="end"'
    yield f'<text class="name" {below}>{words(drawn.x.name)}</text>'


def _series(series: Series, drawn: Chart, room: _Room) -> Iterator[str]:
    points = [
        (room.x(drawn.x, x), room.y(drawn.y, y)) for x, y in series.points if math.isfinite(x) and math.isfinite(y)
    ]
    if not points:
        return
    if series.kind in {Kind.LINE, Kind.STEPS}:
        path = _steps(points, room.right) if series.kind is Kind.STEPS else _joined(points)
        if series.filled:
            end = room.right if series.kind is Kind.STEPS else points[-1][0]
            area = f"{path}L{end:.1f} {room.bottom:.1f}L{points[0][0]:.1f} {room.bottom:.1f}Z"
            yield f'<path class="fill f{series.tone % TONES}" d="{area}"/>'
        yield f'<path class="{_line(series)}" d="{path}"/>'
    if series.marked or series.kind in {Kind.POINTS, Kind.CROSSES}:
        for x, y in dict.fromkeys((round(x, 1), round(y, 1)) for x, y in points):
            yield _mark(series, x, y)
    yield from _texts(series, points, room)


def _texts(series: Series, points: Sequence[tuple[float, float]], room: _Room) -> Iterator[str]:
    """Yield what is written beside points, as far as it does not cover what is written beside the last."""
    last = (-math.inf, -math.inf)
    for text, (x, y) in zip(series.texts, points, strict=False):
        if abs(x - last[0]) < width(text) + 6 and abs(y - last[1]) < CLOSE:
            continue
        last = (x, y)
        right = x + width(text) + 8 <= room.right
        where = f'x="{x + (8 if right else -8):.1f}" y="{y - 6:.1f}" text-anchor="{"start" if right else "end"}"'
        yield f'<text class="said small" {where}>{words(cut(text))}</text>'


def _joined(points: Sequence[tuple[float, float]]) -> str:
    (x, y), *others = points
    return f"M{x:.1f} {y:.1f}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in others)


def _steps(points: Sequence[tuple[float, float]], right: float) -> str:
    (x, y), *others = points
    return f"M{x:.1f} {y:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in others) + f"H{right:.1f}"


def _line(series: Series) -> str:
    return f"line t{series.tone % TONES}" + (f" d{series.dash % DASHES}" if series.dash % DASHES else "")


def _mark(series: Series, x: float, y: float) -> str:
    """Return a point of a series, whose shape follows its colour, so that it is told apart without."""
    if series.kind is Kind.CROSSES:
        return f'<path class="cross t{series.tone % TONES}" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"/>'
    fill = f'class="mark f{series.tone % TONES}"'
    match series.tone % 4:
        case 0:
            return f'<circle {fill} cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        case 1:
            return f'<rect {fill} x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2"/>'
        case 2:
            return f'<path {fill} d="M{x:.1f} {y - 4.8:.1f}l4.8 8.4h-9.6z"/>'
        case _:
            return f'<path {fill} d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>'


def _placed(drawn: Chart, room: _Room) -> Iterator[tuple[Rule, int]]:
    """Yield each line across the plot, and in which row it says what it says, so that no text covers another."""
    first = 1 if any(_high(each, drawn, room) for each in drawn.rules) else 0
    taken: list[tuple[int, float, float]] = []
    for each in drawn.rules:
        if not math.isfinite(each.at):
            continue
        row = first
        if each.vertical:
            low, high = _span(each, drawn, room)
            while any(number == row and low < right and left < high for number, left, right in taken):
                row += 1
            taken.append((row, low, high))
        yield each, row


def _span(mark: Rule, drawn: Chart, room: _Room) -> tuple[float, float]:
    """Return from where to where the text of a vertical line goes: to the left of it if the right has no room."""
    x, wide = room.x(drawn.x, mark.at), width(cut(mark.says, SAID)) + 8
    return (x, x + wide) if x + wide <= room.right else (x - wide, x)


def _drawn(mark: Rule, drawn: Chart, room: _Room, row: int) -> Iterator[str]:
    """Yield a line across the plot, and what it says: below a level at the top, where the axis has its name."""
    kind = " alarm" if mark.alarm else ""
    said = words(cut(mark.says, SAID))
    if mark.vertical:
        x = room.x(drawn.x, mark.at)
        right = _span(mark, drawn, room)[0] >= x
        yield f'<path class="rule{kind}" d="M{x:.1f} {room.top:.1f}V{room.bottom:.1f}"/>'
        y = room.top + 12 + HIGH * row
        where = f'x="{x + (6 if right else -6):.1f}" y="{y:.1f}" text-anchor="{"start" if right else "end"}"'
    else:
        y = room.y(drawn.y, mark.at)
        yield f'<path class="rule{kind}" d="M{room.left:.1f} {y:.1f}H{room.right:.1f}"/>'
        where = f'x="{room.left + 6:.1f}" y="{y + (13 if _high(mark, drawn, room) else -5):.1f}" text-anchor="start"'
    yield f'<text class="said{kind}" {where}>{said}</text>'


def _above(line: str) -> bool:
    """Return whether an element is a text: texts are drawn over all lines."""
    return line.startswith("<text")


def _high(mark: Rule, drawn: Chart, room: _Room) -> bool:
    """Return whether a level is so high that nothing can be written above it."""
    return not mark.vertical and room.y(drawn.y, mark.at) < room.top + HIGH
