"""The productions of scalar values: integers, floats, bools, enums, strings.

Source: protobuf v21, src/google/protobuf/text_format.cc (ConsumeFieldValue and below) and io/tokenizer.cc
(ParseInteger, ParseFloat, ParseStringAppend).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import NoReturn

from tritonrepo.pbtxt import spelling
from tritonrepo.pbtxt.cursor import Cursor
from tritonrepo.pbtxt.edits import Edit
from tritonrepo.pbtxt.faults import Own
from tritonrepo.pbtxt.nodes import Data
from tritonrepo.pbtxt.schema import Enum, FieldType
from tritonrepo.pbtxt.tokens import DIGIT, DOT, QUOTE, WORD

LARGEST = {"int32": 2**31 - 1, "uint32": 2**32 - 1, "int64": 2**63 - 1, "uint64": 2**64 - 1}
SMALL = {b"%d" % number: number for number in range(1025)}
"""Most of a config's integers, which need no conversion."""

MOST_DIGITS = 20
"""Decimal digits of the largest uint64: a longer number cannot fit, which is known without converting it."""

NEXT = {b":", b"{", b"["}
"""Tokens that show that a name on a new line is the next field's and not a value."""

CLOSING = {b"}", b">"}

BOOLS = {b"true": True, b"True": True, b"t": True, b"false": False, b"False": False, b"f": False}
FLOAT_WORDS = {b"inf": float("inf"), b"infinity": float("inf"), b"nan": float("nan")}
FLOAT_MAX = 3.4028234663852886e38
FLOAT_MAX_ROUNDED = 3.4028235677973366e38
"""The largest float, and the largest double that is still rounded to it (io/strtod.cc, SafeDoubleToFloat)."""


def integer(token: bytes) -> int | None:
    """Return the value of an integer token; None if it is invalid, such as 08, or has too many digits."""
    if token[:1] != b"0":
        return int(token) if len(token) <= MOST_DIGITS else None
    if token[1:2] in {b"x", b"X"}:
        return int(token[2:] or b"0", 16)
    return None if b"8" in token or b"9" in token else int(token, 8)


def _is_integer(token: bytes) -> bool:
    """Return whether a token that begins with a digit is an integer and not a float."""
    return token.isdigit() or token[1:2] in {b"x", b"X"}


def _unsigned(cursor: Cursor, spec: FieldType, largest: int) -> int:
    token = cursor.texts[cursor.at]
    if cursor.kinds[cursor.at] != DIGIT or not _is_integer(token):
        _wrong(cursor, spec, "Expected integer, got: ")
    value = integer(token)
    if value is None or value > largest:
        written = cursor.written()
        limit = -largest if largest > LARGEST[spec.type] else largest
        cursor.fail(f"Integer out of range ({written})", spelling.out_of_range(written, spec, limit))
    cursor.at += 1
    return value


def unsigned(cursor: Cursor, spec: FieldType) -> Data:
    """uint32, uint64."""
    return _unsigned(cursor, spec, LARGEST[spec.type])


def signed(cursor: Cursor, spec: FieldType) -> Data:
    """int32, int64: a minus can precede the number, with blanks and comments between them."""
    token = cursor.texts[cursor.at]
    if token in SMALL:
        cursor.at += 1
        return SMALL[token]
    if token == b"-":
        cursor.at += 1
        return -_unsigned(cursor, spec, LARGEST[spec.type] + 1)
    return _unsigned(cursor, spec, LARGEST[spec.type])


def double(cursor: Cursor, spec: FieldType) -> Data:
    """float, double: a decimal number, or inf, infinity or nan in any case; a minus can precede it."""
    negative = cursor.texts[cursor.at] == b"-"
    cursor.at += negative
    value = _positive(cursor, spec)
    cursor.at += 1
    value = -value if negative else value
    return single(value) if spec.type == "float" else value


def _positive(cursor: Cursor, spec: FieldType) -> float:
    token, kind = cursor.texts[cursor.at], cursor.kinds[cursor.at]
    if kind == WORD:
        word = FLOAT_WORDS.get(token.lower())
        return _wrong(cursor, spec, "Expected double, got: ", lower=True) if word is None else word
    if kind != DIGIT and (kind != DOT or token == b"."):
        return _wrong(cursor, spec, "Expected double, got: ")
    if token[:1] == b"0" and token[1:2] and token[1:2] in b"xX01234567":
        return _wrong(cursor, spec, "Expect a decimal number, got: ")
    return float(token.rstrip(b"fF").rstrip(b"eE+-") or b"0")


def single(value: float) -> float:
    """Return the nearest float of 32 bits."""
    if FLOAT_MAX < abs(value) <= FLOAT_MAX_ROUNDED:
        value = FLOAT_MAX if value > 0 else -FLOAT_MAX
    if abs(value) > FLOAT_MAX:
        return float("inf") if value > 0 else float("-inf")
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def boolean(cursor: Cursor, spec: FieldType) -> Data:
    """bool: true, True, t, 1 and their opposites; 1 also as 01 or 0x1."""
    token = cursor.texts[cursor.at]
    if cursor.kinds[cursor.at] == DIGIT and _is_integer(token):
        if (value := integer(token)) not in {0, 1}:
            own = spelling.boolean(cursor.written(), spec, cursor.at)
            cursor.fail(f"Integer out of range ({cursor.written()})", own)
        cursor.at += 1
        return value == 1
    own = _missing(cursor, spec) or spelling.boolean(cursor.written(), spec, cursor.at)
    if cursor.kinds[cursor.at] != WORD:
        cursor.fail(f"Expected identifier, got: {cursor.written()}", own)
    cursor.at += 1
    if (known := BOOLS.get(token)) is None:
        cursor.fail(f'Invalid value for boolean field "{spec.name}". Value: "{token.decode()}".', own)
    return known


