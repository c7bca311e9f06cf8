"""Cells of a table, and the numbers in them: as people write them, or what it is that is not one number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from tritonrepo.diagnostics import Span

ROUGH = 0.05
"""How far a number with `~` is believed to be off, as a share of it."""

ZEROS = 0.025
"""The most that zeros at the end of a whole number are taken for digits that were rounded, as a share of it."""

LONGEST = 60
"""Characters of a cell that are read as a number; figures are shorter."""

SCALES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
NOTHING = {"", "-", "–", "—", "n/a", "na", "none", "null", "?", "…", "...", "x", "tbd", "not set"}
EMPHASIS = re.compile(r"[*`_]{1,3}(?=\S)|(?<=\S)[*`_]{1,3}|</?\w+>|\[\^?\w+\]")
NUMBER = re.compile(
    r"([+-]?(?:\d[\d.,'’_\u00a0\u2009\u202f]*|\.\d+)(?:[eE][+-]?\d+)?)\s*([kKMGB]?)(?![A-Za-z]*\d)\s*(.*)"
)
CHANGE = re.compile(r"(?<=\S)\s*\([+\-−]?\d+(?:[.,]\d+)?\s*[%x×]\)$")
"""A change that is written after a number, such as (+5%) or (1.2x)."""

BOUND = re.compile(r"(?:at (?:most|least)|up to|under|over) ", re.IGNORECASE)
RANGE = re.compile(r"\d\s*(?:-|–|—|\.\.\.?|\bto\b)\s*\d")
NOT_FINITE = re.compile(r"[+-]?(?:nan|inf(?:inity)?)\b", re.IGNORECASE)
COMMA_DECIMALS = re.compile(r"\d(?:\.\d{3}){1,5},\d|^\D*\d+,(?:\d{1,2}|\d{4,})(?!\d)|^\D*0,\d")
POINT_DECIMALS = re.compile(r"\d,\d{3}\.\d|^\D*\d*\.(?:\d{1,2}|\d{4,})(?!\d)|\d(?:,\d{3}){2,}")
EITHER = re.compile(r"^\D*[1-9]\d{0,2}[.,]\d{3}(?![\d.,])")


class Cell(NamedTuple):
    """The text of a cell, and its place."""

    text: str
    at: Span


class Stated(NamedTuple):
    """A number as a table states it: its value, half of its last digit, what follows it, and its place."""

    value: float
    rounded: float
    unit: str
    at: Span


class Unread(NamedTuple):
    """Why a cell is not a figure; "" if it is empty."""

    why: str


def number(cell: Cell, *, comma: bool = False) -> Stated | Unread:
    """Return the number of a cell; `comma` says that a comma stands before decimals, as in most of Europe."""
    text = CHANGE.sub("", EMPHASIS.sub("", cell.text.strip()[: LONGEST + 1]).strip())
    if text.lower() in NOTHING:
        return Unread("")
    if NOT_FINITE.match(text):
        return Unread("is not a number")
    if why := _unclear(text):
        return Unread(why)
    rough = text[0] in "~≈∼"
    found = NUMBER.match(text.lstrip("~≈∼ ")) if len(cell.text.strip()) <= LONGEST else None
    value = None if found is None else _value(found[1], comma=comma)
    if found is None or value is None or found[3][:1].isdigit():
        return Unread("is not a number")
    scale = SCALES[found[2]]
    half = max(_half(found[1], value, comma=comma), abs(value) * ROUGH if rough else 0.0)
    return Stated(value * scale, half * scale, found[3].split("±")[0].strip(" ()"), cell.at)


def _unclear(text: str) -> str:
    """Return why a text is more or less than a number."""
    if text[0] in "<>≤≥" or BOUND.match(text):
        return "is a bound, not a figure"
    if RANGE.search(text):
        return "is a range, not a figure"
    return "is a bound, not a figure" if re.fullmatch(r"[\d.,]+\s*\+", text) else ""


def _value(digits: str, *, comma: bool) -> float | None:
    plain = re.sub(r"['’_\u00a0\u2009\u202f]", "", digits).rstrip(".,")
    plain = plain.replace(".", "").replace(",", ".") if comma else plain.replace(",", "") if _grouped(plain) else plain
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _grouped(digits: str) -> bool:
    """Return whether commas are before groups of three digits."""
    return bool(re.match(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.|$|[eE])", digits))


def _half(digits: str, value: float, *, comma: bool) -> float:
    """Return half of the last digit that is written; of whole numbers, zeros at the end may stand for any digits."""
    mantissa = re.split(r"[eE]", digits)[0]
    _, point, decimals = mantissa.partition("," if comma else ".")
    if point and decimals:
        power = re.search(r"[eE]([+-]?\d{1,3})$", digits)
        return 0.5 * 10.0 ** (int(power[1] if power else 0) - len(decimals))
    whole = re.sub(r"\D", "", mantissa)
    zeros = len(whole) - len(whole.rstrip("0"))
    return max(0.5, min(0.5 * 10.0**zeros, ZEROS * abs(value))) if whole.strip("0") else 0.5


def commas(cells: Iterable[Cell]) -> tuple[bool, tuple[tuple[Span, str], ...]]:
    """Return whether commas stand before decimals in these cells, and what is ambiguous about it, each with its place.

    "28,5" or "1.234,5" say so, "28.5" or "1,234.5" say the opposite, and "2,100" or "2.100" can be both.
    """
    listed = [*cells]
    with_comma = [cell for cell in listed if COMMA_DECIMALS.search(cell.text[:LONGEST])]
    with_point = [cell for cell in listed if POINT_DECIMALS.search(cell.text[:LONGEST])]
    comma = bool(with_comma) and not with_point
    either = [cell for cell in listed if EITHER.match(cell.text[:LONGEST])]
    if with_comma and with_point:
        first = with_comma[0]
        text = f'"{first.text.strip()}" has a comma before decimals, and "{with_point[0].text.strip()}" a point'
        return False, ((first.at, text),)
    if comma and either:
        read = number(either[0], comma=True)
        value = f"{read.value:,g}" if isinstance(read, Stated) else "nothing"
        text = f'"{either[0].text.strip()}" is read as {value}, since other cells have a comma before decimals'
        return True, ((either[0].at, text),)
    if not with_comma and not with_point and either and all("." in cell.text for cell in either):
        text = f'"{either[0].text.strip()}" can be a number with three decimals or with a thousands separator'
        return False, ((either[0].at, f"{text}; it is read with decimals"),)
    return comma, ()
