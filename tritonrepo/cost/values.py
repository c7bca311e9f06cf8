"""Single values of a cost file: numbers as exact fractions, ranges, days; what does not fit is told at its place."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from fractions import Fraction

from tritonrepo.cost.inputs import Range
from tritonrepo.cost.keys import KEYS, Key, unit
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar
from tritonrepo.spec.scalars import MAX_DIGITS, Misfit, integer, single

LARGEST = 15
"""Numbers have up to so many digits before the decimal point."""

SMALLEST = 12
"""Numbers have a digit other than zero among so many after the decimal point."""

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MEANT = re.compile(r"([-+]?(?:[0-9]{1,3}(?:[,_][0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]+)?)(?![0-9.,:]| ?[kKmMG]\b)[^0-9]*")
"""A number with separators of thousands or a unit; in `1:30` or `0b11`, no number is meant that could be named."""

DECIMALS = re.compile(r"([-+]?[0-9]+),([0-9]+)(?![0-9.,:])[^0-9]*")
"""A number with a comma before its decimals, or before a group of three digits."""

GROUP = 3
"""Digits between two separators of thousands."""

BOUNDS = ("low", "mid", "high")


def is_empty(node: Node) -> bool:
    """Return whether nothing is written."""
    return isinstance(node, Scalar) and (node.kind == "null" or not node.text.strip())


def number(node: Node, name: str) -> Fraction:
    """Return a number of 0 or more; raise Misfit if it is none, or has too many digits to be a price."""
    scalar = single(node, name)
    if scalar.kind not in {"int", "float"}:
        raise Misfit(scalar.at, f'"{name}" must be a number, not "{scalar.text}"', _written(scalar.text, name))
    found = _decimal(scalar, name)
    if found is None or (found and not -SMALLEST <= found.adjusted() < LARGEST):
        message = f'"{name}" must be 0 or from 1e-{SMALLEST} to 1e{LARGEST}, not {scalar.text[:LARGEST]}'
        raise Misfit(scalar.at, message, "Check the unit and the exponent.")
    if found < 0:
        raise Misfit(scalar.at, f'"{name}" must be 0 or more, not {scalar.text}')
    return Fraction(found)


def _decimal(scalar: Scalar, name: str) -> Decimal | None:
    """Return a number as it is written; None if it has more digits than any number needs."""
    if len(scalar.text) > MAX_DIGITS:
        return None
    try:
        return Decimal(integer(scalar, name) if scalar.kind == "int" else scalar.text)
    except ArithmeticError:  # an exponent beyond those of decimals
        return None


def _written(text: str, name: str) -> str:
    """Return what to do about a number that has a unit, or is none."""
    meant, comma = MEANT.fullmatch(text), DECIMALS.fullmatch(text)
    of = f" {name} counts in {unit(name, 'the currency of the file')}." if name in KEYS else ""
    if comma is not None and len(comma[2]) != GROUP:
        return f"Write {comma[1]}.{comma[2]}, with a point before the decimals.{of}"
    if meant is None:
        return f"Write a number without a unit.{of}"
    digits = meant[1].replace(",", "").replace("_", "")
    if text.endswith("%") and name == "utilization":
        return f"Write it as a share of 1: {digits} divided by 100."
    return f"Write {digits}, without a unit and separators.{of}"


def fitting(node: Node, key: Key) -> Fraction:
    """Return a number within the limits of an input; raise Misfit if it is not."""
    found, at = number(node, key.name), node.at
    text = node.text if isinstance(node, Scalar) else ""
    if key.whole and found.denominator != 1:
        raise Misfit(at, f'"{key.name}" must be a whole number, not {text}')
    if found < key.least or (key.above and found == key.least):
        least = f"more than {key.least}" if key.above else f"at least {key.least}"
        raise Misfit(at, f'"{key.name}" must be {least}, not {text}')
    if key.most is not None and found > key.most:
        hint = f"Write {float(found / 100):g} for {text} percent." if key.most == 1 and found <= 100 else ""  # noqa: PLR2004
        raise Misfit(at, f'"{key.name}" must be at most {key.most}, not {text}', hint or f"Check the unit: {key.doc}.")
    return found


def spread(node: Node, key: Key) -> Range:
    """Return a value, or low, mid and high of one; raise Misfit if they do not rise or do not fit."""
    if isinstance(node, Keys):
        raise Misfit(node.at, f'"{key.name}" must be a number or [low, mid, high], not a mapping')
    if not isinstance(node, Items):
        found = fitting(node, key)
        return Range(found, found, found)
    if len(node.items) != len(BOUNDS):
        message = f'"{key.name}" must be a number or [low, mid, high], not a list of {len(node.items)}'
        raise Misfit(node.at, message, "Write three numbers: the least, the likeliest and the largest.")
    for bound, item in zip(BOUNDS, node.items, strict=True):
        if is_empty(item):
            raise Misfit(item.at, f'the {bound} of "{key.name}" is empty', "Write [low, mid, high].")
    low, mid, high = (fitting(item, key) for item in node.items)
    if not low <= mid <= high:
        texts = [item.text for item in node.items if isinstance(item, Scalar)]
        ordered = [text for _, text in sorted(zip((low, mid, high), texts, strict=True))]
        message = f'low, mid and high of "{key.name}" must rise, but are {", ".join(texts)}'
        raise Misfit(node.at, message, f"Write [{', '.join(ordered)}] if these are the three.")
    return Range(low, mid, high)


def day(node: Node) -> datetime.date:
    """Return a day; raise Misfit if it is none."""
    text = single(node, "date").text
    try:
        return datetime.date.fromisoformat(text if DAY.fullmatch(text) else "")
    except ValueError:
        raise Misfit(node.at, f'"date" must be a day such as 2026-01-31, not "{text}"') from None
