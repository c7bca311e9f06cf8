"""The tokens of protobuf text format, read with a few calls of the regex engine.

Source: protobuf v21, src/google/protobuf/io/tokenizer.cc, with the options that TextFormat sets: `#` begins a comment,
`f` may follow a float, a number needs a space before a letter. A malformed token is left to `lexical`.
"""

from __future__ import annotations

import re
from itertools import accumulate
from operator import add, sub
from typing import NamedTuple

from tritonrepo.pbtxt import lexical
from tritonrepo.pbtxt.lexical import LexicalFault

BLANK = rb"[ \t\n\r\v\f]"
COMMENT = rb"#[^\n\0]*+"
GAP = rb"%b*+(?:%b%b*+)*+" % (BLANK, COMMENT, BLANK)

NAME = rb"[A-Za-z_][A-Za-z0-9_]*+"
HEX = rb"0[xX][0-9a-fA-F]++"
OCTAL = rb"0[0-7]++(?![0-9])"
DECIMAL = rb"(?:(?:0(?![0-9xX])|[1-9][0-9]*+)(?:\.[0-9]*+)?+|(?<![A-Za-z0-9_])\.[0-9]++)(?:[eE][-+]?[0-9]++)?+[fF]?+"
NUMBER = rb"(?:%b|%b|%b)(?![A-Za-z_.])" % (HEX, OCTAL, DECIMAL)
ESCAPE = rb"\\(?:[abfnrtv\\?'\"0-7]|x[0-9a-fA-F]|u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5})"
STRING = rb"\"(?:[^\"\\\n\0]++|%b)*+\"|'(?:[^'\\\n\0]++|%b)*+'" % (ESCAPE, ESCAPE)
SYMBOL = rb"[!$%&()*+,\-/:;<=>?@\[\\\]^`{|}~\x7f]|\.(?![0-9])"
TOKEN = rb"%b|%b|%b|%b" % (NAME, SYMBOL, STRING, NUMBER)

END, WORD, DIGIT, DOT, QUOTE, OTHER = range(6)
"""Kinds of tokens by their first byte: the end, a name, a number, `.` or `.5`, a string, any other symbol."""

WINDOW = 1 << 18
"""Bytes that are read at first, so that a text with a fault at its start is not read to its end."""

_ALL = re.compile(rb"(%b)(%b|)" % (GAP, TOKEN))
"""Matches the gap even if no token follows: otherwise its bytes would be tried one by one, each up to its end."""

_ONE = re.compile(TOKEN)
_GAP = re.compile(GAP)
_COMMENT = re.compile(COMMENT)


def _kind(byte: int) -> int:
    if byte > 0x7F:  # noqa: PLR2004  the last byte of ASCII
        return OTHER
    char = chr(byte)
    if char.isalpha() or char == "_":
        return WORD
    return DIGIT if char.isdigit() else {".": DOT, '"': QUOTE, "'": QUOTE}.get(char, OTHER)


_KINDS = bytes(map(_kind, range(256)))


class Tokens(NamedTuple):
    """The tokens by number: text, kind, offset, offset of the end; the last one is the end of input, without text.

    `faults` are the tokenizer's reports; `whole` is whether the end is the text's and not only the window's.
    """

    texts: list[bytes]
    kinds: bytes
    starts: list[int]
    ends: list[int]
    faults: list[LexicalFault]
    whole: bool


def tokenize(text: bytes, window: int) -> Tokens:
    """Return the tokens of the first `window` bytes, without the last one if the text goes on after the window."""
    part = text if window >= len(text) else text[:window]
    gaps, tokens = zip(*_ALL.findall(part), strict=True)
    lengths = list(map(len, tokens))
    ends = list(accumulate(map(add, map(len, gaps), lengths)))
    if ends[-1] != len(part):  # the engine has skipped what is not a token
        return _tokenize_slowly(part, whole=part is text)
    texts, starts = list(tokens), list(map(sub, ends, lengths))
    if len(texts) > 1 and not texts[-2]:  # a gap at the end of the text is a separate match
        del texts[-2], starts[-2], ends[-2]
    return _closed(texts, starts, ends, part, whole=part is text)


def _closed(texts: list[bytes], starts: list[int], ends: list[int], part: bytes, *, whole: bool) -> Tokens:
    """Return the tokens up to the end; if the text goes on, the last one before the end is left out."""
    if not whole and len(texts) > 1:
        del texts[-2], starts[-2], ends[-2]
    kinds = bytes(map(part.__getitem__, starts[:-1])).translate(_KINDS) + bytes([END])
    return Tokens(texts, kinds, starts, ends, [], whole)


def _tokenize_slowly(part: bytes, *, whole: bool) -> Tokens:
    """Return the tokens of a text with lexical faults, matched one by one."""
    texts: list[bytes] = []
    starts: list[int] = []
    faults: list[LexicalFault] = []
    at = 0
    while True:
        at = _end(_GAP, part, at)
        if at == len(part):
            break
        good = _ONE.match(part, at)
        if good:
            end = good.end()
        else:
            end, said = lexical.judge(part, at, after_name=_is_name(texts, starts, at))
            faults += [LexicalFault(len(texts), offset, words) for offset, words in said]
        if good or not lexical.is_control(part[at]):
            texts.append(part[at:end])
            starts.append(at)
        at = end
    if not whole and starts:
        faults = [fault for fault in faults if fault.offset < starts[-1]]
    texts.append(b"")
    starts.append(len(part))
    ends = list(map(add, starts, map(len, texts)))
    return _closed(texts, starts, ends, part, whole=whole)._replace(faults=faults)


def _is_name(texts: list[bytes], starts: list[int], at: int) -> bool:
    """Return whether the last token is a name that ends here."""
    return bool(texts) and starts[-1] + len(texts[-1]) == at and _KINDS[texts[-1][0]] == WORD


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def comments(text: bytes) -> list[tuple[int, int]]:
    """Return the comments of a text as offsets of their `#` and their end."""
    if b"#" not in text:
        return []
    tokens = tokenize(text, len(text))
    ends = [0, *map(add, tokens.starts, map(len, tokens.texts))]
    gaps = zip(ends, tokens.starts, strict=False)
    return [found.span() for start, end in gaps for found in _COMMENT.finditer(text, start, end)]
