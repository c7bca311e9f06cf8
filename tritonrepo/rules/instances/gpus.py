"""Which instance groups may name GPUs, and which GPUs there are."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import AUTO, CPU, GPU, MODEL, Group, groups, machine, reason, usable
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


def counted(model: Model, cure: str) -> str:
    """Return a cure, and where the user says how many GPUs there are."""
    return f"{cure}; {model.target.counts_gpus} says how many there are."


def named(group: Group, model: Model) -> Finding:
    """Return the finding for a group that names GPUs and whose kind takes none."""
    listed = ", ".join(str(gpu.data) for gpu in group.gpus)
    drop = (
        "Drop gpus: the model itself chooses its devices." if group.kind == MODEL else "Drop gpus, or write KIND_GPU."
    )
    words = reason(group, model, f"has kind {group.kind} but specifies one or more GPUs")
    return Finding(
        group.gpus[0], f"gpus [ {listed} ] in a group of {group.written}", hint=drop, reason=words, item=group.item
    )


@rule("kind-model-with-gpus", Severity.ERROR, "*.gpus", at=Stage.LOAD.after("tensorflow-gone"))
def model_with_gpus(model: Model) -> Iterator[Finding]:
    """A group of KIND_MODEL names no GPUs."""
    for group in groups(model):
        if group.kind == MODEL and group.gpus:
            yield named(group, model)


@rule("kind-cpu-with-gpus", Severity.ERROR, "*.gpus", at=Stage.LOAD.same_walk("kind-model-with-gpus"))
def cpu_with_gpus(model: Model) -> Iterator[Finding]:
    """A group of KIND_CPU names no GPUs."""
    for group in groups(model):
        if group.written == CPU and group.gpus:
            yield named(group, model)


@rule("kind-auto-gpus-not-usable", Severity.ERROR, "*.gpus", at=Stage.LOAD.same_walk("kind-cpu-with-gpus"))
def auto_gpus_not_usable(model: Model) -> Iterator[Finding]:
    """A group without kind, or of KIND_AUTO, names only GPUs that the machine has."""
    for group in groups(model):
        if group.written != AUTO or group.kind != CPU or not group.gpus:
            continue
        missing = next((gpu for gpu in group.gpus if not usable(gpu, model)), group.gpus[0])
        yield Finding(
            missing,
            f"GPU {missing.data} on {machine(model)}: the group becomes KIND_CPU, which takes no gpus",
            hint=counted(model, "Drop gpus: the server then takes all GPUs that there are, or the CPU"),
            reason=reason(group, model, f"has kind {CPU} but specifies one or more GPUs"),
            item=group.item,
        )


@rule("kind-gpu-no-gpu", Severity.ERROR, "instance_group", at=Stage.LOAD.same_walk("kind-auto-gpus-not-usable"))
def no_gpu(model: Model) -> Iterator[Finding]:
    """A group of KIND_GPU needs a machine with a GPU."""
    for group in groups(model):
        if group.kind == GPU and not group.gpus and not model.target.gpus:
            yield Finding(
                group.at_kind,
                "KIND_GPU on a machine without GPU",
                hint=counted(model, "Write KIND_AUTO or KIND_CPU"),
                reason=reason(group, model, f"has kind {GPU} but no GPUs are available"),
                item=group.item,
            )


@rule("kind-gpu-bad-id", Severity.ERROR, "*.gpus", at=Stage.LOAD.same_walk("kind-gpu-no-gpu"))
def bad_id(model: Model) -> Iterator[Finding]:
    """A group of KIND_GPU names GPUs that the machine has."""
    have = ", ".join(map(str, range(model.target.gpus)))
    drop = "Drop gpus and write KIND_AUTO or KIND_CPU"
    hint = counted(model, "Write the number of a GPU that is there" if model.target.gpus else drop)
    for group in groups(model):
        for gpu in group.gpus if group.kind == GPU else ():
            if not usable(gpu, model):
                words = f"specifies invalid or unsupported gpu id {gpu.data}. GPUs with at least the minimum required"
                yield Finding(
                    gpu,
                    f"GPU {gpu.data} on {machine(model)}",
                    hint=hint,
                    reason=reason(group, model, f"{words} CUDA compute compatibility of 6.000000 are: {have}"),
                    item=group.item,
                )
