"""The embedder's step as plain Python; the model that it calls is a function here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.tensors import Broken, outputs, refusal, request, written
from tritonrepo.generate.steps import embedder
from tritonrepo.generate.steps.embedder import TritonPythonModel

WORDS = {"[PAD]": 0, "?": 1, "one": 2, "two": 3, "three": 4, "bad": 5, "caf\ufffd": 6, "<pad>": 7}


class Graph:
    """A stand-in for NAME_model: returns the sum and the count of the token ids; fails for the id 5."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, asked: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        arrays = {tensor.name(): tensor.as_numpy() for tensor in asked.inputs()}
        self.calls.append({name: array.tolist() for name, array in arrays.items()})
        assert (asked.model_name, asked.model_version) == ("graph", 7)
        assert asked.requested_output_names() == {"embedding"}
        assert asked.preferred_memory is not None
        assert asked.preferred_memory.wanted == (pb_utils.TRITONSERVER_MEMORY_CPU, 0), "NumPy reads no memory of a GPU"
        assert all(array.dtype == np.int64 for array in arrays.values())
        if 5 in arrays["input_ids"]:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("index 5 is out of bounds"))
        mask = arrays["attention_mask"]
        rows = np.stack([(arrays["input_ids"] * mask).sum(1), mask.sum(1)], axis=1)
        return pb_utils.InferenceResponse([pb_utils.Tensor("embedding", rows.astype(np.float32))])


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    found = Graph()
    monkeypatch.setitem(pb_utils.models, "graph", found)
    monkeypatch.setattr(sys, "path", sys.path[:])
    return found


def step(place: Path, pad: str | None = None, **more: object) -> TritonPythonModel:
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(1)
    if pad:
        tokenizer.enable_padding(pad_id=WORDS[pad], pad_token=pad, length=9)
    settings = {"max_tokens": 3, "packages": "0456", "tokenizer": "0123/tokenizer.json", **more}
    files = {"tokenizer.json": tokenizer.to_str(), "calls.json": {"graph": 7}, "settings.json": settings}
    model = TritonPythonModel()
    model.initialize(written(place, files))
    return model


def texts(*given: bytes) -> pb_utils.InferenceRequest:
    return request(text=np.array([[text] for text in given], dtype=np.object_))


def vectors(response: pb_utils.InferenceResponse) -> list[list[float]]:
    found: list[list[float]] = outputs(response)["embedding"]
    return found


def test_all_texts_of_a_batch_are_one_call_and_each_request_gets_its_rows(tmp_path: Path, graph: Graph) -> None:
    first, second = step(tmp_path).execute([texts(b"one"), texts(b"two three", b"three")])
    assert vectors(first) == [[2, 1]]
    assert vectors(second) == [[7, 2], [4, 1]]
    assert [outputs(each)["num_input_tokens"] for each in (first, second)] == [[[1]], [[2], [1]]]
    assert graph.calls == [
        {"input_ids": [[2, 0], [3, 4], [4, 0]], "attention_mask": [[1, 0], [1, 1], [1, 0]]},
    ]


