"""embedding [B,D] FP32 -> passages, ids [B,k] STRING, scores [B,k] FP32, best first; exact search over embeddings.npy.

The score is the dot product, which is the cosine where the vectors have length 1. settings.json has top_k.
"""

from __future__ import annotations

import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """The model of this step."""

    def initialize(self, args):
        """Load vectors and passages."""
        here = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            self.top_k = json.load(f)["top_k"]
        self.index = np.load(os.path.join(here, "embeddings.npy"))
        with open(os.path.join(here, "passages.jsonl"), encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.passages = np.array([line["text"].encode() for line in lines], dtype=object)
        self.ids = np.array([line["id"].encode() for line in lines], dtype=object)

    def execute(self, requests):
        """Search for all rows of all requests at once."""
        queries = [pb_utils.get_input_tensor_by_name(r, "embedding").as_numpy() for r in requests]
        scores = np.concatenate(queries) @ self.index.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.top_k]
        scores = np.take_along_axis(scores, best, axis=1)
        ends = np.cumsum([len(query) for query in queries])
        return [self.answer(best[end - len(q) : end], scores[end - len(q) : end]) for q, end in zip(queries, ends)]

    def answer(self, best, scores):
        """Give the response with these rows."""
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("passages", self.passages[best]),
                pb_utils.Tensor("ids", self.ids[best]),
                pb_utils.Tensor("scores", scores),
            ]
        )
