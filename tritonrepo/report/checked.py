"""What `validate` found, in one value that every output format is made of."""

from __future__ import annotations

from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Unseen, Verdict


class Checked(NamedTuple):
    """Diagnostics and verdicts of all paths, the number of findings that comments hide, and what was not looked at."""

    diagnostics: tuple[Diagnostic, ...]
    verdicts: tuple[Verdict, ...]
    ignored: int = 0
    unseen: tuple[Unseen, ...] = ()
