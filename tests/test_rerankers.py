"""Rerankers as they are exported and scored here, compared with transformers and sentence-transformers.

The values are those of scripts/references/rerankers.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tests.tensors import outputs, request, written
from tritonrepo.diagnostics import Span
from tritonrepo.generate.inputs import RerankerFiles
from tritonrepo.generate.steps.reranker import TritonPythonModel
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.reranker import Wish, reranker
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import parse_source

REFERENCES = Path(__file__).parent / "data" / "references" / "rerankers"
TEXTS = json.loads((REFERENCES / "texts.json").read_text("utf-8"))
LABELS = {"xlm-roberta": "LABEL_1"}
CROSS_ENCODERS = [
    "bert",
    "bert-entailment",
    "roberta",
    "xlm-roberta",
    "modernbert-cls",
    "modernbert-mean",
    "distilbert",
]
CLOSE = 1e-4


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def expected(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a reference."""
    with np.load(REFERENCES / name / "expected.npz") as arrays:
        return dict(arrays)


def made(name: str, cache: Cache, kind: str = "cross-encoder") -> RerankerFiles:
    at = Span(str(REFERENCES / "stack.yaml"), 3, 5)
    files = resolve(parse_source(f"./{name}"), "x86_64", cache, None, at).files
    return reranker(Wish(f"./{name}", kind, LABELS.get(name), None, None, {"source": at}), files, cache)


def session(files: RerankerFiles) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(files.onnx.content(), options, providers=["CPUExecutionProvider"])


def graph(files: RerankerFiles, calls: list[tuple[int, ...]]) -> Callable[[pb_utils.InferenceRequest], Any]:
    """Return NAME_model as a function; the shapes of its calls are added to `calls`."""
    running = session(files)

    def run(asked: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        arrays = {tensor.name(): tensor.as_numpy() for tensor in asked.inputs()}
        calls.append(arrays["input_ids"].shape)
        return pb_utils.InferenceResponse([pb_utils.Tensor(files.output, running.run([files.output], arrays)[0])])

    return run


@pytest.fixture
def calls() -> list[tuple[int, ...]]:
    return []


def step(
    files: RerankerFiles, place: Path, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, ...]], top_k: int = 99
) -> TritonPythonModel:
    monkeypatch.setitem(pb_utils.models, "graph", graph(files, calls))
    settings = {
        "top_k": top_k,
        "max_tokens": files.max_tokens,
        "batch": 32,
        "inputs": files.inputs,
        "output": files.output,
        "score": files.score,
        "label": files.label,
        "packages": "0456",
        "tokenizer": "0123/tokenizer.json",
    }
    model = TritonPythonModel()
    said = {"tokenizer.json": files.tokenizer.content().decode(), "calls.json": {"graph": 1}, "settings.json": settings}
    model.initialize(written(place, said))
    return model


def asked(query: int, passages: NDArray[Any]) -> pb_utils.InferenceRequest:
    texts = [TEXTS["passages"][number].encode() for number in passages]
    ids = [str(number).encode() for number in passages]
    return request(
        query=np.array([[TEXTS["queries"][query].encode()]], np.object_),
        passages=np.array([texts], np.object_),
        ids=np.array([ids], np.object_),
    )


@pytest.mark.parametrize("name", CROSS_ENCODERS)
def test_pairs_have_the_tokens_and_the_logits_of_the_reference(name: str, kept: Cache) -> None:
    files, said = made(name, kept), expected(name)
    numbers = zip(said["queries"], said["passages"], strict=True)
    pairs = [(TEXTS["queries"][one], TEXTS["passages"][other]) for one, other in numbers]
    tokenizer = Tokenizer.from_str(files.tokenizer.content().decode())
    tokenizer.enable_truncation(files.max_tokens, strategy="longest_first")
    tokenizer.enable_padding(pad_id=1)
    encodings = tokenizer.encode_batch(pairs)
    assert [encoding.ids for encoding in encodings] == said["input_ids"].tolist()
    assert [encoding.attention_mask for encoding in encodings] == said["attention_mask"].tolist()
    typed = "token_type_ids" in files.inputs
    assert typed == ("token_type_ids" in said)
    if typed:
        assert [encoding.type_ids for encoding in encodings] == said["token_type_ids"].tolist()
    found = session(files).run(["logits"], {each: said[each].astype(np.int64) for each in files.inputs})[0]
    assert found.shape == said["logits"].shape
    assert np.abs(found - said["logits"]).max() <= CLOSE


@pytest.mark.parametrize("name", CROSS_ENCODERS)
def test_lists_are_ranked_and_scored_as_sentence_transformers_does(
    name: str, kept: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, ...]]
) -> None:
    model, said = step(made(name, kept), tmp_path, monkeypatch, calls), expected(name)
    rows = list(zip(said["list_queries"], said["list_passages"], said["list_scores"], strict=True))[:40]
    responses = model.execute([asked(query, passages) for query, passages, _ in rows])
    for response, (_, passages, scores) in zip(responses, rows, strict=True):
        found, best = outputs(response), np.argsort(-scores, kind="stable")
        assert found["ids"] == [[str(passages[place]).encode() for place in best]]
        assert np.abs(found["scores"][0] - scores[best]).max() <= CLOSE


def test_a_late_interaction_scores_as_the_vectors_of_the_reference_do(
    kept: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, ...]]
) -> None:
    files = made("late", kept, "late-interaction")
    assert (files.inputs, files.output, files.width) == (("input_ids", "attention_mask"), "token_embeddings", 16)
    model = step(files, tmp_path, monkeypatch, calls)
    table, everything = expected("late")["scores"], np.arange(len(TEXTS["passages"]))
    for query, response in enumerate(model.execute([asked(query, everything) for query in range(len(table))])):
        found = outputs(response)
        scores = dict(zip(map(int, found["ids"][0]), found["scores"][0], strict=True))
        assert np.abs(np.array([scores[number] for number in everything]) - table[query]).max() <= CLOSE
    read = len({*TEXTS["queries"], *TEXTS["passages"]})
    assert sum(rows for rows, _ in calls) == read, "each text is read once"
