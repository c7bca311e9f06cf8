"""ONNX files as optimum, sentence-transformers and torch export them: their tensors, pooling and other files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import PROMPTED
from tests.test_prefixes import cosines
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span
from tritonrepo.export import given as export
from tritonrepo.export.heads import Pool, Pooling
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.indexing import encoder
from tritonrepo.sources import limits
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import Wish
from tritonrepo.tree import of_text

EXPECTED = json.loads((PROMPTED / "expected.json").read_text("utf-8"))
AT = Span("s.yaml", 3, 5)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a model of sentence-transformers in `m`, whose only weights are in an ONNX file in `m/onnx`."""
    shutil.copytree(PROMPTED, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def built(model: str) -> int:
    Path("tritonrepo.yaml").write_text(f"name: given\nmodels:\n  e: {{role: embedder, {model}}}\n", "utf-8")
    return run(["build"])


def files() -> EncoderFiles:
    found: EncoderFiles = load(Path("tritonrepo.yaml"), Workspace({"HOME": str(Path.home())})).gathering().files("e")
    return found


def text(path: str) -> str:
    (found,) = Path("model_repository").glob(path)
    return found.read_text("utf-8")


SOURCES = {
    "a directory": "source: ./m",
    "its ONNX file": "source: ./m/onnx/model.onnx",
    "an ONNX file, and the model's directory": "source: ./m/onnx/model.onnx, tokenizer: ./m",
    "another file of several": "source: ./m/onnx/model_O2.onnx",
    "keys in place of files": (
        "source: ./m/onnx/model.onnx, tokenizer: ./m/tokenizer.json, pooling: mean, normalize: true, max_tokens: 40, "
        "prefixes: {query: 'search_query: ', passage: 'search_document: '}"
    ),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("model", SOURCES.values(), ids=SOURCES)
def test_an_onnx_file_with_token_vectors_is_pooled_as_its_model_says(model: str) -> None:
    shutil.copy("m/onnx/model.onnx", "m/onnx/model_O2.onnx")
    assert built(model) == 0
    made = files()
    assert (made.max_tokens, made.dimensions, made.prefixes.passage) == (40, 16, "search_document: ")
    assert cosines(encoder.load(made).embed(EXPECTED["texts"]), EXPECTED["passage"]).min() > 0.9999
    assert json.loads(text("e/1/settings.json"))["inputs"] == dict.fromkeys(made.inputs, "INT64")
    tensors = ("input_ids", "attention_mask", "token_type_ids")
    assert [name in text("e_model/config.pbtxt") for name in (*tensors, "position_ids")] == [True, True, True, False]


@pytest.mark.usefixtures("here")
def test_a_graph_that_pools_is_served_byte_by_byte_under_its_own_names() -> None:
    made = export.headed(onnx.load("m/onnx/model.onnx"), "last_hidden_state", Pooling(Pool.MEAN, normalize=True), 16)
    model = onnx.load_model_from_string(made.content)
    model.graph.node[-1].output[0] = model.graph.output[0].name = "sentence_embedding"
    onnx.save(model, "m/onnx/model.onnx")
    assert built("source: ./m") == 0
    assert Path("model_repository/e_model/1/model.onnx").read_bytes() == Path("m/onnx/model.onnx").read_bytes()
    assert json.loads(text("e/1/settings.json"))["output"] == "sentence_embedding"
    assert 'output { name: "sentence_embedding" data_type: TYPE_FP32 dims: [ 16 ] }' in text("e_model/config.pbtxt")
    assert 'output { name: "embedding" data_type: TYPE_FP32 dims: [ 16 ] }' in text("e/config.pbtxt")
    assert cosines(encoder.load(files()).embed(EXPECTED["texts"]), EXPECTED["passage"]).min() > 0.9999


def tokens_graph(opset: int, kind: int = TensorProto.INT64, *names: str) -> Any:  # noqa: ANN401  onnx has no types
    """Return a graph whose vector of a token has its id, and its position if it takes `position_ids`."""
    inputs = ["input_ids", "attention_mask", *names]
    nodes = [helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("Cast", [names[0] if names else "input_ids"], ["others"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("Reshape", [name, "dims"], [f"{name}_column"]) for name in ("ids", "others")]
    nodes += [helper.make_node("Concat", ["ids_column", "others_column"], ["last_hidden_state"], axis=2)]
    dims = [numpy_helper.from_array(np.array([0, -1, 1]), "dims")]
    body = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, ["b", "t"]) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "t", 2])],
        dims,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


IDS = np.array([[5, 6, 7], [9, 2, 0]])
MASK = np.array([[1, 1, 1], [1, 1, 0]])
POOLED: dict[Pool, list[float]] = {
    Pool.MEAN: [6, 5.5],
    Pool.CLS: [5, 9],
    Pool.LAST: [7, 2],
    Pool.MAX: [7, 9],
    Pool.MEAN_SQRT: [18 / 3**0.5, 11 / 2**0.5],
    Pool.WEIGHTED: [(5 + 12 + 21) / 6, 13 / 3],
}


@pytest.mark.parametrize("opset", [13, 14, 17, 18, 20, 21])
@pytest.mark.parametrize("pool", Pool)
def test_each_pooling_can_be_added_to_graphs_of_old_and_new_opsets(pool: Pool, opset: int) -> None:
    made = export.headed(tokens_graph(opset), "last_hidden_state", Pooling(pool, normalize=False), 2)
    onnx.checker.check_model(onnx.load_model_from_string(made.content), full_check=True)
    session = onnxruntime.InferenceSession(made.content, providers=["CPUExecutionProvider"])
    (found,) = session.run([made.output], {"input_ids": IDS, "attention_mask": MASK})
    assert np.allclose(found, np.repeat(np.array(POOLED[pool])[:, None], 2, axis=1))


