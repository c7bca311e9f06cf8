"""Diagnostics as workflow commands of GitHub Actions, which shows them at the file and line of a pull request.

Source of the form and of what is escaped: GitHub's docs, "Workflow commands for GitHub Actions", and actions/toolkit,
packages/core/src/command.ts (escapeData, escapeProperty). The runner's own reader: actions/runner,
src/Runner.Common/ActionCommand.cs (TryParseV2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.plain import inline, printable
from tritonrepo.report import text
from tritonrepo.report.checked import Checked
from tritonrepo.report.home import is_uri

LEVELS = {
    Severity.FATAL: "error",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "notice",
}


def judged(checked: Checked) -> str:
    """Return the commands for what `validate` found, and the closing line.

    Their texts begin with the place: in the log, and beyond the number of annotations that GitHub shows, they stand
    alone.
    """
    closing = [text.summary(checked)] if checked.parts else []
    found = (replace(each, message=f"{each.at}: {each.message}") for each in checked.diagnostics)
    return "\n".join([*commands(found, checked.home.path), *closing])


def commands(found: Iterable[Diagnostic], path: Callable[[str], str] = str) -> Iterator[str]:
    """Yield a command for each diagnostic: a line of output, in which no foreign text begins another command.

    `path` returns the path as GitHub knows it.
    """
    for each in found:
        title = f"{each.model}: {each.rule}" if each.model else each.rule
        said = {"title": title, **_place(each, path)}
        head = ",".join(f"{name}={_property(value)}" for name, value in said.items())
        yield f"::{LEVELS[each.severity]} {head}::{_data(each)}"


def _place(each: Diagnostic, path: Callable[[str], str]) -> dict[str, str]:
    """Return the file and line; nothing for a place in a bucket or on a server."""
    at = each.at
    if is_uri(at.path):
        return {}
    numbers = {"line": at.line, "endLine": at.end_line, "col": at.column, "endColumn": at.end_column}
    if at.end_line not in {0, at.line}:
        numbers |= {"col": 0, "endColumn": 0}  # GitHub has columns only for what is on one line
    return {"file": path(at.path), **{name: str(number) for name, number in numbers.items() if number}}


def _data(each: Diagnostic) -> str:
    return "%0A".join(_escaped(printable(line)) for line in (each.message, *each.hint.split("\n")) if line)


def _property(value: str) -> str:
    return _escaped(inline(value)).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
