"""Ensembles across models: graph, tensors, versions, decoupled responses."""

from __future__ import annotations

from tritonrepo.rules.ensembles import calls, config, connections, cycles, decoupled, images, members, walk

MODULES = (config, connections, members, cycles, walk, decoupled, calls, images)
