"""Edits of a hand-written text: each replaces a range of bytes, and every other byte stays.

Edits are made for the nodes of one parse, and applied together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable

from tritonrepo.pbtxt import printer
from tritonrepo.pbtxt.edits import Edit
from tritonrepo.pbtxt.nodes import Field, Message, Scalar, Source
from tritonrepo.pbtxt.nodes import Value as Node
from tritonrepo.pbtxt.printer import Value
from tritonrepo.pbtxt.schema import ROOT, FieldType

__all__ = ["Edit", "apply", "change", "delete", "delete_item", "delete_items", "insert", "put", "rename"]

BLANKS = b" \t\r\v\f"


def apply(text: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the text with the edits, in any order; at one place the first given comes first. None can overlap."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        assert edit.start >= at  # noqa: S101  edits that overlap are a bug of the caller
        pieces += [text[at : edit.start], edit.text]
        at = edit.end
    return b"".join([*pieces, text[at:]])


def change(value: Node, spec: FieldType, to: Value) -> Edit:
    """Replace the value of a field, or of one item of a list."""
    lines = list(printer.field_lines(spec, to if isinstance(value, Scalar) else _one(to, spec), ""))
    written = "\n".join(lines)[len(spec.name) :].removeprefix(":").lstrip()
    return Edit(value.start, value.end, _bytes(written, value.source, _indent(value.source, value.start)))


def _one(to: Value, spec: FieldType) -> Value:
    return [to] if spec.repeated and isinstance(to, dict) else to


def rename(field: Field, name: str) -> Edit:
    """Rename a field, such as a misspelt one."""
    return Edit(field.start, field.start + len(field.name), name.encode())


def put(message: Message, name: str, value: Value) -> Edit:
    """Set a singular field: change its value if the text has the field, else insert it."""
    field = message.get(name)
    if field is None:
        return insert(message, name, value)
    return change(field.value, field.spec, value)


def insert(message: Message, name: str, value: Value) -> Edit:
    """Add a field after the last one that precedes it in the proto, on a separate line if that one has its own line."""
    spec = message.kind.fields[name]
    places = list(message.kind.fields)
    before = [field for field in message.fields if places.index(field.name) <= places.index(name)]
    if before:
        return _after(before[-1], spec, value)
    if message.fields and _has_comment_above(message.fields[0]):
        return _after(message.fields[0], spec, value)
    if message.fields:
        return _ahead(message.fields[0], spec, value)
    return _first(message, spec, value)


def _after(field: Field, spec: FieldType, value: Value) -> Edit:
    source = field.source
    end = _line_end(source, field.end)
    if not _begins_line(source, field.start) or not _is_blank(source.text[field.end : end]):
        written = b" " + _written(source, spec, value, b"")
        return Edit(field.end, field.end, written + _gap(source.text[field.end : field.end + 1]))
    indent = _indent(source, field.start)
    return Edit(end, end, _newline(source) + indent + _written(source, spec, value, indent))


def _ahead(field: Field, spec: FieldType, value: Value) -> Edit:
    source, indent = field.source, _indent(field.source, field.start)
    if not _begins_line(source, field.start):
        return Edit(field.start, field.start, _written(source, spec, value, b"") + b" ")
    return Edit(field.start, field.start, _written(source, spec, value, indent) + _newline(source) + indent)


def _first(message: Message, spec: FieldType, value: Value) -> Edit:
    source = message.source
    if message.kind.name != ROOT:
        at = message.start + 1
        return Edit(at, at, b" " + _written(source, spec, value, b"") + _gap(source.text[at : at + 1]))
    end = len(source.text)
    begun = end and not source.text.endswith(b"\n")
    return Edit(end, end, (_newline(source) if begun else b"") + _written(source, spec, value, b"") + _newline(source))


def _gap(follows: bytes) -> bytes:
    """Return the blank that separates inserted text from what follows, if one is needed."""
    return b"" if follows in {b"", b" ", b"\t", b"\r", b"\n"} else b" "


def _written(source: Source, spec: FieldType, value: Value, indent: bytes) -> bytes:
    return _bytes("\n".join(printer.field_lines(spec, value, "")), source, indent)


def _bytes(written: str, source: Source, indent: bytes) -> bytes:
    return written.encode("utf-8").replace(b"\n", _newline(source) + indent)


def _newline(source: Source) -> bytes:
    return b"\r\n" if b"\r\n" in source.text else b"\n"


def _line_start(source: Source, at: int) -> int:
    return source.text.rfind(b"\n", 0, at) + 1


def _line_end(source: Source, at: int) -> int:
    """Return the end of the line without its line feed and the carriage return before it."""
    end = source.text.find(b"\n", at)
    end = len(source.text) if end < 0 else end
    return end - (end > at and source.text[end - 1 : end] == b"\r")


def _begins_line(source: Source, at: int) -> bool:
    return not source.text[_line_start(source, at) : at].strip(BLANKS)


def _indent(source: Source, at: int) -> bytes:
    line = source.text[_line_start(source, at) : at]
    return line[: len(line) - len(line.lstrip(BLANKS))]


def _is_blank(rest: bytes) -> bool:
    """Return whether the rest of a line is only blanks and a comment."""
    return not rest.partition(b"#")[0].strip(BLANKS)


def _has_comment_above(field: Field) -> bool:
    start = _line_start(field.source, field.start)
    above = field.source.text[_line_start(field.source, start - 1) : start] if start else b""
    return above.lstrip(BLANKS).startswith(b"#")


def delete(field: Field) -> Edit:
    """Remove a field, and its line if nothing else is on it; comments stay, also those in its braces."""
    source, start, end = field.source, field.start, field.end
    stop = _line_end(source, end)
    if comments := _comments(source, start, end):
        line = _newline(source) + _indent(source, start)
        kept = line.join(source.text[first:last].rstrip(b"\r") for first, last in comments)
        return Edit(start, end, kept + (line if source.text[end:stop].strip(BLANKS) else b""))
    if _begins_line(source, start) and not source.text[end:stop].strip(BLANKS):
        line_feed = source.text.find(b"\n", stop)
        return Edit(_line_start(source, start), line_feed + 1 or len(source.text), b"")
    while source.text[start - 1 : start] in {b" ", b"\t"} and _gap(source.text[end : end + 1]) == b"":
        start -= 1
    return Edit(start, end, b"")


def delete_item(field: Field, place: int) -> Edit:
    """Remove one value of a list, with the comma that separates it from the next or the previous one."""
    values = field.values
    if len(values) == 1:
        return _cut(field.source, values[0].start, values[0].end)
    if place + 1 < len(values):
        return _cut(field.source, values[place].start, values[place + 1].start)
    return _cut(field.source, values[place - 1].end, values[place].end)


def delete_items(field: Field, places: Collection[int]) -> list[Edit]:
    """Remove several values of a list, each with a comma; the field as well if none is left."""
    values = field.values
    first = next((place for place in range(len(values)) if place not in places), None)
    if first is None:
        return [delete(field)]
    ahead = ((values[place].start, values[place + 1].start) for place in places if place < first)
    behind = ((values[place - 1].end, values[place].end) for place in places if place > first)
    return [_cut(field.source, start, end) for start, end in (*ahead, *behind)]


def _cut(source: Source, start: int, end: int) -> Edit:
    """Remove what is between two places, except for comments and the blanks around them."""
    kept, at = b"", start
    for first, last in _comments(source, start, end):
        kept += _blanks(source.text[at:first]) + source.text[first:last]
        at = last
    return Edit(start, end, kept + _blanks(source.text[at:end]) if kept else b"")


def _blanks(text: bytes) -> bytes:
    """Return only the white space at both ends of a text."""
    bare = text.strip()
    return bytes.join(b"", text.split(bare, 1)) if bare else text


def _comments(source: Source, start: int, end: int) -> list[tuple[int, int]]:
    spans = source.comments
    return spans[bisect_left(spans, (start, 0)) : bisect_left(spans, (end, 0))]
