"""Which rules options name: each option can be repeated, and each value can have several rules, with commas."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tritonrepo.flows.settled import Wanted


def selected(select: Sequence[str], ignore: Sequence[str], *, verbose: bool) -> Wanted:
    """Return which rules' findings options want to see; raise a usage error for a text that matches no rule."""
    return Wanted(_rules(select) if select else None, _rules(ignore), verbose)


def _rules(values: Sequence[str]) -> frozenset[str]:
    if not values:
        return frozenset()
    from tritonrepo.rules.names import matching, unknown  # which know all rules, those of manifests among them

    texts = [text.strip() for value in values for text in value.split(",")]
    for text in texts:
        if not matching(text):
            raise click.UsageError(unknown(text))
    return frozenset(rule.name for text in texts for rule in matching(text))
