"""How many GPUs a server is taken to have if nobody says it: those that the configs list."""

from __future__ import annotations

from dataclasses import replace

from tritonrepo.repository.model import Model
from tritonrepo.repository.target import Target

MOST = 64
"""A larger index is a mistake, not a GPU: no machine has as many."""


def counted(least: int, server: Target) -> Target:
    """Return the server with at least so many GPUs, unless it is said how many it has."""
    return replace(server, gpus=least) if least > server.gpus and not server.gpus_said else server


def listed(model: Model) -> int:
    """Return how many GPUs the instance groups of a model need, by the largest index that they list."""
    if "*.gpus" not in model.traits:
        return 0
    groups = model.config.messages("instance_group")
    return max((gpu + 1 for group in groups for gpu in group.numbers("gpus") if 0 <= gpu < MOST), default=0)
