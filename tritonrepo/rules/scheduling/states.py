"""States that the server keeps between the requests of a sequence: names, types, dims and buffers."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import GPU, groups
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

OWN_INPUT = "Set input_name to a different model input for each state."


def states(model: Model) -> list[Message]:
    """Return the entries of sequence_batching.state."""
    sequences = model.config.message("sequence_batching")
    return sequences.messages("state") if sequences is not None else []


def data_type(message: Message) -> str:
    """Return the data type, or TYPE_INVALID if it is missing."""
    return message.enum("data_type", "TYPE_INVALID")


@rule("state-input-name-missing", Severity.ERROR, "sequence_batching", at=Stage.RUNTIME.first, state=State.READY)
def input_name_missing(model: Model) -> Iterator[Finding]:
    """Every state of a sequence must have an input_name."""
    for state in states(model):
        if not state.text("input_name"):
            yield Finding(
                next(reversed(state.scalars("input_name")), state),
                "the state has no input_name, so the first request of a sequence crashes the server",
                hint="Set input_name to the model input that receives the state.",
            )


@rule("state-fields-unchecked", Severity.WARNING, "sequence_batching")
def fields_unchecked(model: Model) -> Iterator[Finding]:
    """Every state of a sequence should have an output_name, a data_type and nonzero dims."""
    for state in states(model):
        initial = state.message("initial_state")  # what it has and the state lacks is another rule's error
        missing = [] if state.text("output_name") else ["output_name"]
        if data_type(state) == "TYPE_INVALID" and (initial is None or data_type(initial) == "TYPE_INVALID"):
            missing.append("data_type")
        if not state.all("dims") and (initial is None or not initial.all("dims")):
            missing.append("dims")
        if missing:
            message = f"the state has no {' and no '.join(missing)}"
            yield Finding(state, message, hint="Set the missing fields to match the model's tensors.")
        for dim in state.scalars("dims"):
            if dim.data == 0:
                message = (
                    "a dim of a state should be at least 1, or -1 for any size, not 0, which leaves the state empty"
                )
                yield Finding(dim, message, hint="Set the dim to its size, or to -1 if the size varies.")


@rule("state-input-twice", Severity.WARNING, "sequence_batching")
def input_twice(model: Model) -> Iterator[Finding]:
    """Two states should not have the same input_name."""
    seen: dict[str, set[str]] = {}
    started: dict[str, bool] = {}
    for state in states(model):
        name, output = state.text("input_name"), state.text("output_name")
        begins = state.has("initial_state")
        # a full copy is reported for its output, and two initial states are the error of another rule
        if name in seen and output not in seen[name] and not (begins and started[name]):
            yield Finding(
                state.scalars("input_name")[-1],
                f'another state already has input_name "{name}", and Triton discards one of the two',
                hint=OWN_INPUT,
                reason=f"Detected duplicate 'input_name' in the state configuration: '{name}.'",
            )
        if name:
            seen.setdefault(name, set()).add(output)
            started[name] = started.get(name, False) or begins


@rule("state-output-twice", Severity.WARNING, "sequence_batching")
def output_twice(model: Model) -> Iterator[Finding]:
    """Two states should not have the same output_name."""
    seen = set()
    for state in states(model):
        name = state.text("output_name")
        if name and name in seen:
            message = f'another state already has output_name "{name}", so Triton discards this one'
            hint = "Set output_name to a different model output for each state."
            yield Finding(state.scalars("output_name")[-1], message, hint=hint)
        seen.add(name)


@rule("growable-needs-single-buffer", Severity.WARNING, "sequence_batching")
def needs_single_buffer(model: Model) -> Iterator[Finding]:
    """use_growable_memory should be used with use_same_buffer_for_input_output."""
    for state in states(model):
        if state.flag("use_growable_memory") and not state.flag("use_same_buffer_for_input_output"):
            words = "In order to 'use_growable_memory', you must also enable 'use_single_buffer' for state input name"
            yield Finding(
                state.scalars("use_growable_memory")[-1],
                "the state is not kept: use_growable_memory needs use_same_buffer_for_input_output",
                hint="Set `use_same_buffer_for_input_output: true`, or remove use_growable_memory.",
                reason=f"{words} '{state.text('input_name')}'.",
            )


@rule("growable-needs-gpu", Severity.WARNING, "sequence_batching")
def needs_gpu(model: Model) -> Iterator[Finding]:
    """use_growable_memory should be used only with KIND_GPU instances."""
    other = next((group.kind for group in groups(model) if group.kind != GPU), None)
    if other is None and (model.target.gpus or model.config.all("instance_group")):
        return
    found = f"the model has {other} ones" if other else "the target has no GPU"
    for state in states(model):
        if state.flag("use_growable_memory"):
            words = "'use_growable_memory' can only work with KIND_GPU model instances right now."
            yield Finding(
                state.scalars("use_growable_memory")[-1],
                f"the state is not kept: use_growable_memory needs KIND_GPU instances, but {found}",
                hint="Use `instance_group { kind: KIND_GPU }`, or remove use_growable_memory.",
                reason=words,
            )
