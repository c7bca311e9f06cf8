"""Generators to deploy beside Triton: what a repository or a stack says of each, whichever engine it names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from tritonrepo.deploy.engine_needs import from_hub
from tritonrepo.llm.config import read
from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.loading import size
from tritonrepo.repository import Model, Repository
from tritonrepo.rules.backends.arguments import ADAPTERS, LARGEST_JSON
from tritonrepo.rules.backends.vllm_model import Described, described

PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "prefill_context_parallel_size")
MOST = 64
"""GPUs in one dimension; more are not counted, as no model is served by so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A language model and the engine arguments that it is served with.

    `name` is that of the stack or the repository, `served` the one that requests give, `source` an id of the Hugging
    Face Hub or a path on the server. `url` is the endpoint that the stack calls, "" for a model that runs in Triton.
    `key` is the variable with the endpoint's API key. `where` is the place for messages.
    """

    name: str
    served: str
    source: str
    where: str
    revision: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    facts: LanguageModel | None = None
    url: str = ""
    key: str = ""

    @property
    def from_hub(self) -> bool:
        """Whether the weights come from the Hugging Face Hub."""
        return from_hub(self.source)

    @property
    def size(self) -> int | None:
        """The bytes of the weights, None if they are not known."""
        return size(self.facts) if self.facts is not None else None

    @property
    def gpus(self) -> int:
        """The GPUs of all processes of one replica."""
        return prod(self.parallel(key) for key in PARALLEL)

    @property
    def sequences(self) -> int | None:
        """The number of requests that run at a time in each of the data-parallel engines, None if it is not said."""
        found = self.arguments.get("max_num_seqs")
        return found if type(found) is int and found > 0 else None

    @property
    def paths(self) -> tuple[str, ...]:
        """The absolute paths that it reads."""
        named = [self.source, self.arguments.get("tokenizer"), self.arguments.get("hf_config_path")]
        return tuple(
            dict.fromkeys(p for p in (*named, *self.adapters.values()) if isinstance(p, str) and p.startswith("/"))
        )

    def parallel(self, key: str) -> int:
        """Return one of the numbers that say how many GPUs work together."""
        value = self.arguments.get(key)
        return min(max(1, value), MOST) if type(value) is int else 1


def generators(found: Repository) -> Iterator[Generator]:
    """Yield the models for the vLLM backend, in order; of several served versions, the last."""
    for model in found.models.values():
        for one in described(model)[-1:] if model.backend == "vllm" else ():
            yield _generator(model, one)


def _generator(model: Model, one: Described) -> Generator:
    value = {key: each for key, each in one.value.items() if key not in {"model", "revision", "served_model_name"}}
    return Generator(
        name=model.name,
        served=model.name,
        source=_text(one.value.get("model")),
        where=f"{model.name}/{one.arguments.path}",
        revision=_text(one.value.get("revision")),
        arguments=value,
        adapters=dict(_adapters(model, one)),
        facts=read(one.config) if one.config is not None else None,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _adapters(model: Model, one: Described) -> Iterator[tuple[str, str]]:
    """Yield the adapters of multi_lora.json, which lies next to model.json."""
    file = model.file(f"{one.arguments.path.rpartition('/')[0]}/{ADAPTERS}")
    if file is None or file.size > LARGEST_JSON:
        return
    try:
        found = json.loads(file.content())
    except (ValueError, RecursionError):
        return
    for name, path in found.items() if isinstance(found, dict) else ():
        if isinstance(path, str):
            yield name, path
