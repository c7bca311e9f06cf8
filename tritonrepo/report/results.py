"""Results of checks as JSON: one document, keys sorted, no times, so that two runs of one server give the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.report.json import dumps, listed

SCHEMA = 1


def document(rows: Sequence[Mapping[str, str]], found: Sequence[Diagnostic]) -> str:
    """Give the document that `schemas/smoke.schema.json` describes; each row has an "outcome"."""
    outcomes = Counter(row["outcome"] for row in rows)
    summary = {outcome: outcomes[outcome] for outcome in ("passed", "warning", "failed", "not checked")}
    data = {
        "schema": SCHEMA,
        "diagnostics": listed(found),
        "results": list(rows),
        "summary": summary | {"models": len({row["model"] for row in rows})},
    }
    return dumps(data)
