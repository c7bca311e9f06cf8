"""scores FP32[topics] → topic STRING[1]: the name of the best one, from topics.txt next to the versions."""

from __future__ import annotations

import os

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Names the best topic of each request."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the names."""
        with open(os.path.join(args["model_repository"], "topics.txt"), encoding="utf-8") as f:
            self.topics = np.array(f.read().split(), dtype=object)

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Return a topic for each row of scores."""
        scores = (pb_utils.get_input_tensor_by_name(request, "scores").as_numpy() for request in requests)
        named = (self.topics[rows.argmax(axis=-1)].reshape(len(rows), 1) for rows in scores)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("topic", topics)]) for topics in named]
