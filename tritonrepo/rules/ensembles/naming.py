"""Fixes of names in an ensemble's steps: those of models, of their tensors, and of the ensemble's tensors."""

from __future__ import annotations

from collections.abc import Iterable

from tritonrepo.diagnostics import Fix
from tritonrepo.pbtxt import Scalar
from tritonrepo.pbtxt.editor import Edit
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.pbtxt.printer import quoted
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.steps import Step, steps
from tritonrepo.rules.mending import edited


def other_model(model: Model, name: str, to: str) -> Fix | None:
    """Return the fix that makes the steps of a model run another one."""
    return _named(model, (step.at("model_name") for step in steps(model) if step.model == name), name, to)


def other_key(model: Model, step: Step, field: str, key: str, to: str) -> Fix | None:
    """Return the fix that maps another input or output of a step's model."""
    entries = [entry for entry in step.node.entries(field) if entry.text("key") == key]
    return _named(model, (place for entry in entries for place in entry.scalars("key")[-1:]), key, to)


def other_tensor(model: Model, field: str, tensor: str, to: str) -> Fix | None:
    """Return the fix that makes the inputs or outputs of all steps that map a tensor map another one."""
    maps = [step.inputs if field == "input_map" else step.outputs for step in steps(model)]
    return _named(model, (each.at for found in maps for each in found.values() if each.tensor == tensor), tensor, to)


def _named(model: Model, places: Iterable[Placed], name: str, to: str) -> Fix | None:
    """Return the fix that writes a name in all places; it is safe if only the case of letters differs."""
    found = [*places]
    if not found or not all(isinstance(place, Scalar) for place in found):
        return None
    edits = (Edit(place.start, place.end, quoted(to).encode()) for place in found)
    return edited(model, *edits, safe=name.casefold() == to.casefold())
