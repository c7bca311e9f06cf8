"""The reranker's step as plain Python; the model that it calls is a function here."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.tabled import tabled
from tests.tensors import Broken, outputs, refusal, request, written
from tritonrepo.generate.steps import reranker
from tritonrepo.generate.steps.reranker import TritonPythonModel, relevance

WORDS = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "?": 3, "q": 4, "one": 5, "two": 6, "three": 7, "bad": 8, "caf\ufffd": 9}


class Graph:
    """A stand-in for NAME_model: the logit of a pair is its largest token id; fails for the word "bad"."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, asked: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        arrays = {tensor.name(): tensor.as_numpy() for tensor in asked.inputs()}
        self.calls.append({name: array.tolist() for name, array in arrays.items()})
        assert (asked.model_name, asked.model_version) == ("graph", 7)
        assert asked.preferred_memory is not None
        assert asked.preferred_memory.wanted == (pb_utils.TRITONSERVER_MEMORY_CPU, 0), "NumPy reads no memory of a GPU"
        assert all(array.dtype == np.int64 for array in arrays.values())
        if WORDS["bad"] in arrays["input_ids"]:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("index 8 is out of bounds"))
        (name,) = asked.requested_output_names()
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, self.output(name, arrays["input_ids"]))])

    def output(self, name: str, ids: Any) -> Any:  # noqa: ANN401  an array
        if name == "logits":
            return ids.max(axis=1, keepdims=True).astype(np.float32)
        corner = np.eye(10, dtype=np.float32)
        return corner[ids]  # each token its own direction


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    found = Graph()
    monkeypatch.setitem(pb_utils.models, "graph", found)
    monkeypatch.setattr(sys, "path", sys.path[:])
    return found


def step(place: Path, **changes: object) -> TritonPythonModel:
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_padding(pad_id=0, length=30)
    settings = {
        "top_k": 3,
        "max_tokens": 12,
        "batch": 4,
        "inputs": ["input_ids", "attention_mask", "token_type_ids"],
        "output": "logits",
        "score": "identity",
        "label": 0,
        "packages": "0456",
        "tokenizer": "0123/tokenizer.json",
    }
    files = {"tokenizer.json": tokenizer.to_str(), "calls.json": {"graph": 7}, "settings.json": settings | changes}
    model = TritonPythonModel()
    model.initialize(written(place, files))
    return model


def texts(*rows: Sequence[bytes]) -> Any:  # noqa: ANN401  an array
    return np.array(rows, dtype=np.object_)


def listed(*passages: bytes, query: bytes = b"q", **more: Any) -> pb_utils.InferenceRequest:  # noqa: ANN401  arrays
    ids = [b"id-%d" % number for number in range(len(passages))]
    empty = np.empty((1, 0), np.object_)
    own = {"passages": texts(passages) if passages else empty, "ids": texts(ids) if passages else empty}
    return request(query=texts([query]), **(own | more))


def ids(response: pb_utils.InferenceResponse) -> list[list[bytes]]:
    found: list[list[bytes]] = outputs(response)["ids"]
    return found


def test_the_best_passages_come_first_with_their_ids_metadata_and_scores(tmp_path: Path, graph: Graph) -> None:
    metadata = texts([b'{"n": 0}', b'{"n": 1}', b'{"n": 2}', b'{"n": 3}'])
    (response,) = step(tmp_path).execute([listed(b"one", b"three", b"q", b"two", metadata=metadata)])
    assert outputs(response) == {
        "passages": [[b"three", b"two", b"one"]],
        "ids": [[b"id-1", b"id-3", b"id-0"]],
        "metadata": [[b'{"n": 1}', b'{"n": 3}', b'{"n": 0}']],
        "scores": [[7.0, 6.0, 5.0]],
        "num_input_tokens": [[20]],
    }
    assert graph.calls[0]["input_ids"][0] == [1, 4, 2, 5, 2]
    assert graph.calls[0]["token_type_ids"][0] == [0, 0, 0, 1, 1]


