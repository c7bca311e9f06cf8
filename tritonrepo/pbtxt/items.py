"""Edits of repeated fields of a hand-written text, written as lists, one by one, or both; comments stay."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence

from tritonrepo.pbtxt.editor import BLANKS, Edit, change, delete, insert
from tritonrepo.pbtxt.nodes import Data, Field, Message, Scalar, Source, Value
from tritonrepo.pbtxt.printer import field_lines


def clear(message: Message, *names: str) -> list[Edit]:
    """Remove all fields of these names."""
    return [delete(field) for field in message.fields if field.name in names]


def become(field: Field, message: Message, name: str, value: Data) -> Edit:
    """Replace a field, however it is written, by another one of its message, which is a scalar."""
    text, end = field.source.text, field.end
    end -= text[end - 1 : end] in {b",", b";"}
    (line,) = field_lines(message.kind.fields[name], value, "")
    apart = b" " if text[end : end + 1].isalnum() else b""
    return Edit(field.start, end, line.encode() + apart)


def drop(field: Field, places: Collection[int]) -> list[Edit]:
    """Remove some values of a field with their commas; the whole field if nothing is left of it."""
    if len(places) == len(field.values):
        return [delete(field)]
    edits: list[Edit] = []
    kept = max(place for place in range(len(field.values)) if place not in places)
    for place in sorted(places):
        edits += _ahead(field, place) if place < kept else _behind(field, place)
    return edits


def take(message: Message, value: Value) -> list[Edit]:
    """Remove one value of a field of a message."""
    places = [(field, place) for field in message.fields for place, each in enumerate(field.values) if each is value]
    return [edit for field, place in places for edit in drop(field, {place})]


def _ahead(field: Field, place: int) -> list[Edit]:
    """Remove a value and the comma behind it."""
    source, start, end = field.source, field.values[place].start, field.values[place].end
    comma = _comma(source, end, field.values[place + 1].start)
    if source.text[end:comma].strip():
        return [Edit(start, end, b""), Edit(comma, comma + 1, b"")]
    return [_line(source, start, comma + 1)]


def _behind(field: Field, place: int) -> list[Edit]:
    """Remove a value and the comma in front of it."""
    source, start, end = field.source, field.values[place].start, field.values[place].end
    comma = _comma(source, field.values[place - 1].end, start)
    if source.text[comma + 1 : start].strip():
        return [Edit(comma, comma + 1, b""), Edit(start, end, b"")]
    return [Edit(comma, end, b"")]


def _line(source: Source, start: int, end: int) -> Edit:
    """Remove a range with its line if nothing else is on it, or else with the blanks behind it."""
    text, begin = source.text, source.text.rfind(b"\n", 0, start) + 1
    while text[end : end + 1] and text[end] in BLANKS:
        end += 1
    if text[end : end + 1] == b"\n" and not text[begin:start].strip(BLANKS):
        return Edit(begin, end + 1, b"")
    return Edit(start, end, b"")


def _comma(source: Source, start: int, end: int) -> int:
    """Return the first comma of a range that is not in a comment."""
    while True:
        found = source.text.index(b",", start, end)
        behind = bisect_right(source.comments, (found, len(source.text)))
        stop = source.comments[behind - 1][1] if behind else 0
        if stop <= found:
            return found
        start = stop


def number(message: Message, name: str, to: Sequence[int]) -> list[Edit]:
    """Set a repeated field to these numbers, at least one; of values too many or too few, the first are meant.

    What stays as it is, is not touched.
    """
    fields = [field for field in message.fields if field.name == name and field.values]
    values = [(field, value) for field in fields for value in field.values]
    if not values:
        return [insert(message, name, list(to))]
    over, new = max(0, len(values) - len(to)), max(0, len(to) - len(values))
    edits, left = list[Edit](), over
    for field in fields:
        gone = range(min(left, len(field.values)))
        left -= len(gone)
        edits += drop(field, gone) if gone else ()
    kept = values[over:]
    if new:
        field, first = kept.pop(0)
        written = ", ".join(map(str, to[: new + 1]))
        edits.append(Edit(first.start, first.end, (written if _is_list(field) else f"[ {written} ]").encode()))
    pairs = zip(kept, to[len(to) - len(kept) :], strict=True)
    return [*edits, *(change(value, fields[0].spec, to) for (_, value), to in pairs if _differs(value, to))]


def _is_list(field: Field) -> bool:
    """Return whether a field's values are in brackets: a single one may be."""
    source, at = field.source, field.start + len(field.name)
    between = source.text[at : field.values[0].start]
    return b"[" in b"".join(line.partition(b"#")[0] for line in between.split(b"\n"))


def _differs(value: Value, number: int) -> bool:
    return isinstance(value, Scalar) and value.data != number
