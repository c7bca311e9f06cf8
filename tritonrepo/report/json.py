"""Diagnostics, verdicts and rows as JSON: one document with sorted keys, and nothing but times differs between runs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.plain import COMMAND, DRIVING, hidden
from tritonrepo.report.checked import Checked
from tritonrepo.report.fingerprints import fingerprints

SCHEMA = 1
"""Raised by a change that breaks readers; keys are added, never renamed."""


def judged(checked: Checked) -> str:
    """Return the document that `schemas/validate.schema.json` describes."""
    severities = Counter(diagnostic.severity for diagnostic in checked.diagnostics)
    states = Counter(verdict.verdict for verdict in checked.verdicts)
    summary = {
        "models": len(checked.verdicts),
        **{str(severity): severities[severity] for severity in Severity},
        "ignored": checked.ignored,
        "hidden": sum(checked.hidden.values()),
        "baselined": checked.baselined,
        "resolved": len(checked.resolved),
        **({} if checked.fixed is None else {"fixed": checked.fixed}),
        **({"objects": checked.objects} if checked.objects else {}),
        "verdicts": {str(state): count for state, count in states.items()},
    }
    unseen = [each._asdict() for each in checked.unseen]
    rest = {"verdicts": [asdict(verdict) for verdict in checked.verdicts], "not_looked_at": unseen, "summary": summary}
    return document(checked.diagnostics, rest)


def checked(rows: Sequence[Mapping[str, str | int | None]], found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/smoke.schema.json` describes; each row has an "outcome"."""
    outcomes = Counter(row["outcome"] for row in rows)
    summary = {outcome: outcomes[outcome] for outcome in ("passed", "warning", "failed", "not checked")}
    models = len({row["model"] for row in rows})
    return document(found, {"results": list(rows), "summary": {**summary, "models": models}})


def document(found: Sequence[Diagnostic], rest: Mapping[str, object]) -> str:
    """Return the document of a command: its diagnostics, and what else it has to say."""
    return dumps({"schema": SCHEMA, "diagnostics": listed(found), **rest})


def dumps(data: object) -> str:
    """Return data as a document that every reader accepts: UTF-8 without lone surrogates.

    Bytes of a file name that are not UTF-8 are written as text, as in the other formats; characters that could drive a
    terminal, or be read as a command by a CI service, get JSON escapes.
    """
    text = json.dumps(_without_secrets(data), indent=2, sort_keys=True, ensure_ascii=False)
    return COMMAND.sub(r"\\u0023#", DRIVING.sub(_escape, text))


def _without_secrets(data: object) -> object:
    if isinstance(data, str):
        return hidden(data)
    if isinstance(data, dict):
        return {key: _without_secrets(value) for key, value in data.items()}
    return [_without_secrets(item) for item in data] if isinstance(data, list | tuple) else data


def _escape(found: re.Match[str]) -> str:
    character = json.dumps(found[0])[1:-1]
    return f"\\{character}" if "\ud800" <= found[0] <= "\udfff" else character


def listed(found: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """Return diagnostics as JSON data; an unknown line or column is null."""
    return [_data(each) | {"fingerprint": text} for each, text in zip(found, fingerprints(found), strict=True)]


def _data(diagnostic: Diagnostic) -> dict[str, Any]:
    said = asdict(diagnostic)
    del said["at"], said["fix"], said["anchored"]
    if diagnostic.fix is not None:
        replacements = [{**_place(each.at), "text": each.text} for each in diagnostic.fix.replacements]
        files = [{"action": type(each).__name__.lower(), **each._asdict()} for each in diagnostic.fix.files]
        said["fix"] = {"safe": diagnostic.fix.safe, "replacements": replacements, "files": files}
    return said | _place(diagnostic.at)


def _place(at: Span) -> dict[str, str | int | None]:
    numbers = {name: number or None for name, number in asdict(at).items() if name != "path"}
    return {"path": at.path, **numbers}
