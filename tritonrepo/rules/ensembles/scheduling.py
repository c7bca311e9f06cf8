"""What ensemble_scheduling allows that looks wrong, or is worth a word."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.steps import steps
from tritonrepo.rules.registry import Finding, rule


@rule("step-model-namespace", Severity.INFO, "ensemble_scheduling")
def namespace(model: Model) -> Iterator[Finding]:
    """A step has no use for model_namespace."""
    for step in steps(model):
        if step.node.has("model_namespace"):
            yield Finding(
                step.node.get("model_namespace"), "model_namespace is overwritten by the server", hint="Drop it."
            )


@rule("ensemble-inflight-limit", Severity.INFO, "ensemble_scheduling")
def inflight_limit(model: Model) -> Iterator[Finding]:
    """max_inflight_requests limits each step of an ensemble, over all requests together."""
    scheduling = model.config.message("ensemble_scheduling")
    limit = scheduling.integer("max_inflight_requests") if scheduling is not None else 0
    if scheduling is not None and limit > 0:
        yield Finding(
            scheduling.get("max_inflight_requests"), f"at most {limit} requests of a step are under way at a time"
        )


@rule("ensemble-step-order", Severity.INFO, "ensemble_scheduling")
def step_order(model: Model) -> Iterator[Finding]:
    """Steps may stand in any order."""
    written: dict[str, int] = {}
    for step in steps(model):
        written |= {mapped.tensor: step.number for mapped in step.outputs.values()}
    for step in steps(model):
        later = next((m for m in step.inputs.values() if written.get(m.tensor, -1) > step.number), None)
        if later is not None:
            message = f'step {step.number} reads "{later.tensor}", which step {written[later.tensor]} writes'
            yield Finding(later.at, message, hint="Nothing is wrong; in the order of the data they read better.")


@rule("ensemble-output-is-input", Severity.INFO, "ensemble_scheduling")
def output_is_input(model: Model) -> Iterator[Finding]:
    """An output of an ensemble may have the name of an input."""
    inputs = {tensor.name for tensor in model.tensors if tensor.kind == "input"}
    for tensor in model.tensors if model.is_ensemble else ():
        if tensor.kind == "output" and tensor.name in inputs:
            yield Finding(tensor.node, f'output "{tensor.name}" is an input of the ensemble, too')
