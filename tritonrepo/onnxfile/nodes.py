"""The nodes and weights of an ONNX graph, its subgraphs included: operators, and weights in other files.

Source: onnx, onnx/onnx.proto: GraphProto, NodeProto, AttributeProto, SparseTensorProto, TensorProto.external_data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tritonrepo.onnxfile.types import HALF
from tritonrepo.onnxfile.wire import BYTES, DEEPEST, NOWHERE, UNSEEN, VARINT, BrokenError, Part, Wire

NODE, INITIALIZER, SPARSE_INITIALIZER, INPUT, OUTPUT = 1, 5, 15, 11, 12
NODE_OUTPUT, OP_TYPE, ATTRIBUTE, DOMAIN = 2, 4, 5, 7
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = {5, 10}, {6, 11}
ATTRIBUTE_SPARSE = {22, 23}
DIMS, DATA_TYPE, NAME, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 13, 14
SHORT, HOLDER = 1 << 10, re.compile(rb"[*2RZ\xb2\xba\xaa\xd2\xda]")
"""An attribute with none of these bytes, with which the tags of its fields begin, has no tensor and no graph."""
CONSTANT, EXTERNAL = b"Constant", 1
MOST_EXTERNAL = 1_000_000
NUMBERS, NAMED = {"offset", "length"}, {"offset", "length", "location", "checksum"}
PERHAPS = re.compile(r"[ \t\n\v\f\r]*\+?[0-9]*")
"""A text that some versions of ONNX Runtime read as a number."""
BYTES_EACH = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes of an element of each TensorProto.DataType that fills whole bytes."""


class External(NamedTuple):
    """A tensor whose data is in another file: where, from which byte, how many; None for what is not said.

    `size` are the bytes that its shape and type need, None if they are not known. `place` is "initializer" for one of
    the graph itself, "constant" for the value of a Constant node of it, then under the name of the node's output,
    "subgraph" for an initializer of a subgraph, and "attribute" and "function" for others, which may never be read.
    `fault` is what is wrong with these entries, with the words of ONNX Runtime.
    """

    name: str
    location: str | None
    offset: int | None
    length: int | None
    size: int | None
    place: str = "initializer"
    fault: tuple[str, str] | None = None


