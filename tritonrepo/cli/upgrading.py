"""`tritonrepo validate --upgrade-to`: what another release would say of the same paths."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.output import colour, concluded, painted
from tritonrepo.diagnostics import Faults, Severity
from tritonrepo.flows.upgrade import upgrade
from tritonrepo.flows.validate import Aim, Shown
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report import upgrade as report
from tritonrepo.rules.upgrades import Upgrade


def compared(paths: Sequence[str], work: Workspace, aims: tuple[Aim, str], shown: Shown, form: str) -> set[Severity]:
    """Show what an upgrade of each path changes; return the severities of what only the new release says.

    `aims` are the target and the new release. A model that stops loading counts as an error, whatever is shown.
    """
    aim, release = aims
    found: list[Upgrade] = []
    faults, colours = Faults(), colour(sys.stdout)
    with concluded(form, lambda ends: report.document(found, ends)):
        for path in paths:
            with uncollected():
                seen = faults.tried(partial(upgrade, path, work, release, aim, shown), None)
            if seen is not None:
                found.append(seen)
                if form == "text":
                    painted(report.lines(seen, colour=colours), colours=colours)
        faults.stop()
    broken = {Severity.ERROR} if any(each.stops for each in found) else set()
    return broken | {diagnostic.severity for each in found for diagnostic in each.added}
