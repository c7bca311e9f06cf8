"""Durations with a unit, such as 5ms, where ModelConfig wants a number of microseconds."""

from __future__ import annotations

import re

MICROSECONDS = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "sec": 1_000_000, "m": 60_000_000, "min": 60_000_000}
"""Units of a duration, in microseconds, the unit of all durations of ModelConfig."""

DURATION = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))?\s?(us|µs|ms|s|sec|m|min)")
BEFORE = re.compile(rb"(?<!\w)(\w{1,40})[ \t]{0,8}:[ \t]{0,8}(\d{1,9}(?:\.\d{0,6})?)\Z", re.ASCII)
UNIT = re.compile(rb"(?:us|ms|sec|s|min|m)(?![\w.])", re.ASCII)
NEAR = 64
"""Bytes before a letter in which the name of its field is searched for."""


def microseconds(written: str) -> str:
    """Return the microseconds of a duration with a unit, such as 5000 for 5ms; "" if it is none."""
    found = DURATION.fullmatch(written)
    if found is None:
        return ""
    whole, part, unit = found.groups()
    scaled = int(whole) * 10**6 + int((part or "").ljust(6, "0"))
    return str(scaled * MICROSECONDS[unit] // 10**6)


def duration(text: bytes, offset: int) -> tuple[str, str]:
    """Return the field and the duration where a unit begins at `offset`, after the digits; "" and "" if it is none."""
    before = BEFORE.search(text[max(0, offset - NEAR) : offset])
    unit = UNIT.match(text, offset)
    if before is None or unit is None or not before[1].endswith(b"_microseconds"):
        return "", ""
    return before[1].decode(), (before[2] + unit[0]).decode()
