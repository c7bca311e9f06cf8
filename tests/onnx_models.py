"""Small ONNX models by name, in tests/data/onnx, as rule pages and tests use them; most of them load.

`python -m tests.onnx_models` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

Dim = int | str | None
Given = tuple[str, int, Sequence[Dim] | None]

DIRECTORY = Path(__file__).parent / "data" / "onnx"
FLOAT, INT64, BFLOAT16, FLOAT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN
WIDTH = 384


def made(
    nodes: Sequence[NodeProto],
    inputs: Sequence[Given],
    outputs: Sequence[Given],
    initializers: Sequence[TensorProto] = (),
    ir_version: int = 8,
    **opsets: int,
) -> bytes:
    """Return a model of these nodes, with inputs and outputs by name, type and dims, None for an unknown rank.

    `opsets` are operator sets beside ONNX's own, with `_` for the dots of a domain; `onnx` is that one.
    """
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*given) for given in inputs],
        [helper.make_tensor_value_info(*given) for given in outputs],
        initializers,
    )
    domains = {"": opsets.pop("onnx", 17)} | {name.replace("_", "."): version for name, version in opsets.items()}
    imports = [helper.make_opsetid(*each) for each in domains.items()]
    return written(helper.make_model(graph, opset_imports=imports, ir_version=ir_version))


def written(model: ModelProto) -> bytes:
    """Return the file of a model."""
    return bytes(model.SerializeToString(deterministic=True))


def same(dims: Sequence[Dim] | None, data_type: int = FLOAT, out: Sequence[Dim] | None = None) -> bytes:
    """Return a model whose output OUT is its input IN."""
    node = helper.make_node("Identity", ["IN"], ["OUT"])
    return made([node], [("IN", data_type, dims)], [("OUT", data_type, dims if out is None else out)])


def embedder() -> bytes:
    """Return a model with the inputs and outputs of an embedder: tokens and mask to vectors of 4."""
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["numbers"], to=FLOAT),
        helper.make_node("ReduceSum", ["numbers", "axes"], ["sum"], keepdims=1),
        helper.make_node("MatMul", ["sum", "weights"], ["embedding"]),
    ]
    tokens: list[Dim] = ["batch", "tokens"]
    inputs: list[Given] = [("input_ids", INT64, tokens), ("attention_mask", INT64, tokens)]
    weights = helper.make_tensor("weights", FLOAT, [1, 4], [1.0, 2.0, 3.0, 4.0])
    axes = helper.make_tensor("axes", INT64, [1], [1])
    return made(nodes, inputs, [("embedding", FLOAT, ["batch", 4])], [weights, axes])


def scaled(ir_version: int = 8) -> bytes:
    """Return a model whose second input, W, has an initializer."""
    node = helper.make_node("Mul", ["IN", "W"], ["OUT"])
    weights = helper.make_tensor("W", FLOAT, [1], [2.0])
    inputs: list[Given] = [("IN", FLOAT, ["batch", 4]), ("W", FLOAT, [1])]
    return made([node], inputs, [("OUT", FLOAT, ["batch", 4])], [weights], ir_version)


def started(dims: Sequence[Dim] = ("batch", 1)) -> bytes:
    """Return a model with an input START beside IN."""
    nodes = [helper.make_node("Identity", ["IN"], ["OUT"])]
    inputs: list[Given] = [("IN", FLOAT, ["batch", 4]), ("START", FLOAT, dims)]
    return made(nodes, inputs, [("OUT", FLOAT, ["batch", 4])])


def encoder(
    nodes: Sequence[NodeProto], kind: int = FLOAT, more: Sequence[TensorProto] = (), ir_version: int = 8, **opsets: int
) -> bytes:
    """Return a model from `input_ids` to `embedding`, which these nodes make of `means`: [batch, 384] FP32."""
    first = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=FLOAT),
        helper.make_node("ReduceMax", ["numbers"], ["mean"], axes=[1]),
        helper.make_node("ConstantOfShape", ["width"], ["zeros"]),
        helper.make_node("Add", ["mean", "zeros"], ["means"]),
    ]
    tokens: Given = ("input_ids", INT64, ["batch", "tokens"])
    width = helper.make_tensor("width", INT64, [1], [WIDTH])
    embedding: Given = ("embedding", kind, ["batch", WIDTH])
    return made([*first, *nodes], [tokens], [embedding], [width, *more], ir_version, **opsets)


def last(kind: str, *more: str, **said: str | int) -> list[NodeProto]:
    """Return the node that makes `embedding`."""
    return [helper.make_node(kind, ["means", *more], ["embedding"], **said)]


def stored(location: str, length: int = 4 * WIDTH) -> bytes:
    """Return an encoder whose weights `scale` are in another file."""
    tensor = TensorProto(name="scale", data_type=FLOAT, dims=[WIDTH], data_location=TensorProto.EXTERNAL)
    for key, text in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=text)
    return encoder(last("Mul", "scale"), more=[tensor])


def named(kind: str, given: str, output: str) -> NodeProto:
    """Return a node of the name `/activation`."""
    return helper.make_node(kind, [given], [output], name="/activation")


def halved() -> TensorProto:
    """Return weights `scale` that are written as if they had 16 bits."""
    return TensorProto(name="scale", data_type=FLOAT, dims=[WIDTH], raw_data=bytes(2 * WIDTH))


def mapped() -> bytes:
    """Return an encoder with a second output, a sequence of maps."""
    zip_map = helper.make_node("ZipMap", ["means"], ["scores"], domain="ai.onnx.ml", classlabels_int64s=range(WIDTH))
    found = onnx.load_from_string(encoder([*last("Identity"), zip_map], ai_onnx_ml=3))
    pairs = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
    found.graph.output.append(helper.make_value_info("scores", helper.make_sequence_type_proto(pairs)))
    return written(found)


def eight_bits() -> bytes:
    """Return a model of numbers of eight bits."""
    node = helper.make_node("Cast", ["scores"], ["embedding"], to=FLOAT)
    dims: list[Dim] = ["batch", WIDTH]
    return made([node], [("scores", FLOAT8, dims)], [("embedding", FLOAT, dims)], ir_version=9, onnx=19)


def untyped() -> bytes:
    """Return an encoder whose input has no type."""
    found = onnx.load_from_string(encoder(last("Identity")))
    found.graph.input[0].ClearField("type")
    return written(found)


MODELS: Mapping[str, Callable[[], bytes]] = {
    "plain": lambda: same([4]),
    "batch": lambda: same(["batch", 4]),
    "fixed": lambda: same([1, 4]),
    "variable": lambda: same(["batch", "size"]),
    "scalar": lambda: same([]),
    "zero": lambda: same(["batch", 0]),
    "embedder": embedder,
    "initializer": scaled,
    "start": started,
    "start-wide": lambda: started(["batch", 2]),
    "encoder": lambda: encoder(last("Identity")),
    "opset-18": lambda: encoder(last("Identity"), onnx=18),
    "opset-23": lambda: encoder(last("Identity"), ir_version=10, onnx=23),
    "ir-13": lambda: encoder(last("Identity"), ir_version=13),
    "tokenizer": lambda: encoder(last("BertTokenizer", domain="ai.onnx.contrib"), ai_onnx_contrib=1),
    "mish": lambda: encoder(last("Mish")),
    "weights-beside": lambda: stored("model.onnx.data"),
    "weights-outside": lambda: stored("../shared.onnx.data"),
    "weights-length": lambda: stored("model.onnx.data", 2 * WIDTH),
    "map": mapped,
    "float8": eight_bits,
    "bf16": lambda: encoder(last("Cast", to=BFLOAT16), BFLOAT16),
    "untyped": untyped,
    "undefined": lambda: encoder(last("Mul", "scale")),
    "undefined-output": lambda: encoder([helper.make_node("Identity", ["means"], ["vectors"])]),
    "twice": lambda: encoder([*last("Identity"), *last("Relu")]),
    "names-twice": lambda: encoder([named("Exp", "means", "exp"), named("Log", "exp", "embedding")]),
    "weights-size": lambda: encoder(last("Mul", "scale"), more=[halved()]),
}

if __name__ == "__main__":
    for name, make in MODELS.items():
        DIRECTORY.joinpath(f"{name}.onnx").write_bytes(make())
    DIRECTORY.joinpath("weights").write_bytes(bytes(4 * WIDTH))
