"""Tokens of texts. A real repository loads the tokenizer of the model; this one only counts letters."""

from __future__ import annotations

import numpy as np
import triton_python_backend_utils as pb_utils

WORDS = 64


class TritonPythonModel:
    """One row of tokens for each text, all padded to the longest."""

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer each request by itself."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        rows = [[len(word) % WORDS for word in text.decode("utf-8", "replace").split()] or [0] for text in texts]
        longest = max(map(len, rows))
        ids = np.array([row + [0] * (longest - len(row)) for row in rows], np.int64)
        mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
        outputs = [pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)]
        return pb_utils.InferenceResponse(outputs)
