"""What `unlock` found and did, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.report import json


def document(uri: str, holder: Mapping[str, str] | None, prepared: int, state: str, found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/unlock.schema.json` describes."""
    lock = None if holder is None else dict(holder)
    return json.document(found, {"uri": uri, "lock": lock, "prepared": prepared, "state": state})
