"""The keys of model.json against the arguments of the release's vLLM."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import Arguments, KnownKey, keys, objects
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

FIRST_DEFAULT = "0.5.5"
"""The first vLLM in an image that loads a model of its own where none is named."""


@rule("vllm-unknown-engine-arg", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-lora-file-shape"))
def unknown_argument(model: Model) -> Iterator[Finding]:
    """The keys of model.json are arguments of vLLM's engine."""
    for key, each, known in _wrong(model):
        if known is None:
            yield Finding(
                each.at(model, key),
                f'no vLLM engine has an argument "{key}"',
                hint=_closest(key, model),
                reason=_reason(key),
                item=list(each.value).index(key),
            )


@rule("vllm-removed-engine-arg", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.same_walk("vllm-unknown-engine-arg"))
def removed_argument(model: Model) -> Iterator[Finding]:
    """The keys of model.json are arguments that the release's vLLM still has."""
    for key, each, known in _wrong(model):
        if known is not None and known.until < min(_versions(model)):
            yield Finding(
                each.at(model, key),
                f'argument "{key}" went with vLLM {_after(known)}; {_has(model)}',
                hint=f"Drop it; {known.now} took its place." if known.now else "Drop it.",
                reason=_reason(key),
                item=list(each.value).index(key),
            )


@rule("vllm-engine-arg-too-new", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.same_walk("vllm-removed-engine-arg"))
def argument_too_new(model: Model) -> Iterator[Finding]:
    """The keys of model.json are arguments that the release's vLLM has already."""
    for key, each, known in _wrong(model):
        if known is not None and known.since > max(_versions(model)):
            yield Finding(
                each.at(model, key),
                f'argument "{key}" came with vLLM {keys().versions[known.since]}; {_has(model)}',
                hint="Drop it, or go to a release with that vLLM.",
                reason=_reason(key),
                item=list(each.value).index(key),
            )


@rule("vllm-model-key-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-engine-arg-too-new"))
def model_missing(model: Model) -> Iterator[Finding]:
    """model.json names the model to load."""
    for each, value in objects(model):
        if "model" not in value and _before_default(model):
            yield Finding(
                each.path,
                "model.json names no model to load",
                hint='Write "model": "…", a directory of weights or a name on the Hugging Face hub.',
                reason="TypeError: AsyncEngineArgs.__init__() missing 1 required positional argument: 'model'",
            )


@rule("vllm-model-defaulted", Severity.WARNING, "backend=vllm")
def model_defaulted(model: Model) -> Iterator[Finding]:
    """model.json names the model to load, though vLLM has one of its own."""
    for each, value in objects(model):
        if "model" not in value and model.target.release.vllm is not None and not _before_default(model):
            yield Finding(
                each.path,
                "model.json names no model to load, so vLLM fetches one of its own choice",
                hint='Write "model": "…", a directory of weights or a name on the Hugging Face hub.',
            )


def _versions(model: Model) -> list[int]:
    return keys().of(model.target.release)


def _wrong(model: Model) -> Iterator[tuple[str, Arguments, KnownKey | None]]:
    """Yield the keys that none of the vLLM versions has that the release may have."""
    for each, value in objects(model):
        versions = _versions(model)
        for key in value if versions else ():
            known = keys().known.get(key)
            if known is None or not any(_has_key(known, version) for version in versions):
                yield key, each, known


def _has_key(known: KnownKey, version: int) -> bool:
    return known.since <= version <= known.until or version in known.uncertain


def _reason(key: str) -> str:
    if key == "self":
        return "TypeError: AsyncEngineArgs.__init__() got multiple values for argument 'self'"
    return f"TypeError: AsyncEngineArgs.__init__() got an unexpected keyword argument '{key}'"


def _closest(key: str, model: Model) -> str:
    versions = _versions(model)
    names = [name for name, known in keys().known.items() if any(_has_key(known, version) for version in versions)]
    near = nearest(key.lstrip("-").replace("-", "_"), names)
    return f'Did you mean "{near}"?' if near else "Drop it."


def _after(known: KnownKey) -> str:
    return keys().versions[known.until + 1]


def _has(model: Model) -> str:
    return f"{model.target.release.name} has {model.target.release.vllm}"


def _before_default(model: Model) -> bool:
    versions = _versions(model)
    return bool(versions) and max(versions) < keys().versions.index(FIRST_DEFAULT)
