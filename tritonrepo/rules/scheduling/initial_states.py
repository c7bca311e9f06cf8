"""What the states of a sequence are at its start: one initial_state a state, with the type and the dims of the state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.states import data_type, states
from tritonrepo.rules.stages import Stage

DATA = (1 << 32) - 1


class Initial(NamedTuple):
    """An initial_state with the state that it is of; `item` is when the server comes to it."""

    state: Message
    initial: Message
    item: int

    @property
    def input_name(self) -> str:
        """The name by which the server's texts call the state."""
        return self.state.text("input_name")


def initials(model: Model) -> Iterator[Initial]:
    """Yield the initial states in the server's order; where a state has several it looks at none of them.

    Between two items there is room for one a dim, counted from 1, and for `DATA`, which is looked at last.
    """
    for number, state in enumerate(states(model)):
        found = state.messages("initial_state")
        if len(found) == 1:
            yield Initial(state, found[0], number << 32)


@rule("initial-state-several", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.after("warmup-run-fails"))
def several(model: Model) -> Iterator[Finding]:
    """A state has one initial_state at most."""
    for number, state in enumerate(states(model)):
        found = state.messages("initial_state")
        if len(found) > 1:
            name = state.text("input_name")
            words = f"initial_state field for state input '{name}' must contain exactly one or zero element."
            yield Finding(
                found[1],
                f'the state "{name}" has {len(found)} initial states',
                hint="Keep one.",
                reason=f"{words} Found '{len(found)}' elements.",
                item=number << 32,
            )


@rule(
    "initial-state-data-type", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-several")
)
def type_differs(model: Model) -> Iterator[Finding]:
    """An initial_state has the data_type of its state."""
    for each in initials(model):
        has, needs = data_type(each.initial), data_type(each.state)
        if has != needs:
            words = f"The data type used for 'initial_state' field of state '{each.input_name}'"
            yield Finding(
                next(reversed(each.initial.scalars("data_type")), each.initial),
                f'the initial_state has {has}, the state "{each.input_name}" {needs}',
                hint=f"Write data_type: {needs}." if needs != "TYPE_INVALID" else f"Give the state data_type: {has}.",
                reason=f"{words} does not match the state data type.",
                item=each.item,
            )


@rule("initial-state-name", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-data-type"))
def without_name(model: Model) -> Iterator[Finding]:
    """An initial_state has a name."""
    for each in initials(model):
        if not each.initial.text("name"):
            yield Finding(
                next(reversed(each.initial.scalars("name")), each.initial),
                "this initial_state has no name",
                hint='Write name: with any name, such as "zeros".',
                reason=f"Field 'name' must be set when using initial_state for state input '{each.input_name}'.",
                item=each.item,
            )


@rule("initial-state-input-twice", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-name"))
def input_twice(model: Model) -> Iterator[Finding]:
    """No two states with an initial_state have one input_name."""
    seen = set()
    for each in initials(model):
        if each.input_name in seen:
            yield Finding(
                next(reversed(each.state.scalars("input_name")), each.state),
                f'there is a state with the input_name "{each.input_name}" and an initial_state already',
                hint="Give each state its own input of the model.",
                reason=f"State input name '{each.input_name}' specified more than once.",
                item=each.item,
            )
        seen.add(each.input_name)
