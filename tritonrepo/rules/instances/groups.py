"""Instance groups as the server completes them: their names, and the kinds that depend on the target's GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.pbtxt import Message, Scalar
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once

AUTO, CPU, GPU, MODEL = "KIND_AUTO", "KIND_CPU", "KIND_GPU", "KIND_MODEL"


class Group(NamedTuple):
    """An instance group: its kind as written and as it becomes, and when the server reaches it."""

    node: Message
    name: str
    written: str
    kind: str
    gpus: list[Scalar]
    item: int

    @property
    def at_kind(self) -> Placed:
        """The place of the kind, or that of the group if it has none."""
        return next(reversed(self.node.scalars("kind")), self.node)


@once
def groups(model: Model) -> Sequence[Group]:
    """Return the written groups in order, none for an ensemble, as in the server. Kept for the other rules.

    Source: core, src/model_config_utils.cc, NormalizeInstanceGroup. All GPUs of the target count as usable.
    Between two items there is room for one per profile, counted from 1.
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
    """Whether the target has a GPU with this index."""
    return isinstance(gpu.data, int) and 0 <= gpu.data < model.target.gpus


def reason(group: Group, model: Model, text: str) -> str:
    """Return the server's sentence about a group."""
    return f"instance group {group.name} of model {model.config_name} {text}"


def machine(model: Model) -> str:
    """Return the target's GPUs in words."""
    count = model.target.gpus
    return {0: "no GPU", 1: "only GPU 0"}.get(count, f"only GPUs 0 to {count - 1}")
