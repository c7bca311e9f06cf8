"""What is wrong, where, and the next step: the one way this package speaks of problems."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How bad it is, mildest first; `fatal` ends a command with exit code 2, `error` with 1."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    FATAL = "fatal"


class Span(NamedTuple):
    """A place in a file: path as the user gave it, line and column from 1; 0 is the file as a whole."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Give `path`, `path:line` or `path:line:column`."""
        numbers = [str(number) for number in (self.line, self.column) if number]
        return ":".join([self.path, *numbers])


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault: its place, what is wrong in one line, the next step, and what the server says of it."""

    rule: str
    severity: Severity
    at: Span
    message: str
    hint: str = ""
    model: str = ""
    server_reason: str = ""

    def __str__(self) -> str:
        """Give the message as users see it; control characters in names are escaped."""
        head = printable(f"{self.at}: {self.severity}: {self.message} [{self.rule}]")
        return "\n".join([head, *(f"  {printable(line)}" for line in self.hint.splitlines())])


class State(StrEnum):
    """What becomes of a model on the server; a crash takes every model down, a hang keeps all waiting for ever.

    It is not judged where the server would follow a link out of the repository, which is not done here.
    """

    READY = "ready"
    REFUSED = "refused"
    CRASH = "crash"
    HANG = "hang"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the server says of a model: the first failing check in its own order, that check's stage and its words."""

    model: str
    verdict: State
    rule: str = ""
    stage: str = ""
    server_reason: str = ""


class Stop(Exception):  # noqa: N818  not an error of ours: the end of a command that cannot go on
    """Ends a command with the diagnostics that say why; caught in `cli.main` alone."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))

    def of(self, severity: Severity) -> Stop:
        """Give the same with all its diagnostics of this severity: where it was met says how much it ends."""
        return Stop(replace(diagnostic, severity=severity) for diagnostic in self.diagnostics)


def fatal(rule: str, at: Span | str, message: str, hint: str = "") -> Stop:
    """Give the Stop for something that a command cannot work from (exit code 2)."""
    return Stop([Diagnostic(rule, Severity.FATAL, at if isinstance(at, Span) else Span(at), message, hint)])


def failure(rule: str, at: Span | str, message: str, hint: str = "") -> Stop:
    """Give the Stop for something that was attempted or judged and has a problem (exit code 1)."""
    return Stop([Diagnostic(rule, Severity.ERROR, at if isinstance(at, Span) else Span(at), message, hint)])


def printable(text: str) -> str:
    """Give the text with control characters escaped, so that a file's name cannot drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


LONGEST_WORD = 99
"""Characters of a misspelt word that are compared: the time grows with their square."""


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.6) -> str:
    """Give the choice that a misspelt word was meant to be; "" where none is near."""
    return next(iter(difflib.get_close_matches(word[:LONGEST_WORD], list(choices), 1, cutoff)), "")


def closest(word: str, choices: Sequence[str] | Mapping[str, object]) -> str:
    """Give `Did you mean "x"?`, or the choices where none is near."""
    near = nearest(word, choices)
    return f'Did you mean "{near}"?' if near else f"One of: {', '.join(sorted(choices))}."
