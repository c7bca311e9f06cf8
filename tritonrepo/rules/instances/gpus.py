"""Which instance groups may list GPUs, and which GPUs they may list."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import AUTO, CPU, GPU, MODEL, Group, groups, machine, reason, usable
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


def counted(model: Model, fix: str) -> str:
    """Return a hint with a fix, and with where to set how many GPUs the target has."""
    return f"{fix}, or set {model.target.counts_gpus} to the target's GPU count."


def named(group: Group, model: Model) -> Finding:
    """Return the finding for a group that lists GPUs although its kind takes none."""
    listed = ", ".join(str(gpu.data) for gpu in group.gpus)
    hint = "Remove gpus, or set kind to KIND_GPU."
    if group.kind == MODEL:
        hint = "Remove gpus: the model chooses its own devices."
    message = f"a {group.written} group cannot list gpus, but this one lists [ {listed} ]"
    words = reason(group, model, f"has kind {group.kind} but specifies one or more GPUs")
    fix = edited(model, *unset(group.node, "gpus"), safe=group.kind == MODEL)
    return Finding(group.gpus[0], message, hint=hint, reason=words, item=group.item, fix=fix)


@rule("kind-model-with-gpus", Severity.ERROR, "*.gpus", at=Stage.LOAD.after("tensorflow-gone"))
def model_with_gpus(model: Model) -> Iterator[Finding]:
    """A KIND_MODEL instance group cannot list gpus."""
    for group in groups(model):
        if group.kind == MODEL and group.gpus:
            yield named(group, model)


@rule("kind-cpu-with-gpus", Severity.ERROR, "*.gpus", at=Stage.LOAD.same_walk("kind-model-with-gpus"))
def cpu_with_gpus(model: Model) -> Iterator[Finding]:
    """A KIND_CPU instance group cannot list gpus."""
    for group in groups(model):
        if group.written == CPU and group.gpus:
            yield named(group, model)


@rule("kind-auto-gpus-not-usable", Severity.ERROR, "*.gpus", at=Stage.LOAD.same_walk("kind-cpu-with-gpus"))
def auto_gpus_not_usable(model: Model) -> Iterator[Finding]:
    """An instance group with KIND_AUTO or no kind must list only GPUs that the target has."""
    for group in groups(model):
        if group.written != AUTO or group.kind != CPU or not group.gpus:
            continue
        missing = next((gpu for gpu in group.gpus if not usable(gpu, model)), group.gpus[0])
        yield Finding(
            missing,
            f"the group uses GPU {missing.data}, but the target has {machine(model)}; it becomes a KIND_CPU group, "
            "which cannot list gpus",
            hint=counted(model, "Remove gpus, so that Triton uses all GPUs or else the CPU"),
            reason=reason(group, model, f"has kind {CPU} but specifies one or more GPUs"),
            item=group.item,
            fix=edited(model, *unset(group.node, "gpus"), safe=False),
        )


@rule("kind-gpu-no-gpu", Severity.ERROR, "instance_group", at=Stage.LOAD.same_walk("kind-auto-gpus-not-usable"))
def no_gpu(model: Model) -> Iterator[Finding]:
    """A KIND_GPU instance group cannot run on a target without a GPU."""
    for group in groups(model):
        if group.kind == GPU and not group.gpus and not model.target.gpus:
            yield Finding(
                group.at_kind,
                "the group is KIND_GPU, but the target has no GPU",
                hint=counted(model, "Use KIND_AUTO or KIND_CPU"),
                reason=reason(group, model, f"has kind {GPU} but no GPUs are available"),
                item=group.item,
            )


@rule("kind-gpu-bad-id", Severity.ERROR, "*.gpus", at=Stage.LOAD.same_walk("kind-gpu-no-gpu"))
def bad_id(model: Model) -> Iterator[Finding]:
    """A KIND_GPU instance group must list only GPUs that the target has."""
    fix = "Use the index of an existing GPU" if model.target.gpus else "Remove gpus and use KIND_AUTO or KIND_CPU"
    hint = counted(model, fix)
    wrong = [
        (group, gpu) for group in groups(model) if group.kind == GPU for gpu in group.gpus if not usable(gpu, model)
    ]
    have = ", ".join(map(str, range(model.target.gpus))) if wrong else ""
    for group, gpu in wrong:
        words = f"specifies invalid or unsupported gpu id {gpu.data}. GPUs with at least the minimum required"
        yield Finding(
            gpu,
            f"the group uses GPU {gpu.data}, but the target has {machine(model)}",
            hint=hint,
            reason=reason(group, model, f"{words} CUDA compute compatibility of 6.000000 are: {have}"),
            item=group.item,
        )
