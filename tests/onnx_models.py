"""Small ONNX models by name, as rule pages and tests use them; ONNX Runtime loads each of them.

`python -m tests.onnx_models` writes them into tests/data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper

Dim = int | str | None
Given = tuple[str, int, Sequence[Dim] | None]

DIRECTORY = Path(__file__).parent / "data" / "onnx"
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def made(
    nodes: Sequence[NodeProto],
    inputs: Sequence[Given],
    outputs: Sequence[Given],
    initializers: Sequence[TensorProto] = (),
    ir_version: int = 8,
) -> bytes:
    """Return a model of these nodes, with inputs and outputs by name, type and dims, None for an unknown rank."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*given) for given in inputs],
        [helper.make_tensor_value_info(*given) for given in outputs],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=ir_version)
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


MODELS: Mapping[str, Callable[[], bytes]] = {
    "batch": lambda: same(["batch", 4]),
    "fixed": lambda: same([1, 4]),
    "variable": lambda: same(["batch", "size"]),
    "scalar": lambda: same([]),
    "zero": lambda: same(["batch", 0]),
    "embedder": embedder,
    "initializer": scaled,
    "start": started,
    "start-wide": lambda: started(["batch", 2]),
}

if __name__ == "__main__":
    for name, make in MODELS.items():
        onnx.checker.check_model(make())
        DIRECTORY.joinpath(f"{name}.onnx").write_bytes(make())
