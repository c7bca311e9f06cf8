"""The vLLM engines of a repository, each with what is known of its memory, and what else is on their GPUs.

Source: vllm_backend, src/model.py: an engine of KIND_GPU runs on its instance's GPU, since the backend reads which that
is, and one of KIND_MODEL on the first GPUs; core, src/model_config_utils.cc, NormalizeInstanceGroup.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.llm.gpus import Range, reported
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.backends.arguments import Arguments
from tritonrepo.rules.backends.vllm_model import Described, described
from tritonrepo.rules.instances.groups import CPU, GPU, MODEL, groups
from tritonrepo.tree import File

if TYPE_CHECKING:
    from tritonrepo.llm.facts import LanguageModel
    from tritonrepo.llm.memory import Settings, Share

PINNED, LISTED = "GPU_DEVICE_IDS", re.compile("[0-9]{1,3}")
MOST, MOST_PLACES = 64, 20_000
"""More GPUs or instances of a model than the first, or of a repository than the second, are not counted."""

WITHOUT_WEIGHTS = {"", "ensemble", "python", "vllm", "identity", "square", "repeat", "dali", "tensorrtllm", "openvino"}
"""Backends whose models hold nothing on a GPU, or something else than the bytes of their files."""


class Engine(NamedTuple):
    """An engine of one version; `facts`, `settings` and `share` are None if `unread` says why its memory is not known.

    `share` is what one of its GPUs holds, `doubts` why that is an estimate. `places` has the GPUs of each instance.
    """

    model: Model
    said: Arguments
    value: Mapping[str, Any]
    name: str
    facts: LanguageModel | None
    settings: Settings | None
    unread: str
    share: Share | None
    doubts: tuple[str, ...]
    places: Sequence[Sequence[int]]

    @property
    def total(self) -> Range:
        """The bytes that the driver of a GPU of the target reports."""
        return reported(self.model.target.gpu_memory or 0)[0]

    @property
    def utilization(self) -> float:
        """The share of a GPU that it takes, 0 if that is not known or its cache has a size of its own."""
        from tritonrepo.llm.settings import UnreadError, utilization

        vllm = self.model.target.release.vllm
        try:
            sized = self.settings is not None and self.settings.cache is not None
            return utilization(self.value, vllm) if vllm is not None and not sized else 0.0
        except UnreadError:
            return 0.0


class Other(NamedTuple):
    """A model of another backend on GPUs: the bytes of its largest served version's files, and its instances' GPUs."""

    model: Model
    weights: int
    places: Sequence[int]


@once
def engines(model: Model) -> Sequence[Engine]:
    """Return the engines of a model for the vLLM backend, none on a server whose GPUs' memory is not known."""
    if model.target.gpu_memory is None or not model.target.gpus:
        return ()
    return tuple(_engine(model, each) for each in described(model))


def _engine(model: Model, one: Described) -> Engine:
    from tritonrepo.llm.config import read  # only where the memory of GPUs is known
    from tritonrepo.llm.fitting import held

    said, value, config = one
    name = value.get("model")
    name = name if isinstance(name, str) else ""
    vllm, memory = model.target.release.vllm, model.target.gpu_memory or 0
    facts = read(config) if config is not None else None
    if vllm is None:
        unread = f"the vLLM of Triton {model.target.release.name} is not known"
        return Engine(model, said, value, name, facts, None, unread, None, (), _places(model, None))
    found = held(facts, value, vllm, memory)
    unread = found.unread if facts is not None or name else "model.json names no model"
    places = _places(model, found.settings)
    return Engine(model, said, value, name, facts, found.settings, unread, found.share, found.doubts, places)


def _places(model: Model, found: Settings | None) -> Sequence[Sequence[int]]:
    """Return the GPUs of each instance."""
    count = found.gpus if found is not None else 1
    written, first = groups(model), range(min(count, MOST))
    own = model.target.release.has("vllm-device-check")
    if not written:  # if they all run on the first GPUs, one is counted: vllm-no-instance-group reports the others
        return [[gpu] for gpu in range(min(model.target.gpus, MOST))] if own else [first]
    places: list[Sequence[int]] = []
    for group in written:
        copies = min(max(1, group.node.integer("count")), MOST)
        if group.kind == MODEL:
            places += [_pinned(model) or first] * copies
        elif group.kind == GPU:
            listed = _listed(model, [gpu.data for gpu in group.gpus])
            places += [[gpu] if own else first for gpu in listed for _ in range(copies)]
    return places[:MOST]


def _pinned(model: Model) -> Sequence[int]:
    """Return the GPUs that GPU_DEVICE_IDS names for an engine of KIND_MODEL, none if it is not written or no list.

    Source: vllm_backend, src/model.py, _validate_device_config. Earlier releases do not read it.
    """
    said = [part.strip() for part in model.parameter(PINNED).split(",")[:MOST]]
    return [int(part) for part in said] if all(LISTED.fullmatch(part) for part in said) else ()


def _listed(model: Model, written: Sequence[object]) -> Sequence[int]:
    own = [gpu for gpu in written if isinstance(gpu, int) and 0 <= gpu < model.target.gpus]
    return own or range(min(model.target.gpus, MOST))


@once
def other(model: Model) -> Other | None:
    """Return what a model of another backend holds on GPUs; None if it runs on the CPU, or if nothing is known."""
    if model.backend in WITHOUT_WEIGHTS or model.unknown or not model.target.gpus:
        return None
    size = max((_size(model, version) for version in model.served), default=0)
    written = groups(model)
    places: list[int] = [] if written else list(range(min(model.target.gpus, MOST)))
    for group in written:
        if group.kind not in {CPU, MODEL}:
            copies = min(max(1, group.node.integer("count")), MOST)
            places += [gpu for gpu in _listed(model, [gpu.data for gpu in group.gpus]) for _ in range(copies)]
    return Other(model, size, places[:MOST]) if places and size else None


def _size(model: Model, version: int) -> int:
    below = f"{model.directory_of(version)}/"
    return sum(each.size for path, each in model.entries.items() if path.startswith(below) and isinstance(each, File))


class Load(NamedTuple):
    """What is on one GPU: engines, as often as it has instances of each, and other models."""

    gpu: int
    engines: Sequence[Engine]
    others: Sequence[Other]

    @property
    def utilization(self) -> float:
        """The share of the GPU that the engines take in all."""
        return sum(engine.utilization for engine in self.engines)

    @property
    def weights(self) -> int:
        """The bytes of the other models' weights, once an instance."""
        return sum(other.weights for other in self.others)


def loads(models: Mapping[str, Model]) -> Iterator[Load]:
    """Yield what is on each GPU that an engine or another model uses; of absurdly many, only the first are counted."""
    here: defaultdict[int, list[Engine]] = defaultdict(list)
    for gpu, engine in islice(_engines(models), MOST_PLACES):
        here[gpu].append(engine)
    others: defaultdict[int, list[Other]] = defaultdict(list)
    for gpu, each in islice(_others(models), MOST_PLACES):
        others[gpu].append(each)
    for gpu in sorted({*here, *others}):
        yield Load(gpu, here[gpu], others[gpu])


def _engines(models: Mapping[str, Model]) -> Iterator[tuple[int, Engine]]:
    for model in models.values():
        for engine in engines(model) if model.backend == "vllm" else ():
            yield from ((gpu, engine) for place in engine.places for gpu in place)


def _others(models: Mapping[str, Model]) -> Iterator[tuple[int, Other]]:
    for model in models.values():
        if (found := other(model)) is not None:
            yield from ((gpu, found) for gpu in found.places)
