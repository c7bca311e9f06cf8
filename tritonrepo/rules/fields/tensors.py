"""Inputs and outputs: their names, types and dims.

With auto-complete on the server checks them once the backend has completed the config, else when it reads the config.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete_tensors
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.vllm_contract import contract

INT64_MAX = (1 << 63) - 1


def called(tensor: ListedTensor) -> str:
    """Return how messages call a tensor."""
    return f'{tensor.kind} "{tensor.name}"' if tensor.name else f"an {tensor.kind} without name"


def reason(tensor: ListedTensor, model: Model, text: str) -> str:
    """Return the server's sentence on a tensor."""
    return f"model {tensor.kind} '{tensor.name}' {text} for {model.config_name}"


@rule("io-name-missing", Severity.ERROR, "input", "output", at=Stage.IO.first)
def name_missing(model: Model) -> Iterator[Finding]:
    """Every input and output has a name."""
    for tensor in model.tensors:
        if not tensor.name:
            yield Finding(
                tensor.node,
                f"this {tensor.kind} has no name",
                hint="Write name: with the tensor's name as the model has it.",
                reason=f"model {tensor.kind} must specify 'name' for {model.config_name}",
                item=tensor.item,
            )


@rule("io-data-type-missing", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("io-name-missing"))
def data_type_missing(model: Model) -> Iterator[Finding]:
    """Every input and output has a data_type."""
    for tensor in model.tensors:
        if tensor.name and tensor.data_type in {"", "TYPE_INVALID"} and not may_complete_tensors(model):
            written = tensor.fields.get("data_type")
            yield Finding(
                written.value if written is not None else tensor.node,
                f"{called(tensor)} has no data_type" if written is None else f"{called(tensor)} has TYPE_INVALID",
                hint=_type_hint(tensor, model),
                reason=reason(tensor, model, "must specify 'data_type'"),
                item=tensor.item,
            )


def _type_hint(tensor: ListedTensor, model: Model) -> str:
    """Return the next step; what vLLM's backend has is known, and auto-complete adds it where it is not listed."""
    known = contract(model.target.release.name) if model.backend == "vllm" else ()
    same = [each for each in known if (each.kind, each.name) == (tensor.kind, tensor.name)]
    if not same:
        return "Write data_type: TYPE_FP32, or what the model has."
    added = f", or drop the {tensor.kind}: the backend adds it" if model.target.auto_complete else ""
    return f"Write data_type: {same[0].data_type}{added}."


@rule("io-dims-missing", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("io-data-type-missing"))
def dims_missing(model: Model) -> Iterator[Finding]:
    """Every input and output has dims."""
    for tensor in model.tensors:
        if tensor.name and not tensor.dims and not may_complete_tensors(model):
            yield Finding(
                tensor.node.get("dims") or tensor.node,
                f"{called(tensor)} has no dims",
                hint="Write dims: [ 4 ], or [ -1 ] for any size; a single value is [ 1 ].",
                reason=reason(tensor, model, "must specify 'dims'"),
                item=tensor.item,
            )


@rule("io-dim-invalid", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("reshape-empty-nonbatching"))
def dim_invalid(model: Model) -> Iterator[Finding]:
    """A dimension is at least 1, or -1 for any size."""
    for tensor in model.tensors:
        if tensor.dims and (min(tensor.dims) < -1 or 0 in tensor.dims):
            for dim in tensor.node.scalars("dims"):
                if isinstance(dim.data, int) and dim.data < 1 and dim.data != -1:
                    yield Finding(
                        dim,
                        f"{called(tensor)} has the dimension {dim.data}",
                        hint="Write its size, 1 or more, or -1 where any size will do.",
                        reason=reason(
                            tensor, model, "dimension must be integer >= 1, or -1 to indicate a variable-size dimension"
                        ),
                        item=tensor.item,
                    )


@rule("dims-overflow", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("reshape-dim-invalid"))
def dims_overflow(model: Model) -> Iterator[Finding]:
    """The number of a tensor's elements fits a signed 64-bit integer."""
    if not model.target.release.has("bounded-element-counts"):
        return
    for tensor in model.tensors:
        reshape = tensor.reshape
        if reshape is not None:
            lists = [("dims", tensor.dims, tensor.node), ("reshape", reshape.numbers("shape"), reshape)]
        elif tensor.kind == "input" and not model.is_ensemble:
            lists = [("dims", tensor.dims, tensor.node)]
        else:
            continue
        for what, dims, node in lists:
            if overflows(dims):
                name = f"{tensor.name} {what}" if reshape is not None else tensor.name
                text = f"element count for tensor '{name}' exceeds maximum size of {INT64_MAX}"
                yield Finding(
                    node.get("dims" if node is tensor.node else "shape"),
                    f"{called(tensor)} has more elements than {INT64_MAX}",
                    hint="Write the dimensions that requests really have, or -1.",
                    reason=f"{text} for {model.config_name}" if reshape is not None else text,
                    item=tensor.item,
                )
                break


def overflows(dims: Sequence[int]) -> bool:
    """Tell whether the product outgrows an int64 before a -1 ends the counting."""
    count = 1
    for dim in dims:
        if dim < 1:
            return False
        count *= dim
        if count > INT64_MAX:
            return True
    return False
