"""The header of an ONNX file, read by its wire format: weights are skipped, and the onnx package is not needed."""

from __future__ import annotations

from tritonrepo.onnxfile.external import external
from tritonrepo.onnxfile.header import Header, Tensor, header
from tritonrepo.onnxfile.wire import BrokenError

__all__ = ["BrokenError", "Header", "Tensor", "external", "header"]
