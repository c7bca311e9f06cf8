"""`tritonrepo validate --upgrade-to`: what another release would say of the same paths."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tritonrepo.cli.changes import Scope
from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.fixing import Fixing
from tritonrepo.cli.output import colour, concluded, painted
from tritonrepo.cli.settling import unused
from tritonrepo.cli.stdin import Stdin
from tritonrepo.diagnostics import Faults, Severity
from tritonrepo.flows.settled import Plan, Settled

if TYPE_CHECKING:
    from tritonrepo.rules.upgrades import Upgrade

OPTION = "--upgrade-to"


def alone(fixing: Fixing, scope: Scope, plan: Plan, stdin: Stdin) -> None:
    """Raise a usage error for an option that --upgrade-to cannot be combined with."""
    fixing.alone(OPTION)
    scope.whole(OPTION)
    unused(plan, OPTION)
    stdin.absent()


def compared(paths: Sequence[str], settled: Settled, release: str, form: str) -> set[Severity]:
    """Show what an upgrade of each path to a release changes; return the severities of what only that release says.

    Of settings, what they say of the target and of rules counts, and nothing that goes by files. A model that stops
    loading counts as an error, whatever is shown.
    """
    from tritonrepo.report import upgrade as report

    found: list[Upgrade] = []
    faults, colours = Faults(), colour(sys.stdout)
    with concluded(form, lambda ends: report.document(found, ends)):
        for path in paths:
            with uncollected():
                seen = faults.tried(partial(_upgraded, path, settled, release), None)
            if seen is not None:
                found.append(seen)
                if form == "text":
                    painted(report.lines(seen, colour=colours), colours=colours)
        faults.stop()
    broken = {Severity.ERROR} if any(each.stops for each in found) else set()
    return broken | {diagnostic.severity for each in found for diagnostic in each.added}


def _upgraded(path: str, settled: Settled, release: str) -> Upgrade:
    from tritonrepo.flows.upgrade import upgrade

    terms = settled.terms(path)
    return upgrade(path, terms.work, release, terms.aim, terms.shown_anywhere)
