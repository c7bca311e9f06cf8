"""What `validate` finds on all its paths, collected while they are checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tritonrepo.cli.collecting import uncollected
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Unseen, Verdict
from tritonrepo.flows.validate import Judgement
from tritonrepo.report.checked import Checked
from tritonrepo.rules.unseen import together

NOTHING = Judgement((), (), lambda _: [])


class Checking:
    """The findings of all paths so far; a path that cannot be read does not keep the others from being checked."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.verdicts: list[Verdict] = []
        self.ignored = 0
        self.judged = False
        self.faults = Faults()
        self._left: list[Unseen] = []

    def tried(self, check: Callable[[], Judgement]) -> Judgement:
        """Check a path, and keep what is found; return it, or nothing if the path cannot be read."""
        with uncollected():
            judgement = self.faults.tried(check, NOTHING)
        self.judged |= judgement is not NOTHING
        self.diagnostics += judgement.diagnostics
        self.verdicts += judgement.verdicts
        self.ignored += judgement.ignored
        self._left += judgement.unseen
        return judgement

    def checked(self, ends: Sequence[Diagnostic] = ()) -> Checked:
        """Return everything that was found, with the diagnostics that ended the command."""
        found = (*self.diagnostics, *ends)
        return Checked(found, tuple(self.verdicts), self.ignored, together(self._left))

    def worst(self, bad: Collection[Severity]) -> int:
        """Return the exit code: 1 if a finding has one of these severities."""
        return int(any(diagnostic.severity in bad for diagnostic in self.diagnostics))
