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
    """A warmup sample's batch_size is at most max_batch_size.

    Why:
        The core does not look at it, but the backend refuses the batch, and so the model. A model that does not batch takes 1.
    Source:
        python_backend, src/python_be.cc, CheckIncomingRequests; onnxruntime_backend, src/onnxruntime.cc, ProcessRequests
    Bad:
        -- scorer/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" batch_size: 9 inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
        -- scorer/1/model.py --
        import triton_python_backend_utils as pb_utils
        class TritonPythonModel:
            def execute(self, requests):
                return [pb_utils.InferenceResponse([]) for _ in requests]
    Says:
        scorer/config.pbtxt:5:40: error: batch_size 9 is above max_batch_size 8 [warmup-batch-too-large]
          Write batch_size: 8 or less.
    Server says:
        failed to run warmup sample 'one': batch size 9 for
    Good:
        -- scorer/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" batch_size: 1 inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
        -- scorer/1/model.py --
        import triton_python_backend_utils as pb_utils
        class TritonPythonModel:
            def execute(self, requests):
                return [pb_utils.InferenceResponse([]) for _ in requests]
    """
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
    """A warmup sample has an input, where a Python model batches.

    Why:
        What a model does with a sample shows only when it runs; this can be seen before. The Python backend reads the
        batch from a request's first input, and without any input the model is refused, also if all are optional; now and
        then the server ends with it.
    Source:
        python_backend, src/python_be.cc, CheckIncomingRequests; core, src/backend_model_instance.cc, WarmUp
    Bad:
        -- scorer/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] optional: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" batch_size: 1 }
        -- scorer/1/model.py --
        import triton_python_backend_utils as pb_utils
        class TritonPythonModel:
            def execute(self, requests):
                return [pb_utils.InferenceResponse([]) for _ in requests]
    Says:
        scorer/config.pbtxt:5:14: error: this sample has no input to read the batch from [warmup-run-fails]
          Write one of the inputs: inputs { key: "IN" value { ... } }.
    Server says:
        failed to run warmup sample 'one': [request id: <id_unknown>] out of bounds index 0: request has 0 inputs;
    Good:
        -- scorer/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] optional: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" batch_size: 1 inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
        -- scorer/1/model.py --
        import triton_python_backend_utils as pb_utils
        class TritonPythonModel:
            def execute(self, requests):
                return [pb_utils.InferenceResponse([]) for _ in requests]
    """
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
    """A warmup sample has a batch_size.

    Why:
        Without one, or with 0, the server skips the sample silently: there is no warmup at all.
    Source:
        core, src/backend_model_instance.cc, GenerateWarmupData
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:5:14: warning: this sample has no batch_size, so it is never run [warmup-batch-zero]
          Write batch_size: 1.
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" batch_size: 1 inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
        -- scorer/1/weights --
    """
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
    """A warmup input that the model does not have goes to it unchecked.

    Why:
        The server takes it for a control input of a sequence model.
    Source:
        core, src/backend_model_instance.cc, GenerateWarmupData
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" batch_size: 1 inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } inputs { key: "OTHER" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:5:136: info: the model has no input "OTHER" [warmup-unknown-input]
          Drop it, unless the model batches sequences and this is one of its controls.
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        model_warmup { name: "one" batch_size: 1 inputs { key: "IN" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
        -- scorer/1/weights --
    """
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
