"""The checks that Triton and its backends make, and what loads but is surely not meant; one module per family."""

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
from tritonrepo.rules.judge import Judged, judge
from tritonrepo.rules.order import turns
from tritonrepo.rules.registry import RULES, Rule

FAMILIES = (layout, fields, scheduling, instances, ensembles, backends, onnx, python, manifests, serving, ignores)
"""Importing a family registers its rules."""

__all__ = ["FAMILIES", "RULES", "Judged", "Rule", "judge"]

turns(auto_complete=True)  # a rule without a place in the server's order fails here, not in a run
