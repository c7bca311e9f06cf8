"""Edits that turn what other formats have into protobuf text: the comments of C, and byte order marks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tritonrepo.pbtxt.edits import Edit

UTF8 = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
MARKS = (UTF8, *UTF16)
"""Byte order marks."""

BLANKS = b" \t"
SLASHES = re.compile(rb"/{2,}+")
NEXT_LINE = re.compile(rb"(?:[ \t\r]*+\n)++[ \t]*+(?=//)")
"""What is between a comment and another one on the next line that has something."""


def comment(text: bytes, at: int) -> tuple[Edit, ...]:
    """Return the edits of the comment that begins here with // or /*, and of those with // on the next lines."""
    if text.startswith(b"/*", at):
        return _block(text, at)
    edits: list[Edit] = []
    while found := SLASHES.match(text, at):
        edits.append(Edit(at, found.end(), b"#"))
        end = text.find(b"\n", at)
        follows = NEXT_LINE.match(text, end) if end >= 0 else None
        if follows is None:
            break
        at = follows.end()
    return tuple(edits)


def is_balanced(text: bytes, comments: Sequence[Edit]) -> bool:
    """Return whether comments contain the counterpart of each of their brackets: no other one loses its own."""
    if not comments:
        return False
    end = text.find(b"\n", comments[-1].end)
    covered = text[comments[0].start : len(text) if end < 0 else end]
    return all(covered.count(opening) == covered.count(closing) for opening, closing in (b"{}", b"[]"))


def _block(text: bytes, at: int) -> tuple[Edit, ...]:
    """Return the edit that gives every line of a comment between /* and */ its own #; none if it is never closed."""
    close = text.find(b"*/", at + 2)
    if close < 0:
        return ()
    first, *rest = text[at + 2 : close].lstrip(b"*").split(b"\n")
    lines = [b"#" + first.rstrip(BLANKS), *map(_line, rest)]
    if rest and not rest[-1].strip(b"*\r" + BLANKS):
        lines.pop()
        lines[-1] = lines[-1].rstrip(b"\r") if len(lines) > 1 or first.strip() else b"#"
    if len(lines) > 1 and not first.strip():
        lines = [lines[1].lstrip(BLANKS), *lines[2:]]
    end, stop = close + 2, text.find(b"\n", close)
    behind = text[end : len(text) if stop < 0 else stop]
    if behind.strip():
        end += len(behind) - len(behind.lstrip(BLANKS))
        lines.append(_indent(text, at))
    return (Edit(at, end, b"\n".join(lines)),)


def _line(line: bytes) -> bytes:
    words = line.lstrip(BLANKS)
    gap = b"" if words.startswith(b"*") or not words.strip() else b" "
    return line[: len(line) - len(words)] + b"#" + gap + words.removeprefix(b"*").rstrip(BLANKS)


def _indent(text: bytes, at: int) -> bytes:
    line = text[text.rfind(b"\n", 0, at) + 1 : at]
    return line if not line.strip(BLANKS) else b""


def unmarked(text: bytes) -> tuple[Edit, ...]:
    """Return the edit that makes UTF-8 without a byte order mark of a text that begins with one; none if it cannot."""
    if text.startswith(UTF8):
        end = len(UTF8)
        while text.startswith(UTF8, end):
            end += len(UTF8)
        return (Edit(0, end, b""),)
    try:
        plain = text.decode("utf-16").encode("utf-8")
    except UnicodeError:
        return ()
    return () if b"\0" in plain else (Edit(0, len(text), plain),)
