"""What `validate` finds on all its paths, collected while they are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tritonrepo.cli.collecting import uncollected
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Unseen, Verdict
from tritonrepo.flows.validate import Judgement
from tritonrepo.report.checked import BAD, Checked, Part
from tritonrepo.rules.unseen import together
from tritonrepo.stores import is_remote

NOTHING = Judgement((), (), lambda _: [])


def once(paths: Sequence[str]) -> tuple[str, ...]:
    """Return paths in their order, each once: `models`, `models/` and `./models` are one."""
    found: dict[str, str] = {}
    for path in paths:
        found.setdefault(path if is_remote(path) else str(Path(path)), path)
    return tuple(found.values())


class Checking:
    """The findings of all paths so far; a path that cannot be read does not keep the others from being checked.

    With a finding of a `bad` severity, the exit code is 1. `fixed` is the number of findings that were fixed; None if
    none were to be.
    """

    def __init__(self, bad: frozenset[Severity] = BAD) -> None:
        self._bad = bad
        self.diagnostics: list[Diagnostic] = []
        self.verdicts: list[Verdict] = []
        self.ignored = self.objects = 0
        self.parts: list[Part] = []
        self.fixed: int | None = None
        self.faults = Faults()
        self._left: list[Unseen] = []
        self._hidden, self._baselined = Counter[str](), 0
        self._resolved: list[Diagnostic] = []
        self._warned = False

    def tried(self, path: str, check: Callable[[], Judgement]) -> Judgement:
        """Check a path, and keep what is found; return it, or nothing if the path cannot be read."""
        with uncollected():
            judgement = self.faults.tried(check, NOTHING)
        if judgement is not NOTHING:
            self.parts.append(Part(path, judgement.diagnostics, judgement.verdicts, judgement.lines))
        self.diagnostics += judgement.diagnostics
        self.verdicts += judgement.verdicts
        self.ignored += judgement.ignored
        self.objects += judgement.objects
        self._left += judgement.unseen
        self._hidden[judgement.settings] += judgement.by_settings
        self._baselined += judgement.baselined
        self._resolved += judgement.resolved
        self._warned |= judgement.strict and any(each.severity is Severity.WARNING for each in judgement.diagnostics)
        return judgement

    def checked(self, ends: Sequence[Diagnostic] = ()) -> Checked:
        """Return everything that was found, with the diagnostics that ended the command."""
        found, left = (*self.diagnostics, *ends), together(self._left)
        return Checked(
            found,
            tuple(self.verdicts),
            self.ignored,
            left,
            parts=tuple(self.parts),
            ends=tuple(ends),
            bad=self._bad,
            hidden=+self._hidden,
            baselined=self._baselined,
            resolved=tuple(dict.fromkeys(self._resolved)),
            warned=self._warned,
            fixed=self.fixed,
            objects=self.objects,
        )

    @property
    def worst(self) -> int:
        """The exit code: 1 if a finding has one of the bad severities, or is a warning under strict settings."""
        return int(self._warned or any(diagnostic.severity in self._bad for diagnostic in self.diagnostics))
