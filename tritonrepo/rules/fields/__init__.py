"""Syntax and fields of config.pbtxt."""

from __future__ import annotations

from types import ModuleType

from tritonrepo.rules.fields import (
    batch_tensors,
    libraries,
    metrics,
    placeholders,
    platforms,
    reshape,
    runtimes,
    strategies,
    switches,
    tensorrt,
    tensors,
    texts,
    values,
    warmup_data,
    warmup_names,
    warmup_requests,
)

MODULES: tuple[ModuleType, ...] = (
    texts,
    platforms,
    libraries,
    runtimes,
    switches,
    metrics,
    tensors,
    reshape,
    tensorrt,
    values,
    strategies,
    batch_tensors,
    warmup_data,
    warmup_requests,
    warmup_names,
    placeholders,
)
