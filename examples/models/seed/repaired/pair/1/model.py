"""A query and a passage as the one text that the reranker was trained on."""

from __future__ import annotations

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One text for each pair."""

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer each request by itself."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        query = pb_utils.get_input_tensor_by_name(request, "query").as_numpy()
        passage = pb_utils.get_input_tensor_by_name(request, "passage").as_numpy()
        pairs = [b" ".join(pair) for pair in zip(query.reshape(-1), passage.reshape(-1), strict=True)]
        return pb_utils.InferenceResponse([pb_utils.Tensor("text", np.array(pairs, object).reshape(-1, 1))])
