"""Axes: where a value is between two bounds, and at which round values it is read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""What a step between ticks is a power of ten of."""

FAR = 8
"""From this ratio of the largest to the smallest value on, an axis that may be logarithmic is."""

SEVERAL_DECADES = 2.0
"""Up to this many decades, ticks are at 1, 2 and 5 of each; above, at 1."""

MANY = 100_000
"""From this value on, thousands are written with k, millions with M."""


class Axis(NamedTuple):
    """An axis with its name, unit included, and its bounds; `marked` are the values of its ticks, () for round ones."""

    name: str
    low: float
    high: float
    log: bool = False
    marked: tuple[float, ...] = ()

    def place(self, value: float) -> float:
        """Return where a value is: 0 at the lower bound, 1 at the upper; never far outside."""
        if self.log:
            low, high, at = (math.log(max(each, 1e-300)) for each in (self.low, self.high, value))
        else:
            low, high, at = self.low, self.high, value
        return min(1.0, max(0.0, (at - low) / (high - low)))

    @property
    def ticks(self) -> tuple[float, ...]:
        """The values at which the axis is read, within its bounds."""
        found = self.marked or (_decades(self.low, self.high) if self.log else _round(self.low, self.high))
        slack = (self.high - self.low) * 1e-9
        return tuple(value for value in found if self.low - slack <= value <= self.high + slack)


def axis(name: str, values: Iterable[float], *, zero: bool = True, log: bool = False) -> Axis:
    """Return an axis on which all values are, with round bounds; from zero unless they are far from it.

    With `log`, the axis is logarithmic where the values are positive and differ much.
    """
    found = [value for value in values if math.isfinite(value)]
    low, high = min(found, default=0.0), max(found, default=1.0)
    if log and low > 0 and high / low >= FAR:
        return Axis(name, _below(low), _above(high), log=True)
    low = min(low, 0.0) if zero else low
    if high - low <= abs(high) * 1e-9:
        low, high = (low - 1, high + 1) if low < 0 or not zero else (0.0, high or 1.0)
    step = _step(low, high)
    return Axis(name, math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


def levels(name: str, values: Sequence[float]) -> Axis:
    """Return an axis whose ticks are the values themselves, such as the levels of a sweep."""
    found = sorted({value for value in values if math.isfinite(value)}) or [0.0, 1.0]
    low, high = found[0], found[-1]
    log = low > 0 and high / low >= FAR
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    elif log:
        room = (high / low) ** 0.04
        low, high = low / room, high * room
    else:
        low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    return Axis(name, low, high, log, tuple(found))


def figure(value: float) -> str:
    """Return a number for a tick: no more decimals than it needs, thousands apart, large ones with k or M."""
    if abs(value) >= MANY:
        for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if abs(value) >= size:
                return f"{value / size:.3g}{unit}" if abs(value) < size * 1000 else f"{value / size:,.0f}{unit}"
    text = f"{value:,.6g}" if abs(value) < 1 else f"{value:,.4f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _step(low: float, high: float) -> float:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in STEPS if step * power >= rough * (1 - 1e-9))


def _round(low: float, high: float) -> tuple[float, ...]:
    step = _step(low, high)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def _decades(low: float, high: float) -> tuple[float, ...]:
    wide = math.log10(high / low)
    parts = (1, 2, 5) if wide <= SEVERAL_DECADES else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    apart = max(1, round(wide / 8))
    return tuple(part * 10.0**power for power in range(first, last + 1, apart) for part in parts)


def _below(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above a value."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    return max(part * power for part in (1, 2, 5) if part * power <= value * (1 + 1e-9))


def _above(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    return min(part * power for part in (1, 2, 5, 10) if part * power >= value * (1 - 1e-9))
