"""Every input and every output of an ensemble is part of a step."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.dataflow import dataflow, name_of
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("ensemble-input-unused", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("tensor-written-twice"))
def input_unused(model: Model) -> Iterator[Finding]:
    """Every input of an ensemble is read by a step."""
    flow = dataflow(model)
    if flow is None:
        return
    for name in flow.unknown(flow.inputs):
        meant = flow.partners.get(name)
        reason = f"ensemble input '{name}' for ensemble {model.config_name}' is not used"
        item = flow.inputs[name].item
        if meant is None or meant not in flow.readers:  # an output of the same name stands for another
            message, hint = (
                f'no step reads ensemble input "{name}"',
                "Map it to an input of a step's model, or drop it.",
            )
            yield Finding(name_of(flow.inputs[name]), message, hint=hint, reason=reason, item=item, quiet=not name)
        else:
            message = f'no step writes tensor "{meant}", and none reads ensemble input "{name}"'
            yield Finding(flow.readers[meant][1].at, message, hint=f'Did you mean "{name}"?', reason=reason, item=item)


@rule("ensemble-output-unused", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-input-unused"))
def output_unused(model: Model) -> Iterator[Finding]:
    """Every output of an ensemble is in a step's map."""
    flow = dataflow(model)
    if flow is None:
        return
    for name in flow.unknown(flow.outputs):
        meant = flow.partners.get(name)
        reason = f"ensemble output '{name}' for ensemble {model.config_name}' is not used"
        item = flow.outputs[name].item
        if meant is None or meant not in flow.writers:
            message, hint = f'no step writes ensemble output "{name}"', "Map a step's output to it, or drop it."
            yield Finding(name_of(flow.outputs[name]), message, hint=hint, reason=reason, item=item, quiet=not name)
        else:
            message = f'nobody reads tensor "{meant}", and no step writes ensemble output "{name}"'
            yield Finding(flow.writers[meant][1].at, message, hint=f'Did you mean "{name}"?', reason=reason, item=item)
