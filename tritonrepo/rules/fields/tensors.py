"""Inputs and outputs: their names, types and dims, and their lists as a whole.

With auto-complete on, the server checks them after the backend has completed the config; otherwise, when it reads the
config.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import SILENT, may_complete, may_complete_inputs, may_complete_tensors
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.vllm_contract import contract

INT64_MAX = (1 << 63) - 1

NAMED = "tensors-named-in-faults"

OWN_RULES = frozenset({"python", "pytorch", "onnxruntime", "vllm"})
"""Backends with other rules for configs without inputs and outputs."""

SCHEDULERS = frozenset({"dynamic_batching", "sequence_batching", "ensemble_scheduling"})


def called(tensor: ListedTensor) -> str:
    """Return the name of a tensor for a message."""
    return f'{tensor.kind} "{tensor.name}"' if tensor.name else f"an {tensor.kind} without a name"


def reason(tensor: ListedTensor, model: Model, text: str) -> str:
    """Return the server's error for a tensor."""
    named = f" '{tensor.name}'" if model.target.release.has(NAMED) else ""
    return f"model {tensor.kind}{named} {text} for {model.config_name}"


@rule("io-name-missing", Severity.ERROR, "input", "output", at=Stage.IO.first)
def name_missing(model: Model) -> Iterator[Finding]:
    """Every input and output must have a name."""
    for tensor in model.tensors:
        if not tensor.name:
            yield Finding(
                tensor.node,
                f"the {tensor.kind} has no name",
                hint="Set name to the tensor's name in the model.",
                reason=f"model {tensor.kind} must specify 'name' for {model.config_name}",
                item=tensor.item,
            )


@rule("io-data-type-missing", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("io-name-missing"))
def data_type_missing(model: Model) -> Iterator[Finding]:
    """Every input and output must have a data_type."""
    for tensor in model.tensors:
        if tensor.name and tensor.data_type in {"", "TYPE_INVALID"} and not may_complete_tensors(model):
            written = tensor.fields.get("data_type")
            yield Finding(
                written.value if written is not None else tensor.node,
                f"{called(tensor)} has no data_type"
                if written is None
                else f"{called(tensor)} cannot have data_type TYPE_INVALID",
                hint=_type_hint(tensor, model),
                reason=_type_reason(tensor, model),
                item=tensor.item,
            )


def _type_reason(tensor: ListedTensor, model: Model) -> str:
    if model.target.release.has(NAMED):
        return reason(tensor, model, "must specify 'data_type'")
    return f"model output must specify 'data_type' for {model.config_name}"


def _type_hint(tensor: ListedTensor, model: Model) -> str:
    """Return the hint; the vLLM backend's tensors are known, and auto-complete adds those that are not listed."""
    known = contract(model.target.release.name) if model.backend == "vllm" else ()
    same = [each for each in known if (each.kind, each.name) == (tensor.kind, tensor.name)]
    if not same:
        return "Set data_type to the type in the model, such as TYPE_FP32."
    added = f", or remove the {tensor.kind}, which the backend adds itself" if model.target.auto_complete else ""
    return f"Set data_type to {same[0].data_type}{added}."


@rule("io-dims-missing", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("io-data-type-missing"))
def dims_missing(model: Model) -> Iterator[Finding]:
    """Every input and output must have dims."""
    for tensor in model.tensors:
        if tensor.name and not tensor.dims and not may_complete_tensors(model):
            yield Finding(
                tensor.node.get("dims") or tensor.node,
                f"{called(tensor)} has no dims",
                hint="Set dims, such as `[ 4 ]`, `[ -1 ]` for any size, or `[ 1 ]` for a single value.",
                reason=reason(tensor, model, "must specify 'dims'"),
                item=tensor.item,
            )


@rule("io-dim-invalid", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("reshape-empty-nonbatching"))
def dim_invalid(model: Model) -> Iterator[Finding]:
    """A dimension must be at least 1, or -1 for any size."""
    for tensor in model.tensors:
        if tensor.dims and (min(tensor.dims) < -1 or 0 in tensor.dims):
            for dim in tensor.node.scalars("dims"):
                if isinstance(dim.data, int) and dim.data < 1 and dim.data != -1:
                    yield Finding(
                        dim,
                        f"a dimension of {called(tensor)} must be at least 1, or -1 for any size, not {dim.data}",
                        hint="Set its size, or -1.",
                        reason=reason(
                            tensor, model, "dimension must be integer >= 1, or -1 to indicate a variable-size dimension"
                        ),
                        item=tensor.item,
                    )


