"""What `validate` found, in one value that every output format is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
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
    With a finding of a `bad` severity, the exit code is 1, and with a warning that strict settings make one (`warned`).
    `hidden` counts the findings that a file of settings hides. A baseline holds `baselined` findings that still occur,
    and those that are resolved. `fixed` is the number of findings that were fixed, which are not among the diagnostics;
    None if none were to be. `objects` is the number of Kubernetes objects.
    """

    diagnostics: tuple[Diagnostic, ...]
    verdicts: tuple[Verdict, ...]
    ignored: int = 0
    unseen: tuple[Unseen, ...] = ()
    parts: tuple[Part, ...] = ()
    ends: tuple[Diagnostic, ...] = ()
    bad: frozenset[Severity] = BAD
    home: Home = Home()
    hidden: Mapping[str, int] = MappingProxyType({})
    baselined: int = 0
    resolved: tuple[Diagnostic, ...] = ()
    warned: bool = False
    fixed: int | None = None
    objects: int = 0

    @property
    def code(self) -> int:
        """The command's exit code."""
        severities = {diagnostic.severity for diagnostic in self.diagnostics}
        if Severity.FATAL in severities:
            return 2
        return int(bool(self.ends) or self.warned or not self.bad.isdisjoint(severities))
