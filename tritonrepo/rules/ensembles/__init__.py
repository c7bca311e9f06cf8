"""Ensembles across models: graph, tensors, versions, decoupled responses."""

from __future__ import annotations

from tritonrepo.rules.ensembles import (
    calls,
    config,
    connections,
    cycles,
    decoupled,
    ends,
    fields,
    maps,
    members,
    scheduling,
    walk,
)

MODULES = (
    config,
    maps,
    ends,
    connections,
    members,
    cycles,
    walk,
    decoupled,
    fields,
    scheduling,
    calls,
)
