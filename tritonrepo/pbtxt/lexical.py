"""What the server's tokenizer reports about a malformed token, and where it goes on.

Source of words and places: protobuf v21, src/google/protobuf/io/tokenizer.cc (Next, ConsumeNumber, ConsumeString). It
reports and goes on: the token remains a token, and the parser may report it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

CONTROL = "Invalid control characters encountered in text."
NON_ASCII = "Interpreting non ascii codepoint {}."
UNCLOSED_LINE = "String literals cannot cross line boundaries."
UNCLOSED_END = "Unexpected end of string."
ESCAPE = "Invalid escape sequence in string literal."
ESCAPE_HEX = "Expected hex digits for escape sequence."
ESCAPE_FOUR = "Expected four hex digits for \\u escape sequence."
ESCAPE_EIGHT = "Expected eight hex digits up to 10ffff for \\U escape sequence"
HEX = '"0x" must be followed by hex digits.'
OCTAL = "Numbers starting with leading zero must be in octal."
EXPONENT = '"e" must be followed by exponent.'
SPACE_AFTER = "Need space between number and identifier."
SPACE_BEFORE = "Need space between identifier and decimal point."
SECOND_POINT = "Already saw decimal point or exponent; can't have another one."
UNCLOSED = {UNCLOSED_LINE, UNCLOSED_END}
POINT = "Hex and octal numbers must be integers."

Said = list[tuple[int, str]]
"""Offsets and words, in the order in which they are reported."""

ASCII = 0x80
_CONTROLS = re.compile(rb"[\0-\x1f]++")
_NUMBER = re.compile(
    rb"(?P<hex>0[xX][0-9a-fA-F]*+)|(?P<octal>0(?=[0-9])[0-7]*+(?P<bad>[89][0-9]*+)?)|"
    rb"(?:[0-9]++(?P<point>\.[0-9]*+)?+|(?P<dot>\.[0-9]++))(?P<exponent>[eE][-+]?+(?P<digits>[0-9]++)?+)?+(?P<f>[fF])?+"
)
_STRINGS = {
    quote: re.compile(rb"%b(?:[^%b\\\n\0]++|\\[^\n\0]|\\(?=[\n\0]|\Z))*+(?P<close>%b)?+" % ((quote,) * 3))
    for quote in (b'"', b"'")
}
_ESCAPE = re.compile(
    rb"\\(?P<good>[abfnrtv\\?'\"0-7]|x[0-9a-fA-F]|u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5})?+"
    rb"(?P<begun>x|u[0-9a-fA-F]{0,3}+|U(?:0(?:0(?:[01][0-9a-fA-F]{0,4}+)?+)?+)?+)?+"
)
_ESCAPES = {b"": ESCAPE, b"x": ESCAPE_HEX, b"u": ESCAPE_FOUR, b"U": ESCAPE_EIGHT}


class LexicalFault(NamedTuple):
    """What the tokenizer reports while it reads the token with this number."""

    token: int
    offset: int
    words: str


def is_control(byte: int) -> bool:
    """Return whether the byte is a control character, which is not part of any token."""
    return byte < ord(" ")


def judge(text: bytes, at: int, *, after_name: bool) -> tuple[int, Said]:
    """Return the end of what begins at `at`, and the reports about it; `after_name`: directly after a name."""
    byte = text[at]
    if is_control(byte):
        return _end(_CONTROLS, text, at), [(at, CONTROL)]
    if byte >= ASCII:
        return at + 1, [(at, NON_ASCII.format(byte))]
    if byte in b"\"'":
        return _string(text, at)
    return _number(text, at, after_name=after_name)


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _string(text: bytes, at: int) -> tuple[int, Said]:
    found = _STRINGS[text[at : at + 1]].match(text, at)
    assert found  # noqa: S101  the pattern takes any text after a quote
    end = found.end()
    said = list(_escapes(text, at, end))
    if not found["close"]:
        said.append((end, UNCLOSED_LINE if text[end : end + 1] == b"\n" else UNCLOSED_END))
    return end, said


def _escapes(text: bytes, at: int, end: int) -> Iterator[tuple[int, str]]:
    for found in _ESCAPE.finditer(text, at, end):
        if found["good"] is None:
            yield found.end(), _ESCAPES[(found["begun"] or b"")[:1]]


def _number(text: bytes, at: int, *, after_name: bool) -> tuple[int, Said]:
    found = _NUMBER.match(text, at)
    assert found  # noqa: S101  a digit, or a point before a digit: any other token is well formed
    end = found.end()
    said: Said = []
    if found["dot"] and after_name:
        said.append((at, SPACE_BEFORE))
    if found["hex"] and end == at + 2:
        said.append((end, HEX))
    if found["bad"]:
        said.append((found.start("bad"), OCTAL))
    if found["exponent"] and not found["digits"]:
        said.append((found.end("exponent"), EXPONENT))
    said += _after(text, end, is_float=any(found[group] for group in ("point", "dot", "exponent", "f")))
    return end, said


def _after(text: bytes, end: int, *, is_float: bool) -> Said:
    follows = text[end : end + 1]
    if follows.isalpha() or follows == b"_":
        return [(end, SPACE_AFTER)]
    if follows == b".":
        return [(end, SECOND_POINT if is_float else POINT)]
    return []
