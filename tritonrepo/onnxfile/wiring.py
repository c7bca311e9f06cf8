"""How the nodes of a graph hang together: names that nothing makes, or that are made twice, and shapes that are kept.

Source: onnxruntime, core/graph/graph.cc, Graph::InitializeStateFromModelFileGraphProto, VerifyNoDuplicateName,
BuildConnections and MergeShapeInfo. The order of nodes does not matter to ONNX Runtime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import NamedTuple, TypeVar

from tritonrepo.onnxfile.nodes import INSIDE, Walk

LONGEST_CHAIN, MOST_LOOSE = 100, 10_000
T = TypeVar("T")
UNREADABLE = "\ufffd"


class Fault(Enum):
    """What is wrong with a name."""

    NOT_MADE = "the graph gives it out, but nothing makes it"
    INPUT_TWICE = "two inputs of the graph have it"
    NODES_TWICE = "two nodes of the graph have it"
    MADE_TWICE = "a node makes it, and another node does as well, or an input or initializer has it"
    NOT_THERE = "a node of the graph reads it, but nothing makes it"
    NOT_THERE_INSIDE = "a node of a subgraph reads it, but nothing in the file makes it"


class Loose(NamedTuple):
    """A name at which a graph does not hold together."""

    fault: Fault
    name: str


def loose(walk: Walk, inputs: Sequence[str], outputs: Sequence[str], known: Collection[str]) -> tuple[Loose, ...]:
    """Return the names that are wrong for certain, in the order in which ONNX Runtime looks for them."""
    own, inside = walk.scopes[""], walk.scopes[INSIDE]
    made, given = {*own.made}, {name.encode() for name in (*inputs, *known)} | own.constants
    there = made | given
    if (
        len(made) == len(own.made)
        and len({*own.names}) == len(own.names)
        and len(there) == len(made) + len(given)
        and len({*inputs}) == len(inputs)
        and own.read <= there
        and inside.read <= there
        and there.issuperset([name.encode() for name in outputs])
    ):
        return ()
    if any(UNREADABLE in name for name in (*inputs, *outputs, *known)):
        return ()
    weights = {name.encode() for name in known} | own.constants
    return tuple(islice(_loose(walk, inputs, outputs, weights), MOST_LOOSE))


def _loose(walk: Walk, inputs: Sequence[str], outputs: Sequence[str], weights: Collection[bytes]) -> Iterator[Loose]:
    own, inside = walk.scopes[""], walk.scopes[INSIDE]
    made, given = {*own.made}, {name.encode() for name in inputs}.union(weights)
    there = made | given
    yield from (Loose(Fault.NOT_MADE, name) for name in outputs if name.encode() not in there)
    yield from (Loose(Fault.INPUT_TWICE, name) for name in _twice(inputs) if name.encode() not in weights)
    yield from (Loose(Fault.NODES_TWICE, _text(name)) for name in _twice(own.names))
    twice = {*_twice(own.made), *(made & given)} - {b""}
    yield from (Loose(Fault.MADE_TWICE, _text(name)) for name in sorted(twice))
    there |= {b"", *inside.made, *inside.constants}
    for fault, names in ((Fault.NOT_THERE, own.read), (Fault.NOT_THERE_INSIDE, inside.read)):
        yield from (Loose(fault, _text(name)) for name in sorted(names - there))


def _twice(names: Sequence[T]) -> list[T]:
    return [name for name, count in Counter(names).items() if count > 1]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def shapes(same: Mapping[bytes, bytes], outputs: Sequence[str]) -> dict[str, str]:
    """Return the outputs of a graph that have the shape of another tensor, each with the first such tensor."""
    found = {}
    for output in outputs:
        here, left = output.encode(), LONGEST_CHAIN
        while here in same and left:
            here, left = same[here], left - 1
        if 0 < left < LONGEST_CHAIN:
            found[output] = _text(here)
    return found
