"""What each vLLM version takes: data/vllm_values.json and data/vllm_architectures.json, by a release's versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tritonrepo.packaged import facts
from tritonrepo.releases import RELEASES
from tritonrepo.repository import Model
from tritonrepo.rules.backends.vllm_arguments import keys


@dataclass(frozen=True, slots=True)
class Accepted:
    """What some versions accept as the value of a key; see the form in data/vllm_values.json."""

    since: int
    until: int
    types: frozenset[str] = frozenset()
    choices: tuple[Any, ...] = ()
    lower: bool = False
    above: float | None = None
    min: float | None = None
    max: float | None = None
    below: float | None = None
    config: str = ""
    with_lora: bool = False


@cache
def values() -> Mapping[str, Sequence[Accepted]]:
    """Return what is known of each key."""
    data = facts("vllm_values")
    return {key: [_accepted(span, data["versions"]) for span in spans] for key, spans in data["values"].items()}


def accepted(model: Model, key: str) -> Accepted | None:
    """Return what the vLLM of a model's release accepts of a key; None if that is unknown or its builds differ."""
    spans = [
        next((span for span in values().get(key, ()) if span.since <= version <= span.until), None)
        for version in versions(model)
    ]
    return spans[0] if spans and all(span == spans[0] for span in spans) else None


def versions(model: Model) -> Sequence[int]:
    """Return the positions of the vLLM versions that a model's release may have."""
    return keys().of(model.target.release)


def before(model: Model, version: str) -> bool:
    """Whether the vLLM of a model's release is older than a version of the data, whichever of its builds it is."""
    found = versions(model)
    return bool(found) and max(found) < keys().versions.index(version)


def since(model: Model, version: str) -> bool:
    """Whether the vLLM of a model's release is a version of the data or newer, whichever of its builds it is."""
    found = versions(model)
    return bool(found) and min(found) >= keys().versions.index(version)


def first_release(version: str) -> str:
    """Return the first release of which every build of vLLM is a version of the data or newer."""
    least = keys().versions.index(version)
    return min(name for name, release in RELEASES.items() if min(keys().of(release), default=-1) >= least)


@dataclass(frozen=True, slots=True)
class Architectures:
    """The architectures with their first and last versions, and from where on vLLM can run others."""

    known: Mapping[str, Sequence[tuple[str, str]]]
    others_since: str
    pipelines: Mapping[str, Sequence[str]]


@cache
def architectures() -> Architectures:
    """Return the facts of data/vllm_architectures.json."""
    data = facts("vllm_architectures")
    newest = data["versions"][-1]
    known = {
        name: [(span["since"], span.get("until", newest)) for span in spans]
        for name, spans in data["architectures"].items()
    }
    return Architectures(known, data["others_since"], data["pipelines"])


def _accepted(span: Mapping[str, Any], names: Sequence[str]) -> Accepted:
    facts = dict(span)
    first, last = names.index(facts.pop("since")), names.index(facts.pop("until", names[-1]))
    facts["types"], facts["choices"] = frozenset(facts.get("types", ())), tuple(facts.get("choices", ()))
    return Accepted(first, last, **facts)