class Walk:
    """What is collected on a walk over the nodes of a graph and everything in them."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.operators: set[tuple[bytes, bytes]] = set()
        self.externals: list[External] = []

    def subgraph(self, graph: Part, depth: int, place: str) -> None:
        """Collect from a graph in an attribute."""
        if depth > DEEPEST:
            raise BrokenError(f"more than {DEEPEST} messages are in one another")
        for number, kind, _, part in self.wire.fields(graph):
            if kind != BYTES:
                continue
            if number == NODE:
                self.node(part, depth + 1, place)
            elif number in {INITIALIZER, SPARSE_INITIALIZER}:
                self.initializer(part, place, sparse=number == SPARSE_INITIALIZER)

    def initializer(self, part: Part, place: str, *, sparse: bool) -> str:
        """Collect from weights of a graph, and return their name; of a sparse tensor, that of its values."""
        if not sparse:
            return self.tensor(part, place)
        names = [self.tensor(each, place) for number in (1, 2) for each in self.wire.inner(part, number)]
        return names[0] if names else ""

    def node(self, node: Part, depth: int, place: str = "") -> None:
        """Collect from a node; `place` is "" in the graph itself."""
        wire, said, output = self.wire, {OP_TYPE: b"", DOMAIN: b""}, NOWHERE
        for number, kind, _, part in wire.fields(node):
            if kind != BYTES:
                continue
            if number in said:
                said[number] = wire.raw(part)
            elif number == ATTRIBUTE:  # which follows the others in what protobuf writes
                constant = said[OP_TYPE] == CONSTANT and not place
                self._attribute(part, depth + 1, place, wire.text(output) if constant else "")
            elif number == NODE_OUTPUT and not place:
                output = part
        if place != "function":
            self.operators.add((said[DOMAIN], said[OP_TYPE]))

    def _attribute(self, attribute: Part, depth: int, place: str, constant: str) -> None:
        start, end = attribute
        if end - start < SHORT and HOLDER.search(self.wire.raw(attribute)) is None:
            return
        for number, kind, _, part in self.wire.fields(attribute):
            if kind != BYTES:
                continue
            if number in ATTRIBUTE_TENSORS:
                self.tensor(part, "constant" if constant else place if place == "function" else "attribute", constant)
            elif number in ATTRIBUTE_GRAPHS:
                self.subgraph(part, depth + 1, place or "subgraph")
            elif number in ATTRIBUTE_SPARSE:
                self.initializer(part, "attribute", sparse=True)

    def tensor(self, part: Part, place: str, output: str = "") -> str:
        """Return the name of a tensor, and keep where its data is if that is another file."""
        name, dims, entries, said = "", list[int](), list[Part](), dict[int, int]()
        for number, kind, value, found in self.wire.fields(part):
            if kind == VARINT and number == DIMS:
                dims.append(value)
            elif kind == VARINT:
                said[number] = value
            elif kind == BYTES and number in {NAME, EXTERNAL_DATA}:
                name = self.wire.text(found) if number == NAME else name
                entries += [found] * (number == EXTERNAL_DATA)
            elif kind == BYTES and number == DIMS:
                dims += self.wire.numbers(found)  # the packed form, which protobuf reads as well
        if said.get(DATA_LOCATION) == EXTERNAL:
            if len(self.externals) == MOST_EXTERNAL:
                raise BrokenError(f"{UNSEEN}: it has more than {MOST_EXTERNAL:,} tensors in other files")
            size = _size(said.get(DATA_TYPE, 0), dims)
            self.externals.append(self._external(output or name, entries, size, place))
        return name

    def _external(self, name: str, entries: Sequence[Part], size: int | None, place: str) -> External:
        said, faults = dict[str, str](), list[tuple[str, str]]()
        for entry in entries:
            pair = {number: part for number, kind, _, part in self.wire.fields(entry) if kind == BYTES}
            key, text = (self.wire.text(pair[number]) if number in pair else None for number in (1, 2))
            said[key or ""] = text or ""
            faults += _fault(key, text)
        if not said.get("location"):
            faults.append(("they name no file", f"{FORMAT} Missing 'location'"))
        offset, length = _number(said, "offset"), _number(said, "length")
        if length and size is not None and length != size:
            words = f"TensorProto: {name} external data size mismatch. Computed size: {size}, external_data.length: "
            faults.append((f"they give {length:,} bytes, but its type and shape need {size:,}", f"{words}{length}"))
        return External(name, said.get("location"), offset, length, size, place, faults[0] if faults else None)


FORMAT = "model format error!"


def _fault(key: str | None, text: str | None) -> list[tuple[str, str]]:
    """Return what is wrong with an entry, if anything.

    Source: onnxruntime, core/framework/tensor_external_data_info.cc, ExternalDataInfo::Create.
    """
    if key is None or text is None:
        lacks = "key" if key is None else "value"
        return [(f"one of them has no {lacks}", f"{FORMAT} Need a {lacks} for the external data info")]
    if key.startswith("prepacked"):
        return []
    if key not in NAMED or not text:
        return [(f'"{key}" {"is empty" if key in NAMED else "is not known"}', FORMAT)]
    if key in NUMBERS and not PERHAPS.fullmatch(text):
        return [(f'"{key}" is "{text}", which is not a number', "")]
    return []


def _number(said: dict[str, str], key: str) -> int | None:
    text = said.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004  64 bits


def _size(element: int, dims: Sequence[int]) -> int | None:
    """Return the bytes of a tensor of this shape; None for types that share bytes, and shapes that are none."""
    size = BYTES_EACH.get(element)
    for dim in dims:
        if size is None or dim >= HALF or size >= HALF:
            return None
        size *= dim
    return size
