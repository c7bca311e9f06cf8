"""reshape: the shape that the model sees must hold as many elements as the dims of requests.

Source of all: core, src/model_config_utils.cc, ValidateIOShape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete_inputs
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.fields.tensors import called, overflows, reason
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


class Differs(StrEnum):
    """How dims and reshape differ."""

    NOTHING = ""
    SIZE = "size"
    VARIABLE_COUNT = "variable count"
    SEGMENT = "segment"


def differs(dims: Sequence[int], shape: Sequence[int]) -> Differs:
    """Compare valid dims with a valid reshape as the server does, in an int64 that wraps around."""
    ours, theirs = _elements(dims), _elements(shape)
    if ours != theirs and (ours, theirs) != (1, 0):
        return Differs.SIZE
    if ours != -1:
        return Differs.NOTHING
    segments, others = _segments(dims), _segments(shape)
    if len(segments) != len(others):
        return Differs.VARIABLE_COUNT
    return Differs.NOTHING if segments == others else Differs.SEGMENT


def _elements(dims: Sequence[int]) -> int:
    """Return the number of elements that the server counts: 0 for no dims, -1 for any number."""
    return -1 if -1 in dims else _count(dims) if dims else 0


def _count(dims: Sequence[int]) -> int:
    count = 1
    for dim in dims:
        count = (count * dim + (1 << 63)) % (1 << 64) - (1 << 63)
    return count


def _segments(dims: Sequence[int]) -> list[int]:
    """Return the element counts between the variable dimensions."""
    counts = [1]
    for dim in dims:
        if dim == -1:
            counts.append(1)
        else:
            counts[-1] = _count([counts[-1], dim])
    return counts


def _reshaped(model: Model, sought: Differs) -> Iterator[tuple[ListedTensor, list[int]]]:
    """Yield the tensors whose dims and reshape are both valid but differ in this way."""
    for tensor in model.tensors:
        reshape = tensor.reshape
        if reshape is None or not tensor.dims:
            continue
        shape = reshape.numbers("shape")
        if any(dim < 1 and dim != -1 for dim in (*tensor.dims, *shape)) or not (shape or model.max_batch_size):
            continue
        if model.target.release.has("bounded-element-counts") and (overflows(tensor.dims) or overflows(shape)):
            continue
        if differs(tensor.dims, shape) is sought:
            yield tensor, shape


def _at(tensor: ListedTensor) -> Finding:
    reshape = tensor.reshape
    assert reshape is not None  # noqa: S101  by the callers
    return Finding(reshape.get("shape") or reshape, "")


@rule("reshape-empty-nonbatching", Severity.ERROR, "*.reshape", at=Stage.IO.same_walk("io-dims-missing"))
def empty_nonbatching(model: Model) -> Iterator[Finding]:
    """A model that does not batch cannot reshape a tensor to no dimensions."""
    if model.max_batch_size:
        return
    for tensor in model.tensors:
        reshape = tensor.reshape
        if reshape is not None and tensor.dims and not reshape.numbers("shape") and not may_complete_inputs(model):
            yield _at(tensor)._replace(
                message=f"{called(tensor)} has an empty reshape, but the model does not batch",
                hint="Set shape to one or more dimensions, or set max_batch_size.",
                reason=reason(
                    tensor,
                    model,
                    "cannot have empty reshape for non-batching model as scalar tensors are not supported",
                ),
                item=tensor.item,
            )


@rule("reshape-dim-invalid", Severity.ERROR, "*.reshape", at=Stage.IO.same_walk("io-dim-invalid"))
def dim_invalid(model: Model) -> Iterator[Finding]:
    """A dimension of a reshape must be at least 1, or -1 for any size."""
    for tensor in model.tensors:
        reshape = tensor.reshape
        for dim in reshape.scalars("shape") if reshape is not None else ():
            if isinstance(dim.data, int) and dim.data < 1 and dim.data != -1:
                text = "reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension"
                yield Finding(
                    dim,
                    f"a reshape dimension of {called(tensor)} must be at least 1, or -1 for any size, not {dim.data}",
                    hint="Set its size, or -1 where dims has -1.",
                    reason=reason(tensor, model, text),
                    item=tensor.item,
                )


@rule("reshape-size-differs", Severity.ERROR, "*.reshape", at=Stage.IO.same_walk("dims-overflow"))
def size_differs(model: Model) -> Iterator[Finding]:
    """A reshape must hold as many elements as dims."""
    for tensor, shape in _reshaped(model, Differs.SIZE):
        yield _at(tensor)._replace(
            message=f"reshape {shape} of {called(tensor)} does not hold as many elements as dims {list(tensor.dims)}",
            hint="Set shape to dimensions with the same number of elements."
            if (-1 in tensor.dims) is (-1 in shape)
            else "Use -1 in both dims and shape, or in neither.",
            reason=reason(tensor, model, "has different size for dims and reshape"),
            item=tensor.item,
        )


@rule("reshape-variable-count-differs", Severity.ERROR, "*.reshape", at=Stage.IO.same_walk("reshape-size-differs"))
def variable_count_differs(model: Model) -> Iterator[Finding]:
    """A reshape must have as many variable dimensions as dims."""
    for tensor, shape in _reshaped(model, Differs.VARIABLE_COUNT):
        ours, theirs = tensor.dims.count(-1), shape.count(-1)
        yield _at(tensor)._replace(
            message=f"{called(tensor)} has {ours} variable dimensions, but its reshape has {theirs}",
            hint="Use -1 in shape as many times as in dims.",
            reason=reason(tensor, model, "has different number of variable-size dimensions for dims and reshape"),
            item=tensor.item,
        )


@rule("reshape-segment-differs", Severity.ERROR, "*.reshape", at=Stage.IO.same_walk("reshape-variable-count-differs"))
def segment_differs(model: Model) -> Iterator[Finding]:
    """Between variable dimensions, a reshape must hold as many elements as dims."""
    for tensor, shape in _reshaped(model, Differs.SEGMENT):
        yield _at(tensor)._replace(
            message=f"reshape {shape} of {called(tensor)} does not match dims {list(tensor.dims)} on each side of -1",
            hint="Set fixed dimensions with as many elements as in dims before, between and after the -1 dimensions.",
            reason=reason(tensor, model, "has different size for dims and reshape"),
            item=tensor.item,
        )
