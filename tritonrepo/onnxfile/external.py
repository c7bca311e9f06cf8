"""The files next to an ONNX file that hold its weights, and which weights a graph uses."""

from __future__ import annotations

from tritonrepo.onnxfile.header import GRAPH, header
from tritonrepo.onnxfile.nodes import INSIDE, OUTPUT, Walk
from tritonrepo.onnxfile.wire import Wire
from tritonrepo.tree import File


def external(file: File) -> frozenset[str]:
    """Return the locations of the weights that are in other files; raise BrokenError if it is not an ONNX file."""
    return frozenset(each.location for each in header(file).externals if each.location is not None)


def used(file: File) -> frozenset[str]:
    """Return the names that a node of the graph or of a subgraph reads, or that the graph gives out.

    ONNX Runtime drops weights that are not among them before it reads their data.
    """
    wire = Wire(file)
    walk, names = Walk(wire), set[str]()
    for graph in wire.inner(wire.whole, GRAPH):
        outputs = [part for number, part in walk.parts(graph, 1) if number == OUTPUT]
        names.update(wire.text(name) for output in outputs for name in wire.inner(output, 1))
    read = walk.scopes[""].read | walk.scopes[INSIDE].read
    return frozenset(names | {name.decode("utf-8", "replace") for name in read})
