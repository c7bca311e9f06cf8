"""How many GPUs a server is taken to have if nobody says it: those that the configs list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tritonrepo.repository.model import Model
from tritonrepo.repository.target import Target

MOST = 64
"""A larger index is a mistake, not a GPU: no machine has as many."""


def counted(models: Iterable[Model], server: Target) -> Target:
    """Return the server with at least the GPUs that the instance groups of all models list, unless it is said."""
    if server.gpus_said:
        return server
    least = max((gpu + 1 for model in models if "*.gpus" in model.traits for gpu in _listed(model)), default=0)
    return replace(server, gpus=least) if least > server.gpus else server


def _listed(model: Model) -> Iterable[int]:
    for group in model.config.messages("instance_group"):
        yield from (gpu for gpu in group.numbers("gpus") if 0 <= gpu < MOST)
