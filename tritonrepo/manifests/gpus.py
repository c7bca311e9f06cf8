"""GPUs of containers: how many each gets, how many its server uses, and how many pods there are."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.objects import Object, find, items, mapping, place, text
from tritonrepo.manifests.servers import Family, Server, servers
from tritonrepo.spec.nodes import Keys

WORDS = ("gpu", "mig-", "tpu", "gaudi", "neuron", "npu", "ascend", "dcu", "mlu", "xe", "i915")
"""What is in the names of resources that are accelerators, behind their domain."""

WHOLE = ("nvidia.com/gpu", "amd.com/gpu")
"""Resources that are whole GPUs, unless the node shares them."""

PARALLEL = (("tensor-parallel-size", "tp"), ("pipeline-parallel-size", "pp"))
SPREAD = ("nnodes", "headless", "data-parallel-hybrid-lb", "data-parallel-external-lb", "data-parallel-address", "dpa")
"""Options of an engine that is a part of one on several nodes."""


def limits(of: Server) -> Mapping[str, str]:
    """Return the accelerators of a container: limits over requests."""
    found = {**mapping(of.node, "resources.requests"), **mapping(of.node, "resources.limits")}
    return {name: value for name, value in found.items() if _is_accelerator(name)}


def _is_accelerator(resource: str) -> bool:
    _, slash, name = resource.lower().partition("/")
    return bool(slash) and any(word in name for word in WORDS)


def claims(of: Server) -> bool:
    """Return whether its devices are not resources but claims, or those of the node by its runtime class."""
    return bool(items(of.node, "resources.claims")) or "nvidia" in text(of.pod.node, "spec.runtimeClassName")


def whole(of: Server) -> tuple[str, int] | None:
    """Return the resource and the number of whole GPUs of a container; None if it is not certain."""
    found = limits(of)
    if len(found) != 1 or claims(of):
        return None
    name, value = next(iter(found.items()))
    return (name, int(value)) if name in WHOLE and value.isascii() and value.isdecimal() and len(value) < 7 else None  # noqa: PLR2004


def place_of(of: Server, name: str) -> Span:
    """Return where a resource of a container is written."""
    for where in ("resources.limits", "resources.requests"):
        node = find(of.node, where)
        if isinstance(node, Keys) and name in node.keys:
            return node.keys[name][0]
    return place(of.node, "resources.limits")


def used(of: Server) -> tuple[int, int, int] | None:
    """Return the sizes of tensor, pipeline and data parallelism of an engine; None if not all are on this node."""
    if any(of.argument(name) for name in SPREAD) or of.value("distributed-executor-backend") == "ray":
        return None
    tensor, pipeline = (of.number(*names) for names in PARALLEL)
    data = of.number("data-parallel-size-local", "dpl", default=of.number("data-parallel-size", "dp") or 0)
    return (tensor, pipeline, data) if tensor and pipeline and data else None


def engine_gpus(of: Server) -> int | None:
    """Return how many GPUs the engine of vLLM uses; None if it is not certain."""
    found = used(of) if of.family is Family.VLLM and of.pod.owner.kind != "LeaderWorkerSet" else None
    return prod(found) if found else None


def pods_and_gpus(of: Object) -> tuple[int, int] | None:
    """Return how many pods an object makes at once, and their GPUs together; None if it is not certain.

    A group of a LeaderWorkerSet is a leader and `size - 1` workers, which may run something else than a server.
    """
    if of.kind == "NIMService":
        return _of_service(of)
    many, size = _count(of, "spec.replicas"), _count(of, "spec.leaderWorkerTemplate.size")
    found = [has[1] for each in servers(of) if (has := whole(each)) is not None]
    if of.kind == "DaemonSet" or many is None or size is None or not found:
        return None
    if of.kind != "LeaderWorkerSet":
        return many, many * sum(found)
    return many * size, many * (found[0] + (size - 1) * found[-1])


def _of_service(of: Object) -> tuple[int, int] | None:
    """Return the same for a NIMService; without limits, the operator takes the GPUs that the model's profile needs."""
    many, gpus = _count(of, "spec.replicas"), _number(mapping(of.node, "spec.resources.limits").get(WHOLE[0], ""))
    scaled = text(of.node, "spec.scale.enabled").lower() == "true"
    return None if many is None or gpus is None or scaled else (many, many * gpus)


def _count(of: Object, path: str) -> int | None:
    return _number(text(of.node, path) or "1")


def _number(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 7 else None  # noqa: PLR2004
