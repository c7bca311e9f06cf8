"""The ONNX files of rule pages, in tests/data/onnx_files: an embedder, and what can be wrong with it.

`python -m tests.page_graphs` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

DATA = Path(__file__).parent / "data" / "onnx_files"
WIDTH = 384


def model(nodes: Sequence[NodeProto], kind: str = "FLOAT", opset: int = 17, ir_version: int = 8) -> ModelProto:
    """A graph from `input_ids` to `embedding`, which these nodes make of `means`: [batch, 384] FP32."""
    import onnx
    from onnx import helper

    whole = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["numbers"], ["mean"], axes=[1]),
        helper.make_node("ConstantOfShape", ["width"], ["zeros"]),
        helper.make_node("Add", ["mean", "zeros"], ["means"]),
        *nodes,
    ]
    graph = helper.make_graph(
        whole,
        "embedder",
        [helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("embedding", getattr(onnx.TensorProto, kind), ["batch", WIDTH])],
        [helper.make_tensor("width", onnx.TensorProto.INT64, [1], [WIDTH])],
    )
    found: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, producer_name=""
    )
    return found


def stored(location: str) -> TensorProto:
    """The weights `scale`, in another file."""
    import onnx

    tensor = onnx.TensorProto(name="scale", data_type=onnx.TensorProto.FLOAT, dims=[WIDTH])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", str(4 * WIDTH))):
        tensor.external_data.add(key=key, value=text)
    return tensor


def scaled(location: str) -> ModelProto:
    """An embedder whose weights are in another file."""
    from onnx import helper

    found = model([helper.make_node("Mul", ["means", "scale"], ["embedding"])])
    found.graph.initializer.append(stored(location))
    return found


def mapped() -> ModelProto:
    """An embedder with a second output, a sequence of maps."""
    import onnx
    from onnx import helper

    zip_map = helper.make_node("ZipMap", ["means"], ["scores"], domain="ai.onnx.ml", classlabels_int64s=range(WIDTH))
    found = model([helper.make_node("Identity", ["means"], ["embedding"]), zip_map])
    pairs = helper.make_map_type_proto(7, helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, []))
    found.graph.output.append(helper.make_value_info("scores", helper.make_sequence_type_proto(pairs)))
    found.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return found


def float8() -> ModelProto:
    """A graph of eight-bit numbers."""
    import onnx
    from onnx import helper

    values = [
        helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), ["batch", WIDTH])
        for name, kind in (("scores", "FLOAT8E4M3FN"), ("embedding", "FLOAT"))
    ]
    node = helper.make_node("Cast", ["scores"], ["embedding"], to=onnx.TensorProto.FLOAT)
    graph = helper.make_graph([node], "float8", values[:1], values[1:])
    found: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return found


def plain() -> ModelProto:
    """A graph whose output OUT is its input IN: four numbers, as in the rest of a config of a page."""
    import onnx
    from onnx import helper

    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in ("IN", "OUT")]
    graph = helper.make_graph([helper.make_node("Identity", ["IN"], ["OUT"])], "plain", values[:1], values[1:])
    found: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return found


def models() -> Mapping[str, ModelProto]:
    """Return the files by name."""
    import onnx
    from onnx import helper

    def last(kind: str, **said: str) -> list[NodeProto]:
        return [helper.make_node(kind, ["means"], ["embedding"], **said)]

    def cast(kind: str) -> list[NodeProto]:
        return [helper.make_node("Cast", ["means"], ["embedding"], to=getattr(onnx.TensorProto, kind))]

    tokenizer = model(last("BertTokenizer", domain="ai.onnx.contrib"))
    tokenizer.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    return {
        "plain.onnx": plain(),
        "embedder.onnx": model(last("Identity")),
        "embedder_18.onnx": model(last("Identity"), opset=18),
        "ir_13.onnx": model(last("Identity"), ir_version=13),
        "opset_23.onnx": model(last("Identity"), opset=23, ir_version=10),
        "tokenizer.onnx": tokenizer,
        "mish.onnx": model(last("Mish")),
        "weights_beside.onnx": scaled("model.onnx.data"),
        "weights_outside.onnx": scaled("../shared.onnx.data"),
        "map.onnx": mapped(),
        "float8.onnx": float8(),
        "bf16.onnx": model(cast("BFLOAT16"), "BFLOAT16"),
    }


def plain_file() -> bytes:
    """Return the content of plain.onnx."""
    return (DATA / "plain.onnx").read_bytes()


def main() -> None:
    """Write the files."""
    DATA.mkdir(parents=True, exist_ok=True)
    for name, made in models().items():
        (DATA / name).write_bytes(made.SerializeToString(deterministic=True))
    (DATA / "weights").write_bytes(bytes(4 * WIDTH))


if __name__ == "__main__":
    main()
