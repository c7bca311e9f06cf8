"""Results as JSON: the document that `check`, `compare`, `cost` and `plan` read again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tritonrepo.bench.claim import State
from tritonrepo.bench.result import Result
from tritonrepo.bench.saved import KEY, as_data
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.report import json


def document(results: Sequence[Result], found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/bench.schema.json` describes; with what ended the command, if that failed."""
    severities = Counter(diagnostic.severity for diagnostic in found)
    states = Counter(judgement.state for result in results for judgement in result.judgements)
    summary: dict[str, object] = {str(severity): severities[severity] for severity in Severity}
    summary["results"] = len(results)
    summary["requests"] = sum(result.figures.sent for result in results)
    summary["failed"] = sum(sum(result.figures.errors.values()) for result in results)
    summary["checks"] = {str(state): states[state] for state in State}
    return json.document(found, {KEY: [finite(as_data(result)) for result in results], "summary": summary})


def finite(data: object) -> object:
    """Return data without numbers that JSON does not have."""
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, dict):
        return {name: finite(value) for name, value in data.items()}
    return [finite(value) for value in data] if isinstance(data, list) else data
