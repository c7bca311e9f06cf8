"""Findings as SARIF 2.1.0, which GitHub's code scanning, editors and other viewers read.

Source of the form: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; of what code scanning
needs: GitHub's docs, "SARIF support for code scanning". Its `primaryLocationLineHash` is left to the upload action,
which warns of other values than its own. What a comment hides is left out: code scanning does not read `suppressions`
(advanced-security/dismiss-alerts, README) and would show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from tritonrepo import __version__
from tritonrepo.diagnostics import Diagnostic, Fix, Severity, Span
from tritonrepo.plain import hidden, inline
from tritonrepo.report.checked import Checked
from tritonrepo.report.fingerprints import fingerprints
from tritonrepo.report.home import Home, is_uri
from tritonrepo.report.json import dumps
from tritonrepo.tree import in_bytes

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "tritonrepo/v1"
ROOT = "%SRCROOT%"
LEVELS = {Severity.FATAL: "error", Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of surrogates that stand for no byte of a file's name."""

LINK = re.compile(r"\](?=\()")
"""Where a text would become an embedded link of a SARIF message (3.11.6)."""

Data = dict[str, object]


def judged(checked: Checked) -> str:
    """Return the log, with one run: results sorted by place, and a notification for each fatal diagnostic."""
    marked = sorted(
        zip(checked.diagnostics, fingerprints(checked.diagnostics), strict=True),
        key=lambda pair: (pair[0].at, pair[0].rule, pair[1]),
    )
    results = [(each, mark) for each, mark in marked if each.severity is not Severity.FATAL]
    fatal = [each for each, _ in marked if each.severity is Severity.FATAL]
    rules, notices = _numbered(each for each, _ in results), _numbered(fatal)
    driver = {
        "name": "tritonrepo",
        "semanticVersion": __version__,
        "rules": _descriptors(rules),
        "notifications": _descriptors(notices),
    }
    invocation = {
        "executionSuccessful": not fatal,
        "exitCode": checked.code,
        "toolExecutionNotifications": [_notification(each, notices, checked.home) for each in fatal],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"description": {"text": "The top of the repository that is checked out."}}},
        "invocations": [invocation],
        "results": [_result(each, mark, rules, checked.home) for each, mark in results],
    }
    return dumps({"$schema": SCHEMA, "version": VERSION, "runs": [run]})


def _numbered(found: Iterable[Diagnostic]) -> dict[str, int]:
    """Return the names that are reported, sorted, with their positions."""
    return {name: number for number, name in enumerate(sorted({each.rule for each in found}))}


def _descriptors(names: Iterable[str]) -> list[Data]:
    from tritonrepo.report.pages import description, page, title  # imported here: the registry reads every page
    from tritonrepo.report.registry import REGISTRY

    return [
        {
            "id": name,
            "shortDescription": {"text": f"{title(entry.page)}."},
            "fullDescription": {"text": description(entry.page)},
            "help": {"text": page(entry), "markdown": entry.page},
            "defaultConfiguration": {"level": LEVELS[entry.severity]},
        }
        for name, entry in ((name, REGISTRY[name]) for name in names)
    ]


def _result(each: Diagnostic, mark: str, rules: Mapping[str, int], home: Home) -> Data:
    said = {"model": each.model, "serverReason": each.server_reason}
    result = {
        "ruleId": each.rule,
        "ruleIndex": rules[each.rule],
        "level": LEVELS[each.severity],
        "message": _message(each),
        "locations": [_location(each, home)],
        "partialFingerprints": {FINGERPRINT: mark},
        "properties": {name: inline(text) for name, text in said.items() if text},
    }
    fixes = [] if each.fix is None else _fixes(each.fix, home)
    return result | ({"fixes": fixes} if fixes else {})


def _notification(each: Diagnostic, notices: Mapping[str, int], home: Home) -> Data:
    return {
        "descriptor": {"id": each.rule, "index": notices[each.rule]},
        "level": LEVELS[each.severity],
        "message": _message(each),
        "locations": [_location(each, home)],
    }


def _message(each: Diagnostic) -> Data:
    """Return the message and the next step as sentences; viewers with little space show only the first one."""
    lines = [inline(line) for line in (f"{each.message}.", *each.hint.split("\n")) if line]
    return {"text": LINK.sub(r"\\]", "\n".join(lines))}


def _location(each: Diagnostic, home: Home) -> Data:
    """Return the place; code scanning needs a region, so that of a whole file or directory is its first line."""
    place = {"artifactLocation": _artifact(each.at.path, home), "region": _region(each.at) or {"startLine": 1}}
    models = [{"name": inline(each.model), "kind": "module"}] if each.model else []
    return {"physicalLocation": place} | ({"logicalLocations": models} if models else {})


def _artifact(path: str, home: Home) -> Data:
    name = home.path(path)
    if is_uri(name):
        return {"uri": _quoted(name, safe="/:@")}
    if name.startswith("/"):
        return {"uri": f"file://{_quoted(name)}"}
    return {"uri": _quoted(name), "uriBaseId": ROOT}


def _quoted(text: str, safe: str = "/") -> str:
    """Return a path with its bytes percent-encoded."""
    return quote(in_bytes(HALF.sub("\ufffd", text)), safe=safe)


def _region(at: Span) -> Data:
    numbers = {"startLine": at.line, "startColumn": at.column, "endLine": at.end_line, "endColumn": at.end_column}
    return {name: number for name, number in numbers.items() if number}


def _fixes(fix: Fix, home: Home) -> list[Data]:
    """Return the fix as a list of one; of none if a text in it could not be written as it is, or a file is moved."""
    if fix.files or any(hidden(each.text) != each.text or not _writable(each.text) for each in fix.replacements):
        return []
    changes: dict[str, list[Data]] = {}
    for each in fix.replacements:
        change = {"deletedRegion": _region(each.at), "insertedContent": {"text": each.text}}
        changes.setdefault(each.at.path, []).append(change)
    made = [{"artifactLocation": _artifact(path, home), "replacements": each} for path, each in changes.items()]
    kind = "safe" if fix.safe else "unsafe: review it"
    return [{"description": {"text": f"The fix of tritonrepo ({kind})."}, "artifactChanges": made}]


def _writable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
