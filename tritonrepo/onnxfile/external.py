"""The files next to an ONNX file that hold its weights, and which weights a graph uses."""

from __future__ import annotations

from tritonrepo.onnxfile.header import GRAPH, header
from tritonrepo.onnxfile.nodes import ATTRIBUTE, ATTRIBUTE_GRAPHS, NODE, OUTPUT
from tritonrepo.onnxfile.wire import BYTES, DEEPEST, BrokenError, Part, Wire
from tritonrepo.tree import File


def external(file: File) -> frozenset[str]:
    """Return the locations of the weights that are in other files; raise BrokenError if it is not an ONNX file."""
    return frozenset(each.location for each in header(file).externals if each.location is not None)


def used(file: File) -> frozenset[str]:
    """Return the names that a node of the graph or of a subgraph reads, or that the graph gives out.

    ONNX Runtime drops weights that are not among them before it reads their data.
    """
    wire, names = Wire(file), set[str]()
    for graph in wire.inner(wire.whole, GRAPH):
        _graph(wire, graph, names, 1)
    return frozenset(names)


def _graph(wire: Wire, graph: Part, names: set[str], depth: int) -> None:
    if depth > DEEPEST:
        raise BrokenError(f"more than {DEEPEST} messages are in one another")
    for number, kind, _, part in wire.fields(graph):
        if number == OUTPUT and kind == BYTES:
            names.update(wire.text(name) for name in wire.inner(part, 1))
        elif number == NODE and kind == BYTES:
            _node(wire, part, names, depth)


def _node(wire: Wire, node: Part, names: set[str], depth: int) -> None:
    for number, kind, _, part in wire.fields(node):
        if number == 1 and kind == BYTES:
            names.add(wire.text(part))
        elif number == ATTRIBUTE and kind == BYTES:
            for each, form, _, inner in wire.fields(part):
                if each in ATTRIBUTE_GRAPHS and form == BYTES:
                    _graph(wire, inner, names, depth + 3)
