"""Faults in a config's text, which the reader finds and names.

If several are at one place, the order of FAULTS decides which is reported. Source: protobuf v21,
src/google/protobuf/text_format.cc and io/tokenizer.cc, called by core, src/filesystem/api.cc, ReadTextProto. In the
model index the reason is only `failed to read text proto from PATH`; the server's log has the line and the words.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.model import BROKEN, CONFIG
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rules
from tritonrepo.rules.stages import Stage

FAULTS = (
    "config-unparsable",
    "unknown-field",
    "field-newer-than-server",
    "unknown-enum-value",
    "enum-quoted",
    "scalar-field-twice",
    "two-schedulers",
    "message-field-twice",
    "integer-out-of-range",
    "wrong-literal-type",
    "bool-literal",
    "parameter-value-not-message",
    "missing-colon",
    "trailing-comma-in-list",
    "wrong-comment-style",
    "byte-order-mark",
    "json-config",
    "yaml-config",
    "trtllm-template-placeholders",
    "unbalanced-brackets",
    "unknown-extension",
)


@rules(dict.fromkeys(FAULTS, Severity.ERROR), BROKEN, at=Stage.PARSE.after("config-missing-strict"), after_faults=True)
def faults(model: Model, name: str) -> Iterator[Finding]:
    """Yield the faults of one rule; the one at which the server stops is item 0."""
    for number, fault in enumerate(model.parsed.faults if model.parsed is not None else (), start=1):
        if fault.rule == name:
            at, item = fault.span(f"{model.name}/{CONFIG}"), 0 if fault.server else number
            fix = edited(model, *fault.edits, safe=fault.safe) if fault.edits else None
            yield Finding(at, fault.message, hint=fault.hint, reason=fault.server, item=item, fix=fix)
