"""Findings as a Code Quality report, which GitLab shows in merge requests.

Source of the form: GitLab's docs, "Code Quality", "Code Quality report format": a JSON array; `description`,
`check_name`, `fingerprint`, `severity`, `location.path` and `location.lines.begin` are required. A severity is
info, minor, major, critical or blocker.
"""

from __future__ import annotations

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.plain import inline
from tritonrepo.report.checked import Checked
from tritonrepo.report.fingerprints import fingerprints
from tritonrepo.report.json import dumps

SEVERITIES = {
    Severity.FATAL: "blocker",
    Severity.ERROR: "critical",
    Severity.WARNING: "minor",
    Severity.INFO: "info",
}


def judged(checked: Checked) -> str:
    """Return the report, sorted by place; a finding on a whole file or directory is at line 1."""
    found = sorted(zip(checked.diagnostics, fingerprints(checked.diagnostics), strict=True), key=_order)
    return dumps([_issue(each, mark, checked.home.path(each.at.path)) for each, mark in found])


def _order(found: tuple[Diagnostic, str]) -> tuple[object, ...]:
    each, mark = found
    return (each.at, each.rule, mark)


def _issue(each: Diagnostic, mark: str, path: str) -> dict[str, object]:
    return {
        "check_name": each.rule,
        "description": inline(" ".join([f"{each.message}.", *each.hint.split("\n")] if each.hint else [each.message])),
        "fingerprint": mark,
        "location": {"lines": {"begin": max(1, each.at.line)}, "path": path},
        "severity": SEVERITIES[each.severity],
    }
