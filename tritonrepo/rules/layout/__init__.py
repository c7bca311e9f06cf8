"""What lies where: models, versions, configs, and what the server makes of their names."""

from __future__ import annotations

from types import ModuleType

from tritonrepo.rules.layout import (
    absent,
    agents,
    configs,
    entries,
    environments,
    inferring,
    labels,
    links,
    numbers,
    policies,
    tops,
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
)
