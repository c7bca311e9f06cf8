"""What is wrong, where, and the next step: the only way in which this package reports problems."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, TypeVar

from tritonrepo.plain import printable


class Severity(StrEnum):
    """Severity of a diagnostic, from mild to fatal; a command exits with code 2 on `fatal`, with 1 on `error`."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file: path as the user gave it, line and column from 1; 0 is the whole file.

    Its end is the column after the last character, 0 if it is not known; comparisons ignore it.
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


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of an offset of a text, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class Replacement(NamedTuple):
    """Text that replaces what is between the start and the end of a place; it is inserted if both are equal."""

    at: Span
    text: str


class Move(NamedTuple):
    """A file or directory, with everything in it, gets another path, at which nothing is yet."""

    path: str
    to: str


class Create(NamedTuple):
    """A new text file, or an empty directory if the text is None, at a path at which nothing is yet."""

    path: str
    text: str | None = None


class Remove(NamedTuple):
    """A file or link is removed, or a directory with everything in it."""

    path: str


FileChange = Move | Create | Remove


@dataclass(frozen=True, slots=True)
class Fix:
    """A fix for a fault, in one file or several: all of it or nothing; a safe one needs no review.

    The replacements come first, in the files as they are; then what happens to whole files, in this order.
    """

    replacements: tuple[Replacement, ...] = ()
    safe: bool = False
    files: tuple[FileChange, ...] = ()

    def renamed(self, name: Callable[[str], str]) -> Fix:
        """Return a copy with every path replaced by what `name` returns for it."""
        moved = (Replacement(replace(each.at, path=name(each.at.path)), each.text) for each in self.replacements)
        return Fix(tuple(moved), self.safe, tuple(_renamed(each, name) for each in self.files))


def _renamed(change: FileChange, name: Callable[[str], str]) -> FileChange:
    match change:
        case Move(path, to):
            return Move(name(path), name(to))
        case Create(path, text):
            return Create(name(path), text)
        case Remove(path):
            return Remove(name(path))


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault: its place, what is wrong in one line, the next step, what the server says about it, and its fix.

    `anchored` is the path that fingerprints go by: from a directory that is the same wherever a command runs.
    """

    rule: str
    severity: Severity
    at: Span
    message: str
    hint: str = ""
    model: str = ""
    server_reason: str = ""
    fix: Fix | None = None
    anchored: str = field(default="", compare=False)

    def renamed(self, name: Callable[[str], str]) -> Diagnostic:
        """Return a copy with every path replaced by what `name` returns for it: where a user finds the file."""
        fix = None if self.fix is None else self.fix.renamed(name)
        return replace(self, at=replace(self.at, path=name(self.at.path)), fix=fix)

    def __str__(self) -> str:
        """Return the diagnostic as users see it; control characters in names are escaped."""
        return "\n".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The message's line, then the lines of the hint, indented."""
        head = printable(f"{self.at}: {self.severity}: {self.message} [{self.rule}]")
        return head, *(f"  {printable(line)}" for line in self.hint.split("\n") if line)


class State(StrEnum):
    """What happens to a model on the server; a crash takes all models down, a hang keeps all of them waiting forever.

    A model is not judged if the server would follow a link out of the repository, which is not done here, or if only
    its config is known.
    """

    READY = "ready"
    REFUSED = "refused"
    CRASH = "crash"
    HANG = "hang"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the server says about a model: the first failing check in its own order, that check's stage and words."""

    model: str
    verdict: State
    rule: str = ""
    stage: str = ""
    server_reason: str = ""


class Unseen(NamedTuple):
    """What was not looked into, in users' words, and the models that have it."""

    what: str
    models: tuple[str, ...]


class Stop(Exception):  # noqa: N818  not an error of ours: the end of a command that cannot continue
    """The end of a command, with the diagnostics that say why; caught only in `cli.main`."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))

    def of(self, severity: Severity) -> Stop:
        """Return a copy whose diagnostics all have this severity, which the caller chooses."""
        return Stop(replace(diagnostic, severity=severity) for diagnostic in self.diagnostics)


def fatal(rule: str, at: Span | str, message: str, hint: str = "") -> Stop:
    """Return the Stop for something that a command cannot work from (exit code 2)."""
    return Stop([Diagnostic(rule, Severity.FATAL, at if isinstance(at, Span) else Span(at), message, hint)])


def uninstalled(extra: str, needs: str, error: Exception) -> Stop:
    """Return the Stop for a package that cannot be imported: what needs it, and the extra that installs it."""
    return fatal("extra-missing", "tritonrepo", needs, f"Run `pip install 'tritonrepo[{extra}]'` ({error}).")


def failure(rule: str, at: Span | str, message: str, hint: str = "") -> Stop:
    """Return the Stop for something that was attempted or checked and has a problem (exit code 1)."""
    return Stop([Diagnostic(rule, Severity.ERROR, at if isinstance(at, Span) else Span(at), message, hint)])


T = TypeVar("T")


class Faults:
    """The diagnostics of independent parts: each part is tried, and all failures are reported in one run."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    def tried(self, make: Callable[[], T], otherwise: T) -> T:
        """Return what `make` returns, or `otherwise` if it fails."""
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
        """Raise Stop with everything that was found, sorted by place; do nothing if nothing was found."""
        if self.found:
            raise Stop(sorted(self.found, key=lambda diagnostic: (diagnostic.at, diagnostic.rule)))


def unreadable(error: OSError) -> Stop:
    """Return the Stop for a file that the system refuses to open; raise the error again if it names no file."""
    if error.filename is None:
        raise error
    message = f"the file cannot be read: {error.strerror or error}"
    return fatal("input-access", str(error.filename), message, "Grant this user read access, or use another path.")


LONGEST_WORD = 99
"""How many characters of a misspelt word are compared: the time grows with their square."""


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the choice that a misspelt word was meant to be; "" if none is similar."""
    return next(iter(_close(word, list(choices), 1, cutoff)), "")


def _close(word: str, choices: list[str], most: int, cutoff: float) -> list[str]:
    """Return the closest choices; what compares them is imported here, because most commands need none of it."""
    from difflib import get_close_matches  # noqa: PLC0415

    return get_close_matches(word[:LONGEST_WORD], choices, most, cutoff)


def either(words: Iterable[str]) -> str:
    """Return words as alternatives: `a, b or c`."""
    *others, last = [*words] or [""]
    return f"{', '.join(others)} or {last}" if others else last


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, as in `1 file`, `2,000 files` or, with the plural, `2 copies`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def some(words: Collection[str], most: int) -> str:
    """Return the first words of a list, and how many more there are: `a, b and 3 more`."""
    shown, more = ", ".join([*words][:most]), len(words) - most
    return f"{shown} and {more:,} more" if more > 0 else shown


FEW = 12
"""Up to this many choices are listed in a line; of more, only the closest."""


def closest(word: str, choices: Sequence[str] | Mapping[str, object]) -> str:
    """Return `Did you mean "x"?`, or the choices if none is similar; of many choices, the closest."""
    near = nearest(word, choices)
    if near:
        return printable(f'Did you mean "{near}"?')
    if len(choices) <= FEW:
        return printable(f"Use one of: {', '.join(sorted(choices))}.")
    few = _close(word, list(choices), FEW // 2, 0)
    return printable(f"Use one of {len(choices):,} names. The closest are: {', '.join(few)}.")
