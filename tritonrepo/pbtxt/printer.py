"""Messages as config.pbtxt text in one canonical form: the proto's order, two spaces, short messages on one line.

A message is what was read (`nodes.Message`, without its comments) or plain data: a dict from field name to value, where
a list repeats its field, a map is a dict or a list of `key` and `value`, an `Enum` is an enum's name and a str is a
string. Parsing the text returns the same message, and printing that message the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Union

from tritonrepo.pbtxt import convert
from tritonrepo.pbtxt.nodes import Message as Node
from tritonrepo.pbtxt.scalars import single
from tritonrepo.pbtxt.schema import Enum, FieldType, MessageType, model_config

__all__ = ["Enum", "Message", "Value", "field_lines", "quoted", "scalar", "to_text"]

WIDTH = 100
FLOAT_DIGITS = range(6, 10)
"""Numbers of significant digits that a 32-bit float can need."""

Value = Union[bool, int, float, str, "Enum", Mapping[str, "Value"], Sequence["Value"]]
Message = Mapping[str, Value]


def to_text(message: Message | Node, kind: MessageType | None = None) -> str:
    """Return the text of a message, a ModelConfig by default; parsing it returns the same message."""
    if isinstance(message, Node):
        return to_text(convert.to_plain(message), message.kind)
    return "".join(f"{line}\n" for line in _fields(message, kind or model_config(), ""))


def _fields(message: Message, kind: MessageType, indent: str) -> Iterator[str]:
    for name, value in _in_order(message, kind):
        yield from field_lines(kind.fields[name], value, indent)


def _in_order(message: Message, kind: MessageType) -> list[tuple[str, Value]]:
    places = {name: place for place, name in enumerate(kind.fields)}
    return sorted(message.items(), key=lambda item: places[item[0]])


def field_lines(spec: FieldType, value: Value, indent: str) -> Iterator[str]:
    """Yield the lines of one field; a list of messages repeats the field, an empty list yields nothing."""
    if spec.message is None:
        if not (isinstance(value, list | tuple) and not value):
            yield f"{indent}{spec.name}: {_scalars(value, spec)}"
        return
    for item in _messages(value, spec):
        yield from _block(spec, spec.message, item, indent)


def _messages(value: Value, spec: FieldType) -> Sequence[Message]:
    """Return the messages of a field, including the entries of a map."""
    assert spec.message  # noqa: S101  by the caller
    if isinstance(value, Mapping):
        return [{"key": key, "value": item} for key, item in value.items()] if spec.message.is_entry else [value]
    assert isinstance(value, Sequence)  # noqa: S101  by the type of plain data
    return [item for item in value if isinstance(item, Mapping)]


def _block(spec: FieldType, kind: MessageType, message: Message, indent: str) -> Iterator[str]:
    short = f"{indent}{spec.name} {_inline(message, kind)}"
    if len(short) <= WIDTH and short.count("{") <= 2 and "\n" not in short:  # noqa: PLR2004  nesting that reads at a glance
        yield short
        return
    yield f"{indent}{spec.name} {{"
    yield from _fields(message, kind, indent + "  ")
    yield f"{indent}}}"


def _inline(message: Message, kind: MessageType) -> str:
    parts: list[str] = []
    for name, value in _in_order(message, kind):
        spec = kind.fields[name]
        if spec.message is None:
            parts += field_lines(spec, value, "")
        else:
            parts += [f"{name} {_inline(item, spec.message)}" for item in _messages(value, spec)]
    return f"{{ {' '.join(parts)} }}" if parts else "{ }"


def _scalars(value: Value, spec: FieldType) -> str:
    if isinstance(value, list | tuple):
        return f"[ {', '.join(scalar(item, spec) for item in value)} ]"
    return scalar(value, spec)


def scalar(value: Value, spec: FieldType) -> str:
    """Return a scalar as it is written in the text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value) if spec.enum else quoted(value)
    if isinstance(value, float) and spec.type == "float":
        return _shortest(value)
    return repr(value)


def _shortest(value: float) -> str:
    """Return the fewest digits that are read as this 32-bit float."""
    texts = [repr(float(f"{value:.{digits}g}")) for digits in FLOAT_DIGITS]
    return next((text for text in texts if single(float(text)) == single(value)), texts[-1])


def quoted(text: str) -> str:
    r"""Return the text as a string literal: quotes, backslashes and control bytes escaped, the rest as UTF-8.

    Protobuf text format, "String Literals": \n, \t and octal escapes of bytes are understood by every parser. Bytes
    that are not UTF-8 are also escaped.
    """
    return f'"{"".join(map(_char, text))}"'


def _char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return _octal(char) if char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" else char


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _octal(char: str) -> str:
    raw = char.encode("utf-8", "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in raw)
