"""What the controls of sequences are filled with: values for false and true, or the type of the correlation id."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Field, Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.controls import CORRID, ControlVisit, visits
from tritonrepo.rules.stages import Stage

PAIRS = ("int32_false_true", "fp32_false_true", "bool_false_true")
IDS = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")
EITHER = "either 'int32_false_true', 'fp32_false_true' or 'bool_false_true'"


def pairs(control: Message) -> dict[str, Field]:
    """Return the lists of values that a control has, in the server's order; an empty list is none."""
    found = {name: control.get(name) for name in PAIRS if control.all(name)}
    return {name: field for name, field in found.items() if field is not None}


def flags(model: Model) -> Iterator[tuple[ControlVisit, dict[str, Field]]]:
    """Yield the controls that are START, END or READY with their lists of values; a second one of its kind aside."""
    for visit in visits(model):
        if visit.kind != CORRID and not visit.before:
            yield visit, pairs(visit.control)


@rule("control-values-missing", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-kind-twice"))
def values_missing(model: Model) -> Iterator[Finding]:
    """A START, END or READY control says what stands for false and true."""
    for visit, found in flags(model):
        if not found:
            yield Finding(
                visit.control,
                f"this control of kind {visit.kind} has no values for false and true",
                hint="Write int32_false_true: [ 0, 1 ], or fp32_false_true or bool_false_true, as the model's input is.",
                reason=f"sequence batching must specify {EITHER} for {visit.kind} for {model.config_name}",
                item=visit.item,
            )


@rule("control-values-several", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-values-missing"))
def values_several(model: Model) -> Iterator[Finding]:
    """A START, END or READY control has one list of values."""
    for visit, found in flags(model):
        if len(found) > 1:
            words = "more than one from 'int32_false_true', 'fp32_false_true' and 'bool_false_true'"
            yield Finding(
                sorted(found.values(), key=lambda field: field.start)[1],
                f"this control has {' and '.join(found)}",
                hint="Keep the one that has the type of the model's input.",
                reason=f"sequence batching specifies {words} for {visit.kind} for {model.config_name}",
                item=visit.item,
            )


@rule("control-values-count", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-values-several"))
def values_count(model: Model) -> Iterator[Finding]:
    """A control's list of values has two: what stands for false, then what stands for true."""
    for visit, found in flags(model):
        name = next(iter(found), "")
        count = len(visit.control.all(name))
        if len(found) == 1 and count != 2:  # noqa: PLR2004  false and true
            words = f"sequence batching control '{name}' must have exactly 2 entries"
            yield Finding(
                found[name],
                f"{name} has {count} value{'s' if count > 1 else ''}",
                hint="Write two: what stands for false, then what stands for true.",
                reason=f"{words} for {visit.kind} for {model.config_name}",
                item=visit.item,
            )


@rule("corrid-with-values", Severity.ERROR, "sequence_batching", at=Stage.POLL.same_walk("control-values-count"))
def corrid_with_values(model: Model) -> Iterator[Finding]:
    """A CORRID control has a data_type and no values."""
    for visit in visits(model):
        if visit.kind == CORRID and not visit.before and (found := pairs(visit.control)):
            yield Finding(
                next(iter(found.values())),
                f"{' and '.join(found)} in a control of kind {CORRID}",
                hint="Write data_type: TYPE_UINT64 instead, or the type that the model's input has.",
                reason=f"sequence batching must not specify {EITHER} for {CORRID} for {model.config_name}",
                item=visit.item,
            )


@rule("corrid-data-type", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("corrid-with-values"))
def corrid_data_type(model: Model) -> Iterator[Finding]:
    """A CORRID control has the data_type of an id."""
    for visit in visits(model):
        written = visit.control.scalars("data_type")
        found = visit.control.enum("data_type", "TYPE_INVALID")
        if visit.kind != CORRID or visit.before or found in IDS or (pairs(visit.control) and not written):
            continue
        allowed = f"{', '.join(IDS[:-1])} and {IDS[-1]}"
        yield Finding(
            written[-1] if written else visit.control,
            f"data_type {found} for an id" if written else f"this control of kind {CORRID} has no data_type",
            hint=f"Write one of {allowed}.",
            reason=f"unexpected data type for control {CORRID} for {model.config_name}. Allowed data types are {allowed}",
        )
