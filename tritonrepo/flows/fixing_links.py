"""Links in a repository, through which no fix is written: what is behind one may be shared, or another's."""

from __future__ import annotations

import os

from tritonrepo.diagnostics import Diagnostic, Move
from tritonrepo.fixes import changed
from tritonrepo.flows.rounds import held_back
from tritonrepo.tree import parents

REASON = "a link leads to the file"
HINT = "Make the change by hand in the file that the link leads to, or replace the link with that file."


def told_of_link(found: Diagnostic) -> Diagnostic:
    """Return the diagnostic that says that a finding's fix is held back by a link."""
    return held_back(found, REASON, HINT)


class Linked:
    """The links of a repository that are in the way of fixes; `met` tells whether one was."""

    def __init__(self, path: str) -> None:
        self.met = False
        self._path = path
        self._known: dict[str, bool] = {}

    def blocks(self, found: Diagnostic) -> bool:
        """Whether a link is on the way to what a fix changes, or is a file that it would write or move elsewhere."""
        fix = found.fix
        if fix is None:
            return False
        written = [each.at.path for each in fix.replacements]
        moved = [each.path for each in fix.files if isinstance(each, Move) and parents(each.path) != parents(each.to)]
        above = [each for path in changed(fix) for each in parents(path)]
        return any(self._is_link(path) for path in (*written, *moved, *above))

    def _is_link(self, path: str) -> bool:
        if path not in self._known:
            self._known[path] = os.path.islink(os.path.join(self._path, path))  # noqa: PTH114, PTH118  thousands
            self.met |= self._known[path]
        return self._known[path]
