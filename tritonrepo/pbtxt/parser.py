"""The grammar of protobuf text format for the messages of ModelConfig, one function per production.

Source: protobuf v21, src/google/protobuf/text_format.cc (ParserImpl): what is accepted, in which order it is checked,
and therefore where the server reports a fault. Triton is built with gRPC 1.54.3 (third_party, CMakeLists.txt), hence
with protobuf 21; the change to gRPC 1.81 and protobuf 33 came to its `common` in July 2026, after the branch of 26.07.

    text     = { field } end
    field    = name [ ":" ] ( value | list ) [ "," | ";" ]       only a message can omit the colon
    list     = "[" [ value { "," value } ] "]"                   for repeated fields
    value    = block | scalar                                    `scalars` has the latter
    block    = "{" { field } "}" | "<" { field } ">"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tritonrepo.pbtxt import complaints, faults, foreign, recovery
from tritonrepo.pbtxt.cursor import Cursor, Lost, More
from tritonrepo.pbtxt.faults import TextFault
from tritonrepo.pbtxt.nodes import Field, Message, Scalar, Source, Value
from tritonrepo.pbtxt.root import Root
from tritonrepo.pbtxt.scalars import READ
from tritonrepo.pbtxt.schema import FieldType, MessageType, model_config
from tritonrepo.pbtxt.tokens import END, WINDOW, tokenize

GROWTH = 4
"""Factor by which the window grows: all windows together cost little more than the last one."""

MOST_TOKENS = 2_000_000
"""Tokens after which the window stops growing, to save memory; a long string is one token, a comment none."""

CLOSING = {b"{": b"}", b"<": b">"}
BLOCK_ENDS = frozenset({b"}", b">"})
TEXT_ENDS = frozenset({b""})
SEPARATORS = frozenset({b",", b";"})


class Parsed(NamedTuple):
    """What a text says and what is wrong with it; `log` is what the server's parser would log.

    `names` are those of all its fields, at any depth; `unnamed` is whether some enum has a number for which it has no
    name.
    """

    root: Root
    faults: tuple[TextFault, ...]
    log: tuple[str, ...]
    names: frozenset[str] = frozenset()
    unnamed: bool = False


def parse(text: bytes, release: str | None = None) -> Parsed:
    """Read a config.pbtxt as the server of this release does; None is the newest release. Never raise."""
    kind = model_config(release)
    source = Source(text)
    again = partial(_root, text, release)
    window = WINDOW
    while True:
        cursor = Cursor(source, tokenize(text, window))
        try:
            return _text(cursor, kind, again)
        except More:
            if len(cursor.texts) > MOST_TOKENS:
                return _too_long(source, kind, again)
            window *= GROWTH


def _root(text: bytes, release: str | None) -> Message:
    return parse(text, release).root


def _too_long(source: Source, kind: MessageType, again: Callable[[], Message]) -> Parsed:
    message = f"the file has more than {MOST_TOKENS:,} tokens, the most that tritonrepo reads"
    fault = TextFault(faults.UNPARSABLE, 0, 1, 1, message, "Shorten the file. A server may accept it as it is.")
    return Parsed(Root(source, kind, (), again), (fault,), ())


def _text(cursor: Cursor, kind: MessageType, again: Callable[[], Message]) -> Parsed:
    fields = _fields(cursor, kind, TEXT_ENDS)
    if not cursor.whole and not cursor.pending and not cursor.faults:
        raise More
    cursor.catch_up()
    found = sorted(cursor.faults, key=lambda fault: (not fault.server, fault.offset))
    root = Root(cursor.source, kind, fields, again)
    whole = foreign.whole(cursor.source, kind, found) if found else found
    return Parsed(root, tuple(whole), tuple(cursor.log), frozenset(cursor.names), cursor.unnamed)


def _fields(cursor: Cursor, kind: MessageType, ends: frozenset[bytes]) -> list[Field]:
    fields: list[Field] = []
    taken: dict[str, Field] = {}
    depth = len(cursor.opened)
    while cursor.texts[cursor.at] not in ends:
        start = cursor.at
        try:
            fields.append(_field(cursor, kind, taken))
        except Lost:
            del cursor.opened[depth:]
            if not recovery.resume(cursor, start, kind):
                break
    return fields


def _field(cursor: Cursor, kind: MessageType, taken: dict[str, Field]) -> Field:
    texts, start = cursor.texts, cursor.at
    spec = kind.keys.get(texts[start])
    if spec is None:
        complaints.no_field(cursor, kind, taken)
    slot = spec.slot
    cursor.names.add(spec.name)
    cursor.at = start + 1
    if slot in taken:
        complaints.taken(cursor, spec, taken[slot])
    if texts[start + 1] == b":":
        cursor.at = start + 2
    elif spec.message is None:
        complaints.no_colon(cursor, spec)
    values: Sequence[Value]
    values = _list(cursor, spec) if texts[cursor.at] == b"[" and not slot else (_value(cursor, spec),)
    if texts[cursor.at] in SEPARATORS:
        cursor.at += 1
    field = Field(cursor.source, cursor.starts[start], cursor.ends[cursor.at - 1], spec, values)
    if slot and (spec.presence or _is_set(spec, values[0])):
        taken[slot] = field
    return field


def _is_set(spec: FieldType, value: Value) -> bool:
    """Return whether a field without presence counts as set: only with another value than its type's zero.

    Source: protobuf v21, src/google/protobuf/generated_message_reflection.cc, Reflection::HasBit.
    """
    if not isinstance(value, Scalar):
        return False
    if spec.enum:
        return spec.enum.numbers.get(str(value.data), value.data) != 0
    return bool(value.data) or (isinstance(value.data, float) and str(value.data) == "-0.0")


def _value(cursor: Cursor, spec: FieldType) -> Value:
    if spec.message is not None:
        return _block(cursor, spec.message, spec)
    start = cursor.starts[cursor.at]
    data = READ[spec.type](cursor, spec)
    return Scalar(cursor.source, start, cursor.ends[cursor.at - 1], data)


def _block(cursor: Cursor, kind: MessageType, spec: FieldType) -> Message:
    start = cursor.at
    close = CLOSING.get(cursor.texts[start])
    if close is None:
        complaints.no_block(cursor, spec)
    cursor.opened.append(start)
    cursor.at += 1
    fields = _fields(cursor, kind, BLOCK_ENDS)
    if cursor.texts[cursor.at] != close and cursor.kinds[cursor.at] != END:
        complaints.other_bracket(cursor, close)
    end = cursor.ends[cursor.at]
    cursor.at += cursor.kinds[cursor.at] != END
    cursor.opened.pop()
    return Message(cursor.source, cursor.starts[start], end, kind, fields)


def _list(cursor: Cursor, spec: FieldType) -> list[Value]:
    values: list[Value] = []
    cursor.opened.append(cursor.at)
    cursor.at += 1
    while cursor.texts[cursor.at] != b"]":
        _item(cursor, spec, values)
        if cursor.texts[cursor.at] == b",":
            cursor.at += 1
            if cursor.texts[cursor.at] == b"]":
                complaints.trailing_comma(cursor, spec)
        elif cursor.texts[cursor.at] != b"]":
            complaints.no_comma(cursor, spec)
    cursor.opened.pop()
    cursor.at += 1
    return values


def _item(cursor: Cursor, spec: FieldType, values: list[Value]) -> None:
    try:
        values.append(_value(cursor, spec))
    except Lost:
        if cursor.ended or not recovery.next_item(cursor):
            raise
