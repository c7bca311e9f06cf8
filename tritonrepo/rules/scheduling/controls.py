"""The server's walks over the controls of sequences, and what names and kinds of control tensors must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

START = "CONTROL_SEQUENCE_START"
CORRID = "CONTROL_SEQUENCE_CORRID"
WALKS = (START, "CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_READY", CORRID)


class ControlVisit(NamedTuple):
    """A control as the server comes to it: in the walk of its kind, so many controls of the kind before it."""

    kind: str
    control: Message
    before: int
    item: int


def tensors(model: Model) -> list[Message]:
    """Return the entries of control_input."""
    sequences = model.config.message("sequence_batching")
    return sequences.messages("control_input") if sequences is not None else []


@once
def visits(model: Model) -> Sequence[ControlVisit]:
    """Return the controls in the server's order: the whole list is walked once for each kind.

    Source: core, src/model_config_utils.cc, ValidateModelConfig. Names are looked at in each walk, so that their faults
    come up in the first. A kind that the enum lacks is never looked for.
    """
    return tuple(_visits(model))


def _visits(model: Model) -> Iterator[ControlVisit]:
    for walk, kind in enumerate(WALKS):
        before = 0
        for number, tensor in enumerate(tensors(model)):
            for within, control in enumerate(tensor.messages("control"), 1):
                if control.enum("kind", START) == kind:
                    yield ControlVisit(kind, control, before, turn(number, within, walk))
                    before += 1


def turn(tensor: int, control: int = 0, walk: int = 0) -> int:
    """Return when the server comes to a control, or in the first walk to a tensor."""
    return (walk << 64) + (tensor << 32) + control


def name_of(tensor: Message) -> Placed:
    """Return the place of a control tensor's name, or the tensor's where it has none."""
    return next(reversed(tensor.scalars("name")), tensor)


@rule("control-without-name", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("sequence-response-cache"))
def without_name(model: Model) -> Iterator[Finding]:
    """Every control_input has a name."""
    for number, tensor in enumerate(tensors(model)):
        if not tensor.text("name"):
            yield Finding(
                name_of(tensor),
                "this control_input has no name",
                hint="Write name: with the name of the model's input that takes it.",
                reason=f"sequence batching control tensor must have a name for {model.config_name}",
                item=turn(number),
            )


@rule("control-name-twice", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-without-name"))
def name_twice(model: Model) -> Iterator[Finding]:
    """No two control_input entries have one name."""
    seen = set()
    for number, tensor in enumerate(tensors(model)):
        name = tensor.text("name")
        if name and name in seen:
            words = f"sequence batching control tensor '{name}' is specified for multiple control kinds"
            yield Finding(
                name_of(tensor),
                f'there is a control_input "{name}" already',
                hint="Give each its own name, or write both controls into the one.",
                reason=f"{words} for {model.config_name}",
                item=turn(number),
            )
        seen.add(name)


@rule("control-kind-twice", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-name-twice"))
def kind_twice(model: Model) -> Iterator[Finding]:
    """Each kind of control is given to one tensor."""
    for visit in visits(model):
        if visit.before:
            yield Finding(
                next(reversed(visit.control.scalars("kind")), visit.control),
                f"there is a control of kind {visit.kind} already",
                hint="Give it another kind, or drop it.",
                reason=f"sequence batching specifies multiple {visit.kind} tensors for {model.config_name}",
                item=visit.item,
            )
