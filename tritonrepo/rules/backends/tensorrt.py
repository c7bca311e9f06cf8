"""Instances of TensorRT, and the parameters of TensorRT-LLM.

Source: tensorrt_backend, src/instance_state.cc, ModelInstanceState; tensorrtllm_backend v0.7.0 to v0.16.0,
inflight_batcher_llm/src/model_instance_state.cc, getBatchingTypeFromParams, ModelInstanceState.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.editor import put
from tritonrepo.pbtxt.schema import Enum
from tritonrepo.repository import Model
from tritonrepo.rules.backends.places import judged
from tritonrepo.rules.instances.groups import GPU, Group, groups, usable
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

BATCHING = ("V1", "v1", "inflight_batching", "inflight_fused_batching")
PLACEHOLDER = re.compile(r"\$\{[a-z][a-z0-9_]{0,99}\}")
PATHS = ("gpt_model_path", "encoder_model_path")


@rule("tensorrt-kind", Severity.ERROR, "backend=tensorrt", at=Stage.BACKEND.after("vllm-max-batch-size"))
def not_on_gpu(model: Model) -> Iterator[Finding]:
    """Every instance of a TensorRT model must be of KIND_GPU."""
    if not judged(model) or model.parameter("enable_multi_device").lower() in {"true", "1"}:
        return
    reason = f"unable to load model '{model.name}', TensorRT backend supports only GPU device"
    if "instance_group" not in model.fields and not model.target.gpus:
        message = "TensorRT runs only on a GPU, but the target has none"
        yield Finding(None, message, hint=f"Set {model.target.counts_gpus} to the target's GPU count.", reason=reason)
    for group in groups(model):
        if group.kind != GPU:
            became = f"{group.written}, which becomes {group.kind}" if group.kind != group.written else group.kind
            message = f"TensorRT has only instances of KIND_GPU, not {became}"
            hint, fix = "Use `kind: KIND_GPU`.", _on_gpu(model, group)
            yield Finding(group.at_kind, message, hint=hint, reason=reason, item=group.item, fix=fix)


def _on_gpu(model: Model, group: Group) -> Fix | None:
    """Return the fix that puts a group on the target's GPUs, if it can be there."""
    if not model.target.gpus or not all(usable(gpu, model) for gpu in group.gpus):
        return None
    return edited(model, put(group.node, "kind", Enum(GPU)), safe=False)


@rule("trtllm-no-parameters", Severity.ERROR, "backend=tensorrtllm", at=Stage.INSTANCE.after("openvino-kind"))
def no_parameters(model: Model) -> Iterator[Finding]:
    """The config of a TensorRT-LLM engine must have parameters."""
    if model.parsed is not None and _is_engine(model) and "parameters" not in model.fields:
        yield Finding(
            None,
            "the config has no parameters, and TensorRT-LLM reads the place and the type of its engine from them",
            hint="Fill in a template of tensorrtllm_backend with tools/fill_template.py.",
        )


@rule("trtllm-model-type", Severity.ERROR, "backend=tensorrtllm", at=Stage.INSTANCE.after("trtllm-no-parameters"))
def model_type(model: Model) -> Iterator[Finding]:
    """The gpt_model_type of a TensorRT-LLM engine must be a kind of batching that the backend knows."""
    given = model.parameters
    if not given or not _is_engine(model) or (kind := model.parameter("gpt_model_type")) in BATCHING:
        return
    if "gpt_model_type" in given:
        found = given["gpt_model_type"]
        message, reason = f'unknown gpt_model_type "{kind}"', "Invalid gpt_model_type. Must be "
        place = found if isinstance(found, Message) else None
    else:
        message, reason, place = "the parameter gpt_model_type is missing", "", None
    yield Finding(place, message, hint=f"Use one of: {', '.join(BATCHING[1:])}.", reason=reason)


@rule("trtllm-model-path", Severity.ERROR, "backend=tensorrtllm", at=Stage.INSTANCE.after("trtllm-model-type"))
def model_path(model: Model) -> Iterator[Finding]:
    """The parameter gpt_model_path must name the directory of a TensorRT-LLM engine."""
    paths = [model.parameter(name) for name in PATHS]
    if "parameters" in model.fields and _is_engine(model) and not any(path and not _unfilled(path) for path in paths):
        said = f'is still the placeholder "{paths[0]}"' if paths[0] else "is missing"
        found = model.parameters.get(PATHS[0])
        yield Finding(
            found if isinstance(found, Message) else None,
            f"the parameter gpt_model_path {said}",
            hint="Set it to the directory of the engine, as a path on the server.",
        )


def _is_engine(model: Model) -> bool:
    """Whether the target surely has TensorRT-LLM."""
    return model.backend in model.target.backends and judged(model)


def _unfilled(text: str) -> bool:
    return PLACEHOLDER.search(text) is not None
