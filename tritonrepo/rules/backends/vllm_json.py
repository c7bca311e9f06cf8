"""model.json and multi_lora.json, the LoRA adapters: that they exist, are objects, and fit the instance's GPUs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from tritonrepo.diagnostics import Fix, Severity, Span
from tritonrepo.pbtxt.editor import Edit, delete, insert, put
from tritonrepo.pbtxt.printer import Enum, Message
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import NAME, Arguments, adapters, arguments, objects
from tritonrepo.rules.mending import edited, moved
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

PARALLEL = {
    "tensor_parallel_size": "vllm-device-check",
    "pipeline_parallel_size": "vllm-pipeline-parallel-check",
}
"""Keys whose product is the number of an engine's GPUs, each with the fact on a release that the backend reads it."""

COUNTED = {"tensor_parallel_size": "GPUs", "pipeline_parallel_size": "pipeline stages"}
"""What these keys count."""

ONE_ENGINE: Message = {"count": 1, "kind": Enum("KIND_MODEL")}
"""The instance group of an engine that chooses its own GPUs."""

LONGEST_VALUE = 40
"""The most characters of a value that are shown."""

SPOKEN = {
    "list": "an array",
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
    "NoneType": "null",
}


@rule("vllm-model-json-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-not-decoupled"))
def json_missing(model: Model) -> Iterator[Finding]:
    """A vLLM model must have a model.json in every served version."""
    alone = sum(each.text is None for each in arguments(model)) == 1
    for each in arguments(model):
        if each.text is None:
            aside = NAME in model.entries
            yield Finding(
                each.path,
                "model.json, which holds the arguments of vLLM's engine, is missing",
                hint="Move model.json into the version directory."
                if aside
                else 'Create it with at least `{"model": "…"}`.',
                reason="'model.json' containing vllm engine args must be provided in",
                fix=moved(model, NAME, each.path, safe=True) if alone and model.file(NAME) is not None else None,
            )


