"""The keys of model.json against the arguments of the release's vLLM, which are data/vllm_arguments.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from tritonrepo.diagnostics import Fix, Severity, nearest
from tritonrepo.packaged import facts
from tritonrepo.releases import Release
from tritonrepo.repository import Model
from tritonrepo.rules.backends import other_settings
from tritonrepo.rules.backends.arguments import Arguments, objects
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

FIRST_DEFAULT = "0.5.5"
"""The first vLLM in an image that loads a default model if none is named."""


class KnownKey(NamedTuple):
    """A key that some vLLM has: its first and last version, as positions, its replacement, and how that one differs."""

    since: int
    until: int
    uncertain: frozenset[int]
    now: str
    change: str


class Keys(NamedTuple):
    """The keys of all vLLM versions, and those versions, oldest first."""

    versions: Sequence[str]
    known: Mapping[str, KnownKey]

    def of(self, release: Release) -> list[int]:
        """Return the positions of the vLLM versions that a release may have; empty if it has none or a new one."""
        return [self.versions.index(name) for name in release.vllm_builds if name in self.versions]


@cache
def keys() -> Keys:
    """Return the facts of data/vllm_arguments.json."""
    data = facts("vllm_arguments")
    versions = data["versions"]
    position = {name: number for number, name in enumerate(versions)}
    known = {
        key: KnownKey(
            position[facts["since"]],
            position[facts.get("until", versions[-1])],
            frozenset(position[name] for name in facts.get("uncertain", ())),
            facts.get("now", ""),
            facts.get("change", ""),
        )
        for key, facts in data["arguments"].items()
    }
    return Keys(versions, known)


@rule("vllm-unknown-engine-arg", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-lora-file-shape"))
def unknown_argument(model: Model) -> Iterator[Finding]:
    """Every key of model.json must be an argument of vLLM's engine."""
    for key, each, known in _wrong(model):
        if known is None:
            yield Finding(
                each.at(model, key),
                f'vLLM has no engine argument "{key}" in any Triton release',
                hint=_closest(key, model),
                reason=_reason(key),
                item=list(each.value).index(key),
                fix=_corrected(key, each, model),
            )


@rule("vllm-removed-engine-arg", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.same_walk("vllm-unknown-engine-arg"))
def removed_argument(model: Model) -> Iterator[Finding]:
    """model.json cannot use an engine argument that the release's vLLM no longer has."""
    for key, each, known in _wrong(model):
        if known is not None and known.until < min(_versions(model)):
            yield Finding(
                each.at(model, key),
                f'argument "{key}" no longer exists in {vllm(model)}',
                hint=_instead(known, each.value[key], model),
                reason=_reason(key),
                item=list(each.value).index(key),
                fix=_replaced(known, key, each, model),
            )


@rule("vllm-engine-arg-too-new", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.same_walk("vllm-removed-engine-arg"))
def argument_too_new(model: Model) -> Iterator[Finding]:
    """model.json cannot use an engine argument that the release's vLLM does not have yet."""
    for key, each, known in _wrong(model):
        if known is not None and known.since > max(_versions(model)):
            yield Finding(
                each.at(model, key),
                f'argument "{key}" does not exist in {vllm(model)}',
                hint=f"Remove it, or use a release with vLLM {keys().versions[known.since]} or later.",
                reason=_reason(key),
                item=list(each.value).index(key),
                fix=each.removed(model, key),
            )


@rule("vllm-model-key-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-engine-arg-too-new"))
def model_missing(model: Model) -> Iterator[Finding]:
    """model.json must name the model to load."""
    for each, value in objects(model):
        if "model" not in value and _before_default(model):
            yield Finding(
                each.path,
                "model.json does not name the model to load",
                hint='Set "model" to a directory of weights or a name on the Hugging Face Hub.',
                reason="TypeError: AsyncEngineArgs.__init__() missing 1 required positional argument: 'model'",
            )


@rule("vllm-model-defaulted", Severity.WARNING, "backend=vllm")
def model_defaulted(model: Model) -> Iterator[Finding]:
    """model.json should name the model to load, although vLLM has a default."""
    for each, value in objects(model):
        if "model" not in value and model.target.release.vllm is not None and not _before_default(model):
            yield Finding(
                each.path,
                "model.json does not name the model to load, so vLLM downloads its default model",
                hint='Set "model" to a directory of weights or a name on the Hugging Face Hub.',
            )


def _versions(model: Model) -> list[int]:
    return keys().of(model.target.release)


def _wrong(model: Model) -> Iterator[tuple[str, Arguments, KnownKey | None]]:
    """Yield the keys that no vLLM version of the release has."""
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
    if elsewhere := other_settings.hint(key, model.target.release, keys().known):
        return elsewhere
    near = _nearest(key, model)
    return f'Did you mean "{near}"?' if near else "Remove it."


def _nearest(key: str, model: Model) -> str:
    versions = _versions(model)
    names = [name for name, known in keys().known.items() if any(_has_key(known, version) for version in versions)]
    return nearest(key.lstrip("-").replace("-", "_"), names)


def _corrected(key: str, each: Arguments, model: Model) -> Fix | None:
    """Return the fix for an unknown argument: it is removed, or renamed, safely if only its form is wrong."""
    elsewhere = other_settings.hint(key, model.target.release, keys().known)
    near = "" if elsewhere else _nearest(key, model)
    if near:
        return each.renamed(model, key, near, safe=letters(key) == letters(near))
    return each.removed(model, key) if elsewhere != other_settings.LORA else None


def letters(key: str) -> str:
    """Return a name without what people write differently: case, hyphens and underscores."""
    return key.replace("-", "").replace("_", "").lower()


def _replaced(known: KnownKey, key: str, each: Arguments, model: Model) -> Fix | None:
    """Return the fix for a removed argument: its replacement, if that means the same; otherwise it is removed."""
    if _has_later(known, model) and known.change == "renamed":
        return each.renamed(model, key, known.now, safe=True)
    if _has_later(known, model) and known.change == "inverted" and isinstance(each.value[key], bool):
        return each.inverted(model, key, known.now)
    return each.removed(model, key)


def _has_later(known: KnownKey, model: Model) -> bool:
    """Whether the release's vLLM has the replacement of a removed argument."""
    later = keys().known.get(known.now)
    return later is not None and any(_has_key(later, version) for version in _versions(model))


def _instead(known: KnownKey, value: object, model: Model) -> str:
    """Return the hint for a removed argument; its replacement is only named if the release's vLLM has it."""
    if not _has_later(known, model):
        return f"Remove it, or use a release with vLLM {keys().versions[known.until]} or earlier."
    if known.change == "renamed":
        return f"Use {known.now} instead."
    if known.change == "inverted" and isinstance(value, bool):
        return f'Set `"{known.now}": {json.dumps(not value)}` instead.'
    if known.change == "inside":
        return f"Remove it, or configure it in {known.now}."
    return f"Remove it. If you still need its effect, set {known.now}, which takes other values."


def vllm(model: Model) -> str:
    """Return the release's vLLM in words."""
    return f"vLLM {model.target.release.vllm}, which Triton {model.target.release.name} ships"


def _before_default(model: Model) -> bool:
    versions = _versions(model)
    return bool(versions) and max(versions) < keys().versions.index(FIRST_DEFAULT)
