"""The memory of GPUs: whether an engine's weights and one sequence fit, how many do, and what shares a GPU.

An error only says what is certain: weights or one sequence do not fit even at the most favourable end of every range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import Severity
from tritonrepo.llm.gpus import GIB, behaviour
from tritonrepo.repository import Model, Repository
from tritonrepo.rules.backends.engines import Load, engines, loads
from tritonrepo.rules.registry import Finding, repository_rule, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import amount

if TYPE_CHECKING:
    from tritonrepo.rules.backends.room import Room

LEAST_LEFT = 0.1
"""The share of a GPU that engines leave to others; less is taken by contexts and CUDA graphs in no time."""

SHOWN = 4
"""Of more names, a message has only the first."""

CONTEXT, ARENA = 0.5 * GIB, 2
"""Bytes of a process's CUDA context, and how much an arena that doubles holds of what it is asked for.

Source: onnxruntime, docs, CUDA execution provider: arena_extend_strategy kNextPowerOfTwo is the default, and
gpu_mem_limit is not set.
"""


@rule("vllm-weights-too-large", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-bf16-old-gpu"))
def weights_too_large(model: Model) -> Iterator[Finding]:
    """The weights of a vLLM model must fit into the memory that vLLM may take."""
    for room in _rooms(model):
        yield from room.weights()


@rule("vllm-max-model-len-kv", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-weights-too-large"))
def max_model_len(model: Model) -> Iterator[Finding]:
    """One sequence of max_model_len must fit into the KV cache of a vLLM model."""
    for room in _rooms(model):
        yield from room.longest()


@rule("vllm-max-num-seqs-kv", Severity.WARNING, "backend=vllm")
def max_num_seqs(model: Model) -> Iterator[Finding]:
    """The KV cache of a vLLM model should hold max_num_seqs sequences, at least if they are short."""
    for room in _rooms(model):
        yield from room.short()


@rule("vllm-sequences-fit", Severity.INFO, "backend=vllm")
def sequences_fit(model: Model) -> Iterator[Finding]:
    """The KV cache of a vLLM model may hold fewer long sequences than max_num_seqs."""
    for room in _rooms(model):
        yield from room.long()


@repository_rule("vllm-gpu-memory-sum", Severity.WARNING)
def memory_sum(repository: Repository) -> Iterator[Finding]:
    """The engines on one GPU should take no more than the whole of it."""
    if repository.target.gpu_memory is None:
        return
    said: set[tuple[str, ...]] = set()
    for load in loads(repository.models):
        names = tuple(sorted({engine.model.name for engine in load.engines}))
        vllm = repository.target.release.vllm
        counts = vllm is not None and bool(behaviour("counts_others", vllm))
        if len(load.engines) < 2 or names in said or not (load.utilization > 1 or counts):  # noqa: PLR2004  several
            continue
        said.add(names)
        yield _sum(load, names)


@repository_rule("gpu-memory-shared", Severity.WARNING)
def memory_shared(repository: Repository) -> Iterator[Finding]:
    """Models next to a vLLM engine should fit into what it leaves of the GPU."""
    if repository.target.gpu_memory is None:
        return
    said: set[str] = set()
    for load in loads(repository.models):
        names = sorted({each.model.name for each in load.others})
        new = [name for name in names if name not in said]
        left = _left(load)
        if not load.engines or not new or (left >= _wanted(load) and load.utilization <= 1 - LEAST_LEFT):
            continue
        said.update(names)
        first = next(each.model for each in load.others if each.model.name == new[0])
        yield Finding(
            first.at(first.config.get("instance_group")),
            f"{_listed(names)} {'shares' if len(names) == 1 else 'share'} GPU {load.gpu} with vLLM, which takes "
            f"{load.utilization:.0%} of it and leaves {amount(max(0, round(left)))} for weights of "
            f"{amount(load.weights)}, batches and CUDA contexts",
            hint="Lower gpu_memory_utilization, or run these models on the CPU or on another GPU.",
        )


def _rooms(model: Model) -> Iterator[Room]:
    """Yield the engines of a model whose memory is known."""
    for engine in engines(model):
        if engine.share is not None:
            from tritonrepo.rules.backends.room import Room  # most repositories are checked for GPUs of unknown memory

            yield Room(engine, engine.share)


def _left(load: Load) -> float:
    total = load.engines[0].total.low if load.engines else 0
    return total * (1 - load.utilization)


def _wanted(load: Load) -> float:
    """Return the bytes that the other models need: with an arena that doubles, their contexts and those of engines."""
    return ARENA * load.weights + CONTEXT * (1 + len(load.engines))


def _sum(load: Load, names: Sequence[str]) -> Finding:
    first = load.engines[0]
    at = first.said.at(first.model, "gpu_memory_utilization" if "gpu_memory_utilization" in first.value else "model")
    shares = " + ".join(f"{engine.utilization:g}" for engine in load.engines[:SHOWN])
    shares += " + …" if len(load.engines) > SHOWN else ""
    whole = f"{_listed(names)} {'has' if len(names) == 1 else 'have'} {len(load.engines)} engines on GPU {load.gpu}"
    if load.utilization > 1:
        message = f"{whole}, which take {shares} = {load.utilization:.2f} of its memory"
        hint = "Lower gpu_memory_utilization so that the sum is at most 1, or run each engine on its own GPU."
    else:
        message = f"{whole}, but vLLM {first.model.target.release.vllm} charges an engine what the others hold"
        hint = "Use a release with vLLM 0.9.1 or later, or run each engine on its own GPU."
    return Finding(at, message, hint=hint)


def _listed(names: Sequence[str]) -> str:
    *first, last = [f'"{name}"' for name in names[:SHOWN]]
    if len(names) > SHOWN:
        first, last = [*first, last], f"{len(names) - SHOWN:,} more"
    return f"models {', '.join(first)} and {last}" if first else f"model {last}"
