"""Repository layout: models, versions and configs, and how the server reads their names."""

from __future__ import annotations

from types import ModuleType

from tritonrepo.rules.layout import (
    absent,
    agents,
    buckets,
    configs,
    entries,
    environments,
    inferring,
    labels,
    links,
    numbers,
    policies,
    tops,
    unread,
)

MODULES: tuple[ModuleType, ...] = (
    tops,
    entries,
    links,
    configs,
    inferring,
    numbers,
    policies,
    absent,
    labels,
    agents,
    environments,
    buckets,
    unread,
)
