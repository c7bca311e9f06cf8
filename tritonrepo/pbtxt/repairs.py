"""Edits that repair a fault where the parser finds it, in the words of its hint."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tritonrepo.pbtxt import editor
from tritonrepo.pbtxt.cursor import Cursor
from tritonrepo.pbtxt.edits import Edit
from tritonrepo.pbtxt.nodes import Field, Scalar
from tritonrepo.pbtxt.scalars import BOOLS
from tritonrepo.pbtxt.schema import FieldType, MessageType
from tritonrepo.pbtxt.tokens import DIGIT, DOT, END, QUOTE, WORD

OPENING = frozenset({b"{", b"<"})


def fits(cursor: Cursor, at: int, spec: FieldType) -> bool:
    """Return whether the token can begin a value of the field."""
    text = cursor.texts[at]
    if text == b"[" and spec.repeated:
        return True
    if spec.message or spec.type == "string":
        return text in OPENING if spec.message else cursor.kinds[at] == QUOTE
    if spec.enum and cursor.kinds[at] == WORD:
        return text in spec.enum.keys
    if spec.type == "bool":
        return text in BOOLS or text in {b"0", b"1"}
    return cursor.kinds[at + (text == b"-")] in ({DIGIT, DOT} if spec.type in {"float", "double"} else {DIGIT})


def colon(cursor: Cursor, spec: FieldType) -> tuple[Edit, ...]:
    """Return the edit that writes the colon before the current token, which may be = in its place."""
    name_end, start, end = cursor.ends[cursor.at - 1], cursor.starts[cursor.at], cursor.ends[cursor.at]
    is_equals = cursor.texts[cursor.at] == b"="
    value = cursor.at + is_equals
    if not fits(cursor, value, spec) and not (is_equals and _is_scalar(cursor, value)):
        return ()
    if is_equals:
        return (Edit(start if cursor.source.text[name_end:start].strip(b" \t") else name_end, end, b":"),)
    return (Edit(name_end, name_end, b":"),)


def _is_scalar(cursor: Cursor, at: int) -> bool:
    return cursor.kinds[at] in {WORD, DIGIT, QUOTE} and not cursor.begins_line(at)


def string_value(cursor: Cursor) -> tuple[Edit, ...]:
    """Return the edits that put the string at the current token, or several adjacent ones, into a parameter's value."""
    last = cursor.at
    while cursor.kinds[last + 1] == QUOTE:
        last += 1
    start, end = cursor.starts[cursor.at], cursor.ends[last]
    return Edit(start, start, b"{ string_value: "), Edit(end, end, b" }")


def renamed(cursor: Cursor, kind: MessageType, new: str, taken: Mapping[str, Field]) -> tuple[Edit, ...]:
    """Return the edit that gives the field whose name is the last token, with all its dashes, another name.

    None if its value would not fit, or if the message has the other field as well.
    """
    spec, name = kind.fields[new], cursor.at - 1
    last = name
    while cursor.texts[last + 1] == b"-" and cursor.kinds[last + 2] == WORD:
        last += 2
    value = last + 1 + (cursor.texts[last + 1] in {b":", b"="})
    names = {each.name.encode() for each in kind.fields.values() if each.slot == spec.slot != ""}
    if not fits(cursor, value, spec) or spec.slot in taken or _follow(cursor, value, names):
        return ()
    return (Edit(cursor.starts[name], cursor.ends[last], new.encode()),)


def _follow(cursor: Cursor, at: int, names: Collection[bytes]) -> bool:
    """Return whether one of these fields is in the rest of the current message."""
    depth = 0
    while cursor.kinds[at] != END and depth >= 0:
        text = cursor.texts[at]
        if depth == 0 and text in names:
            return True
        depth += (text in _OPEN) - (text in _CLOSE)
        at += 1
    return False


_OPEN, _CLOSE = {b"{", b"<", b"["}, {b"}", b">", b"]"}


def again(cursor: Cursor, spec: FieldType, before: Field) -> tuple[Edit, ...]:
    """Return the edit that removes a scalar field, of which the current token follows the name, if it says the same."""
    value = cursor.at + (cursor.texts[cursor.at] == b":")
    last = value + (cursor.texts[value] == b"-")
    start, end = cursor.starts[value], cursor.ends[last]
    same = isinstance(before.value, Scalar) and cursor.source.text[start:end] == before.value.written.encode()
    if not same or (
        cursor.kinds[last + 1] not in {WORD, END} and cursor.texts[last + 1] not in {b",", b";", b"}", b">"}
    ):
        return ()
    last += cursor.texts[last + 1] in {b",", b";"}
    node = Field(cursor.source, cursor.starts[cursor.at - 1], cursor.ends[last], spec, ())
    return (editor.delete(node),)
