"""Dims of an initial_state: as many as the state has, all known, equal where the state's are, and not too large."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.initial_data import dims_differ, size_of
from tritonrepo.rules.scheduling.initial_states import DATA, initials
from tritonrepo.rules.stages import Stage

ADDRESSES = 1 << 47
"""Bytes that no process of these machines can have."""


@rule("initial-state-rank", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-input-twice"))
def rank(model: Model) -> Iterator[Finding]:
    """An initial_state has as many dims as its state."""
    for each in initials(model):
        has, needs = len(each.initial.all("dims")), len(each.state.all("dims"))
        if has != needs:
            words = "Number of dimensions in 'initial_state' doesn't match the size of 'state' dimensions"
            dims = [str(dim) for dim in each.state.numbers("dims")]
            yield Finding(
                each.initial.get("dims") or each.initial,
                f'the initial_state has {has} dims, the state "{each.input_name}" {needs}',
                hint=f"Write dims: [ {', '.join(dims)} ]."
                if dims and "-1" not in dims
                else "Write as many as the state has.",
                reason=f"{words} for state input '{each.input_name}'. {has} != {needs}",
                item=each.item,
            )


@rule("initial-state-variable", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-rank"))
def variable(model: Model) -> Iterator[Finding]:
    """An initial_state has no dim of -1."""
    for each in initials(model):
        dims = each.initial.scalars("dims")
        if len(dims) != len(each.state.all("dims")):
            continue
        for number, dim in enumerate(dims, 1):
            if dim.data == -1:
                words = f"'initial_state' field for state input name '{each.input_name}' contains variable dimensions."
                yield Finding(
                    dim,
                    "an initial_state of unknown size",
                    hint="Write the dim.",
                    reason=words,
                    item=each.item + number,
                )


@rule("initial-state-dim", Severity.ERROR, "sequence_batching", at=Stage.WARMUP.same_walk("initial-state-variable"))
def dim_differs(model: Model) -> Iterator[Finding]:
    """A dim of an initial_state is the state's, where that is not -1."""
    for each in initials(model):
        dims, needed = each.initial.scalars("dims"), each.state.numbers("dims")
        if len(dims) != len(needed):
            continue
        for number, (dim, needs) in enumerate(zip(dims, needed, strict=True), 1):
            if dim.data != -1 and needs not in {-1, dim.data}:
                words = f"'initial_state' dim for input name '{each.input_name}' doesn't match 'state' dim description."
                yield Finding(
                    dim,
                    f'the initial_state has the dim {dim.data} where the state "{each.input_name}" has {needs}',
                    hint=f"Write {needs}.",
                    reason=f"{words} {dim.data} != {needs}",
                    item=each.item + number,
                )


@rule(
    "initial-state-too-large",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.WARMUP.same_walk("initial-state-dim"),
    state=State.CRASH,
)
def too_large(model: Model) -> Iterator[Finding]:
    """An initial_state of zeros fits into memory."""
    for each in initials(model):
        size = size_of(each)
        chosen = each.initial.chosen("state_data")
        if size < ADDRESSES or dims_differ(each) or chosen is None or chosen.name != "zero_data":
            continue
        dims = {dim.data: dim for dim in each.initial.scalars("dims") if isinstance(dim.data, int)}
        odd = min(dims) if min(dims) < 0 else max(dims)
        message = f"the initial_state has the dim {odd}: {size} bytes of zeros, which end the whole server"
        words = "failed to allocate non-pinned system memory"
        yield Finding(dims[odd], message, hint="Write the size of the state.", reason=words, item=each.item + DATA)