def test_what_is_added_to_a_graph_takes_none_of_its_names() -> None:
    model = tokens_graph(17)
    for number, name in enumerate(("embedding", "pooling/least_count", "pooling/i64_1")):
        model.graph.node.append(helper.make_node("Identity", ["ids"], [name], f"n{number}"))
    made = export.headed(model, "last_hidden_state", Pooling(Pool.MEAN, normalize=True), 2)
    onnx.checker.check_model(onnx.load_model_from_string(made.content), full_check=True)
    assert made.output == "embedding_"


@pytest.mark.usefixtures("here")
def test_a_graph_gets_its_inputs_in_their_types_and_positions_if_it_takes_them() -> None:
    onnx.save(tokens_graph(17, TensorProto.INT32, "position_ids"), "m/onnx/model.onnx")
    assert built("source: ./m, normalize: false, pooling: mean, prefixes: {passage: ''}") == 0
    made = files()
    assert made.inputs == dict.fromkeys(("input_ids", "attention_mask", "position_ids"), "INT32")
    assert text("e_model/config.pbtxt").count("TYPE_INT32") == 3
    vectors: NDArray[Any] = encoder.load(made).embed(["", "aaa"])
    assert vectors[:, 1].tolist() == [0.5, 2.0]  # the means of the positions 0 to 1 and 0 to 4


def external(name: str = "weights.bin") -> None:
    """Save the ONNX file with its weights in another file."""
    model = onnx.load("m/onnx/model.onnx")
    Path("m/onnx/model.onnx").unlink()
    onnx.save_model(
        model, "m/onnx/model.onnx", save_as_external_data=True, location=name, size_threshold=0, convert_attribute=True
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("source", ["./m", "./m/onnx/model.onnx"])
def test_weights_in_another_file_are_put_into_that_of_the_graph(source: str) -> None:
    external()
    assert built(f"source: {source}") == 0
    assert [path.name for path in Path("model_repository/e_model/1").iterdir()] == ["model.onnx"]
    assert cosines(encoder.load(files()).embed(EXPECTED["texts"]), EXPECTED["passage"]).min() > 0.9999


def lost() -> None:
    external()
    Path("m/onnx/weights.bin").unlink()


def short() -> None:
    external()
    content = Path("m/onnx/weights.bin").read_bytes()
    Path("m/onnx/weights.bin").write_bytes(content[:-9])


def told(key: str, value: str) -> None:
    """Let the ONNX file say something else of where its weights are."""
    external()
    model = onnx.load("m/onnx/model.onnx", load_external_data=False)
    entries = [each for tensor in model.graph.initializer for each in tensor.external_data if each.key == key]
    entries[0].value = value
    onnx.save(model, "m/onnx/model.onnx")


LOST: dict[str, tuple[Callable[[], object], str]] = {
    "missing": (lost, "keeps weights in 'weights.bin', which the source does not have"),
    "too short": (short, "cannot be used: 'weights.bin' ends before the weights that it should have"),
    "at no number": (lambda: told("offset", "x"), "cannot be used: it does not say where in 'weights.bin'"),
    "before the file": (lambda: told("offset", "-8"), "'weights.bin' ends before the weights"),
    "beyond the file": (lambda: told("length", f"{1 << 70}"), "'weights.bin' ends before the weights"),
    "above": (
        lambda: told("location", "../config.json"),
        "keeps weights in '../config.json', which is not next to it",
    ),
    "anywhere": (
        lambda: told("location", "/etc/passwd"),
        "keeps weights in '/etc/passwd', which is not next to it",
    ),
    "in itself": (lambda: told("location", "model.onnx"), "keeps weights in 'model.onnx', which is not next to it"),
    "nowhere": (lambda: told("location", ""), "keeps weights in '', which is not next to it"),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("change", "message"), LOST.values(), ids=LOST)
def test_weights_that_are_not_next_to_the_onnx_file_are_told(
    capsys: pytest.CaptureFixture[str], change: Callable[[], object], message: str
) -> None:
    change()
    assert built("source: ./m") == 2
    assert message in capsys.readouterr().err
    assert not Path("model_repository").exists()


LIMITS: dict[str, tuple[dict[str, dict[str, object]], int | None, int]] = {
    "the stack's": ({"sentence_bert_config.json": {"max_seq_length": 30}}, 20, 20),
    "the sentence's": ({"sentence_bert_config.json": {"max_seq_length": 30}, "config.json": {}}, None, 30),
    "the tokenizer's": ({"tokenizer_config.json": {"model_max_length": 25}}, None, 25),
    "of a tokenizer without one": (
        {"tokenizer_config.json": {"model_max_length": 10**30}, "config.json": {"max_position_embeddings": 40}},
        None,
        40,
    ),
    "of positions after padding": (
        {"config.json": {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}},
        None,
        512,
    ),
    "at most the positions": (
        {"tokenizer_config.json": {"model_max_length": 99}, "config.json": {"max_position_embeddings": 40}},
        None,
        40,
    ),
}


@pytest.mark.parametrize(("said", "asked", "found"), LIMITS.values(), ids=LIMITS)
def test_texts_are_cut_where_the_stack_or_the_models_files_say(
    cache: Cache, said: dict[str, dict[str, object]], asked: int | None, found: int
) -> None:
    own = {name: of_text(json.dumps(content)) for name, content in said.items()}
    assert limits.limit(Wish("./m", None, None, asked, {"source": AT}), own, cache) == found
