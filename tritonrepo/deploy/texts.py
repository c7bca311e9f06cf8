"""Text of Compose files: strings in quotes that no name can leave, and comments that stay comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from tritonrepo.plain import inline

WIDTH = 116
ESCAPED = {'"': '\\"', "\\": "\\\\"}


def quoted(text: str) -> str:
    """Return a string in double quotes for YAML, with `$$` for `$`, which Compose would replace."""
    return literal(text.replace("$", "$$"))


def literal(text: str) -> str:
    """Return a string in double quotes for YAML, in which Compose replaces variables."""
    return f'"{"".join(map(_character, text))}"'


def _character(character: str) -> str:
    if character in ESCAPED or character.isprintable():
        return ESCAPED.get(character, character)
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"  # noqa: PLR2004  the end of the first plane


def said(*sentences: str) -> list[str]:
    """Return sentences as the lines of a comment; names in them may be foreign."""
    return [f"# {line}" for line in textwrap.wrap(inline(" ".join(sentences)), WIDTH, break_on_hyphens=False)]


def rows(lines: Iterable[str]) -> list[str]:
    """Return lines of a comment, one for each."""
    return [f"#   {inline(line)}" for line in lines]


def below(head: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a key, and the lines of its value, indented."""
    yield head
    yield from (f"  {line}" for line in lines)
