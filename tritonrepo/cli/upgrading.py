"""`tritonrepo validate --upgrade-to`: what another release would say of the same paths."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.output import colour, concluded, painted
from tritonrepo.diagnostics import Faults, Severity
from tritonrepo.flows.settled import Settled
from tritonrepo.flows.upgrade import upgrade
from tritonrepo.report import upgrade as report
from tritonrepo.rules.upgrades import Upgrade


def compared(paths: Sequence[str], settled: Settled, release: str, form: str) -> set[Severity]:
    """Show what an upgrade of each path to a release changes; return the severities of what only that release says.

    Of settings, what they say of the target and of rules counts, and nothing that goes by files. A model that stops
    loading counts as an error, whatever is shown.
    """
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
    terms = settled.terms(path)
    return upgrade(path, terms.work, release, terms.aim, terms.shown_anywhere)
