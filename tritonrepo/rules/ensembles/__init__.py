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
    mapping,
    maps,
    members,
    notes,
    scheduling,
    shapes,
)

MODULES = (
    config,
    maps,
    ends,
    connections,
    members,
    cycles,
    mapping,
    shapes,
    notes,
    decoupled,
    fields,
    scheduling,
    calls,
)
