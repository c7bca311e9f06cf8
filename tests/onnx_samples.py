"""ONNX models made at random, what the onnx package says about each, and damaged copies; for tests and soak runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tritonrepo.onnxfile import External, Header, Tensor
from tritonrepo.onnxfile.nodes import BYTES_EACH, Size
from tritonrepo.onnxfile.runs import KEEPING
from tritonrepo.onnxfile.types import DATA_TYPES, ELEMENTS
from tritonrepo.onnxfile.wiring import Fault, Loose

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

KINDS = {"tensor_type": "tensor", "sequence_type": "sequence", "map_type": "map", "optional_type": "optional"}
KINDS |= {"sparse_tensor_type": "sparse_tensor", "opaque_type": "opaque"}
SHORT = {"sequence_type": "seq", "optional_type": "optional"}
TYPES = len(ELEMENTS)
OPERATORS = [
    ("", "Add"),
    ("", "Mish"),
    ("ai.onnx", "Identity"),
    ("com.microsoft", "Gelu"),
    ("my.own", "Twice"),
    ("é", ""),
]


def some_type(dice: random.Random, depth: int = 0) -> TypeProto:
    """Return a type of any kind; types are in one another at most three deep."""
    from onnx import TypeProto

    made = TypeProto()
    kind = dice.choice(["tensor_type"] * 5 + [*KINDS, ""]) if depth < 3 else "tensor_type"
    if kind in {"tensor_type", "sparse_tensor_type"}:
        tensor = getattr(made, kind)
        tensor.elem_type = dice.randrange(TYPES + 2)
        if dice.random() < 0.8:
            tensor.shape.SetInParent()
        for _ in range(dice.randrange(5) if tensor.HasField("shape") else 0):
            some_dim(dice, tensor.shape.dim.add())
    elif kind == "opaque_type":
        made.opaque_type.domain = "my.own"
    elif kind == "map_type":
        made.map_type.key_type = 7
        made.map_type.value_type.CopyFrom(some_type(dice, depth + 1))
    elif kind:
        getattr(made, kind).elem_type.CopyFrom(some_type(dice, depth + 1))
    return made


def some_dim(dice: random.Random, dim: object) -> None:
    """Set a dimension, or leave it."""
    name, value = dice.choice(
        [("", None), ("dim_param", "batch"), ("dim_param", ""), *(("dim_value", n) for n in (0, 1, 7, -1, 2**40))]
    )
    if name:
        setattr(dim, name, value)


def some_value(dice: random.Random, name: str) -> ValueInfoProto:
    """Return an input or output; a few have no type."""
    from onnx import ValueInfoProto

    made = ValueInfoProto(name=name, doc_string="text" * dice.randrange(3))
    if dice.random() < 0.95:
        made.type.CopyFrom(some_type(dice))
    return made


def some_tensor(dice: random.Random, name: str) -> TensorProto:
    """Return weights, in the file or in another one."""
    from onnx import TensorProto

    made = TensorProto(
        name=name, data_type=dice.randrange(TYPES), dims=dice.choices([0, 1, 3, 1000], k=dice.randrange(4))
    )
    if dice.random() < 0.5:
        made.raw_data = bytes(dice.choice([0, 3, 200, 70_000]))
        made.int64_data.extend(range(dice.randrange(9)))
    else:
        made.data_location = dice.choice([0, 1, 1])
        said = {
            "location": "weights.bin",
            "offset": dice.choice(["0", "4096", "x"]),
            "length": dice.choice(["8", "-1", ""]),
        }
        for key in dice.sample(sorted(said), dice.randrange(4)):
            made.external_data.add(key=key, value=said[key])
    return made


def some_node(dice: random.Random, depth: int) -> NodeProto:
    """Return a node; some have tensors and graphs in their attributes."""
    from onnx import helper

    domain, operator = dice.choice(OPERATORS)
    node: NodeProto = helper.make_node(dice.choice([operator, "Constant"]), ["a", ""], ["b"], domain=domain, axis=1)
    node.name = dice.choice(["", "n", "m", "l" * 200])
    if dice.random() < 0.3:
        node.attribute.append(helper.make_attribute("value", some_tensor(dice, "")))
    if dice.random() < 0.2:
        node.attribute.append(helper.make_attribute("names", ["Zebra", "R2"] * 3))
    if depth < 3 and dice.random() < 0.2:
        node.attribute.append(helper.make_attribute("body", some_graph(dice, depth + 1)))
    return node


def some_graph(dice: random.Random, depth: int = 0) -> GraphProto:
    """Return a graph; some of its inputs have initializers."""
    from onnx import GraphProto

    names = [f"t{index}" for index in range(dice.randrange(6))]
    made = GraphProto(name="g", node=[some_node(dice, depth) for _ in range(dice.randrange(6))])
    made.input.extend(some_value(dice, name) for name in names)
    made.output.extend(some_value(dice, name) for name in dice.sample(names, len(names) // 2))
    made.initializer.extend(
        some_tensor(dice, name) for name in dice.sample([*names, "w"], dice.randrange(len(names) + 1))
    )
    if names and dice.random() < 0.3:
        sparse = made.sparse_initializer.add()
        sparse.values.CopyFrom(some_tensor(dice, names[0]))
        sparse.dims.append(3)
    return made


def some_model(dice: random.Random) -> ModelProto:
    """Return a model at random."""
    from onnx import ModelProto, helper

    model = ModelProto(ir_version=dice.choice([-1, 0, 3, 4, 8, 13]), producer_name="p", graph=some_graph(dice))
    for domain in dice.choices(["", "ai.onnx", "ai.onnx.ml", "my.own"], k=dice.randrange(4)):
        model.opset_import.add(domain=domain, version=dice.choice([-1, 1, 17, 2**40]))
    if dice.random() < 0.3:
        nodes = [some_node(dice, 2)]
        model.functions.append(helper.make_function("my.own", dice.choice(["Twice", "Other"]), ["a"], ["b"], nodes, []))
    return model


def expected(model: ModelProto) -> Header:
    """Return the header of a model as the onnx package sees it; the order of tensors in other files has no meaning."""
    graph = model.graph
    known = {each.name for each in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
    opsets: dict[str, int] = {}
    for each in model.opset_import:
        domain = "" if each.domain == "ai.onnx" else each.domain
        opsets[domain] = max(each.version, opsets.get(domain, each.version))
    return Header(
        model.ir_version,
        tuple(tensor(value) for value in graph.input if value.name not in known),
        tuple(tensor(value) for value in graph.output),
        tuple(tensor(value) for value in graph.input if value.name in known and model.ir_version >= 4),
        opsets,
        frozenset(("" if node.domain == "ai.onnx" else node.domain, node.op_type) for node in nodes(graph)),
        frozenset((each.domain, each.name) for each in model.functions),
        tuple(sorted(externals(model), key=repr)),
        tuple(sizes(graph)),
        shapes(graph),
        tuple(loose(graph, known)),
    )


def sizes(graph: GraphProto) -> Iterator[Size]:
    """Yield the weights in the file that have another size than they need, and that the graph itself reads."""
    read = {name for node in graph.node for name in node.input} | {each.name for each in graph.output}
    typed = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
    for each in graph.initializer:
        size = needed(each)
        here = each.data_location != each.EXTERNAL and each.name in read
        other = not each.HasField("raw_data") and any(len(getattr(each, name)) for name in typed)
        if here and not other and size is not None and size != len(each.raw_data):
            yield Size(each.name, size, len(each.raw_data))


def shapes(graph: GraphProto) -> dict[str, str]:
    """Return the outputs that have the shape of another tensor, with the first such tensor."""
    ordinary = [node for node in graph.node if node.domain in {"", "ai.onnx"} and node.op_type.encode() in KEEPING]
    same = {node.output[0]: node.input[0] for node in ordinary if node.output and node.input}
    found = dict[str, str]()
    for output in graph.output:
        chain = [output.name]
        while chain[-1] in same and len(chain) < 101:
            chain.append(same[chain[-1]])
        found |= {output.name: chain[-1]} if 1 < len(chain) < 101 else {}
    return found


def loose(graph: GraphProto, known: set[str]) -> Iterator[Loose]:
    """Yield the names at which a graph does not hold together."""
    inputs, outputs = ([each.name for each in values] for values in (graph.input, graph.output))
    constants = {name for node in graph.node if constant(node) for name in node.output}
    made = [name for node in graph.node if not constant(node) for name in node.output]
    known = known | constants
    there = {*made, *inputs, *known}
    yield from (Loose(Fault.NOT_MADE, name) for name in outputs if name not in there)
    yield from (
        Loose(Fault.INPUT_TWICE, each) for each in dict.fromkeys(inputs) if inputs.count(each) > 1 > (each in known)
    )
    names = [node.name for node in graph.node if node.name and not constant(node)]
    yield from (Loose(Fault.NODES_TWICE, name) for name in dict.fromkeys(names) if names.count(name) > 1)
    twice = {name for name in made if name and (made.count(name) > 1 or name in {*inputs, *known})}
    yield from (Loose(Fault.MADE_TWICE, name) for name in sorted(twice, key=str.encode))
    read = {name for node in graph.node for name in node.input}
    deep = [inner for node in graph.node for attribute in node.attribute for inner in graphs(attribute)]
    below = [*deep, *(inner for each in deep for inner in within(each))]
    there |= {name for each in below for node in each.node for name in node.output}
    there |= {each.name for inner in below for each in (*inner.input, *inner.initializer)}
    there |= {each.values.name for inner in below for each in inner.sparse_initializer} | {""}
    yield from (Loose(Fault.NOT_THERE, name) for name in sorted(read - there, key=str.encode))
    read = {name for each in below for node in each.node for name in node.input}
    yield from (Loose(Fault.NOT_THERE_INSIDE, name) for name in sorted(read - there, key=str.encode))


def constant(node: NodeProto) -> bool:
    """Whether a node is one of ONNX's own constants."""
    return node.op_type == "Constant" and node.domain in {"", "ai.onnx"}


