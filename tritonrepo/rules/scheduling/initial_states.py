"""The initial_state of a state: at most one per state, with a name and with the type and dims of the state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.states import OWN_INPUT, data_type, states
from tritonrepo.rules.stages import Stage

DATA = (1 << 32) - 1


class Initial(NamedTuple):
    """An initial_state with its state; `item` is when the server reaches it."""

    state: Message
    initial: Message
    item: int

    @property
    def input_name(self) -> str:
        """The name of the state in the server's messages."""
        return self.state.text("input_name")


def initials(model: Model) -> Iterator[Initial]:
    """Yield the initial states in the server's order, without those of a state that has several.

    Between two items there is room for one per dim, counted from 1, and for `DATA`, which the server checks last.
    """
    for number, state in enumerate(states(model)):
        found = state.messages("initial_state")
        if len(found) == 1:
            yield Initial(state, found[0], number << 32)


@rule("initial-state-several", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.after("warmup-run-fails"))
def several(model: Model) -> Iterator[Finding]:
    """A state cannot have more than one initial_state."""
    for number, state in enumerate(states(model)):
        found = state.messages("initial_state")
        if len(found) > 1:
            name = state.text("input_name")
            words = f"initial_state field for state input '{name}' must contain exactly one or zero element."
            yield Finding(
                found[1],
                f'state "{name}" must have at most one initial_state, not {len(found)}',
                hint="Remove all but one initial_state.",
                reason=f"{words} Found '{len(found)}' elements.",
                item=number << 32,
            )


@rule(
    "initial-state-data-type", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-several")
)
def type_differs(model: Model) -> Iterator[Finding]:
    """An initial_state must have the data_type of its state."""
    for each in initials(model):
        has, needs = data_type(each.initial), data_type(each.state)
        if has != needs:
            words = f"The data type used for 'initial_state' field of state '{each.input_name}'"
            known = needs != "TYPE_INVALID"
            yield Finding(
                next(reversed(each.initial.scalars("data_type")), each.initial),
                f'the initial_state has data_type {has}, but state "{each.input_name}" has {needs}',
                hint=f"Set data_type to {needs}." if known else f"Set the state's data_type to {has}.",
                reason=f"{words} does not match the state data type.",
                item=each.item,
            )


@rule("initial-state-name", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-data-type"))
def without_name(model: Model) -> Iterator[Finding]:
    """An initial_state must have a name."""
    for each in initials(model):
        if not each.initial.text("name"):
            yield Finding(
                next(reversed(each.initial.scalars("name")), each.initial),
                "the initial_state has no name",
                hint='Set name to any string, such as "zeros".',
                reason=f"Field 'name' must be set when using initial_state for state input '{each.input_name}'.",
                item=each.item,
            )


@rule("initial-state-input-twice", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-name"))
def input_twice(model: Model) -> Iterator[Finding]:
    """Two states with an initial_state cannot have the same input_name."""
    seen = set()
    for each in initials(model):
        if each.input_name in seen:
            yield Finding(
                next(reversed(each.state.scalars("input_name")), each.state),
                f'another state with an initial_state already has input_name "{each.input_name}"',
                hint=OWN_INPUT,
                reason=f"State input name '{each.input_name}' specified more than once.",
                item=each.item,
            )
        seen.add(each.input_name)


@rule("initial-state-rank", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-input-twice"))
def rank(model: Model) -> Iterator[Finding]:
    """An initial_state must have as many dims as its state."""
    for each in initials(model):
        has, needs = len(each.initial.all("dims")), len(each.state.all("dims"))
        if has != needs:
            words = "Number of dimensions in 'initial_state' doesn't match the size of 'state' dimensions"
            dims = [str(dim) for dim in each.state.numbers("dims")]
            fixed = dims and "-1" not in dims
            yield Finding(
                each.initial.get("dims") or each.initial,
                f'the initial_state has {has} dim{"" if has == 1 else "s"}, but state "{each.input_name}" has {needs}',
                hint=f"Set dims to `[ {', '.join(dims)} ]`." if fixed else "List as many dims as the state has.",
                reason=f"{words} for state input '{each.input_name}'. {has} != {needs}",
                item=each.item,
            )


@rule("initial-state-variable", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-rank"))
def variable(model: Model) -> Iterator[Finding]:
    """An initial_state cannot have a dim of -1."""
    for each in initials(model):
        dims = each.initial.scalars("dims")
        if len(dims) != len(each.state.all("dims")):
            continue
        for number, dim in enumerate(dims, 1):
            if dim.data == -1:
                words = f"'initial_state' field for state input name '{each.input_name}' contains variable dimensions."
                yield Finding(
                    dim,
                    "an initial_state cannot have a dim of -1",
                    hint="Set the dim to a fixed size.",
                    reason=words,
                    item=each.item + number,
                )


@rule("initial-state-dim", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-variable"))
def dim_differs(model: Model) -> Iterator[Finding]:
    """A dim of an initial_state must equal that of its state, unless that is -1."""
    for each in initials(model):
        dims, needed = each.initial.scalars("dims"), each.state.numbers("dims")
        if len(dims) != len(needed):
            continue
        for number, (dim, needs) in enumerate(zip(dims, needed, strict=True), 1):
            if dim.data != -1 and needs not in {-1, dim.data}:
                words = f"'initial_state' dim for input name '{each.input_name}' doesn't match 'state' dim description."
                yield Finding(
                    dim,
                    f'a dim of the initial_state must be {needs}, as in state "{each.input_name}", not {dim.data}',
                    hint=f"Set the dim to {needs}.",
                    reason=f"{words} {dim.data} != {needs}",
                    item=each.item + number,
                )
