"""The families of rules, all of them: importing a family registers its rules."""

from __future__ import annotations

from tritonrepo.rules import (
    backends,
    ensembles,
    fields,
    ignores,
    instances,
    layout,
    manifests,
    onnx,
    python,
    scheduling,
    serving,
)

FAMILIES = (layout, fields, scheduling, instances, ensembles, backends, onnx, python, manifests, serving, ignores)
"""In the order in which they are listed."""
