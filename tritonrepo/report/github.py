"""Diagnostics as workflow commands of GitHub Actions, which shows them at the file and line of a pull request.

Source of the form and of what is escaped: GitHub's docs, "Workflow commands for GitHub Actions", and actions/toolkit,
packages/core/src/command.ts (escapeData, escapeProperty).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.plain import inline, printable

LEVELS = {
    Severity.FATAL: "error",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "notice",
}


def commands(found: Iterable[Diagnostic]) -> Iterator[str]:
    """Yield a command for each diagnostic: a line of output, in which no foreign text begins another command."""
    for each in found:
        title = f"{each.model}: {each.rule}" if each.model else each.rule
        said = {"title": title, **_place(each)}
        head = ",".join(f"{name}={_property(value)}" for name, value in said.items())
        yield f"::{LEVELS[each.severity]} {head}::{_data(each)}"


def _place(each: Diagnostic) -> dict[str, str]:
    """Return the file and line; nothing for a place on a server."""
    at = each.at
    if "://" in at.path:
        return {}
    numbers = {"line": at.line, "col": at.column}
    return {"file": at.path, **{name: str(number) for name, number in numbers.items() if number}}


def _data(each: Diagnostic) -> str:
    return "%0A".join(_escaped(printable(line)) for line in (each.message, *each.hint.split("\n")) if line)


def _property(value: str) -> str:
    return _escaped(inline(value)).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
