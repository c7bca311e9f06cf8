"""Control tensors that load and do not do what is meant."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.controls import name_of, tensors


@rule("control-empty", Severity.WARNING, "sequence_batching")
def empty(model: Model) -> Iterator[Finding]:
    """Every control_input has a control."""
    for tensor in tensors(model):
        name = tensor.text("name")
        if name and not tensor.all("control"):
            hint = "Write control { kind: … } with what it is to carry, or drop it."
            yield Finding(tensor, f'the control_input "{name}" has no control and is never filled in', hint=hint)


@rule("control-is-also-input", Severity.WARNING, "sequence_batching")
def also_input(model: Model) -> Iterator[Finding]:
    """A control tensor is not listed among the inputs."""
    inputs = {tensor.text("name") for tensor in model.config.messages("input")}
    for tensor in tensors(model):
        name = tensor.text("name")
        if name and name in inputs and tensor.all("control"):
            hint = "Drop the input: control tensors are no part of what a client sends."
            yield Finding(name_of(tensor), f'the control tensor "{name}" is an input, too', hint=hint)
