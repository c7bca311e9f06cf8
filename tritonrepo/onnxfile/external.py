"""The files next to an ONNX file that hold its weights.

Source: onnx, onnx/onnx.proto: TensorProto.external_data, whose "location" is a path relative to the model's directory;
GraphProto.initializer, and NodeProto.attribute with AttributeProto.t.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.onnxfile.header import GRAPH, INITIALIZER
from tritonrepo.onnxfile.wire import BrokenError, Part, Wire
from tritonrepo.tree import File

NODE, ATTRIBUTE, TENSOR, EXTERNAL, KEY, VALUE = 1, 5, 5, 13, 1, 2


def external(file: File) -> frozenset[str]:
    """Return the locations of the weights that are in other files; raise BrokenError if it is not an ONNX file."""
    wire = Wire(file)
    graph = next((field.part for field in wire.fields(wire.whole) if field.number == GRAPH), None)
    if graph is None:
        raise BrokenError("it has no graph")
    return frozenset(place for tensor in _tensors(wire, graph) for place in _locations(wire, tensor))


def _tensors(wire: Wire, graph: Part) -> Iterator[Part]:
    for field in wire.fields(graph):
        if field.number == INITIALIZER:
            yield field.part
        elif field.number == NODE:
            for attribute in _inner(wire, field.part, ATTRIBUTE):
                yield from _inner(wire, attribute, TENSOR)


def _locations(wire: Wire, tensor: Part) -> Iterator[str]:
    for entry in _inner(wire, tensor, EXTERNAL):
        pair = {field.number: wire.text(field.part) for field in wire.fields(entry)}
        if pair.get(KEY) == "location":
            yield pair.get(VALUE, "")


def _inner(wire: Wire, part: Part, number: int) -> Iterator[Part]:
    return (field.part for field in wire.fields(part) if field.number == number)
