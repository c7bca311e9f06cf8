"""Small ONNX graphs, each with something of its own that a backend must get right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from onnx import NodeProto, ValueInfoProto


class Value(NamedTuple):
    """A tensor of a test graph: its onnx type by name, and its dims."""

    name: str
    kind: str
    dims: Sequence[str | int]


def onnx_file(
    path: Path,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    node: NodeProto,
    table: Mapping[str, Any] | None = None,
) -> None:
    """A graph of one node; `table` names its constants."""
    import onnx
    from onnx import helper, numpy_helper

    def info(value: Value) -> ValueInfoProto:
        return helper.make_tensor_value_info(value.name, getattr(onnx.TensorProto, value.kind), value.dims)

    constants = [numpy_helper.from_array(array, name) for name, array in (table or {}).items()]
    graph = helper.make_graph([node], "test", list(map(info, inputs)), list(map(info, outputs)), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str]) -> NodeProto:
    from onnx import helper

    return helper.make_node(kind, inputs, outputs)


def add_graph(path: Path) -> None:
    """y = x + 1 over [batch, 2] FP32."""
    dims: list[str | int] = ["batch", 2]
    one = {"one": np.ones(1, np.float32)}
    onnx_file(path, [Value("x", "FLOAT", dims)], [Value("y", "FLOAT", dims)], node("Add", ["x", "one"], ["y"]), one)


def fixed_graph(path: Path) -> None:
    """y = x + 1 over [1, 2] FP32: not batchable."""
    one = {"one": np.ones(1, np.float32)}
    onnx_file(path, [Value("x", "FLOAT", [1, 2])], [Value("y", "FLOAT", [1, 2])], node("Add", ["x", "one"], ["y"]), one)


def lookup_graph(path: Path) -> None:
    """y = table[x] over [batch, tokens] INT64, a table of 4 rows: a larger id is an error at run time."""
    table = {"table": np.arange(8, dtype=np.float32).reshape(4, 2)}
    values = [Value("x", "INT64", ["batch", "tokens"])], [Value("y", "FLOAT", ["batch", "tokens", 2])]
    onnx_file(path, *values, node("Gather", ["table", "x"], ["y"]), table)


def text_graph(path: Path) -> None:
    """y = x over [batch, 1] STRING."""
    dims: list[str | int] = ["batch", 1]
    onnx_file(path, [Value("x", "STRING", dims)], [Value("y", "STRING", dims)], node("Identity", ["x"], ["y"]))


def scalar_graph(path: Path) -> None:
    """y = x + 1 over a scalar."""
    one = {"one": np.ones((), np.float32)}
    onnx_file(path, [Value("x", "FLOAT", [])], [Value("y", "FLOAT", [])], node("Add", ["x", "one"], ["y"]), one)


def rank_one_graph(path: Path) -> None:
    """y = x + 1 over [batch] FP32: without the batch dimension nothing is left."""
    one = {"one": np.ones(1, np.float32)}
    values = [Value("x", "FLOAT", ["batch"])], [Value("y", "FLOAT", ["batch"])]
    onnx_file(path, *values, node("Add", ["x", "one"], ["y"]), one)


def initializer_graph(path: Path) -> None:
    """y = x + bias over [2] FP32, where a request may leave `bias` out: it is 1 then."""
    inputs = [Value("x", "FLOAT", [2]), Value("bias", "FLOAT", [1])]
    bias = {"bias": np.ones(1, np.float32)}
    onnx_file(path, inputs, [Value("y", "FLOAT", [2])], node("Add", ["x", "bias"], ["y"]), bias)


def control_graph(path: Path) -> None:
    """y = x + START over [batch, 1] FP32: START is what the sequence batcher says."""
    dims: list[str | int] = ["batch", 1]
    inputs = [Value("x", "FLOAT", dims), Value("START", "FLOAT", dims)]
    onnx_file(path, inputs, [Value("y", "FLOAT", dims)], node("Add", ["x", "START"], ["y"]))


def sequence_graph(path: Path) -> None:
    """An output that is a sequence, which Triton cannot hold."""
    import onnx
    from onnx import helper

    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    y = helper.make_tensor_sequence_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([node("SequenceConstruct", ["x"], ["y"])], "test", [x], [y])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


GRAPHS = {
    "add": add_graph,
    "fixed": fixed_graph,
    "lookup": lookup_graph,
    "text": text_graph,
    "scalar": scalar_graph,
    "rank_one": rank_one_graph,
    "initializer": initializer_graph,
    "control": control_graph,
    "sequence": sequence_graph,
}
