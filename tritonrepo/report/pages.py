"""Rule pages as text and as Markdown: both are the rule's docstring, set for the reader."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tritonrepo.rules import Rule

SECTION = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)?):\n?", re.MULTILINE)
CODE = frozenset({"Bad", "Says", "Server says", "Good"})


def sections(text: str) -> list[tuple[str, str]]:
    """Give a page's sections in order, their texts dedented."""
    parts = SECTION.split(text)[1:]
    return [(name, textwrap.dedent(body).strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)]


def head(rule: Rule) -> str:
    """Give a rule's one sentence."""
    return rule.page.splitlines()[0].rstrip(".")


def page(rule: Rule) -> str:
    """Give a rule's page for the terminal."""
    lines = [f"{rule.name} ({rule.severity}): {head(rule)}"]
    for name, body in sections(rule.page):
        lines += ["", name, textwrap.indent(body, "  ")]
    return "\n".join(lines)


def table(rules: Iterable[Rule]) -> str:
    """Give a line a rule, sorted by name."""
    found = sorted(rules, key=lambda rule: rule.name)
    width = max((len(rule.name) for rule in found), default=0)
    return "\n".join(f"{rule.name:{width}}  {rule.severity:7}  {head(rule)}" for rule in found)


def markdown(rules: Iterable[Rule], title: str) -> str:
    """Give the pages of a family as one Markdown document."""
    lines = [f"# {title}", ""]
    for rule in sorted(rules, key=lambda rule: rule.name):
        lines += [f"## {rule.name}", "", f"**{rule.severity}** · {head(rule)}.", ""]
        for name, body in sections(rule.page):
            text = ["```text", body, "```"] if name in CODE else [" ".join(body.split())]
            lines += [f"**{name}**", "", *text, ""]
    return "\n".join(lines)
