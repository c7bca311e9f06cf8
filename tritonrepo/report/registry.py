"""Everything that can be reported, by name: the rules of `validate`, and what the other layers stop at or warn of.

The layers below only name what they report. Its pages are data that is read here: a rule's own, and `reported.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.rules import RULES
from tritonrepo.rules.names import matching
from tritonrepo.rules.pages import pages


class Entry(NamedTuple):
    """A name that users meet in brackets, how bad it usually is, and its page: one sentence, then sections."""

    name: str
    severity: Severity
    page: str


def _entries() -> Iterator[Entry]:
    yield from (Entry(rule.name, rule.severity, rule.page) for rule in RULES.values())
    yield from (Entry(*page) for page in pages(__package__, "reported.md"))


REGISTRY = {entry.name: entry for entry in _entries()}


def named(text: str) -> tuple[Entry, ...]:
    """Return the entry of this name; else those whose names begin with these words, and a family's rules."""
    if text in REGISTRY:
        return (REGISTRY[text],)
    rules, words = {rule.name for rule in matching(text)}, f"{text.removesuffix('-')}-"
    return tuple(entry for name, entry in REGISTRY.items() if name in rules or name.startswith(words))
