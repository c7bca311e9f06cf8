"""An ensemble's steps as the rules read them: each step's model, version, and tensors with their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo import diagnostics
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once


class Mapped(NamedTuple):
    """An entry of a map: the model's tensor, the ensemble's tensor, and where the latter is written."""

    key: str
    tensor: str
    at: Placed


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step; of two entries with the same key the last one counts, as in the server's map."""

    number: int
    node: Message
    model: str
    version: int
    inputs: Mapping[str, Mapped]
    outputs: Mapping[str, Mapped]

    def at(self, field: str) -> Placed:
        """Return the value of a field, or the whole step if the field is missing."""
        return next(reversed(self.node.scalars(field)), self.node)


@once
def steps(model: Model) -> Sequence[Step]:
    """Return the steps of an ensemble; cached, because many rules need them."""
    scheduling = model.config.message("ensemble_scheduling")
    nodes = scheduling.messages("step") if scheduling is not None else ()
    return [_step(number, node) for number, node in enumerate(nodes)]


def walked(model: Model) -> list[str]:
    """Return the models that the steps name in the order of the server's walk: the last new name first.

    The server walks a std::unordered_map, which lists a few pointers in the reverse order of their insertion.
    """
    return [*dict.fromkeys(step.model for step in steps(model))][::-1]


def _step(number: int, node: Message) -> Step:
    return Step(
        number,
        node,
        node.text("model_name"),
        node.integer("model_version"),
        _map(node, "input_map"),
        _map(node, "output_map"),
    )


def _map(node: Message, name: str) -> dict[str, Mapped]:
    found: dict[str, Mapped] = {}
    for entry in node.entries(name):
        key = entry.text("key")
        found[key] = Mapped(key, entry.text("value"), next(reversed(entry.scalars("value")), entry))
    return found


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a misspelt name most likely means."""
    return diagnostics.nearest(name, candidates) or None


def listed(names: Iterable[str]) -> str:
    """Return names in quotes: "a", "b" or "c"."""
    return diagnostics.either(f'"{name}"' for name in names)


def these(versions: Sequence[int]) -> str:
    """Return versions as the subject of a sentence, with its verb: version 2 is, versions 1 and 2 are."""
    if len(versions) == 1:
        return f"version {versions[0]} is"
    return f"versions {', '.join(map(str, versions[:-1]))} and {versions[-1]} are"
