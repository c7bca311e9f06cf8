"""What is wrong, where, and the next step: the one way this package speaks of problems."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, TypeVar

from tritonrepo.plain import printable


class Severity(StrEnum):
    """How bad it is, mildest first; `fatal` ends a command with exit code 2, `error` with 1."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file: path as the user gave it, line and column from 1; 0 is the file as a whole.

    Its end is the column after the last character, 0 where it is not known; no two places are told apart by it.
    """

    path: str
    line: int = 0
    column: int = 0
    end_line: int = field(default=0, compare=False)
    end_column: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """Return `path`, `path:line` or `path:line:column`."""
        numbers = [str(number) for number in (self.line, self.column) if number]
        return ":".join([self.path, *numbers])


class Replacement(NamedTuple):
    """Text that comes in place of what stands from a place to its end; where both are one, it is put in there."""

    at: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """What mends a fault, in one file or several: all replacements or none; a safe one needs nobody to look at it."""

    replacements: tuple[Replacement, ...]
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault: its place, what is wrong in one line, the next step, what the server says of it, and what mends it."""

    rule: str
    severity: Severity
    at: Span
    message: str
    hint: str = ""
    model: str = ""
    server_reason: str = ""
    fix: Fix | None = None

    def renamed(self, name: Callable[[str], str]) -> Diagnostic:
        """Return the same with every path as `name` gives it: where a user finds the file."""
        at, fix = replace(self.at, path=name(self.at.path)), self.fix
        if fix is not None:
            moved = (Replacement(replace(each.at, path=name(each.at.path)), each.text) for each in fix.replacements)
            fix = replace(fix, replacements=tuple(moved))
        return replace(self, at=at, fix=fix)

    def __str__(self) -> str:
        """Return the message as users see it; control characters in names are escaped."""
        return "\n".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The message's line, then those of the hint, indented."""
        head = printable(f"{self.at}: {self.severity}: {self.message} [{self.rule}]")
        return head, *(f"  {printable(line)}" for line in self.hint.split("\n") if line)


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
        """Return the same with all its diagnostics of this severity: where it was met says how much it ends."""
        return Stop(replace(diagnostic, severity=severity) for diagnostic in self.diagnostics)


def fatal(rule: str, at: Span | str, message: str, hint: str = "") -> Stop:
    """Return the Stop for something that a command cannot work from (exit code 2)."""
    return Stop([Diagnostic(rule, Severity.FATAL, at if isinstance(at, Span) else Span(at), message, hint)])


def failure(rule: str, at: Span | str, message: str, hint: str = "") -> Stop:
    """Return the Stop for something that was attempted or judged and has a problem (exit code 1)."""
    return Stop([Diagnostic(rule, Severity.ERROR, at if isinstance(at, Span) else Span(at), message, hint)])


T = TypeVar("T")


class Faults:
    """The diagnostics of parts that do not depend on one another: each is tried, what failed is told in one run."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    def tried(self, make: Callable[[], T], otherwise: T) -> T:
        """Return what `make` does, or the stand-in `otherwise` where it cannot."""
        try:
            return make()
        except Stop as stop:
            self.add(*stop.diagnostics)
        except OSError as error:
            self.add(*unreadable(error).diagnostics)
        return otherwise

    def add(self, *diagnostics: Diagnostic) -> None:
        """Remember these diagnostics, each once."""
        self.found += [diagnostic for diagnostic in dict.fromkeys(diagnostics) if diagnostic not in self.found]

    def stop(self) -> None:
        """Raise Stop with everything that was found, by place; do nothing where that is nothing."""
        if self.found:
            raise Stop(sorted(self.found, key=lambda diagnostic: (diagnostic.at, diagnostic.rule)))


def unreadable(error: OSError) -> Stop:
    """Return the Stop for a file that the system refuses; raise the error again where it names none."""
    if error.filename is None:
        raise error
    message = f"cannot be read: {error.strerror or error}"
    return fatal("input-access", str(error.filename), message, "Give this user access to it, or another path.")


LONGEST_WORD = 99
"""Characters of a misspelt word that are compared: the time grows with their square."""


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the choice that a misspelt word was meant to be; "" where none is near."""
    return next(iter(difflib.get_close_matches(word[:LONGEST_WORD], list(choices), 1, cutoff)), "")


FEW = 12
"""So many choices are told in a line; of more only the nearest."""


def closest(word: str, choices: Sequence[str] | Mapping[str, object]) -> str:
    """Return `Did you mean "x"?`, or the choices where none is near; of many, those that are the least far."""
    near = nearest(word, choices)
    if near:
        return printable(f'Did you mean "{near}"?')
    if len(choices) <= FEW:
        return printable(f"One of: {', '.join(sorted(choices))}.")
    few = difflib.get_close_matches(word[:LONGEST_WORD], list(choices), FEW // 2, 0)
    return printable(f"Nearest of {len(choices):,}: {', '.join(few)}.")
