"""How an engine is split over GPUs, and how many engines a config starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tritonrepo.diagnostics import Severity
from tritonrepo.llm.config import architectures, divides, read
from tritonrepo.pbtxt.editor import insert, put
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import objects
from tritonrepo.rules.backends.vllm_arguments import keys, vllm
from tritonrepo.rules.backends.vllm_json import COUNTED, ONE_ENGINE, shown
from tritonrepo.rules.backends.vllm_model import described
from tritonrepo.rules.backends.vllm_versions import architectures as registry
from tritonrepo.rules.backends.vllm_versions import before, since, versions
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

MOST_PARTS = 1 << 20
"""A larger number counts as this one."""

SHARE = 0.9
"""gpu_memory_utilization if it is not set; 0.92 since vLLM 0.22. Source: vllm, config.py, CacheConfig."""


@rule("vllm-more-ranks-than-gpus", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-kv-cache-dtype"))
def more_ranks_than_gpus(model: Model) -> Iterator[Finding]:
    """An engine cannot be split over more GPUs than the server has."""
    target = model.target
    for each, value in objects(model) if target.gpus and target.gpus_said else ():
        parts = {key: _parts(value, key) for key in COUNTED}
        needed = parts["tensor_parallel_size"] * parts["pipeline_parallel_size"]
        if needed <= target.gpus or _elsewhere(value):
            continue
        key = max(parts, key=lambda key: parts[key])
        other = min(parts.values())
        times = f" with {other} {'pipeline stages' if key == 'tensor_parallel_size' else 'GPUs a stage'}" * (other > 1)
        gpus = f"{target.gpus} GPU{'s' * (target.gpus > 1)}"
        yield Finding(
            each.at(model, key),
            f"{key} is {parts[key]}{times}, so the engine needs {needed} GPUs, but the server has {gpus}",
            hint=f"Use at most {max(1, target.gpus // other)}, or set {target.counts_gpus} to what the server has.",
            reason=f"World size ({needed}) is larger than the number of available GPUs ({target.gpus}) in this node"
            if since(model, "0.13.0")
            else "",
        )


@rule("vllm-heads-divisible", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-lora-limits"))
def heads_divisible(model: Model) -> Iterator[Finding]:
    """tensor_parallel_size must divide the model's attention heads, and its keys and values."""
    for each, value, config in described(model):
        parts = _parts(value, "tensor_parallel_size")
        found = read(config) if config is not None and parts > 1 else None
        if found is None or divides(found, parts) or (found.heads % parts == 0 and _other_code(value)):
            continue
        fitting = [str(number) for number in range(1, min(parts, 64) + 1) if divides(found, number)]
        whole = f"divide the model's {found.heads} attention heads"
        even = f"divide the model's {found.kv_heads} key-value heads or be a multiple of {found.kv_heads}"
        reason = f"Total number of attention heads ({found.heads}) must be divisible by tensor parallel size ({parts})."
        yield Finding(
            each.at(model, "tensor_parallel_size"),
            f"tensor_parallel_size is {parts}, but must {whole if found.heads % parts else even}",
            hint=f"Use {' or '.join(fitting[-2:])}.",
            reason=reason if found.heads % parts else "",
        )


@rule("vllm-pipeline-unsupported", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-heads-divisible"))
def pipeline_unsupported(model: Model) -> Iterator[Finding]:
    """An engine cannot be a pipeline unless the release's vLLM runs the model in one."""
    limited = [registry().pipelines.get(keys().versions[version]) for version in versions(model)]
    never = before(model, "0.5.3.post1")
    for each, value, config in described(model):
        named = architectures(config)[:1] if config is not None else ()
        if _parts(value, "pipeline_parallel_size") == 1:
            continue
        alone = bool(named and limited) and all(names is not None and named[0] not in names for names in limited)
        if never or alone:
            yield Finding(
                each.at(model, "pipeline_parallel_size"),
                f"{vllm(model)}, cannot split {'a model' if never else shown(named[0])} over pipeline stages",
                hint="Set tensor_parallel_size instead, or use a later release.",
                reason="Pipeline parallelism is not supported yet."
                if never
                else "Pipeline parallelism is only supported for the following",
            )


@rule("vllm-instance-count", Severity.WARNING, "backend=vllm")
def instance_count(model: Model) -> Iterator[Finding]:
    """A vLLM model should have one instance a GPU, because each instance is a whole engine."""
    share = _share(model)
    for group in model.config.messages("instance_group") if model.target.gpus else ():
        count = group.integer("count") if group.has("count") else 1
        if group.enum("kind", "KIND_AUTO") != "KIND_CPU" and count > 1 and share is not None and count * share > 1:
            yield Finding(
                group.scalars("count")[-1],
                f"count is {count}, so {count} engines take {share:g} of the same GPU's memory each",
                hint=f'Set `count: 1`, which serves all requests, or `"gpu_memory_utilization": {_part(count)}`.',
                fix=edited(model, put(group, "count", 1), safe=False),
            )


@rule("vllm-no-instance-group", Severity.WARNING, "backend=vllm")
def no_instance_group(model: Model) -> Iterator[Finding]:
    """A vLLM model on several GPUs should say where its engine runs."""
    target = model.target
    if target.gpus <= 1 or target.release.has("vllm-device-check") or model.config.has("instance_group"):
        return
    if next(objects(model), None) is not None:
        yield Finding(
            None,
            f"instance_group is missing, so a server with {target.gpus} GPUs starts {target.gpus} engines, "
            "all of which use the first GPUs",
            hint="Set `instance_group { count: 1 kind: KIND_MODEL }`.",
            fix=edited(model, insert(model.config, "instance_group", ONE_ENGINE), safe=False),
        )


def ranks(model: Model) -> int:
    """Return how many GPUs of its server the largest engine of a model takes, 1 if it has none."""
    found = (value for _, value in objects(model) if not _elsewhere(value)) if model.backend == "vllm" else ()
    return max((math.prod(_parts(value, key) for key in COUNTED) for value in found), default=1)


def _parts(value: Mapping[str, Any], key: str) -> int:
    found = value.get(key, 1)
    return min(found, MOST_PARTS) if type(found) is int and found > 0 else 1


def _elsewhere(value: Mapping[str, Any]) -> bool:
    """Whether the engine may use GPUs of other machines: Ray, or several nodes."""
    nodes = value.get("nnodes", 1)
    return (
        "ray" in str(value.get("distributed_executor_backend", "")) or bool(value.get("worker_use_ray")) or nodes != 1
    )


def _other_code(value: Mapping[str, Any]) -> bool:
    """Whether another implementation than vLLM's own may run the model."""
    return str(value.get("model_impl", "auto")) not in {"auto", "vllm"}


def _share(model: Model) -> float | None:
    """Return the smallest part of a GPU's memory that the engine of a version takes; None if it is not a fraction."""
    found = [value.get("gpu_memory_utilization", SHARE) for _, value in objects(model)]
    known = [share for share in found if isinstance(share, int | float) and 0 < share <= 1]
    return min(known) if known and len(known) == len(found) else None


def _part(count: int) -> str:
    return f"{int(95 / count) / 100:g}"