def test_the_pairs_of_all_requests_share_batches_those_of_like_length_one(tmp_path: Path, graph: Graph) -> None:
    requests = [listed(b"one one one", b"two"), listed(b"three two", b"one", b"two one two one"), listed(b"three")]
    responses = step(tmp_path).execute(requests)
    assert [[len(row) for row in call["input_ids"]] for call in graph.calls] == [[5] * 3, [8] * 3]
    assert graph.calls[1]["attention_mask"] == [[1] * 6 + [0] * 2, [1] * 7 + [0], [1] * 8]
    assert graph.calls[1]["input_ids"][0] == [1, 4, 2, 7, 6, 2, 0, 0]
    assert [ids(each) for each in responses] == [[[b"id-1", b"id-0"]], [[b"id-0", b"id-2", b"id-1"]], [[b"id-0"]]]


@pytest.mark.parametrize("instances", [1, 2])
def test_on_a_cpu_a_pair_that_is_longer_than_the_others_has_a_call_of_its_own(
    tmp_path: Path, graph: Graph, instances: int
) -> None:
    model = step(tmp_path, kind="cpu", call_tokens=2, instances=instances)
    responses = model.execute([listed(b"one", b"two one two one", b"two")])
    assert sorted([len(row) for row in call["input_ids"]] for call in graph.calls) == [[5, 5], [8]]
    assert [ids(each) for each in responses] == [[[b"id-1", b"id-2", b"id-0"]]]


def test_equal_passages_are_read_once_and_keep_their_order(tmp_path: Path, graph: Graph) -> None:
    (response,) = step(tmp_path, top_k=4).execute([listed(b"one", b"two", b"one", b"two")])
    assert ids(response) == [[b"id-1", b"id-3", b"id-0", b"id-2"]]
    assert [len(call["input_ids"]) for call in graph.calls] == [2]


@pytest.mark.usefixtures("graph")
def test_each_row_of_a_batch_is_ranked_for_its_own_query(tmp_path: Path) -> None:
    asked = request(
        query=texts([b"q"], [b"three"]),
        passages=texts([b"one", b"two"], [b"two", b"one"]),
        ids=texts([b"a", b"b"], [b"c", b"d"]),
    )
    (response,) = step(tmp_path, top_k=1).execute([asked])
    found = outputs(response)
    assert (found["ids"], found["scores"]) == ([[b"b"], [b"c"]], [[6.0], [7.0]])
    assert found["num_input_tokens"] == [[10], [10]]
    assert found["metadata"] == [[b"{}"], [b"{}"]]


def test_a_list_without_passages_is_answered_with_none(tmp_path: Path, graph: Graph) -> None:
    first, second = step(tmp_path).execute([listed(), listed(b"one")])
    found = outputs(first)
    assert found.pop("num_input_tokens") == [[0]]
    assert found == {"passages": [[]], "ids": [[]], "metadata": [[]], "scores": [[]]}
    assert ids(second) == [[b"id-0"]]
    (alone,) = step(tmp_path).execute([listed()])
    assert ids(alone) == [[]]
    assert len(graph.calls) == 1


BAD: dict[str, tuple[pb_utils.InferenceRequest, str]] = {
    "with too few ids": (
        listed(b"one", b"two", ids=texts([b"a"])),
        "ids must have the shape of passages, [1, 2], not [1, 1]",
    ),
    "with too much metadata": (
        listed(b"one", metadata=texts([b"{}", b"{}"])),
        "metadata must have the shape of passages, [1, 1], not [1, 2]",
    ),
    "that is unreadable": (
        pb_utils.InferenceRequest(inputs=[Broken("passages", texts([b"one"]))]),
        "no memory is left",
    ),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD)
def test_a_request_that_is_no_list_fails_alone_and_the_others_share_a_batch(
    tmp_path: Path, graph: Graph, bad: pb_utils.InferenceRequest, message: str
) -> None:
    first, second, third = step(tmp_path).execute([listed(b"one"), bad, listed(b"two", b"three")])
    assert refusal(second) == message
    assert (ids(first), ids(third)) == ([[b"id-0"]], [[b"id-1", b"id-0"]])
    assert [len(call["input_ids"]) for call in graph.calls] == [3]


