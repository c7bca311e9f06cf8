"""What a model said about a text, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.report import json


def document(answer: Mapping[str, object], found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/ask.schema.json` describes."""
    return json.document(found, answer)
