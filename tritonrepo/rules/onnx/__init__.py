"""ONNX models: the file that ONNX Runtime opens, and its graph."""

from __future__ import annotations

from tritonrepo.rules.onnx import (
    accelerators,
    autofill,
    controls,
    counts,
    dims,
    files,
    names,
    options,
    processors,
    ragged,
    shapes,
    tensorrt,
    unheard,
)

MODULES = (
    *(files, options, unheard, accelerators, tensorrt, processors),
    *(autofill, controls, counts, names, ragged, shapes, dims),
)
