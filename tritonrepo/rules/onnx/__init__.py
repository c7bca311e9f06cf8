"""ONNX models: the file that ONNX Runtime opens, and its graph."""

from __future__ import annotations

from tritonrepo.rules.onnx import (
    accelerators,
    autofill,
    controls,
    counts,
    dims,
    external_data,
    files,
    names,
    operators,
    options,
    processors,
    ragged,
    shapes,
    tensorrt,
    unheard,
    values,
    wiring,
)

MODULES = (
    *(files, wiring, operators, external_data, values),
    *(options, unheard, accelerators, tensorrt, processors),
    *(autofill, controls, counts, names, ragged, shapes, dims),
)
