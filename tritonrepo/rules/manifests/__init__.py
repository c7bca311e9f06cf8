"""Checks of Kubernetes manifests: what the API server refuses, and what applies but never serves."""

from __future__ import annotations

from types import ModuleType

from tritonrepo.rules.manifests import (
    environment,
    fields,
    ports,
    probes,
    references,
    resources,
    routes,
    selectors,
    volumes,
)

MODULES: tuple[ModuleType, ...] = (
    fields,
    selectors,
    references,
    volumes,
    ports,
    routes,
    environment,
    resources,
    probes,
)
