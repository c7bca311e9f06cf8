"""Which findings are shown, by the rules that options name."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tritonrepo.diagnostics import Severity
from tritonrepo.flows.validate import Shown
from tritonrepo.rules import Rule
from tritonrepo.rules.names import matching, unknown


def selected(select: Sequence[str], ignore: Sequence[str], *, verbose: bool) -> Shown:
    """Return the predicate that says whether to show a rule's findings; those of severity info need `verbose`."""
    wanted, hidden = _rules(select), _rules(ignore)

    def shown(rule: Rule) -> bool:
        loud = verbose or rule.severity is not Severity.INFO
        return loud and (not select or rule.name in wanted) and rule.name not in hidden

    return shown


def _rules(texts: Sequence[str]) -> frozenset[str]:
    """Return the names of the rules that an option selects; raise a usage error for a text that matches no rule."""
    for text in texts:
        if not matching(text):
            raise click.UsageError(unknown(text))
    return frozenset(rule.name for text in texts for rule in matching(text))
