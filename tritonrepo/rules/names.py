"""Rules by what a user types: a name, the first words of names, or a family."""

from __future__ import annotations

from collections.abc import Iterable

from tritonrepo.diagnostics import closest
from tritonrepo.rules import RULES, Rule
from tritonrepo.rules.families import FAMILIES

ALL = "ALL"

NAMES = {family.__name__.rpartition(".")[2]: f"{family.__name__}." for family in FAMILIES}
"""Family → the prefix of its modules' names."""


def matching(text: str) -> tuple[Rule, ...]:
    """Return the rule with this name, or else those whose names begin with these words and those of this family.

    `ALL` is all rules.
    """
    if text == ALL:
        return tuple(RULES.values())
    if text in RULES:
        return (RULES[text],)
    words, home = f"{text.removesuffix('-')}-", NAMES.get(text, "-")
    return tuple(
        rule for rule in RULES.values() if rule.name.startswith(words) or f"{rule.check.__module__}.".startswith(home)
    )


def unknown(text: str, names: Iterable[str] = RULES) -> str:
    """Return what is wrong with a text that matches none of these names, and the next step."""
    return f'unknown rule "{text}". {closest(text, [*names, *NAMES])} `tritonrepo explain --all` lists all.'
