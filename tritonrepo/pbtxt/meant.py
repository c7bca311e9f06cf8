"""What a user meant who writes a value as another language would: hints that show the line to write instead."""

from __future__ import annotations

import re

from tritonrepo.pbtxt.cursor import Cursor
from tritonrepo.pbtxt.schema import FieldType, MessageType
from tritonrepo.pbtxt.tokens import DIGIT, QUOTE, WORD

POLICIES = {
    "latest": "version_policy { latest { num_versions: 1 } }",
    "all": "version_policy { all { } }",
    "specific": "version_policy { specific { versions: [ 1 ] } }",
}
SWITCHES = {"bool"}
NUMBERS = {"int32", "int64", "uint32", "uint64"}
YES = {"true", "True", "yes", "on"}
NO = {"false", "False", "no", "off"}


def map_of(kind: MessageType) -> str:
    """Return the name of the map field that an entry belongs to."""
    bare = kind.name.rpartition(".")[2].removesuffix("Entry")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", bare).lower()


def entry(cursor: Cursor, kind: MessageType, at: int) -> str:
    """Return the hint for `{ "a": "b" }` in a map, whose key is token `at`; "" if it is none."""
    if not kind.is_entry or cursor.texts[at + 1] != b":" or cursor.kinds[at] not in {QUOTE, WORD, DIGIT}:
        return ""
    key = cursor.written(at)
    if kind.fields["key"].type == "string":
        key = f'"{key.strip(_QUOTES)}"'
    return f"Write `{map_of(kind)} {{ key: {key} {_value(cursor, kind.fields['value'], at + 2)} }}`, one for each pair."


_QUOTES = "\"'"


def _value(cursor: Cursor, spec: FieldType, at: int) -> str:
    written = cursor.written(at)
    if spec.message is None:
        if spec.type == "string":
            written = f'"{written.strip(_QUOTES)}"' if cursor.kinds[at] in {QUOTE, WORD, DIGIT} else '"…"'
        return f"value: {written}"
    scalar = cursor.kinds[at] in {QUOTE, WORD, DIGIT}
    if scalar and "string_value" in spec.message.fields:
        return f'value {{ string_value: "{written.strip(_QUOTES)}" }}'
    return "value { … }"


def block(cursor: Cursor, spec: FieldType) -> str:
    """Return the hint for a plain value in place of the message of a field; "" if the value shows nothing."""
    assert spec.message  # noqa: S101  by the production
    written, kind = cursor.written(), cursor.kinds[cursor.at]
    bare = written.strip(_QUOTES)
    if spec.name == "version_policy" and bare in POLICIES:
        return f"Write `{POLICIES[bare]}`."
    first = cursor.at + (written == "[")
    if spec.name == "version_policy" and (bare.isdigit() or cursor.kinds[first] == DIGIT):
        return f"Write `version_policy {{ specific {{ versions: {_numbers(cursor, first) or f'[ {bare} ]'} }} }}`."
    if kind == WORD and bare in YES | NO:
        return _switch(spec, spec.message, on=bare in YES)
    return _member(cursor, spec, spec.message, bare)


def _switch(spec: FieldType, kind: MessageType, *, on: bool) -> str:
    switches = [field.name for field in kind.fields.values() if field.type in SWITCHES]
    if len(switches) == 1 and len(kind.fields) <= _FEW:
        return f"Write `{spec.name} {{ {switches[0]}: {str(on).lower()} }}`."
    if not on:
        return f"Remove {spec.name}."
    return f"Write `{spec.name} {{ }}`." if not kind.fields or spec.name == "dynamic_batching" else ""


_FEW = 2
"""The most fields of a message that a switch stands for."""


def _member(cursor: Cursor, spec: FieldType, kind: MessageType, bare: str) -> str:
    """Return the hint for a value that can only be one field's of the message: its enum's, its name, its number."""
    fields = list(kind.fields.values())
    for field in fields:
        if field.enum and bare in field.enum.numbers:
            return f"Write `{spec.name} {{ {field.name}: {bare} }}`."
    first = cursor.at + (cursor.texts[cursor.at] == b"[")
    if cursor.kinds[first] == DIGIT and len(fields) == 1 and fields[0].type in NUMBERS:
        value = _numbers(cursor, first) if fields[0].repeated else cursor.written(first)
        return f"Write `{spec.name} {{ {fields[0].name}: {value} }}`."
    if cursor.kinds[cursor.at] == QUOTE and "name" in kind.fields:
        return f'Write `{spec.name} {{ name: "{bare}" … }}`.'
    return ""


def _numbers(cursor: Cursor, at: int) -> str:
    """Return the list of numbers that begins at a token; "" if none does."""
    found = list[str]()
    while cursor.kinds[at] == DIGIT and len(found) < _MOST:
        found.append(cursor.written(at))
        at += 1 + (cursor.texts[at + 1] == b",")
    more = ", …" if cursor.kinds[at] == DIGIT else ""
    return f"[ {', '.join(found)}{more} ]" if found else ""


_MOST = 8
