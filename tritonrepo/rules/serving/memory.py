"""Memory of servers: /dev/shm, in which processes exchange tensors, and memory limits that are too low."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.gpus import limits, used, whole
from tritonrepo.manifests.objects import Manifests, Object, find, place, text
from tritonrepo.manifests.quantities import quantity
from tritonrepo.manifests.servers import DEFAULT_SHM, ENGINE_SHM, KINDS, SHM, Family, Server, servers, volume
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.rules.serving.gpus import ENGINES

DEFAULT = f"{DEFAULT_SHM >> 20} MiB"
LEAST = 2 << 30
"""Source: kserve, config/runtimes/kserve-tritonserver.yaml: 2Gi for any model; CUDA's libraries alone take more."""

HOW = "Mount a volume there: `emptyDir: {medium: Memory, sizeLimit: %dGi}`; its content counts as memory of the pod."
USUAL = 2
"""GiB of /dev/shm for models in Python, or for an engine on one or two GPUs."""


@manifest_rule("shared-memory-missing", Severity.WARNING, *KINDS)
def shared_memory_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """An engine on several GPUs, and Triton with Python-based backends, should have a larger /dev/shm."""
    for each in servers(of):
        if not _has_shm(each) and (why := _needs_shm(each)):
            message = f"{SHM} has {DEFAULT}, the default, but {why}"
            yield Finding(place(each.node, "volumeMounts"), message, hint=HOW % _gib(each))


def _gib(each: Server) -> int:
    """Return the GiB of /dev/shm that the GPUs of a container need."""
    has = whole(each)
    return max(USUAL, (has[1] if has is not None else 0) * ENGINE_SHM >> 30)


def _needs_shm(each: Server) -> str:
    """Return why a server needs shared memory; "" if it needs little, or if it is not known."""
    if each.family is Family.TRITON:
        engine = each.image.release[1] in ENGINES
        return "the Python process of each model instance exchanges tensors there" if engine else ""
    if each.family is Family.VLLM:
        sizes = used(each)
        several = sizes is not None and max(sizes[:2]) > 1
    else:
        has = whole(each)
        several = has is not None and has[1] > 1
    return "the processes of an engine on several GPUs exchange data there" if several else ""


@manifest_rule("shared-memory-default", Severity.INFO, *KINDS)
def shared_memory_default(of: Object, _: Manifests) -> Iterator[Finding]:
    """Models for the Python backend need a larger /dev/shm than the default."""
    for each in servers(of):
        if each.family is Family.TRITON and each.starts and not _has_shm(each) and not _needs_shm(each):
            message = f"{SHM} has {DEFAULT}, the default, which is too little for more than a few models in Python"
            yield Finding(place(each.node, "volumeMounts"), message, hint=HOW % USUAL)


def _has_shm(each: Server) -> bool:
    return SHM in each.mounts or text(each.pod.node, "spec.hostIPC").lower() == "true"


@manifest_rule("shared-memory-on-disk", Severity.WARNING, *KINDS)
def shared_memory_on_disk(of: Object, _: Manifests) -> Iterator[Finding]:
    """The volume at /dev/shm should be in memory."""
    for each in servers(of):
        found = volume(each.pod, each.mounts[SHM]) if SHM in each.mounts else None
        empty = find(found, "emptyDir") if found is not None else None
        if empty is not None and found is not None and text(empty, "medium") != "Memory":
            message = f'the volume at {SHM} is a directory on the disk of the node: its emptyDir has no medium "Memory"'
            yield Finding(place(found, "emptyDir"), message, hint="Add `medium: Memory` and a sizeLimit.")


@manifest_rule("memory-limit-small", Severity.WARNING, *KINDS)
def memory_limit_small(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server on a GPU should have more than 2 GiB of memory."""
    for each in servers(of):
        typed = text(each.node, "resources.limits.memory")
        size = quantity(typed)
        runtime = of.kind.endswith("ServingRuntime") and each.family is not Family.TRITON  # which also serves on a CPU
        for_gpus = limits(each) or each.image.release[1] in ENGINES or runtime
        if size is not None and 0 < size <= LEAST and for_gpus:
            message = f"a memory limit of {typed} is too low: CUDA and one model take more, and the container is killed"
            at = place(each.node, "resources.limits.memory")
            yield Finding(at, message, hint="Set it to the size of the models on the GPU at least, and some GiB more.")


@manifest_rule("kserve-default-runtime", Severity.WARNING, "InferenceService")
def kserve_default_runtime(of: Object, _: Manifests) -> Iterator[Finding]:
    """An InferenceService for Triton should set its memory, or name a runtime of its own."""
    model = find(of.node, "spec.predictor.model")
    if model is None or text(model, "modelFormat.name") not in {"triton", "vllm"}:
        return
    runtime, limit = text(model, "runtime"), text(model, "resources.limits.memory")
    if runtime in DEFAULT_RUNTIMES and not limit:
        message = f"{of} runs in a runtime of KServe, which limits its memory to 2Gi: too little for models on a GPU"
        hint = "Set resources.limits.memory of the model, or name a ServingRuntime of your own in runtime."
        yield Finding(place(model, "runtime" if runtime else "modelFormat"), message, hint=hint)


DEFAULT_RUNTIMES = {"", "kserve-tritonserver", "kserve-vllmserver"}
"""Source: kserve, config/runtimes."""
