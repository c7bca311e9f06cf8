"""Foreign text made plain: names, messages and answers that anybody may have written, as they may be printed.

This is the one place that says what may not be printed: what drives a terminal or a CI service, and passwords.
"""

from __future__ import annotations

import re

USERINFO = re.compile(r"(:/+)(?:[^/\s\"'<>]*@|[^/\s\"'<>:]+:(?![0-9]*(?:[/\s]|$))\S{0,999}@)")
"""What stands before the host of a URI, a password with slashes in it too; `host:8000/key@1` has none."""

DRIVING = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that drive a terminal, turn the direction of a text, break lines or cannot be written as UTF-8.

A blank that does not break and a joiner of letters are none: answers of models are full of them.
"""

COMMANDS = ("::", "##")
"""How a line begins that a CI service takes for a command: GitHub, Azure, TeamCity."""


def hidden(text: str) -> str:
    """Return the text with `***` for the user and password of each URI in it."""
    return USERINFO.sub(r"\1***@", text) if "@" in text else text


def escaped(text: str) -> str:
    """Return the text with what drives a terminal written out; lines and tabs stay."""
    return DRIVING.sub(lambda found: _written_out(found[0]), text)


def printable(text: str) -> str:
    """Return the text as a line of its own: nothing in it drives a terminal or a CI service."""
    begin = text.lstrip()
    if begin.startswith(COMMANDS):
        text = text.replace(begin[0], f"\\x{ord(begin[0]):02x}", 1)
    return inline(text)


def inline(text: str) -> str:
    """Return the text as a part of a line."""
    text = hidden(text)
    return text if text.isprintable() else "".join(c if c.isprintable() else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    r"""Return a character as Python writes it; a byte of a name that is not UTF-8 is `\udcNN`."""
    return character.encode("unicode_escape", "surrogatepass").decode()
