"""What `validate` found, in one value that every output format is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Unseen, Verdict
from tritonrepo.report.home import Home

Lines = Callable[[str], list[str]]
"""Returns the lines of a file by the path in a diagnostic; an empty list if there is nothing to show."""

BAD = frozenset({Severity.ERROR, Severity.FATAL})


class Part(NamedTuple):
    """What was found on one path, named as the user gave it."""

    path: str
    diagnostics: tuple[Diagnostic, ...]
    verdicts: tuple[Verdict, ...]
    lines: Lines


class Checked(NamedTuple):
    """Diagnostics and verdicts of all paths, the number of findings that comments hide, and what was not looked at.

    `parts` says the same by path; `ends` are the diagnostics that ended the command, which are also among the others.
    With a finding of a `bad` severity, the exit code is 1.
    """

    diagnostics: tuple[Diagnostic, ...]
    verdicts: tuple[Verdict, ...]
    ignored: int = 0
    unseen: tuple[Unseen, ...] = ()
    parts: tuple[Part, ...] = ()
    ends: tuple[Diagnostic, ...] = ()
    bad: frozenset[Severity] = BAD
    home: Home = Home()

    @property
    def code(self) -> int:
        """The command's exit code."""
        severities = {diagnostic.severity for diagnostic in self.diagnostics}
        return 2 if Severity.FATAL in severities else int(bool(self.ends) or not self.bad.isdisjoint(severities))
