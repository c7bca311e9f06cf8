"""Edits of a hand-written JSON object: a pair is renamed, gets another value or goes, and the rest keeps its layout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Replacement, Span, line_and_column

BLANKS = re.compile(r"[ \t\r\n]*")
MOST_PLACES = 99
"""More edits than these are one, of the text from the first to the last."""


class Cut(NamedTuple):
    """Characters `start` to `end` become `text`; if the two are equal, it is inserted."""

    start: int
    end: int
    text: str


class Pair(NamedTuple):
    """A key with its value: from `start`, the quotes of the key, which ends at `key_end`; the value from `value` on."""

    key: str
    start: int
    key_end: int
    value: int
    end: int


def pairs(text: str) -> Sequence[Pair]:
    """Return the pairs of the object that a text holds, in order, also those whose key comes again."""
    decoder, found = json.JSONDecoder(), []
    at = _next(text, _next(text, 0) + 1)
    while text[at] != "}":
        key, key_end = decoder.raw_decode(text, at)
        value = _next(text, _next(text, key_end) + 1)
        _, end = decoder.raw_decode(text, value)
        found.append(Pair(key, at, key_end, value, end))
        at = _next(text, end)
        at = _next(text, at + 1) if text[at] == "," else at
    return found


def renamed(found: Sequence[Pair], key: str, new: str) -> list[Cut]:
    """Return the edits that rename a key wherever the object has it."""
    return [Cut(each.start, each.key_end, _written(new)) for each in found if each.key == key]


def changed(found: Sequence[Pair], key: str, value: Any) -> list[Cut]:  # noqa: ANN401  whatever JSON has
    """Return the edit that changes the value of a key: the last one, which counts."""
    return [Cut(each.value, each.end, _written(value)) for each in found if each.key == key][-1:]


def removed(found: Sequence[Pair], key: str) -> list[Cut]:
    """Return the edits that remove a key wherever the object has it, with the commas that separated it."""
    last = max((number for number, each in enumerate(found) if each.key != key), default=-1)
    cuts = [Cut(each.start, found[number + 1].start, "") for number, each in enumerate(found[:last]) if each.key == key]
    if last + 1 < len(found):
        start = found[last].end if last >= 0 else found[0].start
        cuts.append(Cut(start, found[-1].end, ""))
    return cuts


def applied(text: str, cuts: Iterable[Cut]) -> str:
    """Return the text with the edits, which do not overlap."""
    pieces, at = [], 0
    for cut in sorted(cuts):
        pieces += [text[at : cut.start], cut.text]
        at = cut.end
    return "".join([*pieces, text[at:]])


def replacements(path: str, text: str, cuts: Iterable[Cut]) -> tuple[Replacement, ...]:
    """Return the edits by lines and columns of the file; those that touch are one.

    Many are one, too, because each place is counted in the text.
    """
    found: list[Cut] = []
    for cut in sorted(cuts):
        if found and found[-1].end == cut.start:
            found[-1] = Cut(found[-1].start, cut.end, found[-1].text + cut.text)
        else:
            found.append(cut)
    if len(found) > MOST_PLACES:
        start, end = found[0].start, found[-1].end
        inner = applied(text[start:end], [Cut(cut.start - start, cut.end - start, cut.text) for cut in found])
        found = [Cut(start, end, inner)]
    return tuple(
        Replacement(Span(path, *line_and_column(text, cut.start), *line_and_column(text, cut.end)), cut.text)
        for cut in found
    )


def _written(value: Any) -> str:  # noqa: ANN401  whatever JSON has
    return json.dumps(value, ensure_ascii=False)


def _next(text: str, at: int) -> int:
    """Return the place of the next character that is no blank."""
    found = BLANKS.match(text, at)
    return found.end() if found else at
