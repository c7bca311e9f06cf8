"""The vLLM engines of a repository, as a container sees them: GPUs, weights to fetch, paths outside the repository."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.deploy.engine_needs import from_hub
from tritonrepo.llm.config import read
from tritonrepo.llm.loading import size
from tritonrepo.repository import Model, Repository
from tritonrepo.rules.backends.arguments import ADAPTERS, LARGEST_JSON
from tritonrepo.rules.backends.vllm_model import described
from tritonrepo.tree import File

PATHS = ("model", "tokenizer", "hf_config_path", "speculative_model")
"""Engine arguments that can be paths. Source: vLLM, engine/arg_utils.py, EngineArgs."""


class Engine(NamedTuple):
    """An engine of a served version: its model's name in the repository, its GPUs, and the model that it loads.

    `size` are the bytes of the weights, None if they are not known. `paths` are the absolute paths that it reads, and
    `arguments` its engine arguments.
    """

    name: str
    gpus: int
    source: str
    size: int | None
    paths: tuple[str, ...]
    arguments: Mapping[str, Any]

    @property
    def from_hub(self) -> bool:
        """Whether it loads its weights from the Hugging Face Hub."""
        return from_hub(self.source)


def engines(found: Repository) -> tuple[Engine, ...]:
    """Return the engines of all models for the vLLM backend, in order."""
    return tuple(each for model in found.models.values() if model.backend == "vllm" for each in _engines(model))


def _engines(model: Model) -> Iterator[Engine]:
    for one in described(model):
        source = one.value.get("model")
        parallel = [_count(one.value.get(key)) for key in ("tensor_parallel_size", "pipeline_parallel_size")]
        yield Engine(
            model.name,
            parallel[0] * parallel[1],
            source if isinstance(source, str) else "",
            _size(one.config),
            tuple(dict.fromkeys(_paths(model, one.arguments.path, one.value))),
            one.value,
        )


def _count(value: object) -> int:
    return min(max(1, value), 64) if type(value) is int else 1


def _size(config: Mapping[str, Any] | None) -> int | None:
    """Return the bytes of a model's weights as its config.json lets one compute them."""
    facts = read(config) if config is not None else None
    return size(facts) if facts is not None else None


def _paths(model: Model, path: str, value: Mapping[str, Any]) -> Iterator[str]:
    adapters = model.file(f"{path.rpartition('/')[0]}/{ADAPTERS}")
    named = [value.get(key) for key in PATHS]
    named += _adapters(adapters).values() if adapters is not None else []
    yield from (each for each in named if isinstance(each, str) and each.startswith("/"))


def _adapters(file: File) -> Mapping[str, Any]:
    if file.size > LARGEST_JSON:
        return {}
    try:
        found = json.loads(file.content())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