@rule("vllm-model-json-syntax", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-json-missing"))
def json_syntax(model: Model) -> Iterator[Finding]:
    """model.json must be strict JSON."""
    for each in arguments(model):
        if each.fault:
            at = Span(f"{model.name}/{each.path}", each.line, each.column)
            yield Finding(at, f"model.json {each.said}", hint=each.hint, reason=each.fault, fix=each.repaired(model))


@rule("vllm-model-json-not-object", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-json-syntax"))
def json_not_object(model: Model) -> Iterator[Finding]:
    """model.json must hold one JSON object."""
    for each in arguments(model):
        if each.text is not None and not each.fault and not isinstance(each.value, dict):
            kind = type(each.value).__name__
            yield Finding(
                each.path,
                f"model.json must hold an object, not {SPOKEN[kind]}",
                hint='Write `{"model": "…"}`.',
                reason=f"AttributeError: '{kind}' object has no attribute 'get'"
                if model.target.release.has("vllm-device-check")
                else f"argument after ** must be a mapping, not {kind}",
            )


@rule(
    "vllm-parallel-size-not-int", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-json-not-object")
)
def parallel_size(model: Model) -> Iterator[Finding]:
    """tensor_parallel_size and pipeline_parallel_size must be integers."""
    for each, value in objects(model):
        for key in PARALLEL:
            fault = not_int(model, key, value[key]) if key in value else None
            if fault is not None:
                yield Finding(
                    each.at(model, key),
                    f"{key} must be an integer, not {shown(value[key])}",
                    hint=f"Set it to the number of {COUNTED[key]}.",
                    reason=fault,
                )


@rule("vllm-kind-gpu-multi-gpu", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-parallel-size-not-int"))
def kind_gpu_multi_gpu(model: Model) -> Iterator[Finding]:
    """An engine that uses several GPUs must run as KIND_MODEL."""
    if not model.target.gpus or not _kind_gpu(model):
        return
    for each, value in objects(model):
        release = model.target.release
        sizes = {key: _size(value.get(key, 1)) for key, fact in PARALLEL.items() if release.has(fact)}
        if math.prod(sizes.values()) > 1:
            key = max(sizes, key=lambda key: sizes[key])
            yield Finding(
                each.at(model, key),
                f"{key} is {sizes[key]}, but an instance of KIND_GPU has only one GPU",
                hint="Set `instance_group { kind: KIND_MODEL }` in config.pbtxt.",
                reason="ValueError: KIND_GPU is currently for single-GPU models, please specify KIND_MODEL in the "
                "model's config.pbtxt for multi-GPU models",
                fix=_kind_model(model),
            )


@rule("vllm-enable-lora-type", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-kind-gpu-multi-gpu"))
def enable_lora_type(model: Model) -> Iterator[Finding]:
    """Before Triton 24.10, enable_lora must be the string "true" or "false"."""
    release = model.target.release
    as_text = release.has("vllm-lora") and not release.has("vllm-lora-as-boolean")
    for each, value in objects(model) if as_text else ():
        wanted = value.get("enable_lora")
        if isinstance(wanted, bool):
            yield Finding(
                each.at(model, "enable_lora"),
                f"enable_lora must be a string, not a boolean, for the vLLM backend of Triton {release.name}",
                hint=f'Set `"enable_lora": "{str(wanted).lower()}"`.',
                reason="AttributeError: 'bool' object has no attribute 'lower'",
                fix=each.changed(model, "enable_lora", str(wanted).lower(), safe=True),
            )


@rule("vllm-lora-file-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-enable-lora-type"))
def lora_file_missing(model: Model) -> Iterator[Finding]:
    """A vLLM model with enable_lora must have a multi_lora.json next to its model.json."""
    for each, beside in _adapters(model):
        if beside is not None and beside.text is None:
            yield Finding(
                each.at(model, "enable_lora"),
                "enable_lora needs a multi_lora.json in the version directory, but it is missing",
                hint='Create it with `{"NAME": "/path/of/the/adapter"}`, or remove enable_lora.',
                reason="Triton backend cannot find",
            )


@rule("vllm-lora-file-shape", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-lora-file-missing"))
def lora_file_shape(model: Model) -> Iterator[Finding]:
    """multi_lora.json must be one JSON object that maps adapter names to paths."""
    for _, beside in _adapters(model):
        if beside is None or beside.text is None or isinstance(beside.value, dict):
            continue
        at = Span(f"{model.name}/{beside.path}", beside.line, beside.column)
        kind = type(beside.value).__name__
        said = beside.said if beside.fault else f"must hold an object, not {SPOKEN[kind]}"
        reason = beside.fault or f"AttributeError: '{kind}' object has no attribute 'keys'"
        hint = beside.hint or 'Write `{"NAME": "/path/of/the/adapter"}`.'
        yield Finding(at, f"multi_lora.json {said}", hint=hint, reason=reason, fix=beside.repaired(model))


def _kind_model(model: Model) -> Fix | None:
    """Return the fix that leaves the GPUs to the engine; it is safe if that is all that it changes."""
    groups = model.config.messages("instance_group")
    if not groups:
        return edited(model, insert(model.config, "instance_group", ONE_ENGINE), safe=True)
    edits: list[Edit] = []
    for group in groups:
        edits.append(put(group, "kind", Enum("KIND_MODEL")))
        edits += [delete(field) for field in group.fields if field.name == "gpus"]
    plain = len(groups) == 1 and groups[0].integer("count", 1) <= 1 and not groups[0].has("gpus")
    return edited(model, *edits, safe=plain)


def _adapters(model: Model) -> Iterator[tuple[Arguments, Arguments | None]]:
    """Yield the model.json of each version that enables LoRA, with its multi_lora.json, or None if that is huge."""
    for each, value in objects(model) if model.target.release.has("vllm-lora") else ():
        if str(value.get("enable_lora")).lower() == "true":
            yield each, adapters(model, each)


def not_int(model: Model, key: str, value: Any) -> str | None:  # noqa: ANN401  whatever JSON has
    """Return the error of a backend that converts the value of this key to int and cannot."""
    fact = PARALLEL.get(key)
    return _int_fault(value) if fact is not None and model.target.release.has(fact) else None


def shown(value: Any) -> str:  # noqa: ANN401  whatever JSON has
    """Return a value as JSON, cut if it is long."""
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= LONGEST_VALUE else f"{said[:LONGEST_VALUE]}…"


def _int_fault(value: Any) -> str | None:  # noqa: ANN401  whatever JSON has
    """Return Python's error if a value cannot be converted to int."""
    try:
        int(value)
    except (ValueError, TypeError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _size(value: Any) -> int:  # noqa: ANN401  whatever JSON has
    return int(value) if _int_fault(value) is None else 1


def _kind_gpu(model: Model) -> bool:
    """Return whether an instance is of KIND_GPU on a server with GPUs."""
    kinds = [group.enum("kind", "KIND_AUTO") for group in model.config.messages("instance_group")]
    return not kinds or any(kind in {"KIND_AUTO", "KIND_GPU"} for kind in kinds)
