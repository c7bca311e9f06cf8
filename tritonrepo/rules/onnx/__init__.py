"""ONNX models: the file that ONNX Runtime opens, and its graph."""

from __future__ import annotations

from tritonrepo.rules.onnx import files

MODULES = (files,)