def within(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield the graphs in the nodes of a graph, and those in them."""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in graphs(attribute):
                yield inner
                yield from within(inner)


def tensor(value: ValueInfoProto) -> Tensor:
    """Return an input or output as the onnx package sees it."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return Tensor(value.name, None, None, KINDS.get(kind or "", ""), written=written(value.type))
    said = value.type.tensor_type
    dims = (dim.dim_value if dim.HasField("dim_value") else -1 for dim in said.shape.dim)
    shape = tuple(max(dim, -1) for dim in dims) if said.HasField("shape") else None
    return Tensor(value.name, DATA_TYPES.get(said.elem_type), shape, element=said.elem_type)


def written(kind: TypeProto) -> str:
    """Return a type as text."""
    which = kind.WhichOneof("value")
    if which in {"tensor_type", "sparse_tensor_type"}:
        return f"{KINDS[which]}({element(getattr(kind, which).elem_type)})"
    if which == "map_type":
        return f"map({element(kind.map_type.key_type)},{written(kind.map_type.value_type)})"
    if which == "opaque_type":
        return "opaque"
    return f"{SHORT[which]}({written(getattr(kind, which).elem_type)})" if which else ""


def element(number: int) -> str:
    """Return the name of an element type that the onnx package has, in lower case."""
    from onnx import TensorProto

    names = {value: name.lower() for name, value in TensorProto.DataType.items()}
    return names.get(number, str(number)) if number < TYPES else str(number)


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield the nodes of a graph and of all in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in graphs(attribute):
                yield from nodes(inner)


def graphs(attribute: AttributeProto) -> list[GraphProto]:
    """Return the graphs of an attribute."""
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def externals(model: ModelProto) -> Iterator[External]:
    """Yield the tensors in other files."""
    yield from stored(model.graph, "initializer", "")
    for function in model.functions:
        for node in function.node:
            yield from in_node(node, "function")


def stored(graph: GraphProto, place: str, inside: str) -> Iterator[External]:
    """Yield those of a graph; `inside` is the place of what its nodes hold, "" for the graph itself."""
    for each in (
        *graph.initializer,
        *(part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices)),
    ):
        yield from one(each, place, "")
    for node in graph.node:
        yield from in_node(node, inside)


