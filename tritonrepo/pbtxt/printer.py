"""Plain data to config.pbtxt text in one canonical form: two spaces, one field a line, short messages on one.

A message is a dict from field name to value, in the order of the fields in model_config.proto; a list repeats its
field; an `Enum` is an enum's name; a str is a string.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Union

WIDTH = 100

Value = Union[bool, int, float, str, "Enum", Mapping[str, "Value"], Sequence["Value"]]
Message = Mapping[str, Value]


class Enum(str):
    """The name of an enum's value, printed without quotes."""

    __slots__ = ()


def to_text(message: Message) -> str:
    """Give the text of a message; parsing it gives the same message."""
    return "".join(f"{line}\n" for line in _fields(message, ""))


def _fields(message: Message, indent: str) -> Iterator[str]:
    for name, value in message.items():
        if isinstance(value, Mapping):
            yield from _block(name, value, indent)
        elif isinstance(value, (str, bool, int, float)):
            yield f"{indent}{name}: {_scalar(value)}"
        elif all(isinstance(item, Mapping) for item in value):
            for item in value:
                assert isinstance(item, Mapping)  # noqa: S101  said by the line above
                yield from _block(name, item, indent)
        else:
            yield f"{indent}{name}: {_inline_list(value)}"


def _block(name: str, message: Message, indent: str) -> Iterator[str]:
    short = f"{indent}{name} {_inline(message)}"
    if len(short) <= WIDTH and short.count("{") <= 2 and "\n" not in short:  # noqa: PLR2004  nesting that reads at a glance
        yield short
        return
    yield f"{indent}{name} {{"
    yield from _fields(message, indent + "  ")
    yield f"{indent}}}"


def _inline(message: Message) -> str:
    parts = []
    for name, value in message.items():
        if isinstance(value, Mapping):
            parts.append(f"{name} {_inline(value)}")
        elif isinstance(value, (str, bool, int, float)):
            parts.append(f"{name}: {_scalar(value)}")
        elif any(isinstance(item, Mapping) for item in value):
            parts += [f"{name} {_inline(item)}" for item in value if isinstance(item, Mapping)]
        else:
            parts.append(f"{name}: {_inline_list(value)}")
    return f"{{ {' '.join(parts)} }}" if parts else "{ }"


def _inline_list(values: Sequence[Value]) -> str:
    return f"[ {', '.join(_scalar(value) for value in values)} ]" if values else "[ ]"


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value) if isinstance(value, Enum) else quoted(value)
    return repr(value)


def quoted(text: str) -> str:
    r"""Give the text as a string literal: quotes, backslashes and control bytes escaped, the rest as UTF-8.

    Protobuf text format, "String Literals": \n, \t and octal escapes of bytes are understood by every parser.
    """
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or (f"\\{ord(c):03o}" if c < " " or c == "\x7f" else c) for c in text) + '"'
