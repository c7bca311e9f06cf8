"""Instance groups and the rate limiter."""

from __future__ import annotations

from types import ModuleType

from tritonrepo.rules.instances import gpus, kinds, profiles, resources

MODULES: tuple[ModuleType, ...] = (gpus, kinds, profiles, resources)
