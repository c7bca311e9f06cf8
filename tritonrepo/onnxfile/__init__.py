"""The header of an ONNX file, read by its wire format: weights are skipped, and the onnx package is not needed."""

from __future__ import annotations

from tritonrepo.onnxfile.external import external, used
from tritonrepo.onnxfile.header import NO_GRAPH, NO_IR_VERSION, Header, header
from tritonrepo.onnxfile.nodes import External, Size
from tritonrepo.onnxfile.types import Tensor, element_name
from tritonrepo.onnxfile.wire import UNSEEN, BrokenError
from tritonrepo.onnxfile.wiring import Fault

__all__ = [
    "NO_GRAPH",
    "NO_IR_VERSION",
    "UNSEEN",
    "BrokenError",
    "External",
    "Fault",
    "Header",
    "Size",
    "Tensor",
    "element_name",
    "external",
    "header",
    "used",
]