@rule("dims-overflow", Severity.ERROR, "input", "output", at=Stage.IO.same_walk("reshape-dim-invalid"))
def dims_overflow(model: Model) -> Iterator[Finding]:
    """The number of elements in a tensor must fit in a signed 64-bit integer."""
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
                    f"{called(tensor)} has more than {INT64_MAX} elements",
                    hint="Set the dimensions that requests actually have, or -1.",
                    reason=f"{text} for {model.config_name}" if reshape is not None else text,
                    item=tensor.item,
                )
                break


def overflows(dims: Sequence[int]) -> bool:
    """Return whether the product exceeds an int64; counting stops at a -1."""
    count = 1
    for dim in dims:
        if dim < 1:
            return False
        count *= dim
        if count > INT64_MAX:
            return True
    return False


def _repeated(model: Model, kind: str) -> Iterator[ListedTensor]:
    """Yield the tensors of a kind whose name an earlier one already has."""
    seen = set()
    for tensor in model.tensors:
        if tensor.kind == kind and tensor.name:
            if tensor.name in seen:
                yield tensor
            seen.add(tensor.name)


@rule("input-name-twice", Severity.WARNING, "input")
def input_twice(model: Model) -> Iterator[Finding]:
    """Two inputs should not have the same name."""
    for tensor in _repeated(model, "input"):
        yield Finding(
            tensor.fields["name"].value,
            f'input "{tensor.name}" is already defined, so Triton rejects every request',
            hint="Remove it, or rename it to match the model.",
        )


@rule("output-name-twice", Severity.WARNING, "output")
def output_twice(model: Model) -> Iterator[Finding]:
    """Two outputs should not have the same name."""
    for tensor in _repeated(model, "output"):
        # if both have labels, the server refuses to load the model, which another rule reports
        if "label_filename" not in tensor.fields:
            yield Finding(
                tensor.fields["name"].value,
                f'output "{tensor.name}" is already defined, so Triton ignores this one',
                hint="Remove it, or rename it to match the model.",
            )


@rule("no-inputs-or-outputs", Severity.WARNING)
def no_tensors(model: Model) -> Iterator[Finding]:
    """A model should list its inputs and outputs."""
    if {"input", "output"} <= model.fields or not model.backend or model.parsed is None:
        return
    if model.is_ensemble or model.backend in OWN_RULES or may_complete(model):
        return
    for kind in ("input", "output"):
        if kind not in model.fields:
            yield Finding(
                None,
                f"the config has no {kind}, and auto-complete does not add one",
                hint=f"Add `{kind} {{ name: ... data_type: ... dims: ... }}`.",
            )


@rule("config-not-provided", Severity.ERROR, at=Stage.COMPLETED.first)
def not_provided(model: Model) -> Iterator[Finding]:
    """A model must have a config.pbtxt if its backend does not generate the config."""
    if model.parsed is None and model.backend in SILENT and model.target.auto_complete and model.served:
        yield Finding(
            None,
            f'config.pbtxt is missing, and backend "{model.backend}" does not generate the config',
            hint="Create it with backend, input and output.",
            reason=f"model configuration is not provided for model '{model.config_name}'",
        )


@rule("ragged-without-batching", Severity.WARNING, "*.allow_ragged_batch")
def ragged(model: Model) -> Iterator[Finding]:
    """allow_ragged_batch should be set only for a model that batches."""
    if model.max_batch_size > 0 and model.fields & SCHEDULERS:
        return
    for tensor in model.tensors:
        if tensor.kind == "input" and tensor.flag("allow_ragged_batch") and not may_complete_inputs(model):
            yield Finding(
                tensor.fields["allow_ragged_batch"],
                "allow_ragged_batch has no effect because the model does not batch",
                hint="Set max_batch_size and add `dynamic_batching { }`, or remove allow_ragged_batch.",
            )


@rule("all-inputs-optional", Severity.INFO, "*.optional")
def all_optional(model: Model) -> Iterator[Finding]:
    """A request to a model that batches needs at least one input even if all inputs are optional."""
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    batches = model.max_batch_size > 0 and not model.is_ensemble
    if batches and inputs and all(tensor.flag("optional") for tensor in inputs):
        yield Finding(
            inputs[0].fields["optional"],
            "every input is optional, but a request needs at least one, from which its batch size is read",
            hint="Remove optional from an input, or set `max_batch_size: 0`.",
        )
