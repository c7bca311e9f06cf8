"""Foreign text made safe to print: names, messages and answers that anyone may have written.

This is the only place that defines what must not be printed: what controls a terminal or a CI service, and passwords.
"""

from __future__ import annotations

import re

USERINFO = re.compile(r"(:/+)(?:[^/\s\"'<>]*@|[^/\s\"'<>:]+:(?![0-9]*(?:[/\s]|$))\S{0,999}@)")
"""What precedes the host in a URI, even a password that contains slashes; `host:8000/key@1` has none."""

DRIVING = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that control a terminal, change the direction of text, break lines or cannot be written as UTF-8.

Non-breaking spaces and joiners are not among them: answers of models are full of them.
"""

COMMANDS = ("::", "##")
"""How a line begins that a CI service interprets as a command: GitHub, Azure, TeamCity."""

COMMAND = re.compile(r"##(?=[\w.]{0,99}\[)")
"""How a command begins that is read anywhere in a line: `##[` by GitHub's runner, `##vso[` by Azure's.

Source: actions/runner, src/Runner.Common/ActionCommand.cs, TryParse: the prefix may have any index.
"""


def hidden(text: str) -> str:
    """Return the text with `***` for the user and password of each URI in it."""
    return USERINFO.sub(r"\1***@", text) if "@" in text else text


def escaped(text: str) -> str:
    """Return the text with escapes for what controls a terminal; line breaks and tabs stay."""
    return DRIVING.sub(lambda found: _written_out(found[0]), text)


def printable(text: str) -> str:
    """Return the text as a separate line: nothing in it controls a terminal or a CI service."""
    begin = text.lstrip()
    if begin.startswith(COMMANDS):
        text = text.replace(begin[0], f"\\x{ord(begin[0]):02x}", 1)
    return inline(text)


def inline(text: str) -> str:
    """Return the text as part of a line."""
    text = hidden(text)
    if "##" in text:
        text = COMMAND.sub(r"\\x23#", text)
    return text if text.isprintable() else "".join(c if c.isprintable() else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    r"""Return a character as Python writes it; a byte of a name that is not UTF-8 is `\udcNN`."""
    return character.encode("unicode_escape", "surrogatepass").decode()
