"""What every step has: a model, an input_map and an output_map, each tensor written once."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.dataflow import written_twice
from tritonrepo.rules.ensembles.steps import steps
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("ensemble-no-step", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-warmup"))
def no_step(model: Model) -> Iterator[Finding]:
    """An ensemble has at least one step."""
    if model.is_ensemble and not steps(model):
        yield Finding(
            model.config.get("ensemble_scheduling"),
            "ensemble_scheduling without a step",
            hint="Write step { model_name: … model_version: -1 input_map … output_map … }.",
            reason=f"must specify 'step' for ensemble '{model.config_name}'",
        )


@rule("step-model-name", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-no-step"))
def model_name(model: Model) -> Iterator[Finding]:
    """Every step names its model."""
    for step in steps(model) if model.is_ensemble else ():
        if not step.model:
            yield Finding(
                step.at("model_name"),
                f"step {step.number} names no model",
                hint="Write model_name: with the name of a model of this repository.",
                reason=f"must specify 'model_name' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("step-input-map", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-model-name"))
def input_map(model: Model) -> Iterator[Finding]:
    """Every step has an input_map."""
    for step in steps(model) if model.is_ensemble else ():
        if not step.inputs:
            yield Finding(
                step.node,
                f'step {step.number} (model "{step.model}") has no input_map',
                hint='Write input_map { key: "the model\'s input" value: "a tensor of the ensemble" }.',
                reason=f"must specify 'input_map' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("step-output-map", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-input-map"))
def output_map(model: Model) -> Iterator[Finding]:
    """Every step has an output_map."""
    for step in steps(model) if model.is_ensemble else ():
        if not step.outputs:
            yield Finding(
                step.node,
                f'step {step.number} (model "{step.model}") has no output_map',
                hint='Write output_map { key: "the model\'s output" value: "a tensor of the ensemble" }.',
                reason=f"must specify 'output_map' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("tensor-written-twice", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-output-map"))
def tensor_written_twice(model: Model) -> Iterator[Finding]:
    """A tensor of an ensemble is written by one output_map entry alone."""
    for step, mapped in written_twice(steps(model)) if model.is_ensemble else ():
        yield Finding(
            mapped.at,
            f'step {step.number} writes tensor "{mapped.tensor}", which is written already',
            hint="Give it another name here, and where it is read.",
            reason=f"ensemble tensor '{mapped.tensor}' can appear in an output map only once for ensemble "
            f"'{model.config_name}' step {step.number}",
            item=step.number,
        )
