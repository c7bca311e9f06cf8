"""auto_complete_config: how it is called, what it gives back; without auto-complete nobody calls it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.completion import nothing_returned, unfit_signatures
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("python-autocomplete-signature", Severity.ERROR, "backend=python", at=Stage.COMPLETION.first)
def signature(model: Model) -> Iterator[Finding]:
    """auto_complete_config takes the config."""
    for path, told in unfit_signatures(model):
        at = Span(f"{model.name}/{path}", told.line, told.column)
        hint = "Write @staticmethod above def auto_complete_config(config):"
        yield Finding(at, told.words.removeprefix("TypeError: "), hint=hint, reason=told.words)


@rule(
    "python-autocomplete-return",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.after("python-autocomplete-decoupled"),
)
def returned(model: Model) -> Iterator[Finding]:
    """auto_complete_config gives the config back."""
    for path, line, column in nothing_returned(model):
        at = Span(f"{model.name}/{path}", line, column)
        reason = (
            f"auto_complete_config function in model '{model.config_name}' must return a valid pb.ModelConfig object."
        )
        yield Finding(
            at, "auto_complete_config returns no config", hint="Write return config at its end.", reason=reason
        )
