"""The nodes and weights of an ONNX graph, its subgraphs included: operators, and weights in other files.

Source: onnx, onnx/onnx.proto: GraphProto, NodeProto, AttributeProto, SparseTensorProto, TensorProto.external_data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.onnxfile.runs import CONSTANT, HOLDER, KEEPING, ONNX, SHORT, Scope, nodes, scope
from tritonrepo.onnxfile.types import HALF
from tritonrepo.onnxfile.wire import BYTES, DEEPEST, UNSEEN, VARINT, BrokenError, Part, Wire

NODE, INITIALIZER, SPARSE_INITIALIZER, INPUT, OUTPUT = 1, 5, 15, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_NAME, OP_TYPE, ATTRIBUTE, DOMAIN = 1, 2, 3, 4, 5, 7
FIELDS = NODE_INPUT, NODE_OUTPUT, NODE_NAME, OP_TYPE, DOMAIN
INSIDE = "subgraph"
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = {5, 10}, {6, 11}
ATTRIBUTE_SPARSE = {22, 23}
DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 9, 13, 14
MOST_NAMES = 2_000_000
TYPED_DATA, MOST_SIZES = {4, 5, 6, 7, 10, 11}, 100
ORDINARY = bytes([NODE << 3 | BYTES])
"""How the nodes begin that are walked over in runs."""

EXTERNAL = 1
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


class Size(NamedTuple):
    """An initializer whose data has another size, in bytes, than its type and shape need."""

    name: str
    needed: int
    has: int


class Walk:
    """What is collected on a walk over the nodes of a graph and everything in them.

    `scopes` are what the nodes of the graph itself, of its subgraphs and of functions fill; functions have names of
    their own.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.scopes = {"": scope(), INSIDE: scope(), "function": scope()}
        self.externals: list[External] = []
        self.sizes = list[Size]()

    def subgraph(self, graph: Part, depth: int, place: str) -> None:
        """Collect from a graph in an attribute."""
        if depth > DEEPEST:
            raise BrokenError(f"more than {DEEPEST} messages are in one another")
        for number, part in self.parts(graph, depth, place):
            if number in {INITIALIZER, SPARSE_INITIALIZER}:
                self.scopes[place].made.append(self.initializer(part, place, sparse=number == SPARSE_INITIALIZER))
            elif number == INPUT:
                self.scopes[place].made.extend(self.wire.raw(name) for name in self.wire.inner(part, 1))

    def parts(self, graph: Part, depth: int, place: str = "") -> Iterator[tuple[int, Part]]:
        """Collect from the nodes of a graph, and yield its other fields that have a length."""
        at, end = graph
        while at < end:
            data, offset = self.wire.near(at, end)
            if data[at - offset : at - offset + 1] == ORDINARY and (at := self._run(at, end, depth, place)) == end:
                return
            field, at = self.wire.field(at, end)
            if field is None or field[1] != BYTES:
                continue
            if field[0] == NODE:
                self.node(field[3], depth + 1, place)
            else:
                yield field[0], field[3]

    def _run(self, at: int, end: int, depth: int, place: str) -> int:
        """Collect from ordinary nodes that follow one another, and return where something else is."""
        while at < end:
            data, offset = self.wire.near(at, end)
            run = nodes(data, at - offset, min(len(data), end - offset), self.scopes[place])
            self.wire.passed(run.end + offset - at + 8 * run.nodes)
            self._few(self.scopes[place])
            at = run.end + offset
            for start, stop in run.holders:
                constant = run.operator == CONSTANT and not place
                name = _text(run.outputs[-1:]) if constant else ""
                self._attribute((start + offset, stop + offset), depth + 2, place, name)
            if not run.holders:
                break
        return at

    def _few(self, filled: Scope) -> None:
        if len(filled.made) + len(filled.read) + len(filled.operators) + len(filled.constants) > MOST_NAMES:
            raise BrokenError(f"{UNSEEN}: it has more than {MOST_NAMES:,} names")

    def initializer(self, part: Part, place: str, *, sparse: bool) -> bytes:
        """Collect from weights of a graph, and return their name; of a sparse tensor, that of its values."""
        if not sparse:
            return self.tensor(part, place, sized=place == "initializer")
        names = [self.tensor(each, place) for number in (1, 2) for each in self.wire.inner(part, number)]
        return names[0] if names else b""

    def node(self, node: Part, depth: int, place: str = "") -> None:
        """Collect from a node; `place` is "" in the graph itself."""
        found: dict[int, list[bytes]] = {number: [] for number in FIELDS}
        attributes = list[Part]()
        for number, kind, _, part in self.wire.fields(node):
            if number == ATTRIBUTE and kind == BYTES:
                attributes.append(part)
            elif number in found and kind == BYTES:
                found[number].append(self.wire.raw(part))
        operator, domain, filled = (found[OP_TYPE] or [b""])[-1], (found[DOMAIN] or [b""])[-1], self.scopes[place]
        filled.operators.add((domain, operator))
        filled.read.update(found[NODE_INPUT])
        if operator == CONSTANT and domain in ONNX:
            filled.constants.update(found[NODE_OUTPUT])
        else:
            filled.made.extend(found[NODE_OUTPUT])
            filled.names.extend(name for name in found[NODE_NAME][-1:] if name)
        self._few(filled)
        if operator in KEEPING and domain in ONNX and found[NODE_INPUT] and found[NODE_OUTPUT]:
            filled.same[found[NODE_OUTPUT][0]] = found[NODE_INPUT][0]
        name = _text(found[NODE_OUTPUT][-1:]) if operator == CONSTANT and not place else ""
        for start, end in attributes:
            if end - start >= SHORT or HOLDER(self.wire.raw((start, end))) is not None:
                self._attribute((start, end), depth + 1, place, name)

    def _attribute(self, attribute: Part, depth: int, place: str, constant: str) -> None:
        for number, kind, _, part in self.wire.fields(attribute):
            if kind != BYTES:
                continue
            if number in ATTRIBUTE_TENSORS:
                self.tensor(part, "constant" if constant else place if place == "function" else "attribute", constant)
            elif number in ATTRIBUTE_GRAPHS:
                self.subgraph(part, depth + 1, place or "subgraph")
            elif number in ATTRIBUTE_SPARSE:
                self.initializer(part, "attribute", sparse=True)

    def tensor(self, part: Part, place: str, output: str = "", *, sized: bool = False) -> bytes:
        """Return the name of a tensor, and keep where its data is if that is another file.

        With `sized`, also keep what is wrong with the size of its data.
        """
        said, dims, entries, name = self._said(part)
        size = _size(said.get(DATA_TYPE, 0), dims)
        if said.get(DATA_LOCATION) == EXTERNAL:
            if len(self.externals) == MOST_EXTERNAL:
                raise BrokenError(f"{UNSEEN}: it has more than {MOST_EXTERNAL:,} tensors in other files")
            self.externals.append(self._external(output or _text([name]), entries, size, place))
        elif sized and size is not None and (-RAW_DATA in said or not TYPED_DATA.intersection(map(abs, said))):
            has = said.get(-RAW_DATA, 0)
            if size != has and len(self.sizes) < MOST_SIZES:
                self.sizes.append(Size(_text([name]), size, has))
        return name

    def _said(self, part: Part) -> tuple[dict[int, int], list[int], list[Part], bytes]:
        """Return numbers of a tensor by field, bytes of others by its negative; dims, external entries, name."""
        said, dims, entries, name = dict[int, int](), list[int](), list[Part](), b""
        for number, kind, value, found in self.wire.fields(part):
            if number == DIMS and kind in {VARINT, BYTES}:  # packed numbers are a form that protobuf reads as well
                dims += [value] if kind == VARINT else self.wire.numbers(found)
                continue
            said[number if kind == VARINT else -number] = value if kind == VARINT else found[1] - found[0]
            if number == NAME and kind == BYTES:
                name = self.wire.raw(found)
            elif number == EXTERNAL_DATA and kind == BYTES:
                entries.append(found)
        return said, dims, entries, name

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


def _text(names: Sequence[bytes]) -> str:
    """Return the last of some names, "" if there is none."""
    return names[-1].decode("utf-8", "replace") if names else ""


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
