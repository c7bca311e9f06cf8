"""Comparison of a tensor of a step's model with what the ensemble already knows of it, and the findings on differences.

Source: core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorMapping and ValidateTensorConsistency.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.completion import INVALID, Completed, Port
from tritonrepo.rules.ensembles import agreement
from tritonrepo.rules.ensembles.agreement import EVERY, UNKNOWN, Definition
from tritonrepo.rules.ensembles.steps import Mapped, Step
from tritonrepo.rules.registry import Finding


class Problem(NamedTuple):
    """A finding of the walk, and the name of its rule."""

    rule: str
    finding: Finding


@dataclass(slots=True)
class Walk:
    """An ensemble, its tensors as first defined, and the findings so far, in the server's order."""

    model: Model
    tensors: dict[str, Definition]
    found: list[Problem] = field(default_factory=list)

    def add(self, rule: str, finding: Finding) -> None:
        """Record a finding; the server stops at the first."""
        self.found.append(Problem(rule, finding._replace(item=len(self.found))))


class Visit(NamedTuple):
    """A step, its model, and that model's completed config."""

    step: Step
    callee: Model
    seen: Completed


def agree(walk: Walk, visit: Visit, mapped: Mapped, port: Port) -> None:
    """Compare a model's tensor with the ensemble's first definition of it, or make it the first."""
    seen = visit.seen
    batching = EVERY if not seen.exact and seen.max_batch_size == 0 else (seen.max_batch_size > 0,)
    listed = port.listed
    filled = not seen.exact and listed is not None and (port.data_type == INVALID or "dims" not in listed.fields)
    new = UNKNOWN if filled else Definition(visit.step.model, port, batching)
    first = walk.tensors.setdefault(mapped.tensor, new)
    if first is new:
        return
    if not agreement.types_agree(first, new):
        _type_differs(walk, mapped, first, new)
    elif not agreement.shapes_agree(first, new):
        _shape_differs(walk, mapped, first, new)
    else:
        _agreed(walk, mapped, first, new)


def optional(walk: Walk, mapped: Mapped, port: Port) -> None:
    """Report an input that is optional in the ensemble and required by the model."""
    first = walk.tensors[mapped.tensor]
    if first.model == walk.model.name and first.port.optional and not port.optional:
        walk.add(
            "ensemble-optional-to-required",
            Finding(
                mapped.at,
                f'ensemble input "{mapped.tensor}" is optional, but it feeds "{mapped.key}", which is required',
                hint=f'Remove optional from "{mapped.tensor}", or add it to "{mapped.key}" of the model.',
            ),
        )


def _place(walk: Walk, mapped: Mapped, first: Definition, field: str) -> Placed:
    """Return the field of the ensemble's own tensor if that is one of the two, else the entry of the map."""
    listed = first.port.listed
    if first.model != walk.model.name or listed is None:
        return mapped.at
    written = listed.fields.get(field)
    return listed.node if written is None else written.values[0] if written.values else written


def _sides(walk: Walk, mapped: Mapped, first: Definition, new: Definition) -> tuple[str, str]:
    own = first.model == walk.model.name
    return ("here" if own else f'in model "{first.model}"'), f'as "{mapped.key}" of model "{new.model}"'


def _type_differs(walk: Walk, mapped: Mapped, first: Definition, new: Definition) -> None:
    here, there = _sides(walk, mapped, first, new)
    walk.add(
        "tensor-type-differs",
        Finding(
            _place(walk, mapped, first, "data_type"),
            f'tensor "{mapped.tensor}" is {first.port.data_type} {here}, but {new.port.data_type} {there}',
            hint=f"Set `data_type: {new.port.data_type}`, or map another tensor."
            if here == "here"
            else "Insert a step that converts the tensor, or change one of the models.",
            reason=f"in ensemble {walk.model.name}, ensemble tensor {mapped.tensor}: inconsistent data type: "
            f"{first.type_name} is inferred from model {first.model} while {new.type_name} is inferred from model "
            f"{new.model}",
            quiet=here == "here" and first.port.data_type == INVALID,
        ),
    )


def _shape_differs(walk: Walk, mapped: Mapped, first: Definition, new: Definition) -> None:
    here, there = _sides(walk, mapped, first, new)
    dims = ", ".join(map(str, new.port.dims))
    listed = first.port.listed
    walk.add(
        "tensor-shape-differs",
        Finding(
            _place(walk, mapped, first, "dims"),
            f'tensor "{mapped.tensor}" has shape {first.shape} {here}, but {new.shape} {there}',
            hint=f"Set `dims: [ {dims} ]`. A leading -1 in a shape is the batch."
            if here == "here"
            else "Insert a step that reshapes the tensor, or change one of the models. A leading -1 may be the batch.",
            reason=f"in ensemble {walk.model.name}, ensemble tensor {mapped.tensor}: inconsistent shape: "
            f"{first.shape} is inferred from model {first.model} while {new.shape} is inferred from model {new.model}",
            quiet=here == "here" and listed is not None and not {"dims", "reshape"} & listed.fields.keys(),
        ),
    )


def _agreed(walk: Walk, mapped: Mapped, first: Definition, new: Definition) -> None:
    """Report what the server does not: tensors that pass its check, but whose requests can fail."""
    batch = agreement.one_batch_only(first, new)
    if batch is not None:
        walk.add(
            "ensemble-batching-over-fixed",
            Finding(
                mapped.at,
                f'tensor "{mapped.tensor}" has shape {first.shape}, but {new.shape} as "{mapped.key}" of model '
                f'"{new.model}", so only requests of batch size {batch} work',
                hint="In the model without batching, set the first dim to -1, or enable batching.",
            ),
        )
    elif _is_input(walk, first) and (dims := agreement.narrowed(first, new)):
        walk.add(
            "step-batching-shape-vs-wildcard",
            Finding(
                _place(walk, mapped, first, "dims"),
                f'input "{mapped.tensor}" has dims {agreement.shown(first.port.dims)}, but requests fail in model '
                f'"{new.model}" unless they fit {agreement.shown(dims)}',
                hint=f"Set `dims: [ {', '.join(map(str, dims))} ]`, so that Triton rejects other requests at once.",
            ),
        )


def _is_input(walk: Walk, first: Definition) -> bool:
    listed = first.port.listed
    return first.model == walk.model.name and listed is not None and listed.kind == "input" and not listed.reshape
