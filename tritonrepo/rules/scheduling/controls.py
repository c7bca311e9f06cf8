"""Controls of sequences: the server's walks over them, the names and kinds of their tensors, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.pbtxt import Enum, Field, Message
from tritonrepo.pbtxt.editor import change, delete
from tritonrepo.pbtxt.items import become
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

START = "CONTROL_SEQUENCE_START"
CORRID = "CONTROL_SEQUENCE_CORRID"
WALKS = (START, "CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_READY", CORRID)
PAIRS = ("int32_false_true", "fp32_false_true", "bool_false_true")
IDS = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")
EITHER = "either 'int32_false_true', 'fp32_false_true' or 'bool_false_true'"


class ControlVisit(NamedTuple):
    """A control as the server reaches it: in the walk for its kind, after `before` other controls of that kind."""

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

    Source: core, src/model_config_utils.cc, ValidateModelConfig. Each walk checks the names, so the first one finds
    their faults. The server never looks for a kind that the enum lacks.
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
    """Return when the server reaches a control, or a tensor in the first walk."""
    return (walk << 64) + (tensor << 32) + control


def name_of(tensor: Message) -> Placed:
    """Return the place of a control tensor's name, or that of the tensor if it has none."""
    return next(reversed(tensor.scalars("name")), tensor)


@rule("control-without-name", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("sequence-response-cache"))
def without_name(model: Model) -> Iterator[Finding]:
    """Every control_input must have a name."""
    for number, tensor in enumerate(tensors(model)):
        if not tensor.text("name"):
            yield Finding(
                name_of(tensor),
                "the control_input has no name",
                hint="Set name to the model input that receives the control.",
                reason=f"sequence batching control tensor must have a name for {model.config_name}",
                item=turn(number),
            )


