"""The model of the target's GPUs against what a release and vLLM can use; only if the user names it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.llm.gpus import BFLOAT16
from tritonrepo.releases import RELEASES
from tritonrepo.repository import Repository
from tritonrepo.repository.model import Model
from tritonrepo.rules.backends.arguments import objects
from tritonrepo.rules.registry import Finding, repository_rule, rule
from tritonrepo.rules.stages import Stage

VLLM = "7.0"
"""Source: vllm, docs/getting_started/installation, requirements; images with CUDA 13 need more: see too_old."""

CPU = "KIND_CPU"
WITHOUT_GPU = frozenset({"python", "identity", "square", "repeat", "openvino"})
"""Backends that run no library of CUDA by themselves."""


@repository_rule("gpu-too-old", Severity.WARNING)
def too_old(repository: Repository) -> Iterator[Finding]:
    """The target's GPUs should have the compute capability that the libraries of the release need."""
    target = repository.target
    needed = target.release.versions["compute_capability"]
    if target.gpu is None or needed is None or not target.gpus or not target.gpu.below(needed):
        return
    if not any(map(_uses_gpu, repository.models.values())):
        return
    fitting = [name for name in sorted(RELEASES) if not target.gpu.below(_needed(name))]
    yield Finding(
        Span("."),
        f"GPU {target.gpu.name} has compute capability {target.gpu.capability}, but Triton {target.release.name} with "
        f"CUDA {target.release.versions['cuda'] or 'of its images'} is for {needed} and later",
        hint=f"Use Triton {fitting[-1]} or earlier, or newer GPUs." if fitting else "Use newer GPUs.",
    )


def _uses_gpu(model: Model) -> bool:
    """Return whether a compiled backend may put an instance of the model on a GPU."""
    kinds = [group.enum("kind") for group in model.config.messages("instance_group")]
    return bool(model.backend) and model.backend not in WITHOUT_GPU and any(kind != CPU for kind in kinds or [""])


def _needed(release: str) -> str:
    return RELEASES[release].versions["compute_capability"] or "99.0"


@rule("vllm-compute-capability", Severity.WARNING, "backend=vllm")
def vllm_too_old(model: Model) -> Iterator[Finding]:
    """A vLLM model should run on GPUs of compute capability 7.0 or later."""
    gpu = model.target.gpu
    if gpu is not None and model.target.gpus and gpu.below(VLLM):
        yield Finding(
            None,
            f"GPU {gpu.name} has compute capability {gpu.capability}, but vLLM needs {VLLM} or later",
            hint="Use newer GPUs, such as T4 or L4.",
        )


@rule("vllm-bf16-old-gpu", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-architecture-unsupported"))
def bfloat16(model: Model) -> Iterator[Finding]:
    """A vLLM model in bfloat16 must run on GPUs of compute capability 8.0 or later."""
    gpu = model.target.gpu
    if gpu is None or not model.target.gpus or not gpu.below(BFLOAT16):
        return
    for each, value in objects(model):
        if value.get("dtype") == "bfloat16":
            yield Finding(
                each.at(model, "dtype"),
                f"dtype is bfloat16, but GPU {gpu.name} has compute capability {gpu.capability}, and bfloat16 needs "
                f"{BFLOAT16}",
                hint='Set `"dtype": "half"`, or use newer GPUs.',
                reason=f"Bfloat16 is only supported on GPUs with compute capability of at least {BFLOAT16}.",
                fix=each.changed(model, "dtype", "half", safe=False),
            )