@pytest.mark.usefixtures("graph")
def test_of_16_requests_the_one_that_the_graph_refuses_fails_alone(tmp_path: Path) -> None:
    requests = [listed(b"one", b"bad" if number == 5 else b"two") for number in range(16)]
    responses = step(tmp_path).execute(requests)
    assert refusal(responses.pop(5)) == "index 8 is out of bounds"
    assert [ids(each) for each in responses] == [[[b"id-1", b"id-0"]]] * 15


def test_bytes_that_are_no_utf8_are_replaced_for_the_model_and_returned_as_they_are(
    tmp_path: Path, graph: Graph
) -> None:
    (response,) = step(tmp_path).execute([listed(b"caf\xe9", query=b"caf\xe9")])
    assert graph.calls[0]["input_ids"] == [[1, 9, 2, 9, 2]]
    assert outputs(response)["passages"] == [[b"caf\xe9"]]


def test_a_model_without_batches_is_given_plain_lists(tmp_path: Path, graph: Graph) -> None:
    asked = request(query=[b"q"], passages=[b"one", b"two"], ids=[b"a", b"b"])
    (response,) = step(tmp_path).execute([asked])
    found = outputs(response)
    assert (found["ids"], found["scores"], found["metadata"]) == ([b"b", b"a"], [6.0, 5.0], [b"{}", b"{}"])
    assert len(graph.calls) == 1


CUT = {
    "a long passage": (b"q q", b"one " * 20, [1, 4, 4, 2, *[5] * 7, 2]),
    "a long query": (b"q " * 20, b"one two", [1, *[4] * 7, 2, 5, 6, 2]),
    "both": (b"q " * 20, b"one " * 20, [1, *[4] * 4, 2, *[5] * 5, 2]),
    "ten thousand words": (b"q", b"one " * 10_000, [1, 4, 2, *[5] * 8, 2]),
}


@pytest.mark.parametrize(("query", "passage", "tokens"), CUT.values(), ids=CUT)
def test_a_pair_that_is_too_long_loses_tokens_of_its_longer_text(
    tmp_path: Path, graph: Graph, query: bytes, passage: bytes, tokens: list[int]
) -> None:
    step(tmp_path).execute([listed(passage, query=query)])
    assert graph.calls[0]["input_ids"] == [tokens]


def test_only_the_inputs_that_the_graph_has_are_sent(tmp_path: Path, graph: Graph) -> None:
    step(tmp_path, inputs=["input_ids", "attention_mask"]).execute([listed(b"one")])
    assert [*graph.calls[0]] == ["input_ids", "attention_mask"]


def test_a_late_interaction_is_the_mean_of_the_best_match_of_each_token_of_the_query(
    tmp_path: Path, graph: Graph
) -> None:
    model = step(tmp_path, score="late-interaction", output="token_embeddings", inputs=["input_ids", "attention_mask"])
    (response,) = model.execute([listed(b"three", b"two one two", b"q", query=b"one two")])
    found = outputs(response)
    assert found["ids"] == [[b"id-1", b"id-0", b"id-2"]]  # [CLS] and [SEP] are found in every passage
    assert found["scores"] == [[1.0, 0.5, 0.5]]
    assert found["num_input_tokens"] == [[4 + 3 + 5 + 3]]  # the query is read once
    assert [call["input_ids"] for call in graph.calls] == [
        [[1, 5, 6, 2, 0], [1, 7, 2, 0, 0], [1, 6, 5, 6, 2], [1, 4, 2, 0, 0]],
    ]


LATE = {"score": "late-interaction", "output": "token_embeddings", "inputs": ["input_ids", "attention_mask"]}


