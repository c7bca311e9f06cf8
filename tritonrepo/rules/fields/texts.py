"""Faults of a config's text, which the reader finds: one rule for each kind of them."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.repository import Model
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.registry import Finding


def of_text(model: Model, rule: str) -> Iterator[Finding]:
    """Give the faults of one rule; the one at which the server stops is the first item."""
    if model.parsed is None:
        return
    for number, fault in enumerate(model.parsed.faults, start=1):
        if fault.rule == rule:
            at = fault.span(f"{model.name}/{CONFIG}")
            yield Finding(at, fault.message, hint=fault.hint, reason=fault.server, item=0 if fault.server else number)
