"""Horizontal bars: of parts that make a whole, and of what a result ranges over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.report.plots.axes import Axis, axis, figure
from tritonrepo.report.plots.text import TONES, cut, whole, width, words

WIDTH, ROW, BAR, AXIS = 560.0, 28.0, 17.0, 42.0
WIDEST = 170.0
"""Room for the names of bars; longer ones are cut."""

CHARACTERS = 26


class Bar(NamedTuple):
    """A bar: its name, the values of its parts in the order of their names, and what is written at its end."""

    name: str
    parts: Sequence[float]
    says: str = ""


class Span(NamedTuple):
    """A bar from one value to another: what a result becomes if one of its inputs is low, and if it is high.

    `low_says` and `high_says` are what is written at its two ends: the values of the input.
    """

    name: str
    low: float
    high: float
    low_says: str = ""
    high_says: str = ""


def stacked(title: str, about: str, unit: str, parts: Sequence[str], bars: Sequence[Bar]) -> str:
    """Return bars that are made of parts with these names, as an SVG element, for a page with the style of plots.

    The unit is the name of the axis. Values that are not finite, or negative, count as 0.
    """
    rows = [bar._replace(parts=[_length(value) for value in bar.parts]) for bar in bars]
    scale = axis(unit, [sum(bar.parts) for bar in rows])
    left = min(WIDEST, max([width(cut(bar.name, CHARACTERS)) for bar in rows] or [0])) + 10
    right = WIDTH - max([width(bar.says) for bar in rows] or [0]) - 12
    legend, high = _legend(parts)
    bottom = high + ROW * len(rows) + 4
    body = [*legend, *_axis(scale, (left, high, right, bottom))]
    for number, bar in enumerate(rows):
        y, x = high + ROW * number + (ROW - BAR) / 2, left
        body.append(_name(bar.name, left, y))
        for tone, (part, value) in enumerate(zip(parts, bar.parts, strict=True)):
            wide = scale.place(value) * (right - left)
            if wide > 0:
                told = f"<title>{words(f'{bar.name}, {part}: {figure(value)}')}</title>"
                size = f'width="{max(0.5, wide - 0.8):.1f}" height="{BAR:.0f}"'
                body.append(f'<rect class="f{tone % TONES}" x="{x:.1f}" y="{y:.1f}" {size}>{told}</rect>')
            x += wide
        body.append(f'<text x="{x + 6:.1f}" y="{y + 13:.1f}">{words(bar.says)}</text>')
    return whole(title, about, (WIDTH, bottom + AXIS), "\n".join(body))


def tornado(title: str, about: str, unit: str, middle: float, spans: Sequence[Span]) -> str:
    """Return what a result ranges over for each of its inputs, around the result itself, as an SVG element."""
    rows = [span for span in spans if math.isfinite(span.low) and math.isfinite(span.high)]
    scale = axis(unit, [middle, *(value for span in rows for value in (span.low, span.high))], zero=False)
    names = min(WIDEST, max([width(cut(span.name, CHARACTERS)) for span in rows] or [0])) + 10
    ends = max([width(text) for span in rows for text in (span.low_says, span.high_says)] or [0]) + 8
    left, right, top = names + ends, WIDTH - ends - 4, 26.0
    bottom = top + ROW * len(rows) + 4
    body = [*_axis(scale, (left, top, right, bottom))]
    for number, span in enumerate(rows):
        y = top + ROW * number + (ROW - BAR) / 2
        body.append(_name(span.name, names, y))
        body += _span(span, scale, (left, right, y), middle)
    x = left + scale.place(middle) * (right - left)
    body.append(f'<path class="rule" d="M{x:.1f} {top - 4:.1f}V{bottom:.1f}"/>')
    body.append(f'<text class="said" x="{x:.1f}" y="{top - 10:.1f}" text-anchor="middle">{figure(middle)}</text>')
    return whole(title, about, (WIDTH, bottom + AXIS), "\n".join(body))


def _span(span: Span, scale: Axis, where: tuple[float, float, float], middle: float) -> Iterator[str]:
    left, right, y = where
    base = left + scale.place(middle) * (right - left)
    for tone, value, says in ((2, span.low, span.low_says), (1, span.high, span.high_says)):
        x = left + scale.place(value) * (right - left)
        size = f'width="{abs(x - base):.1f}" height="{BAR:.0f}"'
        told = f"<title>{words(f'{span.name} {says}: {figure(value)}')}</title>"
        yield f'<rect class="f{tone}" x="{min(x, base):.1f}" y="{y:.1f}" {size}>{told}</rect>'
        before = value < middle or (value == middle and tone == 2)  # noqa: PLR2004  the low input
        yield (
            f'<text x="{x + (-5 if before else 5):.1f}" y="{y + 13:.1f}"'
            f' text-anchor="{"end" if before else "start"}">{words(says)}</text>'
        )


def _length(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0


def _legend(parts: Sequence[str]) -> tuple[list[str], float]:
    """Return the legend, and where the bars begin below it."""
    body, x, y = [], 0.0, 0.0
    if len(parts) <= 1:
        return [], 6.0
    for tone, part in enumerate(parts):
        wide = 18 + width(cut(part)) + 18
        if x and x + wide > WIDTH:
            x, y = 0.0, y + 19
        body.append(f'<rect class="f{tone % TONES}" x="{x:.1f}" y="{y + 2:.1f}" width="12" height="12"/>')
        body.append(f'<text x="{x + 18:.1f}" y="{y + 12:.1f}">{words(cut(part))}</text>')
        x += wide
    return body, y + 28


def _axis(scale: Axis, where: tuple[float, float, float, float]) -> Iterator[str]:
    left, top, right, bottom = where
    last = -math.inf
    for value in scale.ticks:
        x, half = left + scale.place(value) * (right - left), width(figure(value)) / 2
        yield f'<path class="grid" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>'
        if x - half > last + 4:
            yield f'<text class="tick" x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{figure(value)}</text>'
            last = x + half
    yield f'<path class="base" d="M{left:.1f} {bottom:.1f}H{right:.1f}"/>'
    yield f'<text class="name" x="{right:.1f}" y="{bottom + 34:.1f}" text-anchor="end">{words(scale.name)}</text>'


def _name(name: str, left: float, y: float) -> str:
    told = f"<title>{words(name)}</title>"
    return f'<text x="{left - 10:.1f}" y="{y + 13:.1f}" text-anchor="end">{words(cut(name, CHARACTERS))}{told}</text>'
