"""Weights in fewer bits: the graph that results, and what a build says of its vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from tests.conftest import PROMPTED
from tests.test_own_stacks import SEARCH, edited, own
from tritonrepo.cli import run
from tritonrepo.export.precision import Precision, UnfitError, lowered

__all__ = ["own"]

EXPECTED = json.loads((PROMPTED / "expected.json").read_text("utf-8"))
LEAST: dict[Precision, float] = {"fp16": 0.99999, "int8": 0.99}


def graph() -> Any:  # noqa: ANN401  onnx has no types
    """Return the encoder that torch exported, from tokens to their vectors."""
    return onnx.load(PROMPTED / "onnx" / "model.onnx")


def pooled(content: bytes, texts: list[str]) -> NDArray[Any]:
    """Return the means of the token vectors of these texts, with the model's prefix of queries, in one batch."""
    tokenizer = Tokenizer.from_file(str(PROMPTED / "tokenizer.json"))
    tokenizer.enable_truncation(40)
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch([f"search_query: {text}" for text in texts])
    ids, mask, types = (
        np.array([getattr(e, part) for e in encodings]) for part in ("ids", "attention_mask", "type_ids")
    )
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (tokens,) = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": types})
    found: NDArray[Any] = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return found


def cosines(a: Any, b: Any) -> NDArray[Any]:  # noqa: ANN401  vectors or lists
    one, other = np.array(a), np.array(b)
    found: NDArray[Any] = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return found


@pytest.mark.parametrize("precision", LEAST)
def test_vectors_stay_near_those_of_sentence_transformers_alone_and_in_a_batch(precision: Precision) -> None:
    content = lowered(graph(), precision)
    together = pooled(content, EXPECTED["texts"])
    assert cosines(together, EXPECTED["query"]).min() > LEAST[precision]
    alone = np.concatenate([pooled(content, [text]) for text in EXPECTED["texts"]])
    assert cosines(together, alone).min() > 0.999999


@pytest.mark.parametrize("precision", LEAST)
def test_a_converted_graph_is_valid_the_same_each_time_and_has_the_same_inputs_and_outputs(
    precision: Precision,
) -> None:
    content, before = lowered(graph(), precision), graph()
    after = onnx.load_model_from_string(content)
    onnx.checker.check_model(after, full_check=True)
    assert (after.graph.input, after.graph.output) == (before.graph.input, before.graph.output)
    assert content == lowered(graph(), precision)


def test_vectors_do_not_depend_on_the_optimizations_of_the_runtime() -> None:
    content = lowered(graph(), "int8")
    feed = {name: np.ones((2, 9), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, feed)[0]
    assert np.allclose(result(content, **feed), plain, atol=1e-5)


def test_products_in_half_precision_are_of_half_precision_and_results_are_not() -> None:
    after = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(lowered(graph(), "fp16")))
    kinds = {each.name: each.type.tensor_type.elem_type for each in after.graph.value_info}
    matrices = {each.name for each in after.graph.initializer if each.data_type == TensorProto.FLOAT16}
    products = [each for each in after.graph.node if each.op_type == "MatMul" and each.input[1] in matrices]
    assert {kinds[name] for each in products for name in (each.input[0], each.output[0])} == {TensorProto.FLOAT16}
    assert len(products) == 6
    assert {kinds[each.output[0]] for each in after.graph.node if each.op_type in {"Softmax", "Erf"}} == {
        TensorProto.FLOAT
    }


def made(*nodes: Any, opset: int = 17, listed: bool = False, **weights: NDArray[Any]) -> Any:  # noqa: ANN401
    """Return a graph from `x` FP32 or `ids` INT64 to `y`; with `listed`, its weights are also inputs, as of old."""
    kind, name = (TensorProto.INT64, "ids") if "ids" in nodes[0].input else (TensorProto.FLOAT, "x")
    constants = [numpy_helper.from_array(array, each) for each, array in weights.items()]
    inputs = [helper.make_tensor_value_info(name, kind, [None, None])]
    if listed:
        inputs += [helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in constants]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    body = helper.make_graph([*nodes], "g", inputs, [output], constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def result(content: bytes, **feed: NDArray[Any]) -> NDArray[Any]:
    (found,) = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, feed)
    array: NDArray[Any] = found
    return array


X = np.array([[1, -2, 0.5], [0, 3, 4]], np.float32)
SMALL = np.array([[1, 200], [-0.5, 0], [0.25, 100]], np.float32)
"""Its columns differ in size, so that one scale for both would lose the first."""

