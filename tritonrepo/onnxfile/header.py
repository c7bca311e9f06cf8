"""The inputs and outputs of an ONNX graph.

Source: onnx, onnx/onnx.proto: ModelProto, GraphProto, ValueInfoProto, TypeProto, TensorShapeProto, TensorProto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made

from tritonrepo.onnxfile.wire import BrokenError, Part, Wire
from tritonrepo.tree import File

IR_VERSION, GRAPH, OPSET = 1, 7, 8
INITIALIZER, INPUT, OUTPUT = 5, 11, 12
KINDS = {1: "tensor", 4: "sequence", 5: "map", 8: "sparse_tensor", 9: "optional"}
"""The fields of TypeProto that say what a value is."""
DATA_TYPES: Mapping[int, str] = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "STRING",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
    16: "BF16",
}
"""TensorProto.DataType as the types of a ModelConfig (onnxruntime_backend, src/onnxruntime_utils.cc)."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph: the data type without TYPE_, and the dims with -1 for a variable one.

    Both are None if it is not a tensor of a type that Triton has, and dims also if the graph does not say its rank.
    `kind` is the field of TypeProto that is set: "tensor", "sequence", "map", "optional" or "sparse_tensor"; "" for
    none. `element` is the number of TensorProto.DataType, 0 if it is not given.
    """

    name: str
    data_type: str | None
    dims: tuple[int, ...] | None
    kind: str = "tensor"
    element: int = 0


@dataclass(frozen=True, slots=True)
class Header:
    """The IR version of a model, and its inputs and outputs in the order of the graph.

    An input that has an initializer is not among `inputs` but in `overridable`, since requests do not have to send it.
    `opsets` has the version of each operator set by its domain, where "" is ONNX's own (also written "ai.onnx").
    """

    ir_version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    overridable: tuple[Tensor, ...] = ()
    opsets: Mapping[str, int] = made(default_factory=dict)


def header(file: File) -> Header:
    """Return the header of an ONNX file; raise BrokenError if it is not one."""
    wire = Wire(file)
    top = {field.number: field for field in wire.fields(wire.whole)}
    if GRAPH not in top or IR_VERSION not in top:
        raise BrokenError("it has no IR version" if GRAPH in top else "it has no graph")
    version, graph = top[IR_VERSION].value, top[GRAPH].part
    imported = [field.part for field in wire.fields(wire.whole) if field.number == OPSET]
    known, inputs, outputs = set[str](), list[Tensor](), list[Tensor]()
    for field in wire.fields(graph):
        if field.number == INITIALIZER:
            known.add(_name(wire, field.part, 8))
        elif field.number == INPUT:
            inputs.append(_tensor(wire, field.part))
        elif field.number == OUTPUT:
            outputs.append(_tensor(wire, field.part))
    return Header(
        version,
        tuple(tensor for tensor in inputs if tensor.name not in known),
        tuple(outputs),
        tuple(tensor for tensor in inputs if tensor.name in known),
        dict(_opset(wire, each) for each in imported),
    )


def _opset(wire: Wire, part: Part) -> tuple[str, int]:
    domain = _name(wire, part, 1)
    version = next((field.value for field in wire.fields(part) if field.number == 2), 0)  # noqa: PLR2004  its version
    return "" if domain == "ai.onnx" else domain, version


def _name(wire: Wire, part: Part, number: int) -> str:
    return next((wire.text(field.part) for field in wire.fields(part) if field.number == number), "")


def _inner(wire: Wire, part: Part, number: int) -> Part | None:
    return next((field.part for field in wire.fields(part) if field.number == number), None)


def _tensor(wire: Wire, part: Part) -> Tensor:
    name, type_proto = _name(wire, part, 1), _inner(wire, part, 2)
    field_set = (
        next((field for field in wire.fields(type_proto) if field.number in KINDS), None) if type_proto else None
    )
    if field_set is None or KINDS[field_set.number] != "tensor":
        return Tensor(name, None, None, KINDS[field_set.number] if field_set else "")
    data_type, dims, element = None, None, 0
    for field in wire.fields(field_set.part):
        if field.number == 1:
            data_type, element = DATA_TYPES.get(field.value), field.value
        elif field.number == 2:  # noqa: PLR2004  the shape
            dims = tuple(_dim(wire, each.part) for each in wire.fields(field.part) if each.number == 1)
    return Tensor(name, data_type, dims, element=element)


def _dim(wire: Wire, part: Part) -> int:
    """Return the size of a dimension; -1 if it is a name, not set, or no size."""
    value = next((field.value for field in wire.fields(part) if field.number == 1), -1)
    return value if 0 <= value < 1 << 63 else -1
