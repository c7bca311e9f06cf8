"""Execution accelerators of the ONNX Runtime backend, and those for GPUs by name.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::LoadModel, of r24.01 to r26.06; backend,
src/backend_common.cc, ParseIntValue, ParseUnsignedLongLongValue and ParseBoolValue. What a release does not have is in
the differences of data/releases.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, closest
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.rules.onnx.options import on_gpu
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TENSORRT, CUDA, OPENVINO = "tensorrt", "cuda", "openvino"


class Accelerator(NamedTuple):
    """An accelerator in the order of the config, its name, and what to point at."""

    node: Message
    name: str
    item: int

    @property
    def at(self) -> Placed:
        """The place of its name, or that of the accelerator if it has none."""
        return next(reversed(self.node.scalars("name")), self.node)


def accelerators(model: Model, device: str) -> list[Accelerator]:
    """Return the accelerators for "gpu" or "cpu" of an ONNX model."""
    optimization = model.config.message("optimization") if model.backend == "onnxruntime" else None
    block = optimization.message("execution_accelerators") if optimization is not None else None
    nodes = block.messages(f"{device}_execution_accelerator") if block is not None else []
    return [Accelerator(node, node.text("name"), item) for item, node in enumerate(nodes)]


def used(model: Model) -> list[Accelerator]:
    """Return the accelerators for GPUs if they are read: if an instance of the model runs on a GPU."""
    found = accelerators(model, "gpu")
    return found if found and on_gpu(model) else []


def _names(model: Model) -> tuple[str, ...]:
    return (TENSORRT, CUDA) if model.target.release.has("onnx-cuda-accelerator") else (TENSORRT,)


@rule(
    "onnx-gpu-accelerator-name",
    Severity.ERROR,
    "*.execution_accelerators",
    at=Stage.INSTANCE.after("trtllm-model-path"),
)
def gpu_name(model: Model) -> Iterator[Finding]:
    """A gpu_execution_accelerator of an ONNX model must be tensorrt or cuda."""
    for each in used(model):
        if each.name not in _names(model):
            yield Finding(
                each.at,
                f'the backend has no gpu_execution_accelerator "{each.name}" in {model.target.release.name}',
                hint=closest(each.name, _names(model)),
                reason=f"unknown Execution Accelerator '{each.name}' is requested",
                item=each.item,
            )
