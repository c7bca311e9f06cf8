"""Pages of the registry as text and as Markdown, set for the reader."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from tritonrepo.report.registry import Entry

SECTION = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)?):\n?", re.MULTILINE)
CODE = frozenset({"Bad", "Says", "Server says", "Good"})


def sections(text: str) -> list[tuple[str, str]]:
    """Return a page's sections in order, their texts dedented."""
    parts = SECTION.split(text)[1:]
    return [(name, textwrap.dedent(body).strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)]


def head(entry: Entry) -> str:
    """Return an entry's one sentence."""
    return entry.page.splitlines()[0].rstrip(".")


def page(entry: Entry) -> str:
    """Return a page for the terminal."""
    lines = [f"{entry.name} ({entry.severity}): {head(entry)}"]
    for name, body in sections(entry.page):
        lines += ["", name, textwrap.indent(body, "  ")]
    return "\n".join(lines)


def table(entries: Iterable[Entry]) -> str:
    """Return a line an entry, sorted by name."""
    found = sorted(entries)
    width = max((len(entry.name) for entry in found), default=0)
    return "\n".join(f"{entry.name:{width}}  {entry.severity:7}  {head(entry)}" for entry in found)


def markdown(entries: Iterable[Entry], title: str) -> str:
    """Return the pages of a family as one Markdown document."""
    lines = [f"# {title}", ""]
    for entry in sorted(entries):
        lines += [f"## {entry.name}", "", f"**{entry.severity}** · {head(entry)}.", ""]
        for name, body in sections(entry.page):
            text = ["```text", body, "```"] if name in CODE else [" ".join(body.split())]
            lines += [f"**{name}**", "", *text, ""]
    return "\n".join(lines)