def in_node(node: NodeProto, inside: str) -> Iterator[External]:
    """Yield those of a node."""
    constant = node.op_type == "Constant" and not inside
    for attribute in node.attribute:
        if attribute.HasField("t"):
            place = "constant" if constant else "function" if inside == "function" else "attribute"
            yield from one(attribute.t, place, next(reversed(node.output), "") if constant else "")
        for graph in graphs(attribute):
            yield from stored(graph, inside or "subgraph", inside or "subgraph")


def one(each: TensorProto, place: str, output: str) -> Iterator[External]:
    """Yield a tensor if it is in another file."""
    if each.data_location == each.EXTERNAL:
        said = {entry.key: entry.value for entry in each.external_data}
        size = needed(each)
        offset, length = (number(said.get(key)) for key in ("offset", "length"))
        yield External(output or each.name, said.get("location"), offset, length, size, place)


def needed(each: TensorProto) -> int | None:
    """Return the bytes that a tensor needs; None if its type or a dim does not say."""
    size = BYTES_EACH.get(each.data_type)
    for dim in each.dims if size is not None else ():
        if dim < 0:
            return None
        size *= dim
    return size


def number(text: str | bytes | None) -> int | None:
    """Return a number as text; the onnx package returns bytes for what is not UTF-8."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 20 else None


def damaged(dice: random.Random, content: bytes) -> bytes:
    """Return a copy with some bytes changed, cut out, repeated or put in."""
    found = bytearray(content)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(found) + 1)
        to = min(len(found), at + dice.choice([1, 1, 2, 5, 40]))
        match dice.randrange(6):
            case 0:
                found[at:to] = b""
            case 1:
                found[at:at] = dice.randbytes(to - at)
            case 2:
                found[at:at] = found[at:to] * dice.choice([1, 2, 9])
            case 3:
                found[at:to] = bytes(dice.choice([0, 0xFF, 0x80]) for _ in range(to - at))
            case 4:
                found = found[:at]
            case _ if at < len(found):
                found[at] ^= 1 << dice.randrange(8)
    return bytes(found)