@rule("control-name-twice", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-without-name"))
def name_twice(model: Model) -> Iterator[Finding]:
    """Two control_input entries cannot have the same name."""
    seen = set()
    for number, tensor in enumerate(tensors(model)):
        name = tensor.text("name")
        if name and name in seen:
            words = f"sequence batching control tensor '{name}' is specified for multiple control kinds"
            yield Finding(
                name_of(tensor),
                f'control_input "{name}" is already defined',
                hint="Rename one of the two, or move both controls into one control_input.",
                reason=f"{words} for {model.config_name}",
                item=turn(number),
            )
        seen.add(name)


@rule("control-kind-twice", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-name-twice"))
def kind_twice(model: Model) -> Iterator[Finding]:
    """Each kind of control must be used only once."""
    for visit in visits(model):
        if visit.before:
            yield Finding(
                next(reversed(visit.control.scalars("kind")), visit.control),
                f"another control already has kind {visit.kind}",
                hint="Set another kind, or remove this control.",
                reason=f"sequence batching specifies multiple {visit.kind} tensors for {model.config_name}",
                item=visit.item,
            )


def pairs(control: Message) -> dict[str, Field]:
    """Return the lists of values that a control has, in the server's order; an empty list does not count."""
    found = {name: control.get(name) for name in PAIRS if control.all(name)}
    return {name: field for name, field in found.items() if field is not None}


def flags(model: Model) -> Iterator[tuple[ControlVisit, dict[str, Field]]]:
    """Yield the first control of each of the kinds START, END and READY with its lists of values."""
    for visit in visits(model):
        if visit.kind != CORRID and not visit.before:
            yield visit, pairs(visit.control)


@rule("control-values-missing", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-kind-twice"))
def values_missing(model: Model) -> Iterator[Finding]:
    """A START, END or READY control must have values for false and true."""
    for visit, found in flags(model):
        if not found:
            yield Finding(
                visit.control,
                f"the {visit.kind} control has no values for false and true",
                hint="Add `int32_false_true: [ 0, 1 ]`, or use fp32_false_true or bool_false_true to match the input.",
                reason=f"sequence batching must specify {EITHER} for {visit.kind} for {model.config_name}",
                item=visit.item,
            )


@rule("control-values-several", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-values-missing"))
def values_several(model: Model) -> Iterator[Finding]:
    """A START, END or READY control must have only one list of values."""
    for visit, found in flags(model):
        if len(found) > 1:
            words = "more than one from 'int32_false_true', 'fp32_false_true' and 'bool_false_true'"
            yield Finding(
                sorted(found.values(), key=lambda field: field.start)[1],
                f"a control must have only one list of values, not {' and '.join(found)}",
                hint="Keep only the list that matches the type of the model's input.",
                reason=f"sequence batching specifies {words} for {visit.kind} for {model.config_name}",
                item=visit.item,
            )


@rule("control-values-count", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-values-several"))
def values_count(model: Model) -> Iterator[Finding]:
    """A control must have two values: first the one for false, then the one for true."""
    for visit, found in flags(model):
        name = next(iter(found), "")
        count = len(visit.control.all(name))
        if len(found) == 1 and count != 2:  # noqa: PLR2004  false and true
            words = f"sequence batching control '{name}' must have exactly 2 entries"
            yield Finding(
                found[name],
                f"{name} must have 2 values, not {count}",
                hint="List the value for false, then the value for true.",
                reason=f"{words} for {visit.kind} for {model.config_name}",
                item=visit.item,
            )


@rule("corrid-with-values", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-values-count"))
def corrid_with_values(model: Model) -> Iterator[Finding]:
    """A CORRID control cannot have values for false and true."""
    for visit in visits(model):
        if visit.kind == CORRID and not visit.before and (found := pairs(visit.control)):
            yield Finding(
                next(iter(found.values())),
                f"a CORRID control cannot have values, but this one sets {' and '.join(found)}",
                hint="Set data_type to TYPE_UINT64 instead, or to the type of the model's input.",
                reason=f"sequence batching must not specify {EITHER} for {CORRID} for {model.config_name}",
                item=visit.item,
                fix=_without_values(model, visit.control),
            )


def _without_values(model: Model, control: Message) -> Fix | None:
    """Return the fix that removes the values of a control, or replaces them by a type of IDs if it has none."""
    written = control.scalars("data_type")
    gone = [edit for name in PAIRS for edit in unset(control, name)]
    if control.enum("data_type") in IDS:
        return edited(model, *gone, safe=True)
    to = Enum(IDS[0])
    if written:
        typed = change(written[-1], control.kind.fields["data_type"], to)
        return edited(model, *gone, typed, safe=False)
    first, *others = [field for field in control.fields if field.name in PAIRS]
    return edited(model, become(first, control, "data_type", to), *map(delete, others), safe=False)


@rule("corrid-data-type", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("corrid-with-values"))
def corrid_data_type(model: Model) -> Iterator[Finding]:
    """A CORRID control must have the data_type of an ID."""
    for visit in visits(model):
        written = visit.control.scalars("data_type")
        found = visit.control.enum("data_type", "TYPE_INVALID")
        if visit.kind != CORRID or visit.before or found in IDS or (pairs(visit.control) and not written):
            continue
        message = f"a CORRID control must have an ID data type, not {found}"
        first = ", ".join(IDS[:-1])
        words = f"unexpected data type for control {CORRID} for {model.config_name}."
        yield Finding(
            written[-1] if written else visit.control,
            message if written else "the CORRID control has no data_type",
            hint=f"Set data_type to {first} or {IDS[-1]}.",
            reason=f"{words} Allowed data types are {first} and {IDS[-1]}",
        )


@rule("control-empty", Severity.WARNING, "sequence_batching")
def empty(model: Model) -> Iterator[Finding]:
    """Every control_input should have a control."""
    for tensor in tensors(model):
        name = tensor.text("name")
        if name and not tensor.all("control"):
            hint = "Add `control { kind: … }` with what the tensor should carry, or remove the control_input."
            yield Finding(tensor, f'control_input "{name}" has no control, so it is never filled in', hint=hint)


@rule("control-is-also-input", Severity.WARNING, "sequence_batching")
def also_input(model: Model) -> Iterator[Finding]:
    """A control tensor should not be listed as an input."""
    inputs = {tensor.text("name") for tensor in model.config.messages("input")}
    for tensor in tensors(model):
        name = tensor.text("name")
        if name and name in inputs and tensor.all("control"):
            hint = "Remove the input: clients do not send control tensors."
            yield Finding(name_of(tensor), f'control tensor "{name}" is also listed as an input', hint=hint)
