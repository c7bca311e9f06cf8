"""How much of the GPUs' memory holds weights and the KV cache that is in use."""

from __future__ import annotations

from typing import NamedTuple

from tritonrepo.bench.result import Result
from tritonrepo.report.bench.shown import NONE, number, percent
from tritonrepo.report.bench.steps import GB


class Memory(NamedTuple):
    """Bytes of all GPUs together, None where nobody says: used, in all, of weights; the most of the KV cache in use.

    Source of the first two: nv_gpu_memory_used_bytes and nv_gpu_memory_total_bytes of Triton; of the last, vLLM's
    metric of the share of its cache.
    """

    used: float | None
    total: float | None
    weights: float | None
    cache: float | None

    @property
    def efficiency(self) -> float | None:
        """The share that holds weights and the KV cache in use, at most: what else is used counts as cache."""
        if self.used is None or not self.total or self.weights is None or self.cache is None:
            return None
        return (self.weights + self.cache * max(0.0, self.used - self.weights)) / self.total


def memory(result: Result) -> Memory:
    """Return what a result says of the memory of its GPUs."""
    gpus = result.observed.gpus.values()
    used = [gpu["gpu_memory_used"] for gpu in gpus if "gpu_memory_used" in gpu]
    total = [gpu["gpu_memory_total"] for gpu in gpus if "gpu_memory_total" in gpu]
    weights = result.hardware.weights_bytes
    return Memory(
        sum(used) if used else None,
        sum(total) if total else None,
        weights * (result.hardware.replicas or 1) if weights is not None else None,
        result.observed.gauges.get("kv_cache_usage"),
    )


def said(found: Memory) -> str:
    """Return the efficiency with the values that it is made of, or these alone where not all of them are known."""
    parts = [
        f"{number(found.used / GB)} of {number(found.total / GB)} GB used" if found.used and found.total else "",
        f"{number(found.weights / GB)} GB of weights" if found.weights is not None else "",
        f"KV cache at most {percent(found.cache)} in use" if found.cache is not None else "",
    ]
    told = ", ".join(filter(None, parts))
    share = found.efficiency
    return (f"at most {percent(share)} ({told})" if share is not None else told) or NONE
