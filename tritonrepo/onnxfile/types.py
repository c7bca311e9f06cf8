"""The inputs and outputs of a graph: names, types and shapes.

Source: onnx, onnx/onnx.proto: ValueInfoProto, TypeProto, TensorShapeProto, TensorProto.DataType. A message that comes
twice is merged, and of a oneof the last field counts (protobuf.dev, "Encoding", "Last One Wins").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tritonrepo.onnxfile.runs import described
from tritonrepo.onnxfile.wire import BYTES, DEEPEST, MORE, VARINT, BrokenError, Field, Part, Wire

TENSOR, SEQUENCE, MAP, OPAQUE, SPARSE, OPTIONAL = 1, 4, 5, 7, 8, 9
KINDS = {TENSOR: "tensor", SEQUENCE: "sequence", MAP: "map", OPAQUE: "opaque", SPARSE: "sparse_tensor"}
KINDS |= {OPTIONAL: "optional"}
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
ELEMENTS: Sequence[str] = (
    *("undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16"),
    *("double", "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz"),
    *("float8e5m2", "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0"),
)
"""TensorProto.DataType by number, in lower case, as ONNX writes types."""
HALF = 1 << 63


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph: the data type without TYPE_, and the dims with -1 for a variable one.

    Both are None if it is not a tensor of a type that Triton has, and dims also if the graph does not say its rank.
    `kind` is the field of TypeProto that is set: "tensor", "sequence", "map", "optional", "sparse_tensor" or "opaque";
    "" for none. `element` is the number of TensorProto.DataType, 0 if it is not given. `written` is the ONNX type of
    what is not a tensor: "seq(map(int64,tensor(float)))".
    """

    name: str
    data_type: str | None
    dims: tuple[int, ...] | None
    kind: str = "tensor"
    element: int = 0
    written: str = ""


def element_name(number: int) -> str:
    """Return a TensorProto.DataType as ONNX writes it: "float8e4m3fn"."""
    return ELEMENTS[number] if 0 <= number < len(ELEMENTS) else str(number)


def value(wire: Wire, part: Part) -> Tensor:
    """Return the input or output that a ValueInfoProto describes."""
    if part[1] - part[0] < MORE:
        data, offset = wire.near(*part)
        found = described(data, part[0] - offset, part[1] - offset)
        if found is not None:
            name, element, dims = found
            return Tensor(name.decode("utf-8", "replace"), DATA_TYPES.get(element), dims, element=element)
    return _value(wire, part)


def _value(wire: Wire, part: Part) -> Tensor:
    name, types = "", list[Part]()
    for number, kind, _, found in wire.fields(part):
        if number == 1 and kind == BYTES:
            name = wire.text(found)
        elif number == 2 and kind == BYTES:  # noqa: PLR2004  the type
            types.append(found)
    which, parts = _chosen(wire, types)
    if which != TENSOR:
        return Tensor(name, None, None, KINDS.get(which, ""), written=_type(wire, types, 3) if which else "")
    element, shapes = _element(wire, parts)
    dims = tuple(dim for each in _dims(wire, shapes) for dim in each) if shapes else None
    return Tensor(name, DATA_TYPES.get(element), dims, element=element)


def _merged(wire: Wire, parts: Sequence[Part]) -> Iterable[Field]:
    return wire.fields(parts[0]) if len(parts) == 1 else (field for part in parts for field in wire.fields(part))


def _chosen(wire: Wire, types: Sequence[Part]) -> tuple[int, list[Part]]:
    """Return which field of the oneof of a TypeProto is set, 0 for none, and its message."""
    which, parts = 0, list[Part]()
    for number, kind, _, found in _merged(wire, types):
        if number in KINDS and kind == BYTES:
            which, parts = number, [*parts, found] if number == which else [found]
    return which, parts


def _element(wire: Wire, parts: Sequence[Part]) -> tuple[int, list[Part]]:
    """Return the element type of a tensor's type, or a map's type of keys, and the messages in field 2."""
    element, others = 0, list[Part]()
    for number, kind, said, found in _merged(wire, parts):
        if number == 1 and kind == VARINT:
            element = (said & (1 << 32) - 1 ^ 1 << 31) - (1 << 31)
        elif number == 2 and kind == BYTES:  # noqa: PLR2004  a tensor's shape, a map's values
            others.append(found)
    return element, others


def _dims(wire: Wire, shapes: Sequence[Part]) -> Iterator[Sequence[int]]:
    for number, kind, _, found in _merged(wire, shapes):
        if number == 1 and kind == BYTES:
            yield (_dim(wire, found),)


def _dim(wire: Wire, part: Part) -> int:
    """Return the size of a dimension; -1 if it is a name, not set, or no size."""
    size = -1
    for number, kind, said, _ in wire.fields(part):
        if number == 1 and kind == VARINT:
            size = said if said < HALF else -1
        elif number == 2 and kind == BYTES:  # noqa: PLR2004  its name
            size = -1
    return size


def _type(wire: Wire, types: Sequence[Part], depth: int) -> str:
    """Return a type as ONNX writes it, without shapes."""
    if depth > DEEPEST:
        raise BrokenError(f"more than {DEEPEST} messages are in one another")
    which, parts = _chosen(wire, types)
    if which in {TENSOR, SPARSE}:
        return f"{KINDS[which]}({element_name(_element(wire, parts)[0])})"
    if which == MAP:
        key, values = _element(wire, parts)
        return f"map({element_name(key)},{_type(wire, values, depth + 2)})"
    if which in {SEQUENCE, OPTIONAL}:
        inner = [found for number, kind, _, found in _merged(wire, parts) if number == 1 and kind == BYTES]
        return f"{'seq' if which == SEQUENCE else 'optional'}({_type(wire, inner, depth + 2)})"
    return KINDS.get(which, "")