MULTIPLIED: dict[str, Callable[[], Any]] = {
    "a product": lambda: made(helper.make_node("MatMul", ["x", "w"], ["y"]), w=SMALL),
    "a product in old form": lambda: made(helper.make_node("MatMul", ["x", "w"], ["y"]), listed=True, w=SMALL),
    "a sum of a product": lambda: made(
        helper.make_node("Gemm", ["x", "w", "b"], ["y"]), w=SMALL, b=np.zeros(2, np.float32)
    ),
    "a transposed matrix": lambda: made(
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), w=np.ascontiguousarray(SMALL.T)
    ),
    "a matrix that is an output's, too": lambda: made(
        helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("MatMul", ["z", "w_int8"], ["y"]),
        w=SMALL, w_int8=np.eye(2, dtype=np.float32),
    ),
}  # fmt: skip


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.parametrize("graph", MULTIPLIED.values(), ids=MULTIPLIED)
def test_products_keep_the_scale_of_each_column(graph: Callable[[], Any], precision: Precision) -> None:
    content = lowered(graph(), precision)
    assert "w" not in {each.name for each in onnx.load_model_from_string(content).graph.initializer}
    assert np.allclose(result(content, x=X), X @ SMALL, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("precision", LEAST)
def test_a_table_keeps_the_scale_of_each_row_and_a_row_of_zeros(precision: Precision) -> None:
    table = np.array([[0, 0], [1, -0.3], [500, 40]], np.float32)
    content = lowered(made(helper.make_node("Gather", ["t", "ids"], ["y"]), t=table), precision)
    ids = np.array([[0, 2], [1, 1]])
    off = np.abs(result(content, ids=ids) - table[ids])
    assert (off <= np.abs(table[ids]).max(axis=-1, keepdims=True) / 250).all()


def test_a_weight_that_is_too_large_for_half_precision_keeps_its_own() -> None:
    large = np.array([[1e5, 2], [3, 4], [5, 6]], np.float32)
    nodes = helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("MatMul", ["z", "v"], ["y"])
    content = lowered(made(*nodes, w=large, v=np.eye(2, dtype=np.float32)), "fp16")
    kinds = {each.name: each.data_type for each in onnx.load_model_from_string(content).graph.initializer}
    assert kinds == {"w": TensorProto.FLOAT, "v_fp16": TensorProto.FLOAT16}


UNFIT: dict[str, tuple[Callable[[], Any], str]] = {
    "no matrix": (lambda: made(helper.make_node("Relu", ["x"], ["y"])), "it has no FP32 matrices as weights"),
    "a matrix of another type": (
        lambda: made(helper.make_node("MatMul", ["x", "w"], ["y"]), w=SMALL.astype(np.float16)),
        "it has no FP32 matrices as weights",
    ),
    "weights that are not finite": (
        lambda: made(helper.make_node("MatMul", ["x", "w"], ["y"]), w=np.full((3, 2), np.inf, np.float32)),
        "it has no FP32 matrices as weights",
    ),
}


@pytest.mark.parametrize(("graph", "reason"), UNFIT.values(), ids=UNFIT)
def test_a_graph_that_cannot_be_converted_is_told(graph: Callable[[], Any], reason: str) -> None:
    with pytest.raises(UnfitError) as error:
        lowered(graph(), "int8")
    assert str(error.value) == reason


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_build_says_how_near_the_stored_vectors_are_and_measures_it_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    edited("tritonrepo.yaml", "source: ./w", f"source: ./w, precision: {precision}")
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    first = capsys.readouterr().err
    assert f"tritonrepo.yaml:3:47: info: e: {precision}, cosine with fp32: least " in first
    assert " over 2 passages [embedder-precision]" in first
    monkeypatch.delattr("tritonrepo.parts.loss.load")
    assert run(["build", "--check", "--locked"]) == 0
    assert " over 2 passages [embedder-precision]" in capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_vectors_that_are_far_off_are_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritonrepo.parts.loss.LEAST_COSINE", 1.1)
    edited("tritonrepo.yaml", "source: ./w", "source: ./w, precision: int8")
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    said = capsys.readouterr().err
    assert "tritonrepo.yaml:3:47: warning: e: int8, cosine with fp32: least" in said
    assert "Use a higher precision, such as fp32." in said


@pytest.mark.usefixtures("own")
def test_without_an_index_nothing_is_measured_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    edited("tritonrepo.yaml", SEARCH[SEARCH.index("  r:") :], "")
    edited("tritonrepo.yaml", "source: ./w", "source: ./w, precision: fp16")
    assert run(["build"]) == 0
    message = "e: fp16, not compared with fp32, because no index has vectors of this embedder"
    assert f"tritonrepo.yaml:3:47: info: {message} [embedder-precision]" in capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_another_precision_needs_another_index(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index"]) == 0
    exact = Path("i/embeddings.npy").read_bytes()
    edited("tritonrepo.yaml", "source: ./w", "source: ./w, precision: int8")
    assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert said.count("was built with another embedder") == 1
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    assert Path("i/embeddings.npy").read_bytes() != exact
