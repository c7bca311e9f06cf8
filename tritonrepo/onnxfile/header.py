"""What is read from an ONNX file.

Source: onnx, onnx/onnx.proto: ModelProto, GraphProto, OperatorSetIdProto, FunctionProto; onnxruntime,
core/graph/graph.cc, Graph::SetGraphInputsOutputs and CanOverrideInitializer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as made

from tritonrepo.onnxfile.kinds import HEAD, kind
from tritonrepo.onnxfile.nodes import INITIALIZER, INPUT, INSIDE, OUTPUT, SPARSE_INITIALIZER, External, Size, Walk
from tritonrepo.onnxfile.types import HALF, Tensor, value
from tritonrepo.onnxfile.wire import BYTES, UNSEEN, VARINT, BrokenError, Part, Wire
from tritonrepo.onnxfile.wiring import Loose, loose, shapes
from tritonrepo.tree import File

IR_VERSION, GRAPH, OPSET, FUNCTION = 1, 7, 8, 25
FUNCTION_NAME, FUNCTION_NODE, FUNCTION_DOMAIN = 1, 7, 10
OVERRIDABLE_SINCE = 4
"""The IR version with which an input that has an initializer became one that may be left out."""

NO_GRAPH, NO_IR_VERSION = "it has no graph", "it has no IR version"
"""Why a protobuf message is no model."""


@dataclass(frozen=True, slots=True)
class Header:
    """The IR version of a model, and its inputs and outputs in the order of the graph.

    An input that has an initializer is not among `inputs` but in `overridable`, since requests do not have to send it;
    before IR version 4, they cannot. `opsets` has the version of each operator set by its domain, where "" is ONNX's
    own (also written "ai.onnx"); of a domain that is imported twice, the newest. `operators` are the domain and name of
    all nodes, in subgraphs too, and `functions` those that the model itself defines. `externals` are the tensors in
    other files, and `sizes` those in this file whose data has another size than they need, as far as nodes of the graph
    itself read them. `shapes` has the outputs that have the shape of another tensor, because only operators that keep a
    shape are between them. `loose` are the names at which the graph does not hold together.
    """

    ir_version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    overridable: tuple[Tensor, ...] = ()
    opsets: Mapping[str, int] = made(default_factory=dict)
    operators: frozenset[tuple[str, str]] = frozenset()
    functions: frozenset[tuple[str, str]] = frozenset()
    externals: tuple[External, ...] = ()
    sizes: tuple[Size, ...] = ()
    shapes: Mapping[str, str] = made(default_factory=dict)
    loose: tuple[Loose, ...] = ()


class _Reader:
    """A walk over a model: what is found, message by message."""

    def __init__(self, file: File) -> None:
        self.wire = Wire(file)
        self.walk = Walk(self.wire)
        self.ir_version: int | None = None
        self.has_graph = False
        self.known = set[str]()
        self.inputs, self.outputs = list[Tensor](), list[Tensor]()
        self.opsets, self.functions = dict[str, int](), set[tuple[str, str]]()

    def model(self) -> Header:
        for number, form, said, part in self.wire.fields(self.wire.whole):
            if number == IR_VERSION and form == VARINT:
                self.ir_version = signed(said)
            elif number == GRAPH and form == BYTES:
                self.has_graph = True
                self.graph(part)
            elif number == OPSET and form == BYTES:
                self.opset(part)
            elif number == FUNCTION and form == BYTES:
                self.function(part)
        if not self.has_graph or self.ir_version is None:
            raise BrokenError(NO_IR_VERSION if self.has_graph else NO_GRAPH)
        own, known = self.walk.scopes[""], self.known
        inputs, outputs = [tensor.name for tensor in self.inputs], [tensor.name for tensor in self.outputs]
        free = tuple([tensor for tensor in self.inputs if tensor.name in known])
        return Header(
            self.ir_version,
            tuple([tensor for tensor in self.inputs if tensor.name not in known]) if free else tuple(self.inputs),
            tuple(self.outputs),
            free if self.ir_version >= OVERRIDABLE_SINCE else (),
            self.opsets,
            frozenset(_named(own.operators | self.walk.scopes[INSIDE].operators)),
            frozenset(self.functions),
            tuple(self.walk.externals),
            tuple([size for size in self.walk.sizes if size.name.encode() in own.read or size.name in outputs]),
            shapes(own.same, outputs),
            loose(self.walk, inputs, outputs, known),
        )

    def graph(self, graph: Part) -> None:
        for number, part in self.walk.parts(graph, 1):
            if number in {INITIALIZER, SPARSE_INITIALIZER}:
                name = self.walk.initializer(part, "initializer", sparse=number == SPARSE_INITIALIZER)
                self.known.add(name.decode("utf-8", "replace"))
            elif number == INPUT:
                self.inputs.append(value(self.wire, part))
            elif number == OUTPUT:
                self.outputs.append(value(self.wire, part))

    def opset(self, part: Part) -> None:
        domain, version = "", 0
        for number, form, said, found in self.wire.fields(part):
            if number == 1 and form == BYTES:
                domain = self.wire.text(found)
            elif number == 2 and form == VARINT:  # noqa: PLR2004  its version
                version = signed(said)
        domain = "" if domain == "ai.onnx" else domain
        self.opsets[domain] = max(version, self.opsets.get(domain, version))

    def function(self, function: Part) -> None:
        name, domain = "", ""
        for number, form, _, part in self.wire.fields(function):
            if form != BYTES:
                continue
            if number == FUNCTION_NAME:
                name = self.wire.text(part)
            elif number == FUNCTION_DOMAIN:
                domain = self.wire.text(part)
            elif number == FUNCTION_NODE:
                self.walk.node(part, 2, "function")
        self.functions.add((domain, name))


def header(file: File) -> Header:
    """Return the header of an ONNX file; raise BrokenError, which says what it is instead, if it is not one."""
    try:
        return _Reader(file).model()
    except BrokenError as error:
        found = kind(file.read(0, HEAD), file.size) if not str(error).startswith(UNSEEN) else ""
        raise BrokenError(f"it is {found}") if found else error from None


def signed(number: int) -> int:
    """Return a varint as a signed number of 64 bits."""
    return number - 2 * HALF if number >= HALF else number


def _named(operators: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, str]]:
    for domain, name in operators:
        said = domain.decode("utf-8", "replace")
        yield "" if said == "ai.onnx" else said, name.decode("utf-8", "replace")
