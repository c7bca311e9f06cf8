"""Instance groups as the server completes them: their names, and the kinds that the machine's GPUs make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.pbtxt import Message, Scalar
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once

AUTO, CPU, GPU, MODEL = "KIND_AUTO", "KIND_CPU", "KIND_GPU", "KIND_MODEL"


class Group(NamedTuple):
    """An instance group: what its kind is written as and what it becomes, and when the server comes to it."""

    node: Message
    name: str
    written: str
    kind: str
    gpus: list[Scalar]
    item: int

    @property
    def at_kind(self) -> Placed:
        """The place of the kind, or the group's where none is written."""
        return next(reversed(self.node.scalars("kind")), self.node)


@once
def groups(model: Model) -> Sequence[Group]:
    """Return the written groups in order; an ensemble has none to the server. Kept for the rules that come next.

    Source: core, src/model_config_utils.cc, NormalizeInstanceGroup. The GPUs of the target are all taken as usable.
    Between two items there is room for one a profile, counted from 1.
    """
    return () if "ensemble_scheduling" in model.fields else tuple(_groups(model))


def _groups(model: Model) -> Iterator[Group]:
    for number, node in enumerate(model.config.messages("instance_group")):
        written, gpus = node.enum("kind", AUTO), node.scalars("gpus")
        kind = written
        if kind == AUTO:
            kind = GPU if model.target.gpus and all(usable(gpu, model) for gpu in gpus) else CPU
        name = node.text("name") or f"{model.config_name}_{number}"
        yield Group(node, name, written, kind, gpus, number << 32)


def usable(gpu: Scalar, model: Model) -> bool:
    """Whether the target has a GPU of this number."""
    return isinstance(gpu.data, int) and 0 <= gpu.data < model.target.gpus


def reason(group: Group, model: Model, text: str) -> str:
    """Return the server's sentence on a group."""
    return f"instance group {group.name} of model {model.config_name} {text}"


def machine(model: Model) -> str:
    """Return the target's GPUs in words."""
    count = model.target.gpus
    return {0: "a machine without GPU", 1: "a machine with GPU 0 alone"}.get(
        count, f"a machine with GPUs 0 to {count - 1}"
    )
