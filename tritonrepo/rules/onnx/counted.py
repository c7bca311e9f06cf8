"""How many inputs the backend expects, which tensors it counts, and which of the graph's inputs nothing provides.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelInstanceState::ModelInstanceState; backend,
src/backend_common.cc, GetBooleanSequenceControlProperties and GetTypedSequenceControlProperties.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.sessions import Session, sessions
from tritonrepo.rules.scheduling.controls import CORRID, START, WALKS, pairs, tensors
from tritonrepo.rules.scheduling.states import states

PAIR_TYPES = {"int32_false_true": "TYPE_INT32", "fp32_false_true": "TYPE_FP32", "bool_false_true": "TYPE_BOOL"}


class Control(NamedTuple):
    """A control of sequences that the model receives as an input; `data_type` is "" if it has none."""

    name: str
    data_type: str
    node: Message
    turn: int


def controls(model: Model) -> list[Control]:
    """Return the controls in the order in which the backend checks them, by kind."""
    found = []
    for turn, kind in enumerate(WALKS):
        for tensor in tensors(model):
            for control in tensor.messages("control"):
                if control.enum("kind", START) == kind:
                    named = control.enum("data_type") if kind == CORRID else _of_pair(control)
                    found.append(Control(tensor.text("name"), named, tensor, turn))
    return found


def _of_pair(control: Message) -> str:
    return next((PAIR_TYPES[name] for name in pairs(control)), "")


def expected(model: Model, session: Session) -> int:
    """Return how many inputs the backend expects the graph to have."""
    besides = len(controls(model)) + len(states(model)) + len(model.config.messages("batch_input"))
    if "input" in session.filled:
        return len(session.inputs) + besides
    listed = [tensor for tensor in model.tensors if tensor.kind == "input" and not tensor.flag("optional")]
    return len(listed) + besides


@once
def besides(model: Model) -> Sequence[str]:
    """Return the inputs of the graph that the server provides: controls, states, and those of batch_input."""
    batch = [target for each in model.config.messages("batch_input") for target in each.texts("target_name")]
    return [control.name for control in controls(model)] + [state.text("input_name") for state in states(model)] + batch


@once
def differing(model: Model) -> Sequence[Session]:
    """Return the versions that the backend refuses because of the number of their inputs."""
    return [session for session in sessions(model) if expected(model, session) != len(session.inputs)]


def differs(model: Model, session: Session) -> bool:
    """Whether the backend refuses a version because of the number of its inputs."""
    return any(session is each for each in differing(model))


def reason(model: Model, session: Session) -> str:
    """Return what the server says about the number of inputs."""
    return (
        f"unable to load model '{model.name}', configuration expects {expected(model, session)} inputs, "
        f"model provides {len(session.inputs)}"
    )
