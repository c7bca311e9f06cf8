"""States that the server keeps between the requests of a sequence: their names, types and dims."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


def states(model: Model) -> list[Message]:
    """Return the entries of sequence_batching.state."""
    sequences = model.config.message("sequence_batching")
    return sequences.messages("state") if sequences is not None else []


def data_type(message: Message) -> str:
    """Return the data type, TYPE_INVALID where none is written."""
    return message.enum("data_type", "TYPE_INVALID")


@rule("state-input-name-missing", Severity.ERROR, "sequence_batching", at=Stage.RUNTIME.first, state=State.READY)
def input_name_missing(model: Model) -> Iterator[Finding]:
    """Every state of a sequence has an input_name."""
    for state in states(model):
        if not state.text("input_name"):
            yield Finding(
                next(reversed(state.scalars("input_name")), state),
                "this state has no input_name: the first request of a sequence ends the whole server",
                hint="Write input_name: with the name of the model's input that takes the state.",
            )


@rule("state-fields-unchecked", Severity.WARNING, "sequence_batching")
def fields_unchecked(model: Model) -> Iterator[Finding]:
    """Every state of a sequence has an output_name, a data_type and dims without 0."""
    for state in states(model):
        initial = state.message("initial_state")  # an error speaks of what it has and the state lacks
        missing = [] if state.text("output_name") else ["output_name"]
        if data_type(state) == "TYPE_INVALID" and (initial is None or data_type(initial) == "TYPE_INVALID"):
            missing.append("data_type")
        if not state.all("dims") and (initial is None or not initial.all("dims")):
            missing.append("dims")
        if missing:
            yield Finding(
                state, f"this state has no {' and no '.join(missing)}", hint="Write what the model's tensors have."
            )
        for dim in state.scalars("dims"):
            if dim.data == 0:
                yield Finding(dim, "a state with a dim 0 holds nothing", hint="Write the dim, or -1 where it varies.")


@rule("state-input-twice", Severity.WARNING, "sequence_batching")
def input_twice(model: Model) -> Iterator[Finding]:
    """No two states have one input_name."""
    seen: dict[str, set[str]] = {}
    started: dict[str, bool] = {}
    for state in states(model):
        name, output = state.text("input_name"), state.text("output_name")
        begins = state.has("initial_state")
        # a copy of the whole state is dropped for its output, and two initial states are an error of their own
        if name in seen and output not in seen[name] and not (begins and started[name]):
            yield Finding(
                state.scalars("input_name")[-1],
                f'there is a state with the input_name "{name}" already, and one of the two is dropped',
                hint="Give each state its own input of the model.",
                reason=f"Detected duplicate 'input_name' in the state configuration: '{name}.'",
            )
        if name:
            seen.setdefault(name, set()).add(output)
            started[name] = started.get(name, False) or begins


@rule("state-output-twice", Severity.WARNING, "sequence_batching")
def output_twice(model: Model) -> Iterator[Finding]:
    """No two states have one output_name."""
    seen = set()
    for state in states(model):
        name = state.text("output_name")
        if name and name in seen:
            message = f'there is a state with the output_name "{name}" already, and this one is dropped'
            yield Finding(
                state.scalars("output_name")[-1], message, hint="Give each state its own output of the model."
            )
        seen.add(name)
