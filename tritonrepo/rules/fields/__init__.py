"""What the config's text and its fields say."""

from __future__ import annotations

from types import ModuleType

from tritonrepo.rules.fields import (
    batch_inputs,
    batch_outputs,
    libraries,
    metrics,
    platforms,
    reshape,
    runtimes,
    strategies,
    switches,
    tensor_lists,
    tensorrt,
    tensors,
    texts,
    values,
    warmup_batches,
    warmup_bytes,
    warmup_data,
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
    tensor_lists,
    values,
    strategies,
    batch_inputs,
    batch_outputs,
    warmup_data,
    warmup_requests,
    warmup_bytes,
    warmup_batches,
)
