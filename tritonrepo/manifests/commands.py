"""What a container's command and arguments start: the words of the server's command line, with their places."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.objects import items
from tritonrepo.spec.nodes import Keys, Scalar

SHELLS = {"sh", "bash", "dash", "ash", "zsh"}
SEPARATORS = {";", "&&", "||", "|", "&"}
CONTINUED = re.compile(r"\\\r?\n")
LONGEST_SCRIPT = 1 << 16
"""Characters of a script; a longer one is not read."""


class Word(NamedTuple):
    """A word of a command line; the words of a script have the place of the script."""

    text: str
    at: Span


class Argument(NamedTuple):
    """An option of a command line: its name without dashes at the front, and its value, None if it has none."""

    name: str
    value: str | None
    at: Span

    @property
    def typed(self) -> str:
        """The option as one writes it."""
        return f"{'-' if len(self.name) <= SHORT else '--'}{self.name}"


SHORT = 3
"""Names of up to so many characters are written with one dash, as `-tp`; a longer one has two."""


def words(container: Keys, path: str) -> tuple[Word, ...]:
    """Return the words of a list, such as `command`, of a container."""
    return tuple(Word(each.text, each.at) for each in items(container, path) if isinstance(each, Scalar))


def commands(line: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    """Yield the command lines that a command runs: those of the script for `sh -c SCRIPT`, otherwise itself."""
    script = _script(line)
    if script is None:
        yield tuple(line)
        return
    for each in _split(script.text[:LONGEST_SCRIPT]):
        yield tuple(Word(text, script.at) for text in each)


def _script(line: Sequence[Word]) -> Word | None:
    """Return the script of `sh -c SCRIPT`; None if this is another command."""
    if not line or line[0].text.rpartition("/")[2] not in SHELLS:
        return None
    for number, word in enumerate(line[1:], 1):
        if not word.text.startswith("-"):
            return None
        if "c" in word.text.lstrip("-") and not word.text.startswith("--"):
            return line[number + 1] if number + 1 < len(line) else None
    return None


def _split(script: str) -> Iterator[list[str]]:
    """Yield the commands of a script, as words; what cannot be split is left out."""
    for part in CONTINUED.sub(" ", script).splitlines():
        try:
            found = _tokens(part)
        except ValueError:  # a quote that goes on in the next line
            continue
        line: list[str] = []
        for token in found:
            if token in SEPARATORS:
                yield line
                line = []
            else:
                line.append(token)
        yield line


def _tokens(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    return list(lexer)


def arguments(line: Sequence[Word]) -> tuple[Argument, ...]:
    """Return the options of a command line: `--name=value`, `--name value` or `--name`."""
    found = []
    for number, (text, at) in enumerate(line):
        if not is_option(text):
            continue
        name, equals, value = text.lstrip("-").partition("=")
        after = line[number + 1].text if number + 1 < len(line) else "--"
        found.append(Argument(name, value if equals else None if is_option(after) else after, at))
    return tuple(found)


def is_option(text: str) -> bool:
    """Return whether a word is an option and no value, such as a negative number."""
    return len(text) > 1 and text.startswith("-") and not text[1].isdigit() and text[1] != "."
