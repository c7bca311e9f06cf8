"""Whether the GPUs that a generator is deployed on hold it: what `fit` computes, told before anything is written."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.deploy import room
from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.room import Engine, Room
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.flows.generating import Chosen, refused
from tritonrepo.repository import Target

TIGHT = "deploy-gpu-memory"
SMALL = "deploy-gpu-too-small"


def gpus_of(one: Generator, engine: Engine, target: Target, choices: Choices) -> Room:
    """Return the GPUs of a generator; the target has those of Triton, which are not those behind an endpoint."""
    return room.room(engine, choices.kube.product, None if one.url else target.gpu_memory)


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
