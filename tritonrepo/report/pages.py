"""Pages of the registry, read from their Markdown and laid out for the terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from tritonrepo.report.registry import Entry

LONGEST = 1024
"""What a description may have in GitHub's code scanning."""

FENCE = re.compile(r"(`{3,})(?:\w+)?$")


def title(page: str) -> str:
    """Return a page's title, which its first line has."""
    return page.partition("\n")[0].removeprefix("# ")


def sections(page: str) -> list[tuple[str, str]]:
    """Return a page's sections in order: the heading, and the text; of a fenced one what the fence holds."""
    found: list[tuple[str, list[str]]] = []
    for heading, line in _lines(page):
        if heading:
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
    return [(name, _unfenced(lines)) for name, lines in found]


def _lines(page: str) -> Iterator[tuple[bool, str]]:
    """Yield whether a line is a section's heading, and its text; what a fence holds is none."""
    fence = ""
    for line in page.split("\n"):
        if fence:
            fence = "" if line == fence else fence
            yield False, line
        else:
            opens = FENCE.match(line)
            fence = opens[1] if opens else ""
            yield (True, line[3:]) if line.startswith("## ") else (False, line)


def _unfenced(lines: list[str]) -> str:
    text = "\n".join(lines).strip("\n")
    first, _, rest = text.partition("\n")
    opens = FENCE.match(first)
    return f"\n{rest}".removesuffix(f"\n{opens[1]}")[1:] if opens else text


def page(entry: Entry) -> str:
    """Return a page for the terminal."""
    lines = [f"{entry.name} ({entry.severity}): {title(entry.page)}"]
    for name, body in sections(entry.page):
        lines += ["", name, textwrap.indent(body, "  ")]
    return "\n".join(lines)


def table(entries: Iterable[Entry]) -> str:
    """Return one line per entry, sorted by name."""
    found = sorted(entries, key=lambda entry: entry.name)
    width = max((len(entry.name) for entry in found), default=0)
    return "\n".join(f"{entry.name:{width}}  {entry.severity:7}  {title(entry.page)}" for entry in found)


def description(page: str) -> str:
    """Return the first paragraph of the first section, which says why, in one line of at most LONGEST characters."""
    ((_, why), *_) = sections(page)
    line = " ".join(why.partition("\n\n")[0].split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def index(entries: Iterable[Entry], home: str) -> str:
    """Return a Markdown table of entries, sorted by name; `home` is the path to their pages."""
    found = sorted(entries, key=lambda entry: entry.name)
    rows = (
        f"| [{each.name}]({home}/{each.name}.md) | {each.severity} | {each.fix} | {title(each.page)} |"
        for each in found
    )
    return "\n".join(["| Name | Severity | Fix | Title |", "|---|---|---|---|", *rows])
