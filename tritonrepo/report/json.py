"""Diagnostics and verdicts as JSON: one document, keys sorted, nothing that differs between two runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Severity, Verdict

SCHEMA = 1


def document(found: Sequence[Diagnostic], verdicts: Iterable[Verdict], ignored: int) -> str:
    """Give the document that `schemas/validate.schema.json` describes; `ignored` findings are hidden by comments."""
    verdicts = list(verdicts)
    severities = Counter(diagnostic.severity for diagnostic in found)
    states = Counter(verdict.verdict for verdict in verdicts)
    data = {
        "schema": SCHEMA,
        "diagnostics": [as_data(diagnostic) for diagnostic in found],
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "summary": {
            "models": len(verdicts),
            **{str(severity): severities[severity] for severity in (Severity.ERROR, Severity.WARNING, Severity.INFO)},
            "ignored": ignored,
            "verdicts": {str(state): count for state, count in sorted(states.items())},
        },
    }
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False)


def as_data(diagnostic: Diagnostic) -> dict[str, Any]:
    """Give a diagnostic as JSON data; a line or column of 0 is null."""
    said = asdict(diagnostic)
    del said["at"]
    path, line, column = diagnostic.at
    return said | {"path": path, "line": line or None, "column": column or None}
