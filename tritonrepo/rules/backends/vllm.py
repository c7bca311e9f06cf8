"""What a config for the vLLM backend says and must not say; the backend completes the rest."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("vllm-decoupled-false", Severity.ERROR, "backend=vllm", at=Stage.BACKEND.after("onnx-model-file-missing"))
def decoupled_false(model: Model) -> Iterator[Finding]:
    """A vLLM model does not say decoupled: false."""
    policy = _policy(model)
    if model.target.auto_complete and policy is not None and not policy.flag("decoupled"):
        yield Finding(
            _decoupled(model, policy),
            "a vLLM model is decoupled, and the backend may not change what is written",
            hint="Write decoupled: true, or drop model_transaction_policy.",
            reason=f"ValueError: trying to change decoupled property in auto-complete-config for model '{model.config_name}', "
            "which is already set to 'False'.",
        )


@rule("vllm-not-decoupled", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-text-output-missing"))
def not_decoupled(model: Model) -> Iterator[Finding]:
    """Without auto-complete a vLLM model says decoupled: true."""
    if not model.target.auto_complete:
        policy = _policy(model)
        if policy is None or not policy.flag("decoupled"):
            yield Finding(
                _decoupled(model, policy) if policy is not None else None,
                "a vLLM model that is not decoupled, and nothing completes it without auto-complete",
                hint="Write model_transaction_policy { decoupled: true }.",
                reason="vLLM Triton backend must be configured to use decoupled model transaction policy",
            )


@rule("vllm-max-batch-size", Severity.ERROR, "backend=vllm", at=Stage.BACKEND.after("vllm-decoupled-false"))
def max_batch_size(model: Model) -> Iterator[Finding]:
    """A vLLM model has no max_batch_size, or 0."""
    if model.target.auto_complete and model.max_batch_size > 0:
        yield Finding(
            _batch_size(model),
            f"max_batch_size {model.max_batch_size} for vLLM, which makes its own batches",
            hint="Write max_batch_size: 0, or drop it.",
            reason=f"ValueError: configuration specified max_batch_size {model.max_batch_size}, but in auto-complete-config "
            f"function for model '{model.config_name}' specified max_batch_size 0",
        )


@rule("vllm-max-batch-size-unchecked", Severity.WARNING, "backend=vllm")
def max_batch_size_unchecked(model: Model) -> Iterator[Finding]:
    """Without auto-complete nobody checks the max_batch_size of a vLLM model."""
    if not model.target.auto_complete and model.max_batch_size > 0:
        yield Finding(
            _batch_size(model),
            f"max_batch_size {model.max_batch_size} for vLLM, which makes its own batches",
            hint="Write max_batch_size: 0, or drop it.",
        )


@rule(
    "vllm-text-output-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("python-tensor-not-in-config")
)
def text_output_missing(model: Model) -> Iterator[Finding]:
    """Without auto-complete a vLLM model lists text_output."""
    if not model.target.auto_complete and not _lists(model, "output", "text_output"):
        yield Finding(
            None,
            "no output text_output, which the vLLM backend needs, and nothing completes it without auto-complete",
            hint="List the inputs and outputs: text_input TYPE_STRING [ 1 ], text_output TYPE_STRING [ -1 ], and more.",
            reason="TypeError: 'NoneType' object is not subscriptable",
        )


@rule("vllm-text-input-missing", Severity.WARNING, "backend=vllm")
def text_input_missing(model: Model) -> Iterator[Finding]:
    """Without auto-complete a vLLM model lists text_input."""
    if model.target.auto_complete or not _lists(model, "output", "text_output"):
        return
    if not _lists(model, "input", "text_input"):
        hint = 'Write input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }.'
        yield Finding(None, "no input text_input: every request will fail", hint=hint)


def _policy(model: Model) -> Message | None:
    return model.config.message("model_transaction_policy")


def _decoupled(model: Model, policy: Message) -> Placed | None:
    return next(reversed(policy.scalars("decoupled")), None) or model.config.get("model_transaction_policy")


def _batch_size(model: Model) -> Placed:
    return model.config.scalars("max_batch_size")[-1]


def _lists(model: Model, kind: str, name: str) -> bool:
    return any(tensor.kind == kind and tensor.name == name for tensor in model.tensors)
