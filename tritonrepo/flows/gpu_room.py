"""Whether the GPUs that a generator is deployed on hold it: what `fit` computes, told before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.deploy import room
from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.room import Engine, Room
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.flows.deployed import Source
from tritonrepo.flows.generating import Chosen, all_of, refused
from tritonrepo.plain import inline
from tritonrepo.repository import Target
from tritonrepo.rules.backends.engines import other

TIGHT = "deploy-gpu-memory"
SMALL = "deploy-gpu-too-small"


def gpus_of(one: Generator, engine: Engine, target: Target, choices: Choices) -> Room:
    """Return the GPUs of a generator; the target has those of Triton, which are not those behind an endpoint."""
    return room.room(engine, choices.kube.product, None if one.url else target.gpu_memory)


def in_triton(source: Source, product: str) -> Iterator[tuple[Chosen, Room]]:
    """Yield the generators that run in Triton, each with its GPUs; none on a server without GPUs."""
    target = source.target
    for given in all_of(source) if target.gpus else ():
        one = given.one
        if one.url:
            continue
        if target.release.vllm is None:
            why = f"the vLLM of Triton {target.release.name} is not known"
            yield given, Room(Engine(one.facts, one.arguments, ""), product, None, named=bool(product), why=why)
        else:
            engine = Engine(one.facts, one.arguments, target.release.vllm)
            yield given, room.room(engine, product, target.gpu_memory)


def holds(source: Source, found: Sequence[tuple[Chosen, Room]]) -> tuple[str, tuple[str, ...]]:
    """Return what the GPUs of a pod hold of its engines, for the comment above their number."""
    if not found:
        return "", ()
    beside = any(other(model) is not None for model in source.found.models.values())
    more = "Other models on the same GPUs are not counted. " if beside else ""
    if len(found) == 1:
        return f"{more}{room.sentence(found[0][1])}", tuple(room.rows(found[0][1]))
    names = [inline(given.one.name) for given, _ in found]
    said = [f"{name}: {room.sentence(each)}" for name, (_, each) in zip(names, found, strict=True)]
    lines = [f"{name}: {row}" for name, (_, each) in zip(names, found, strict=True) for row in room.rows(each)]
    return f"{more}{' '.join(said)}", tuple(lines)


def new_enough(given: Chosen, found: Room) -> None:
    """Raise Stop if the GPUs that the user names cannot compute with the type of the model.

    In Triton, a rule says so, `vllm-bf16-old-gpu`.
    """
    if wrong := room.old(found.engine, found.gpu if found.named else ""):
        raise refused(given, SMALL, wrong, "Set dtype to half, or use newer GPUs, such as L4.", "dtype")


def misfits(given: Chosen, found: Room, *, certain: bool) -> Iterator[Diagnostic]:
    """Yield a warning if the GPUs do not surely hold the engine, or far fewer sequences than it is to run at a time.

    Raise Stop if it certainly does not start on them; `certain`: the user has named them, and nothing else decides.
    """
    if short := room.short(found):
        hint = room.remedies(found)
        if certain and found.held is not None and found.held.refused:
            raise refused(given, SMALL, short, hint, "max_model_len")
        yield Diagnostic(TIGHT, Severity.WARNING, given.at("max_model_len"), short, hint)
    elif crowded := room.crowded(found):
        hint = "Lower max_num_seqs or max_model_len, use a quantized model, or use more or larger GPUs."
        yield Diagnostic(TIGHT, Severity.WARNING, given.at("max_num_seqs"), crowded, hint)