def test_a_late_interaction_reads_a_passage_once_for_all_queries(tmp_path: Path, graph: Graph) -> None:
    model = step(tmp_path, **LATE)
    first = model.execute([listed(b"one", b"two three", query=b"one")])
    again = model.execute([listed(b"two three", b"one", query=b"three"), listed(b"one", b"two three", query=b"one")])
    assert [call["input_ids"] for call in graph.calls] == [[[1, 5, 2, 0], [1, 6, 7, 2]], [[1, 7, 2]]]
    assert outputs(again[1]) == outputs(first[0])
    assert ids(again[0]) == [[b"id-0", b"id-1"]]


def test_a_late_interaction_reads_its_prefixes_before_queries_and_passages(tmp_path: Path, graph: Graph) -> None:
    model = step(tmp_path, **LATE, prefixes={"query": "q ", "passage": "three "})
    (response,) = model.execute([listed(b"one", query=b"one")])
    assert graph.calls[0]["input_ids"] == [[1, 4, 5, 2], [1, 7, 5, 2]]
    assert outputs(response)["passages"] == [[b"one"]]


@pytest.mark.usefixtures("graph")
def test_what_is_kept_stays_right_after_a_failure(tmp_path: Path) -> None:
    model = step(tmp_path, **LATE)
    model.execute([listed(b"one", query=b"one")])
    (failed,) = model.execute([listed(b"one", b"bad", query=b"one")])
    assert refusal(failed) == "index 8 is out of bounds"
    assert model.nbytes == sum(vectors.nbytes for vectors in model.kept.values()) == 3 * 10 * 4


def test_what_was_used_least_recently_is_forgotten_first(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reranker, "KEPT_BYTES", 2 * 3 * 10 * 4)  # two texts of three tokens
    model = step(tmp_path, **LATE)
    for passage in (b"one", b"two", b"one", b"two"):
        model.execute([listed(passage, query=b"one")])
    assert [call["input_ids"] for call in graph.calls] == [[[1, 5, 2]], [[1, 6, 2]]]
    model.execute([listed(b"one", b"two", b"three", query=b"q")])  # more at once than are kept
    assert len(model.kept) == 2
    model.execute([listed(b"three", b"one", query=b"two")])
    assert graph.calls[-1]["input_ids"] == [[1, 5, 2]]


@pytest.mark.usefixtures("graph")
def test_padding_is_no_token_that_could_match(tmp_path: Path) -> None:
    model = step(tmp_path, score="late-interaction", output="token_embeddings", inputs=["input_ids", "attention_mask"])
    (response,) = model.execute([listed(b"one", b"one two three one", query=b"[PAD]")])
    assert outputs(response)["scores"] == [[pytest.approx(2 / 3), pytest.approx(2 / 3)]]


SCORES: dict[str, tuple[list[float], str, int, float]] = {
    "as it is": ([3.5], "identity", 0, 3.5),
    "of another label": ([3.5, -1], "identity", 1, -1),
    "a sigmoid": ([0.5], "sigmoid", 0, 1 / (1 + math.exp(-0.5))),
    "a sigmoid of a low logit": ([-800], "sigmoid", 0, 0.0),
    "a sigmoid of a high logit": ([800], "sigmoid", 0, 1.0),
    "a share": ([1, 2, 3], "softmax", 1, math.exp(2) / (math.exp(1) + math.exp(2) + math.exp(3))),
    "a share of high logits": ([800, 800], "softmax", 0, 0.5),
}


@tabled(("logits", "score", "label", "expected"), SCORES.values(), ids=SCORES)
def test_logits_become_a_score(logits: list[float], score: str, label: int, expected: float) -> None:
    assert relevance(np.array(logits, np.float32), score, label) == pytest.approx(expected, abs=1e-12)


def test_scores_that_differ_less_than_fp32_shows_still_decide_the_order(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    steep = {7: 24.0}
    monkeypatch.setattr(
        graph, "output", lambda _, ids: np.array([[steep.get(max(row), 20)] for row in ids], np.float32)
    )
    (response,) = step(tmp_path, score="sigmoid").execute([listed(b"one", b"three")])
    assert (ids(response), outputs(response)["scores"]) == ([[b"id-1", b"id-0"]], [[1.0, 1.0]])