def test_long_texts_are_several_calls_and_each_request_gets_its_rows(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two texts of two tokens have 8 pairs of tokens; those of like length share a call."""
    monkeypatch.setattr(embedder, "SCORES", 8)
    first, second = step(tmp_path).execute([texts(b"two one", b"two"), texts(b"two three", b"three", b"one one")])
    assert vectors(first) == [[5, 2], [3, 1]]
    assert vectors(second) == [[7, 2], [4, 1], [4, 2]]
    assert [call["input_ids"] for call in graph.calls] == [[[3], [4]], [[3, 2]], [[3, 4], [2, 2]]]
    graph.calls.clear()
    monkeypatch.setattr(embedder, "SCORES", 1)
    assert vectors(step(tmp_path).execute([texts(b"one two")])[0]) == [[5, 2]]
    assert len(graph.calls) == 1


def test_on_a_cpu_texts_of_like_length_share_a_call_and_each_request_gets_its_rows(
    tmp_path: Path, graph: Graph
) -> None:
    """A third call would save only two tokens of padding."""
    model = step(tmp_path, pad="<pad>", kind="cpu", call_tokens=3)
    first, second = model.execute([texts(b"one two three", b"two"), texts(b"three three three", b"one two", b"one")])
    assert vectors(first) == [[9, 3], [3, 1]]
    assert vectors(second) == [[12, 3], [5, 2], [2, 1]]
    assert [outputs(each)["num_input_tokens"] for each in (first, second)] == [[[3], [1]], [[3], [2], [1]]]
    assert [call["input_ids"] for call in graph.calls] == [[[3], [2]], [[2, 3, 7], [2, 3, 4], [4, 4, 4]]]
    assert graph.calls[1]["attention_mask"] == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]


def test_a_text_without_tokens_is_padding_in_a_call_of_its_own(tmp_path: Path, graph: Graph) -> None:
    """Graphs that take the first token, or the largest values, fail without any."""
    (response,) = step(tmp_path, call_tokens=1, kind="cpu").execute([texts(b"", b"one two three")])
    assert vectors(response) == [[0, 0], [9, 3]]
    assert outputs(response)["num_input_tokens"] == [[0], [3]]
    assert [call["input_ids"] for call in graph.calls] == [[[0]], [[2, 3, 4]]]


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.usefixtures("graph")
def test_a_text_that_the_graph_refuses_fails_alone_among_those_of_other_lengths(tmp_path: Path, instances: int) -> None:
    model = step(tmp_path, kind="cpu", call_tokens=0, instances=instances)
    first, second, third = model.execute([texts(b"one two three"), texts(b"bad", b"two"), texts(b"one")])
    assert (vectors(first), vectors(third)) == ([[9, 3]], [[2, 1]])
    assert refusal(second) == "index 5 is out of bounds"


def test_texts_are_cut_at_max_tokens_whatever_the_tokenizer_was_made_for(tmp_path: Path, graph: Graph) -> None:
    step(tmp_path).execute([texts(b"one two three one two")])
    assert graph.calls[0]["input_ids"] == [[2, 3, 4]]


def test_the_tokenizers_own_padding_token_is_kept_and_its_length_is_not(tmp_path: Path, graph: Graph) -> None:
    step(tmp_path, pad="<pad>").execute([texts(b"one two", b"one")])
    assert graph.calls[0] == {"input_ids": [[2, 3], [2, 7]], "attention_mask": [[1, 1], [1, 0]]}


def test_bytes_that_are_no_utf8_are_replaced(tmp_path: Path, graph: Graph) -> None:
    step(tmp_path).execute([texts(b"caf\xe9")])
    assert graph.calls[0]["input_ids"] == [[6]]


def test_a_text_that_the_graph_refuses_fails_alone(tmp_path: Path, graph: Graph) -> None:
    first, second, third = step(tmp_path).execute([texts(b"one"), texts(b"two", b"bad"), texts(b"three")])
    assert vectors(first) == [[2, 1]]
    assert refusal(second) == "index 5 is out of bounds"
    assert vectors(third) == [[4, 1]]
    assert len(graph.calls) == 4


def test_a_request_that_cannot_be_read_fails_alone(tmp_path: Path, graph: Graph) -> None:
    broken = pb_utils.InferenceRequest(
        inputs=[Broken("text", np.array([b""]))], requested_output_names=[], model_name=""
    )
    first, second = step(tmp_path).execute([broken, texts(b"one")])
    assert refusal(first) == "no memory is left"
    assert vectors(second) == [[2, 1]]
    assert len(graph.calls) == 1


def test_a_lone_failure_is_not_tried_twice(tmp_path: Path, graph: Graph) -> None:
    (response,) = step(tmp_path).execute([texts(b"bad")])
    assert refusal(response) == "index 5 is out of bounds"
    assert len(graph.calls) == 1


def test_special_tokens_stand_around_each_text_and_count_within_max_tokens(tmp_path: Path, graph: Graph) -> None:
    model = step(tmp_path)
    tokenizer: Any = Tokenizer.from_file(str(tmp_path / "0123" / "tokenizer.json"))
    tokenizer.post_processor = processors.BertProcessing(("<pad>", 7), ("?", 1))
    (tmp_path / "0123" / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    model.initialize({"model_repository": str(tmp_path), "model_version": "1"})
    model.execute([texts(b"one two"), texts(b"three"), texts(b"")])
    assert graph.calls == [
        {
            "input_ids": [[1, 2, 7], [1, 4, 7], [1, 7, 0]],
            "attention_mask": [[1, 1, 1], [1, 1, 1], [1, 1, 0]],
        }
    ]
    assert sys.path[0] == str(tmp_path / "0456")


def test_every_request_of_a_batch_without_a_good_one_has_its_own_error(tmp_path: Path, graph: Graph) -> None:
    responses = step(tmp_path).execute([texts(b"bad"), texts(b"one", b"bad")])
    assert [refusal(response) for response in responses] == ["index 5 is out of bounds"] * 2
    assert [len(call["input_ids"]) for call in graph.calls] == [3, 1, 2]


PREFIXES = {"query": "one ", "passage": "two "}


def kinds(*given: bytes) -> NDArray[Any]:
    return np.array([[kind] for kind in given], dtype=np.object_)


def test_each_text_has_the_prefix_of_its_kind_and_only_its_end_is_cut(tmp_path: Path, graph: Graph) -> None:
    model = step(tmp_path, prefixes=PREFIXES)
    plain = request(text=kinds(b"three"))
    mixed = request(text=kinds(b"three", b"four three one"), input_type=kinds(b"query", b"passage"))
    passage = request(text=kinds(b""), input_type=kinds(b"passage"))
    for response in model.execute([plain, mixed, passage]):
        assert not response.has_error()
    assert graph.calls == [
        {
            "input_ids": [[2, 4, 0], [2, 4, 0], [3, 1, 4], [3, 0, 0]],
            "attention_mask": [[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0]],
        }
    ]


def test_a_kind_can_be_sent_to_an_embedder_without_prefixes(tmp_path: Path, graph: Graph) -> None:
    step(tmp_path).execute([request(text=kinds(b"one", b"two"), input_type=kinds(b"passage", b"query"))])
    assert graph.calls[0]["input_ids"] == [[2], [3]]


@pytest.mark.parametrize("kind", [b"document", b"", b"QUERY", b"\xff" * 90])
def test_a_kind_that_is_neither_a_query_nor_a_passage_fails_alone(tmp_path: Path, graph: Graph, kind: bytes) -> None:
    bad = request(text=kinds(b"one", b"two"), input_type=kinds(b"query", kind))
    first, second = step(tmp_path, prefixes=PREFIXES).execute([bad, texts(b"three")])
    shown = kind.decode("utf-8", "replace")[:40]
    assert refusal(first) == f'input_type must be "query" or "passage", not "{shown}"'
    assert vectors(second) == [[6, 2]]
    assert len(graph.calls) == 1
