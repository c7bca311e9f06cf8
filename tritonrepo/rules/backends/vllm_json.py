"""model.json: that it is there, is an object, and asks for GPUs that its instance has."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import NAME, arguments, objects
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

PARALLEL = {
    "tensor_parallel_size": "vllm-device-check",
    "pipeline_parallel_size": "vllm-pipeline-parallel-check",
}
"""Keys whose numbers multiply to an engine's GPUs, with the fact without which a release does not read them."""

"""Which keys the backend itself reads, and since when."""

LONGEST_VALUE = 40
"""Characters of a value that are shown."""

SPOKEN = {"str": "text", "int": "number", "float": "number", "bool": "true or false", "NoneType": "null"}


@rule("vllm-model-json-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-not-decoupled"))
def json_missing(model: Model) -> Iterator[Finding]:
    """A vLLM model has a model.json in every version that is served."""
    for each in arguments(model):
        if each.text is None:
            aside = NAME in model.entries
            yield Finding(
                each.path,
                "no model.json, which holds the arguments of vLLM's engine",
                hint="Move model.json into the version directory."
                if aside
                else 'Put one there: {"model": "…"} is enough.',
                reason="'model.json' containing vllm engine args must be provided in",
            )


@rule("vllm-model-json-syntax", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-json-missing"))
def json_syntax(model: Model) -> Iterator[Finding]:
    """model.json is strict JSON."""
    for each in arguments(model):
        if each.fault:
            at = Span(f"{model.name}/{each.path}", each.line, each.column)
            yield Finding(at, f"model.json cannot be read: {each.said}", hint=each.cure, reason=each.fault)


@rule("vllm-model-json-not-object", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-json-syntax"))
def json_not_object(model: Model) -> Iterator[Finding]:
    """model.json holds one object."""
    for each in arguments(model):
        if each.text is not None and not each.fault and not isinstance(each.value, dict):
            kind = type(each.value).__name__
            yield Finding(
                each.path,
                f"model.json holds a {SPOKEN.get(kind, kind)}, not an object",
                hint='Write { "model": "…" }.',
                reason=f"AttributeError: '{kind}' object has no attribute 'get'"
                if model.target.release.has("vllm-device-check")
                else f"argument after ** must be a mapping, not {kind}",
            )


@rule(
    "vllm-parallel-size-not-int", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-json-not-object")
)
def parallel_size(model: Model) -> Iterator[Finding]:
    """tensor_parallel_size and pipeline_parallel_size are whole numbers."""
    for each, value in objects(model):
        for key, fact in PARALLEL.items():
            fault = _int_fault(value[key]) if key in value and model.target.release.has(fact) else None
            if fault is not None:
                said = json.dumps(value[key], ensure_ascii=False)
                said = said if len(said) <= LONGEST_VALUE else f"{said[:LONGEST_VALUE]}…"
                yield Finding(
                    each.at(model, key), f"{key} is {said}, no whole number", hint="Write how many GPUs.", reason=fault
                )


@rule("vllm-kind-gpu-multi-gpu", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-parallel-size-not-int"))
def kind_gpu_multi_gpu(model: Model) -> Iterator[Finding]:
    """An engine over several GPUs runs as KIND_MODEL."""
    if not model.target.gpus or not _kind_gpu(model):
        return
    for each, value in objects(model):
        release = model.target.release
        sizes = {key: _size(value.get(key, 1)) for key, fact in PARALLEL.items() if release.has(fact)}
        if math.prod(sizes.values()) > 1:
            key = max(sizes, key=lambda key: sizes[key])
            yield Finding(
                each.at(model, key),
                f"{key} {sizes[key]} with an instance of KIND_GPU, which has one GPU",
                hint="Write instance_group { kind: KIND_MODEL } in config.pbtxt.",
                reason="ValueError: KIND_GPU is currently for single-GPU models, please specify KIND_MODEL in the model's "
                "config.pbtxt for multi-GPU models",
            )


def _int_fault(value: Any) -> str | None:  # noqa: ANN401  whatever JSON has
    """Return what Python says where it makes no int of a value."""
    try:
        int(value)
    except (ValueError, TypeError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _size(value: Any) -> int:  # noqa: ANN401  whatever JSON has
    return int(value) if _int_fault(value) is None else 1


def _kind_gpu(model: Model) -> bool:
    """Tell whether an instance will be of KIND_GPU on a server with GPUs."""
    kinds = [group.enum("kind", "KIND_AUTO") for group in model.config.messages("instance_group")]
    return not kinds or any(kind in {"KIND_AUTO", "KIND_GPU"} for kind in kinds)
