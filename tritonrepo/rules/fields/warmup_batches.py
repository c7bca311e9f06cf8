"""The batch of warmup samples, and inputs that the model does not have."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete
from tritonrepo.rules.fields.warmup_samples import REQUEST, samples
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

BATCH_CHECKED = frozenset({"python", "vllm", "onnxruntime"})
"""Backends whose sources were seen to refuse a batch above max_batch_size."""

PYTHON_BASED = frozenset({"python", "vllm"})


@rule("warmup-batch-too-large", Severity.ERROR, "model_warmup", at=Stage.WARMUP.after("warmup-strings-differ"))
def batch_too_large(model: Model) -> Iterator[Finding]:
    """A warmup sample's batch_size is at most max_batch_size."""
    largest = max(model.max_batch_size, 1)
    if model.backend not in BATCH_CHECKED or may_complete(model):
        return
    for sample in samples(model):
        if sample.batch_size > largest:
            yield Finding(
                sample.node.scalars("batch_size")[-1],
                f"batch_size {sample.batch_size} is above max_batch_size {model.max_batch_size}",
                hint=f"Write batch_size: {largest}{' or less' if largest > 1 else ''}.",
                reason=f"failed to run warmup sample '{sample.name}': batch size {sample.batch_size} for",
                item=sample.item,
            )


@rule("warmup-run-fails", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-batch-too-large"))
def run_fails(model: Model) -> Iterator[Finding]:
    """A warmup sample has an input, where a Python model batches."""
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    required = any(not tensor.flag("optional") for tensor in inputs)
    if model.backend not in PYTHON_BASED or model.max_batch_size <= 0 or required or may_complete(model):
        return
    for sample in samples(model):
        if not sample.inputs:
            named = inputs[0].name if inputs else "NAME"
            yield Finding(
                sample.node,
                "this sample has no input to read the batch from",
                hint=f'Write one of the inputs: inputs {{ key: "{named}" value {{ ... }} }}.',
                reason=f"failed to run warmup sample '{sample.name}': {REQUEST}out of bounds index 0: request has 0 inputs;",
                item=sample.item,
            )


@rule("warmup-batch-zero", Severity.WARNING, "model_warmup")
def batch_zero(model: Model) -> Iterator[Finding]:
    """A warmup sample has a batch_size."""
    for node in model.config.messages("model_warmup"):
        if not node.integer("batch_size"):
            written = node.scalars("batch_size")
            yield Finding(
                written[-1] if written else node,
                f"this sample has {'the batch_size 0' if written else 'no batch_size'}, so it is never run",
                hint="Write batch_size: 1.",
            )


@rule("warmup-unknown-input", Severity.INFO, "model_warmup")
def unknown_input(model: Model) -> Iterator[Finding]:
    """A warmup input that the model does not have goes to it unchecked."""
    known = {tensor.name for tensor in model.tensors if tensor.kind == "input"}
    if not known or may_complete(model):
        return
    for sample in samples(model):
        for name, given in sample.inputs.items():
            if name not in known:
                keys = given.entry.scalars("key")
                yield Finding(
                    keys[-1] if keys else given.entry,
                    f'the model has no input "{name}"',
                    hint="Drop it, unless the model batches sequences and this is one of its controls.",
                )
