"""The lists of inputs and outputs as a whole: what loads, and is surely not meant."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import SILENT, may_complete
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

OWN_RULES = frozenset({"python", "pytorch", "onnxruntime", "vllm"})
"""Backends of which rules of their own say what they do without inputs and outputs."""

SCHEDULERS = frozenset({"dynamic_batching", "sequence_batching", "ensemble_scheduling"})


def _repeated(model: Model, kind: str) -> Iterator[ListedTensor]:
    """Yield the tensors of a kind whose name an earlier one has."""
    seen = set()
    for tensor in model.tensors:
        if tensor.kind == kind and tensor.name:
            if tensor.name in seen:
                yield tensor
            seen.add(tensor.name)


@rule("input-name-twice", Severity.WARNING, "input")
def input_twice(model: Model) -> Iterator[Finding]:
    """No two inputs have the same name."""
    for tensor in _repeated(model, "input"):
        yield Finding(
            tensor.fields["name"].value,
            f'there are two inputs "{tensor.name}", and every request will be refused',
            hint="Drop one, or name it as the model does.",
        )


@rule("output-name-twice", Severity.WARNING, "output")
def output_twice(model: Model) -> Iterator[Finding]:
    """No two outputs have the same name."""
    for tensor in _repeated(model, "output"):
        # with labels on both the server refuses the model, and another rule says so
        if "label_filename" not in tensor.fields:
            yield Finding(
                tensor.fields["name"].value,
                f'there are two outputs "{tensor.name}", and only the first counts',
                hint="Drop one, or name it as the model does.",
            )


@rule("input-and-output-same-name", Severity.INFO, "output")
def same_name(model: Model) -> Iterator[Finding]:
    """An output may have the name of an input."""
    inputs = {tensor.name for tensor in model.tensors if tensor.kind == "input"}
    for tensor in model.tensors:
        if tensor.kind == "output" and tensor.name and tensor.name in inputs:
            yield Finding(
                tensor.fields["name"].value,
                f'input and output are both called "{tensor.name}"',
                hint="Nothing needs to change; two names are easier to tell apart.",
            )


@rule("no-inputs-or-outputs", Severity.WARNING)
def no_tensors(model: Model) -> Iterator[Finding]:
    """A model lists inputs and outputs."""
    if {"input", "output"} <= model.fields or not model.backend or model.parsed is None:
        return
    if model.is_ensemble or model.backend in OWN_RULES or may_complete(model):
        return
    for kind in ("input", "output"):
        if kind not in model.fields:
            yield Finding(
                None,
                f"the model has no {kind}, and nothing fills one in",
                hint=f"Write {kind} {{ name: ... data_type: ... dims: ... }}.",
            )


@rule("config-not-provided", Severity.ERROR, at=Stage.COMPLETED.first)
def not_provided(model: Model) -> Iterator[Finding]:
    """A model whose backend makes no config needs a config.pbtxt."""
    if model.parsed is None and model.backend in SILENT and model.target.auto_complete and model.served:
        yield Finding(
            None,
            f'there is no config.pbtxt, and backend "{model.backend}" makes none',
            hint="Write one with backend, input and output.",
            reason=f"model configuration is not provided for model '{model.config_name}'",
        )


@rule("ragged-without-batching", Severity.WARNING, "*.allow_ragged_batch")
def ragged(model: Model) -> Iterator[Finding]:
    """allow_ragged_batch needs a model that batches."""
    if model.max_batch_size > 0 and model.fields & SCHEDULERS:
        return
    for tensor in model.tensors:
        if tensor.kind == "input" and tensor.flag("allow_ragged_batch") and not may_complete(model):
            yield Finding(
                tensor.fields["allow_ragged_batch"],
                "allow_ragged_batch has no effect in a model that does not batch",
                hint="Set max_batch_size and dynamic_batching { }, or drop it.",
            )


@rule("all-inputs-optional", Severity.INFO, "*.optional")
def all_optional(model: Model) -> Iterator[Finding]:
    """A request needs at least one input, though all are optional."""
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    if inputs and all(tensor.flag("optional") for tensor in inputs):
        yield Finding(
            inputs[0].fields["optional"],
            "every input is optional, and a request still needs one",
            hint="Drop optional where the model needs the input.",
        )
