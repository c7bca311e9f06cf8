"""The tensors that Triton's vLLM backend adds to a config, by the release that first has them.

Source: vllm_backend, src/model.py, auto_complete_config, branches r24.01 to r26.01; later releases count as the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Contract(NamedTuple):
    """One tensor of the contract."""

    kind: str
    name: str
    data_type: str
    dims: tuple[int, ...]
    since: str
    optional: bool = False


TENSORS = (
    Contract("input", "text_input", "TYPE_STRING", (1,), "24.01"),
    Contract("input", "image", "TYPE_STRING", (-1,), "24.12", optional=True),
    Contract("input", "stream", "TYPE_BOOL", (1,), "24.01", optional=True),
    Contract("input", "sampling_parameters", "TYPE_STRING", (1,), "24.01", optional=True),
    Contract("input", "exclude_input_in_output", "TYPE_BOOL", (1,), "24.03", optional=True),
    Contract("input", "return_finish_reason", "TYPE_BOOL", (1,), "24.12", optional=True),
    Contract("input", "return_cumulative_logprob", "TYPE_BOOL", (1,), "24.12", optional=True),
    Contract("input", "return_logprobs", "TYPE_BOOL", (1,), "24.12", optional=True),
    Contract("input", "return_num_input_tokens", "TYPE_BOOL", (1,), "24.12", optional=True),
    Contract("input", "return_num_output_tokens", "TYPE_BOOL", (1,), "24.12", optional=True),
    Contract("input", "embedding_request", "TYPE_STRING", (1,), "25.11", optional=True),
    Contract("output", "text_output", "TYPE_STRING", (-1,), "24.01"),
    Contract("output", "finish_reason", "TYPE_STRING", (-1,), "24.12"),
    Contract("output", "cumulative_logprob", "TYPE_FP32", (-1,), "24.12"),
    Contract("output", "logprobs", "TYPE_STRING", (-1,), "24.12"),
    Contract("output", "num_input_tokens", "TYPE_UINT32", (1,), "24.12"),
    Contract("output", "num_output_tokens", "TYPE_UINT32", (-1,), "24.12"),
)
BY_NAME = {(tensor.kind, tensor.name): tensor for tensor in TENSORS}


def contract(release: str) -> Iterator[Contract]:
    """Give what the backend of this release has."""
    return (tensor for tensor in TENSORS if tensor.since <= release)
