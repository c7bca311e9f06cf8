"""Execution accelerators of ONNX models on the CPU, and those that no instance uses.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::LoadModel, of r24.01 to r26.06.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Enum
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import GPU, MODEL, groups
from tritonrepo.rules.mending import edited
from tritonrepo.rules.onnx.accelerators import OPENVINO, accelerators
from tritonrepo.rules.onnx.options import on_gpu
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "onnx-cpu-accelerator-name",
    Severity.ERROR,
    "*.execution_accelerators",
    at=Stage.INSTANCE.after("onnx-arena-strategy"),
)
def cpu_name(model: Model) -> Iterator[Finding]:
    """A cpu_execution_accelerator of an ONNX model must be openvino."""
    for each in accelerators(model, "cpu"):
        if each.name != OPENVINO:
            yield Finding(
                each.at,
                f'the backend has no cpu_execution_accelerator "{each.name}"',
                hint="Use openvino, or write it as a gpu_execution_accelerator."
                if each.name in {"tensorrt", "cuda"}
                else "Use openvino.",
                reason=f"unknown Execution Accelerator '{each.name}' is requested",
                item=each.item,
            )


@rule("onnx-gpu-accelerator-on-cpu", Severity.WARNING, "*.execution_accelerators")
def gpu_unused(model: Model) -> Iterator[Finding]:
    """An ONNX model with a gpu_execution_accelerator should have an instance on a GPU."""
    found = accelerators(model, "gpu")
    if found and model.target.gpus and not on_gpu(model):
        yield Finding(
            found[0].at,
            "gpu_execution_accelerator has no effect, because no instance of the model runs on a GPU",
            hint="Set `kind: KIND_GPU` in instance_group, or remove it.",
        )


@rule("onnx-kind-model-runs-on-cpu", Severity.WARNING, "instance_group")
def kind_model(model: Model) -> Iterator[Finding]:
    """An ONNX model should not have KIND_MODEL, which runs it on the CPU."""
    for group in groups(model) if model.backend == "onnxruntime" and model.target.gpus else ():
        if group.kind == MODEL:
            yield Finding(
                group.at_kind,
                "KIND_MODEL runs an ONNX model on the CPU, although the server has GPUs",
                hint="Set `kind: KIND_GPU`, or KIND_CPU if that is meant.",
                fix=edited(model, put(group.node, "kind", Enum(GPU)), safe=False),
            )
