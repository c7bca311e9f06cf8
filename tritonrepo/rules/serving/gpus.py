"""GPUs of servers: whether they have those that their engines use, and how many all pods need together."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, counted, some
from tritonrepo.manifests.gpus import claims, engine_gpus, limits, place_of, pods_and_gpus, used, whole
from tritonrepo.manifests.objects import Manifests, Object, find, place, text
from tritonrepo.manifests.servers import KINDS, Family, Server, servers
from tritonrepo.rules.registry import Finding, manifest_rule

ENGINES = ("vllm-python-py3", "trtllm-python-py3")
COUNTED = (*KINDS, "NIMService")
OTHER_DEVICES = ("cpu", "tpu", "xpu", "arm")


def needs_gpus(each: Server) -> bool:
    """Return whether a server does not start without an accelerator."""
    if each.family is Family.TRITON:
        return each.image.release[1] in ENGINES
    device = each.value("device") or (text(each.variable("VLLM_TARGET_DEVICE"), "value") or "")
    other = any(word in each.image.name or word in each.image.tag for word in OTHER_DEVICES)
    official = each.family is Family.NIM or each.image.last.startswith("vllm-openai")
    return official and not other and device in {"", "cuda", "auto"}


@manifest_rule("gpus-missing", Severity.WARNING, *KINDS)
def gpus_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server with an engine for GPUs should ask for them."""
    for each in servers(of):
        if of.kind.endswith("ServingRuntime"):
            continue  # the InferenceService says how many
        if needs_gpus(each) and not limits(each) and not claims(each) and not each.imports:
            message = f"{each} asks for no GPU, so it can run on a node without one, where {each.family} does not start"
            yield Finding(place(each.node, "resources.limits"), message, hint="Add nvidia.com/gpu to resources.limits.")


@manifest_rule("gpus-too-few", Severity.ERROR, *KINDS)
def gpus_too_few(of: Object, _: Manifests) -> Iterator[Finding]:
    """An engine must have as many GPUs as its parallelism uses."""
    for each, name, has, needed in _counted(of):
        if has < needed:
            message = f"vLLM uses {counted(needed, 'GPU')} ({_product(each)}), but the container gets {has}"
            hint = f"Set {name} to {needed}, or use less parallelism."
            reason = f"World size ({needed}) is larger than the number of available GPUs ({has}) in this node."
            yield Finding(place_of(each, name), message, hint=hint, reason=reason)


@manifest_rule("gpus-idle", Severity.WARNING, *KINDS)
def gpus_idle(of: Object, _: Manifests) -> Iterator[Finding]:
    """An engine should use all GPUs of its container."""
    for each, name, has, needed in _counted(of):
        if has > needed:
            message = f"the container gets {counted(has, 'GPU')}, but vLLM uses {needed} ({_product(each)})"
            hint = f"Set {name} to {needed}, or add --tensor-parallel-size {has}."
            yield Finding(place_of(each, name), message, hint=hint)


def _counted(of: Object) -> Iterator[tuple[Server, str, int, int]]:
    for each in servers(of):
        has, needed = whole(each), engine_gpus(each)
        if has is not None and needed is not None:
            yield each, *has, needed


def _product(each: Server) -> str:
    sizes = zip(("tensor", "pipeline", "data"), used(each) or (), strict=False)
    shown = [f"{name} parallel size {size}" for name, size in sizes if size > 1]
    return " × ".join(shown) or "no parallelism"


@manifest_rule("gpus-in-all", Severity.INFO, *COUNTED)
def gpus_in_all(of: Object, _: Manifests) -> Iterator[Finding]:
    """The pods of a workload need several times the GPUs of one."""
    found = pods_and_gpus(of)
    if found is not None and found[0] > 1 and found[1]:
        pods, gpus = counted(found[0], "pod"), counted(found[1], "GPU")
        message = f"{pods} need {gpus} together"
        at = place(of.node, "spec.replicas") if find(of.node, "spec.replicas") else of.at
        yield Finding(at, message, hint="Check this against what you pay for, as with --gpus.")


@manifest_rule("gpus-more-than-paid", Severity.ERROR, *COUNTED)
def gpus_more_than_paid(of: Object, among: Manifests) -> Iterator[Finding]:
    """The pods of all manifests cannot have more GPUs than there are."""
    if among.gpus is None or of is not among.of(*COUNTED)[0]:
        return  # once for all of them
    serving = [(other, taken) for other in among.of(*COUNTED) if (taken := (pods_and_gpus(other) or (0, 0))[1])]
    total = sum(taken for _, taken in serving)
    if total > among.gpus:
        last, _ = serving[-1]
        named = some([f"{taken} for {other}" for other, taken in serving], 4)
        message = f"all pods need {total} GPUs together ({named}), but --gpus says {among.gpus}"
        at = place(last.node, "spec.replicas") if find(last.node, "spec.replicas") else last.at
        yield Finding(
            at, message, hint="Lower the replicas, use fewer GPUs for each, or raise --gpus to what there is."
        )


@manifest_rule("rollout-needs-spare-gpus", Severity.INFO, "Deployment")
def rollout_needs_spare_gpus(of: Object, _: Manifests) -> Iterator[Finding]:
    """A rollout starts a new pod before it ends an old one, for which the cluster needs free GPUs."""
    surge = text(of.node, "spec.strategy.rollingUpdate.maxSurge") or "25%"
    if text(of.node, "spec.strategy.type") == "Recreate" or surge in {"0", "0%"}:
        return
    for each in servers(of):
        if limits(each):
            message = "a rollout starts a new pod before it ends an old one, and waits forever without free GPUs"
            hint = "Set strategy.rollingUpdate to maxSurge: 0 and maxUnavailable: 1 if the cluster has no spare GPUs."
            at = place(of.node, "spec.strategy") if find(of.node, "spec.strategy") else of.at
            yield Finding(at, message, hint=hint)