def _enumerated(cursor: Cursor, spec: FieldType) -> Data:
    """An enum's value by name, or by a number, which can be one that the enum does not have."""
    assert spec.enum  # noqa: S101  by the type
    known = spec.enum.keys.get(cursor.texts[cursor.at])
    if known is not None:
        cursor.at += 1
        return known
    kind = cursor.kinds[cursor.at]
    if kind == WORD:
        name = cursor.texts[cursor.at].decode()
        own = _missing(cursor, spec) or spelling.enum(name, spec.enum, cursor.at)
        cursor.at += 1
        cursor.fail(f'Unknown enumeration value of "{name}" for field "{spec.name}".', own)
    if cursor.texts[cursor.at] == b"-" or (kind == DIGIT and _is_integer(cursor.texts[cursor.at])):
        number = signed(cursor, _INT32)
        assert isinstance(number, int)  # noqa: S101  by the production
        cursor.unnamed |= number not in spec.enum.names
        return Enum(spec.enum.names[number]) if number in spec.enum.names else number
    written = cursor.written()
    own = _missing(cursor, spec) or spelling.not_enum(written, spec)
    return cursor.fail(f"Expected integer or identifier, got: {written}", own)


_INT32 = FieldType("", 0, "int32", "", presence=False)


def string(cursor: Cursor, spec: FieldType) -> Data:
    """One string, or several adjacent ones, which are joined; raw bytes and NUL are allowed."""
    texts, kinds, at = cursor.texts, cursor.kinds, cursor.at
    if kinds[at] != QUOTE:
        _wrong(cursor, spec, "Expected string, got: ")
    end = at + 1
    while kinds[end] == QUOTE:
        end += 1
    cursor.at = end
    value = _unquoted(texts[at]) if end == at + 1 else b"".join(map(_unquoted, texts[at:end]))
    return value.decode("utf-8", "surrogateescape")


_ESCAPED = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})"
    rb"|(?:u|U0000)([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|(.))",
    re.DOTALL,
)
_PLAIN = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


def _unquoted(token: bytes) -> bytes:
    """Return the bytes that a string token stands for."""
    inner = token[1:-1] if token[-1] == token[0] else token[1:]
    return _ESCAPED.sub(_unescaped, inner) if b"\\" in inner else inner


def _unescaped(found: re.Match[bytes]) -> bytes:
    octal, two, head, trail, four, eight, other = found.groups()
    if octal or two:
        return bytes([int(octal or two, 8 if octal else 16) & 0xFF])
    if head:
        return _utf8(0x10000 + ((int(head, 16) - 0xD800) << 10) + int(trail, 16) - 0xDC00)
    if four or eight:
        return _utf8(int(four or eight, 16))
    return bytes([_PLAIN.get(other[0], other[0])])


def _utf8(point: int) -> bytes:
    """Return a code point as UTF-8, also half a surrogate pair; the server keeps one above 10ffff as an escape."""
    return chr(point).encode("utf-8", "surrogatepass") if point <= 0x10FFFF else b"\\U%08x" % point  # noqa: PLR2004


READ: Mapping[str, Callable[[Cursor, FieldType], Data]] = {
    "int32": signed,
    "int64": signed,
    "uint32": unsigned,
    "uint64": unsigned,
    "float": double,
    "double": double,
    "bool": boolean,
    "enum": _enumerated,
    "string": string,
}


def _missing(cursor: Cursor, spec: FieldType) -> Own | None:
    """Return the fault for a value in whose place the next field or the end of the message is found, if any."""
    at = cursor.at
    is_next = cursor.kinds[at] == WORD and cursor.begins_line(at) and cursor.texts[at + 1] in NEXT
    return spelling.no_value(spec, at - 1) if is_next or cursor.texts[at] in CLOSING else None


def _wrong(cursor: Cursor, spec: FieldType, words: str, *, lower: bool = False) -> NoReturn:
    written = cursor.written()
    first, last = _word(cursor) if spec.type == "string" else (cursor.at, cursor.at)
    start, end = cursor.starts[first], cursor.ends[last]
    named = cursor.source.text[start:end].decode("utf-8", "replace")
    own = _missing(cursor, spec) or spelling.literal(named, spec)
    if own.write and (cursor.texts[last + 1] in NEXT or cursor.texts[last + 1] == b"="):
        own = own._replace(write="")  # it may be a field's name
    elif own.write and first != last:
        own = own._replace(write="", edits=(Edit(start, end, own.write.encode()),))
    if written == "{" and (cursor.kinds[cursor.at + 1] in {DIGIT, QUOTE} or cursor.texts[cursor.at + 1] == b"-"):
        own = spelling.braced(spec)
    cursor.fail(words + (written.lower() if lower else written), own)


def _word(cursor: Cursor) -> tuple[int, int]:
    """Return the current token and the last one that is attached: of a string without quotes, such as my-model.v2."""
    first = last = cursor.at
    is_word = cursor.kinds[first] == WORD or cursor.texts[first] == b"/"
    while is_word and _is_attached(cursor, last + 1):
        last += 1
    return first, last


def _is_attached(cursor: Cursor, at: int) -> bool:
    part = cursor.kinds[at] in {WORD, DIGIT, DOT} or cursor.texts[at] in {b"-", b"/"}
    return part and cursor.starts[at] == cursor.ends[at - 1]
