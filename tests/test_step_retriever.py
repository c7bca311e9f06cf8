"""The retriever's step as plain Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tensors import Broken, outputs, refusal, request, written
from tritonrepo.generate.steps.retriever import TritonPythonModel, highest

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], np.float32)
EAST, NORTH = np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32)


def passage(row: int) -> dict[str, object]:
    """Return a line of an index; the first passage has metadata."""
    return {"id": f"id-{row}", "text": f"tëxt {row}", **({} if row else {"metadata": {"title": "é", "n": [1.0]}})}


def step(place: Path, vectors: NDArray[Any] = VECTORS, top_k: int = 3) -> TritonPythonModel:
    lines = [json.dumps(line, ensure_ascii=False) for line in map(passage, range(len(vectors)))]
    files = {"settings.json": {"top_k": top_k}, "embeddings.npy": vectors, "passages.jsonl": "\n".join(lines)}
    model = TritonPythonModel()
    model.initialize(written(place, files))
    return model


def ids(response: pb_utils.InferenceResponse) -> list[list[bytes]]:
    found: list[list[bytes]] = outputs(response)["ids"]
    return found


def test_the_best_passages_come_first_and_equal_ones_in_the_order_of_the_index(tmp_path: Path) -> None:
    (response,) = step(tmp_path).execute([request(embedding=EAST)])
    found = outputs(response)
    assert found["ids"] == [[b"id-0", b"id-3", b"id-2"]]
    assert found["passages"] == [["tëxt 0".encode(), "tëxt 3".encode(), "tëxt 2".encode()]]
    assert found["scores"] == [[1.0, 1.0, pytest.approx(0.6)]]
    assert found["metadata"] == [['{"title": "é", "n": [1.0]}'.encode(), b"{}", b"{}"]]


def test_a_score_is_the_dot_product_whatever_the_lengths_of_the_vectors(tmp_path: Path) -> None:
    vectors = np.array([[1, 1], [3, 0], [-4, 0.5]], np.float32)
    (response,) = step(tmp_path, vectors).execute([request(embedding=np.array([[2, 4]], np.float32))])
    found = outputs(response)
    assert (found["ids"], found["scores"]) == ([[b"id-0", b"id-1", b"id-2"]], [[6.0, 6.0, -6.0]])


def test_each_request_gets_its_own_rows(tmp_path: Path) -> None:
    both = np.concatenate([NORTH, EAST])
    first, second, third = step(tmp_path, top_k=1).execute([request(embedding=e) for e in (EAST, both, NORTH)])
    assert ids(first) == [[b"id-0"]]
    assert ids(second) == [[b"id-1"], [b"id-0"]]
    assert ids(third) == [[b"id-1"]]


def test_an_index_with_fewer_passages_than_asked_for_is_given_whole(tmp_path: Path) -> None:
    (response,) = step(tmp_path, VECTORS[:2], top_k=9).execute([request(embedding=EAST)])
    assert ids(response) == [[b"id-0", b"id-1"]]


BAD: dict[str, tuple[pb_utils.Tensor, str]] = {
    "of another length": (pb_utils.Tensor("embedding", np.ones((1, 3), np.float32)), "mismatch in its core dimension"),
    "unreadable": (Broken("embedding", EAST), "no memory is left"),
    "under another name": (pb_utils.Tensor("vector", EAST), "NoneType"),
}


@pytest.mark.parametrize(("tensor", "message"), BAD.values(), ids=BAD)
def test_a_bad_vector_fails_alone(tmp_path: Path, tensor: pb_utils.Tensor, message: str) -> None:
    bad = pb_utils.InferenceRequest(inputs=[tensor], requested_output_names=[], model_name="")
    first, second, third = step(tmp_path).execute([request(embedding=EAST), bad, request(embedding=NORTH)])
    assert ids(first) == [[b"id-0", b"id-3", b"id-2"]]
    assert message in refusal(second)
    assert ids(third) == [[b"id-1", b"id-2", b"id-0"]]


SCORE = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, 0.5])


@given(scores=st.lists(SCORE, min_size=1, max_size=40), count=st.integers(1, 45))
def test_the_highest_are_those_of_a_stable_sort(scores: list[float], count: int) -> None:
    row = np.array(scores, np.float32)
    assert highest(row, count).tolist() == np.argsort(-row, kind="stable")[:count].tolist()


def test_the_vectors_stay_in_their_file(tmp_path: Path) -> None:
    """An index of a million passages has 1.5 GB of them, for each instance and version that reads its own copy."""
    model = step(tmp_path)
    assert f"{tmp_path}/1/embeddings.npy" in Path("/proc/self/maps").read_text("utf-8")
    assert ids(model.execute([request(embedding=NORTH)])[0]) == [[b"id-1", b"id-2", b"id-0"]]


def test_only_the_best_are_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting a whole index of a million passages would take seconds per query."""
    sizes = []
    argsort = np.argsort

    def counted(array: NDArray[Any], axis: int = -1, kind: Any = None) -> NDArray[np.intp]:  # noqa: ANN401
        sizes.append(array.size)
        return argsort(array, axis, kind)

    vectors = np.random.default_rng(0).normal(size=(5_000, 2)).astype(np.float32)
    model = step(tmp_path, vectors, top_k=20)
    monkeypatch.setattr(np, "argsort", counted)
    model.execute([request(embedding=EAST), request(embedding=NORTH)])
    assert sizes == [20, 20]
