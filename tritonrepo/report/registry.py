"""Everything that can be reported, by name: the rules of `validate`, and what the other layers stop at or warn of.

The layers below only name what they report. Each name has a page: a rule's is `rules/pages/NAME.md`, another's
`report/pages/NAME.md`, which also states its severity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.rules import RULES
from tritonrepo.rules.names import matching

REPORTED = resources.files(__package__) / "pages"
SEVERITY = re.compile(r"^Severity: (\w+)$", re.MULTILINE)
FIX = re.compile(r"^## Fix\n\n(Safe|Unsafe)\.", re.MULTILINE)


class Entry(NamedTuple):
    """A name that users meet in brackets, how bad it usually is, and where its page is."""

    name: str
    severity: Severity
    file: Traversable

    @property
    def page(self) -> str:
        """The page, in Markdown: a title, then sections."""
        return self.file.read_text("utf-8")

    @property
    def fix(self) -> str:
        """Whether `validate` can fix it: "safe" or "unsafe"; "" if it cannot."""
        found = FIX.search(self.page)
        return found[1].lower() if found else ""


def _entries() -> Iterator[Entry]:
    for rule in RULES.values():
        yield Entry(rule.name, rule.severity, rule.file)
    for file in sorted(REPORTED.iterdir(), key=lambda file: file.name):
        said = SEVERITY.search(file.read_text("utf-8"))
        yield Entry(file.name.removesuffix(".md"), Severity(said[1] if said else ""), file)


REGISTRY = {entry.name: entry for entry in _entries()}


def named(text: str) -> tuple[Entry, ...]:
    """Return the entry of this name; else those whose names begin with these words, and a family's rules."""
    if text in REGISTRY:
        return (REGISTRY[text],)
    rules, words = {rule.name for rule in matching(text)}, f"{text.removesuffix('-')}-"
    return tuple(entry for name, entry in REGISTRY.items() if name in rules or name.startswith(words))
