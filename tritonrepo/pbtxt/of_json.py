"""A config that is written in JSON as protobuf text, by protobuf's own mapping of JSON, or not at all.

Source of the mapping: protobuf.dev, "ProtoJSON Format": names in camel case or as in the proto, enums by name or
number, integers as numbers or strings, null for a field that is not set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from tritonrepo.pbtxt.printer import to_text
from tritonrepo.pbtxt.scalars import LARGEST
from tritonrepo.pbtxt.schema import Enum, FieldType, MessageType

MOST = 1 << 20
"""Bytes of a text up to which it is read."""

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,19})", re.ASCII)
CAPITAL = re.compile(r"[A-Z]")


class _Inexact(Exception):  # noqa: N818  control flow of this module
    """Something has no counterpart in protobuf text, or more than one."""


def text(written: bytes, kind: MessageType) -> str:
    """Return the text of a message that is written in JSON; "" if a single value of it has no exact counterpart."""
    try:
        data = json.loads(written, object_pairs_hook=_once, parse_constant=_none) if len(written) <= MOST else None
        return to_text(_message(data, kind), kind)
    except (_Inexact, ValueError, RecursionError):
        return ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Inexact
    return found


def _none(_: str) -> NoReturn:
    raise _Inexact


def _message(data: object, kind: MessageType) -> dict[str, Any]:
    found: dict[str, Any] = {}
    slots: set[str] = set()
    for name, value in _mapping(data).items():
        spec = kind.fields.get(name) or kind.fields.get(CAPITAL.sub(lambda letter: f"_{letter[0].lower()}", name))
        if spec is None or spec.name in found or spec.slot in slots:
            raise _Inexact
        if value is not None:
            found[spec.name] = _value(value, spec)
            slots |= {spec.slot} - {""}
    return found


def _mapping(data: object) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise _Inexact
    return data


def _value(value: object, spec: FieldType) -> object:
    if spec.message and spec.message.is_entry:
        key, each = spec.message.fields["key"], spec.message.fields["value"]
        return {_single(name, key): _single(item, each) for name, item in _mapping(value).items()}
    if not spec.repeated:
        return _single(value, spec)
    if not isinstance(value, list):
        raise _Inexact
    return [_single(item, spec) for item in value]


def _single(value: object, spec: FieldType) -> object:
    if spec.message:
        return _message(value, spec.message)
    if spec.enum:
        name = spec.enum.names.get(value) if type(value) is int else value
        if not isinstance(name, str) or name not in spec.enum.numbers:
            raise _Inexact
        return Enum(name)
    return _SCALARS.get(spec.type, _integer)(value, spec)


def _integer(value: object, spec: FieldType) -> int:
    if isinstance(value, str) and INTEGER.fullmatch(value):
        value = int(value)
    largest = LARGEST[spec.type]
    least = 0 if spec.type.startswith("u") else -largest - 1
    if type(value) is not int or not least <= value <= largest:
        raise _Inexact
    return value


def _number(value: object, _: FieldType) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Inexact
    return float(value)


def _bool(value: object, _: FieldType) -> bool:
    if not isinstance(value, bool):
        raise _Inexact
    return value


def _string(value: object, _: FieldType) -> str:
    if not isinstance(value, str):
        raise _Inexact
    value.encode("utf-8")  # half a surrogate pair is a ValueError
    return value


_SCALARS: Mapping[str, Callable[[object, FieldType], object]] = {
    "bool": _bool,
    "string": _string,
    "float": _number,
    "double": _number,
}
