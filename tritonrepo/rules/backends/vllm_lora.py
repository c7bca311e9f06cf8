"""multi_lora.json, the LoRA adapters of a vLLM model: that it is there where model.json asks for it, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import Arguments, adapters, objects
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("vllm-lora-file-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-enable-lora-type"))
def lora_file_missing(model: Model) -> Iterator[Finding]:
    """A vLLM model with enable_lora has a multi_lora.json beside its model.json."""
    for each, beside in _adapters(model):
        if beside is not None and beside.text is None:
            hint = 'Put one there: {"NAME": "/path/of/the/adapter"}, or drop enable_lora.'
            message = "enable_lora needs a multi_lora.json in the version directory"
            yield Finding(each.at(model, "enable_lora"), message, hint=hint, reason="Triton backend cannot find")


@rule("vllm-lora-file-shape", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-lora-file-missing"))
def lora_file_shape(model: Model) -> Iterator[Finding]:
    """multi_lora.json is one JSON object, from an adapter's name to its path."""
    for _, beside in _adapters(model):
        if beside is None or beside.text is None or isinstance(beside.value, dict):
            continue
        at = Span(f"{model.name}/{beside.path}", beside.line, beside.column)
        said = f"multi_lora.json {f'cannot be read: {beside.said}' if beside.fault else 'holds no object'}"
        reason = beside.fault or f"AttributeError: '{type(beside.value).__name__}' object has no attribute 'keys'"
        yield Finding(at, said, hint=beside.cure or 'Write {"NAME": "/path/of/the/adapter"}.', reason=reason)


@rule("vllm-enable-lora-type", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-kind-gpu-multi-gpu"))
def enable_lora_type(model: Model) -> Iterator[Finding]:
    """Before 24.08, enable_lora is the text "true" or "false"."""
    release = model.target.release
    as_text = release.has("vllm-lora") and not release.has("vllm-lora-as-boolean")
    for each, value in objects(model) if as_text else ():
        wanted = value.get("enable_lora")
        if isinstance(wanted, bool):
            yield Finding(
                each.at(model, "enable_lora"),
                f"enable_lora is a JSON boolean, which the backend of {release.name} cannot take",
                hint=f'Write "enable_lora": "{str(wanted).lower()}".',
                reason="AttributeError: 'bool' object has no attribute 'lower'",
            )


def _adapters(model: Model) -> Iterator[tuple[Arguments, Arguments | None]]:
    """Yield the model.json of each version that asks for adapters, with the file that lists them; None where it is huge."""
    for each, value in objects(model) if model.target.release.has("vllm-lora") else ():
        if str(value.get("enable_lora")).lower() == "true":
            yield each, adapters(model, each)
