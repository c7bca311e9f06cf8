"""Faults of a config's text, which the reader finds and names: the rules are the pages of `texts.md`."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.repository import Model
from tritonrepo.repository.model import BROKEN, CONFIG
from tritonrepo.rules.pages import pages
from tritonrepo.rules.registry import Finding, rules
from tritonrepo.rules.stages import Stage


@rules(pages(__package__, "texts.md"), BROKEN, at=Stage.PARSE.after("config-missing-strict"), after_faults=True)
def faults(model: Model, name: str) -> Iterator[Finding]:
    """Yield the faults of one rule; the one at which the server stops is the first item."""
    for number, fault in enumerate(model.parsed.faults if model.parsed is not None else (), start=1):
        if fault.rule == name:
            at, item = fault.span(f"{model.name}/{CONFIG}"), 0 if fault.server else number
            yield Finding(at, fault.message, hint=fault.hint, reason=fault.server, item=item)
