"""Where the keys of a JSON text are."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Span

LINE = re.compile("\n")


def starts(text: str) -> list[int]:
    """Return where the lines of a text start."""
    return [0, *(found.end() for found in LINE.finditer(text))]


class Places(NamedTuple):
    """A part of a JSON text, and where the lines of the whole text start."""

    path: str
    text: str
    lines: Sequence[int]
    begin: int
    end: int

    def at(self, offset: int) -> Span:
        """Return the place of an offset of the text."""
        line = bisect.bisect_right(self.lines, offset)
        return Span(self.path, line, offset - self.lines[line - 1] + 1)

    def of(self, key: str, below: str = "") -> Span:
        """Return the place of a key, or of one after another key; the start of the part if it is not written so."""
        start = self.text.find(json.dumps(below), self.begin, self.end) if below else self.begin
        found = self.text.find(json.dumps(key), max(start, self.begin), self.end)
        return self.at(found if found >= 0 else self.begin)


def real(value: float) -> float:
    """Return a number of JSON as a float; an integer that is too large for one is infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf")
