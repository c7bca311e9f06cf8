"""embedding [B,D] FP32 -> passages, ids, metadata [B,k] STRING, scores [B,k] FP32, best first, by exact search.

The score is the dot product with a vector of embeddings.npy, which is the cosine if both have length 1. metadata has
JSON objects. An exact search does not read the optional input query. settings.json has top_k.
"""

from __future__ import annotations

import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray


class TritonPythonModel:
    """The model of this step."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the passages; the vectors stay in their file, of which all instances and versions share the pages."""
        here = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            self.top_k = json.load(f)["top_k"]
        self.index = np.asarray(np.load(os.path.join(here, "embeddings.npy"), mmap_mode="r"))
        with open(os.path.join(here, "passages.jsonl"), encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.passages = np.array([line["text"].encode() for line in lines], dtype=object)
        self.ids = np.array([line["id"].encode() for line in lines], dtype=object)
        known = [json.dumps(line.get("metadata", {}), ensure_ascii=False).encode() for line in lines]
        self.metadata = np.array(known, dtype=object)

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer all requests with one search; if it fails, answer each by itself, so that only a bad one fails."""
        try:
            return self.answers(requests)
        except Exception as error:
            if len(requests) > 1:
                return [self.execute([request])[0] for request in requests]
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))]

    def answers(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Search for all rows of all requests."""
        queries = [pb_utils.get_input_tensor_by_name(r, "embedding").as_numpy() for r in requests]
        scores = np.concatenate(queries) @ self.index.T
        best = np.array([highest(row, self.top_k) for row in scores])
        scores = np.take_along_axis(scores, best, axis=1)
        ends = np.cumsum([len(query) for query in queries])
        return [self.answer(best[end - len(q) : end], scores[end - len(q) : end]) for q, end in zip(queries, ends)]

    def answer(self, best: NDArray[np.intp], scores: NDArray[np.float32]) -> pb_utils.InferenceResponse:
        """Return the response with these rows."""
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("passages", self.passages[best]),
                pb_utils.Tensor("ids", self.ids[best]),
                pb_utils.Tensor("scores", scores),
                pb_utils.Tensor("metadata", self.metadata[best]),
            ]
        )


def highest(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the positions of the highest scores, best first, ties in the order of the index; only these are sorted."""
    keys = -scores
    count = min(count, len(keys))
    worst = np.partition(keys, count - 1)[count - 1]
    places = np.flatnonzero(~(keys > worst))  # including ties with the last one, and NaN, which sorts last
    best: NDArray[np.intp] = places[np.argsort(keys[places], kind="stable")[:count]]
    return best
