"""The steps and their maps: every tensor of an ensemble comes from somewhere, goes somewhere, and is written once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.pbtxt import Field, Message
from tritonrepo.pbtxt.editor import delete_items
from tritonrepo.pbtxt.items import places
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.dataflow import (
    Dataflow,
    dataflow,
    last_missing,
    name_of,
    named_unused,
    waiting,
    written_twice,
)
from tritonrepo.rules.ensembles.naming import other_tensor
from tritonrepo.rules.ensembles.steps import Step, steps
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("ensemble-no-step", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-warmup"))
def no_step(model: Model) -> Iterator[Finding]:
    """An ensemble must have at least one step."""
    if model.is_ensemble and not steps(model):
        yield Finding(
            model.config.get("ensemble_scheduling"),
            "ensemble_scheduling must have at least one step",
            hint="Add `step { model_name: … model_version: -1 input_map … output_map … }`.",
            reason=f"must specify 'step' for ensemble '{model.config_name}'",
        )


@rule("step-model-name", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-no-step"))
def model_name(model: Model) -> Iterator[Finding]:
    """Every step must name its model."""
    for step in steps(model) if model.is_ensemble else ():
        if not step.model:
            yield Finding(
                step.at("model_name"),
                f"step {step.number} does not name its model",
                hint="Set model_name to a model of this repository.",
                reason=f"must specify 'model_name' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("step-input-map", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-model-name"))
def input_map(model: Model) -> Iterator[Finding]:
    """Every step must have an input_map."""
    for step in steps(model) if model.is_ensemble else ():
        if not step.inputs:
            yield Finding(
                step.node,
                f'step {step.number} (model "{step.model}") has no input_map',
                hint='Add `input_map { key: "the model\'s input" value: "a tensor of the ensemble" }`.',
                reason=f"must specify 'input_map' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("step-output-map", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-input-map"))
def output_map(model: Model) -> Iterator[Finding]:
    """Every step must have an output_map."""
    for step in steps(model) if model.is_ensemble else ():
        if not step.outputs:
            yield Finding(
                step.node,
                f'step {step.number} (model "{step.model}") has no output_map',
                hint='Add `output_map { key: "the model\'s output" value: "a tensor of the ensemble" }`.',
                reason=f"must specify 'output_map' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("tensor-written-twice", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-output-map"))
def tensor_written_twice(model: Model) -> Iterator[Finding]:
    """A tensor of an ensemble must be written by only one output_map entry."""
    for step, mapped in written_twice(steps(model)) if model.is_ensemble else ():
        yield Finding(
            mapped.at,
            f'step {step.number} writes tensor "{mapped.tensor}", but an earlier output_map entry already does',
            hint="Rename the tensor here and wherever it is read.",
            reason=f"ensemble tensor '{mapped.tensor}' can appear in an output map only once for ensemble "
            f"'{model.config_name}' step {step.number}",
            item=step.number,
        )


@rule("ensemble-input-unused", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("tensor-written-twice"))
def input_unused(model: Model) -> Iterator[Finding]:
    """Every input of an ensemble must be read by a step."""
    flow = dataflow(model)
    if flow is None:
        return
    for name in flow.unknown(flow.inputs):
        meant = flow.partners.get(name)
        reason = f"ensemble input '{name}' for ensemble {model.config_name}' is not used"
        item = flow.inputs[name].item
        if meant is None or meant not in flow.readers:  # an output of the same name stands for another
            message = f'no step reads ensemble input "{name}"'
            hint = "Map it to an input of a step's model, or remove it."
            yield Finding(name_of(flow.inputs[name]), message, hint=hint, reason=reason, item=item, quiet=not name)
        else:
            message = f'no step writes tensor "{meant}", and no step reads ensemble input "{name}"'
            at, fix = flow.readers[meant][1].at, other_tensor(model, "input_map", meant, name)
            yield Finding(at, message, hint=f'Did you mean "{name}"?', reason=reason, item=item, fix=fix)


@rule("ensemble-output-unused", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-input-unused"))
def output_unused(model: Model) -> Iterator[Finding]:
    """Every output of an ensemble must appear in the map of a step."""
    flow = dataflow(model)
    if flow is None:
        return
    for name in flow.unknown(flow.outputs):
        meant = flow.partners.get(name)
        reason = f"ensemble output '{name}' for ensemble {model.config_name}' is not used"
        item = flow.outputs[name].item
        if meant is None or meant not in flow.writers:
            message = f'no step writes ensemble output "{name}"'
            hint = "Map an output of a step's model to it, or remove it."
            yield Finding(name_of(flow.outputs[name]), message, hint=hint, reason=reason, item=item, quiet=not name)
        else:
            message = f'no step reads tensor "{meant}", and no step writes ensemble output "{name}"'
            at, fix = flow.writers[meant][1].at, other_tensor(model, "output_map", meant, name)
            yield Finding(at, message, hint=f'Did you mean "{name}"?', reason=reason, item=item, fix=fix)


@rule("output-not-written", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("ensemble-output-unused"))
def output_not_written(model: Model) -> Iterator[Finding]:
    """Every output of an ensemble must be reachable from its inputs, step by step."""
    flow = dataflow(model)
    if flow is None:
        return
    for output, last in _unreached(flow).items():
        reason = f"output '{output}' for ensemble '{model.config_name}' is not written"
        if last != output:
            reason += f": at least one of its depending tensors, '{last}', is not connected"
        at = flow.readers[last][1].at if last in flow.readers else name_of(flow.outputs[output])
        effect = "" if last == output else f', so ensemble output "{output}" is never produced'
        yield Finding(
            at,
            f"{_absent(flow, last)}{effect}",
            hint=_source(flow, last),
            reason=reason,
            item=flow.outputs[output].item,
            fix=_read_instead(model, flow, last),
        )


@rule("tensor-not-ready", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("output-not-written"))
def tensor_not_ready(model: Model) -> Iterator[Finding]:
    """Every tensor that a step reads must come from an ensemble input or from another step."""
    flow = dataflow(model)
    if flow is None:
        return
    told = {*_unreached(flow).values(), *flow.partners.values()}
    roots = [name for name in flow.missing if name not in told and name not in flow.outputs]
    if not flow.missing and not _unreached(flow):
        roots = [last_missing(flow, name) for name in waiting(flow)][:1]
    for name in roots:
        reason = f"ensemble tensor '{named_unused(flow)}' is unused in ensemble '{model.config_name}'"
        yield Finding(flow.readers[name][1].at, _absent(flow, name), hint=_source(flow, name), reason=reason)


@rule("tensor-never-read", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("tensor-not-ready"))
def tensor_never_read(model: Model) -> Iterator[Finding]:
    """Every tensor that a step writes must be read by another step or be an output of the ensemble."""
    flow = dataflow(model)
    if flow is None:
        return
    partners, first = set(flow.partners.values()), named_unused(flow)
    fixes: dict[int, Mapping[str, Fix]] = {}
    for name in flow.unread:
        if name not in partners:
            step, mapped = flow.writers[name]
            if step.number not in fixes:
                fixes[step.number] = _dispensable(model, flow, step)
            yield Finding(
                mapped.at,
                f'no step reads tensor "{name}" of step {step.number} (model "{step.model}")',
                hint=f'Remove this output_map entry, or make "{name}" an output of the ensemble.',
                reason=f"ensemble tensor '{name}' is unused in ensemble '{model.config_name}'",
                item=0 if name == first else 1,
                fix=fixes[step.number].get(mapped.key),
            )


def _dispensable(model: Model, flow: Dataflow, step: Step) -> Mapping[str, Fix]:
    """Return the fixes that remove an output of a step's model from the map, by the output.

    It is empty if the ensemble needs no other tensor of the step, because a map must have an entry.
    """
    if not any(mapped.tensor in flow.readers or mapped.tensor in flow.outputs for mapped in step.outputs.values()):
        return {}
    found = defaultdict[str, dict[Field, set[int]]](lambda: defaultdict(set))
    for field, place, entry in places(step.node, "output_map"):
        if isinstance(entry, Message):
            found[entry.text("key")][field].add(place)
    edits = {key: [edit for pair in gone.items() for edit in delete_items(*pair)] for key, gone in found.items()}
    fixes = {key: edited(model, *made, safe=False) for key, made in edits.items()}
    return {key: fix for key, fix in fixes.items() if fix is not None}


def _unreached(flow: Dataflow) -> dict[str, str]:
    """Return each output that is never produced with the tensor it lacks; only one output for each such tensor."""
    found: dict[str, str] = {}
    known = set(flow.partners.values())
    for output in flow.outputs:
        if output not in flow.ready and (output in flow.writers or output in flow.readers):
            last = last_missing(flow, output)
            if last not in found.values() and last not in known:
                found[output] = last
    return found


def _read_instead(model: Model, flow: Dataflow, name: str) -> Fix | None:
    """Return the fix that makes the steps read the tensor that is meant, if there is one."""
    meant = flow.partners.get(name) if name not in flow.writers else None
    return other_tensor(model, "input_map", name, meant) if meant else None


def _absent(flow: Dataflow, name: str) -> str:
    if name in flow.writers:
        return f'tensor "{name}" depends on itself through the steps that write it'
    return f'no step writes {"ensemble output" if name in flow.outputs else "tensor"} "{name}"'


def _source(flow: Dataflow, name: str) -> str:
    if name in flow.writers:
        return "Make one of these steps read a tensor that exists earlier."
    meant = flow.partners.get(name)
    return f'Did you mean "{meant}"?' if meant else "Read an ensemble input, or a tensor that another step writes."
