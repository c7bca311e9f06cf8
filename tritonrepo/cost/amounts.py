"""Amounts as text: exact until here, and rounded half to even, with as many digits as a reader can use."""

from __future__ import annotations

from fractions import Fraction

from tritonrepo.cost.inputs import Range

WHOLE = 1000
"""From this on an amount has no decimals."""

SMALL = Fraction(1, 10)
"""Below this an amount has three digits that count, and three decimals below TEN."""

TEN = 10
DIGITS = 3


def amount(value: Fraction) -> str:
    """Return an amount: 59,940, 81.25, 0.860, 0.0123 or 1.2e-07."""
    if value < 0:
        return f"-{amount(-value)}"
    if round(value, 2) >= WHOLE:
        return f"{round(value):,}"
    if not value or value.denominator == 1:
        return str(value.numerator)
    if value >= TEN:
        return f"{float(round(value, 2)):.2f}"
    return f"{float(round(value, DIGITS)):.3f}" if value >= SMALL else f"{float(value):.{DIGITS}g}"


def plain(value: Fraction) -> str:
    """Return a stated value as it was typed, with separators from a thousand on: 3.25, 2,100, 0.4 or 1e-12."""
    if value.denominator == 1:
        return f"{value.numerator:,}"
    text = f"{float(value):.12g}"
    return text if "e" in text or value < WHOLE else f"{float(text):,}"


def spread(value: Range) -> str:
    """Return a figure, and how far it may reach: `0.860 (0.430 to 2.58)`; one that is known exactly has no range."""
    if not value.ranged:
        return amount(value.mid)
    return f"{amount(value.mid)} ({amount(value.low)} to {amount(value.high)})"


def stated(value: Range) -> str:
    """Return a stated range: `3.25`, or `2.5, 3.25, 4`."""
    return ", ".join(map(plain, value)) if value.ranged else plain(value.mid)


def times(factor: Fraction) -> str:
    """Return a factor: `2.46 times`."""
    return f"{float(round(factor, 2)):,g} times"


def percent(ratio: Fraction) -> str:
    """Return how much dearer or cheaper a ratio is: `7.7 % dearer`; of three times and more, the factor."""
    if ratio >= 3:  # noqa: PLR2004  "200 % dearer" is hard to read
        return f"{times(ratio)} as dear"
    change = round(abs(ratio - 1) * 100, 1)
    return "the same" if not change else f"{float(change):g} % {'dearer' if ratio > 1 else 'cheaper'}"
