"""Ensembles across models: graph, tensors, versions, decoupled responses."""

from __future__ import annotations

from tritonrepo.rules.ensembles import (
    call_tensors,
    calls,
    config,
    connections,
    cycles,
    decoupled,
    encoders,
    images,
    members,
    walk,
)

MODULES = (config, connections, members, cycles, walk, decoupled, calls, call_tensors, images, encoders)
