"""auto_complete_config: how it is called and what it returns; a server without auto-complete never calls it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.completion import nothing_returned, unfit_signatures
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("python-autocomplete-signature", Severity.ERROR, "backend=python", at=Stage.COMPLETION.first)
def signature(model: Model) -> Iterator[Finding]:
    """auto_complete_config must be callable with the config as its only argument."""
    for path, told in unfit_signatures(model):
        at = Span(f"{model.name}/{path}", told.line, told.column)
        hint = "Add @staticmethod, and define it as `def auto_complete_config(config):`."
        yield Finding(at, told.words.removeprefix("TypeError: "), hint=hint, reason=told.words)


@rule(
    "python-autocomplete-return",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.after("python-autocomplete-decoupled"),
)
def returned(model: Model) -> Iterator[Finding]:
    """auto_complete_config must return the config."""
    for path, line, column in nothing_returned(model):
        at = Span(f"{model.name}/{path}", line, column)
        reason = (
            f"auto_complete_config function in model '{model.config_name}' must return a valid pb.ModelConfig object."
        )
        message = "auto_complete_config does not return the config"
        yield Finding(at, message, hint="Add `return config` at its end.", reason=reason)
