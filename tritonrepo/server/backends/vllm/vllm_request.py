"""The tensors of a request to the vLLM backend, and the responses that answer it.

Source of names, types, order of the checks and words: vllm_backend, src/model.py and src/utils/request.py,
GenerateRequest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vllm_generation import Delta

FLAGS = (
    "exclude_input_in_output",
    "return_finish_reason",
    "return_cumulative_logprob",
    "return_logprobs",
    "return_num_input_tokens",
    "return_num_output_tokens",
)
INPUTS: tuple[dict[str, Any], ...] = (
    {"name": "text_input", "data_type": "TYPE_STRING", "dims": [1]},
    {"name": "image", "data_type": "TYPE_STRING", "dims": [-1], "optional": True},
    {"name": "stream", "data_type": "TYPE_BOOL", "dims": [1], "optional": True},
    {"name": "sampling_parameters", "data_type": "TYPE_STRING", "dims": [1], "optional": True},
    *({"name": name, "data_type": "TYPE_BOOL", "dims": [1], "optional": True} for name in FLAGS),
    {"name": "embedding_request", "data_type": "TYPE_STRING", "dims": [1], "optional": True},
)
OUTPUTS: tuple[dict[str, Any], ...] = (
    {"name": "text_output", "data_type": "TYPE_STRING", "dims": [-1]},
    {"name": "finish_reason", "data_type": "TYPE_STRING", "dims": [-1]},
    {"name": "cumulative_logprob", "data_type": "TYPE_FP32", "dims": [-1]},
    {"name": "logprobs", "data_type": "TYPE_STRING", "dims": [-1]},
    {"name": "num_input_tokens", "data_type": "TYPE_UINT32", "dims": [1]},
    {"name": "num_output_tokens", "data_type": "TYPE_UINT32", "dims": [-1]},
)


def complete(model_config: pb_utils.ModelConfig) -> None:
    """Add the contract's tensors that the configuration lacks (by name only), decoupled and max_batch_size 0."""
    config = model_config.as_dict()
    names = {key: {tensor["name"] for tensor in config[key]} for key in ("input", "output")}
    for tensor in INPUTS:
        if tensor["name"] not in names["input"]:
            model_config.add_input(tensor)
    for tensor in OUTPUTS:
        if tensor["name"] not in names["output"]:
            model_config.add_output(tensor)
    model_config.set_model_transaction_policy({"decoupled": True})
    model_config.set_max_batch_size(0)


def value(request: pb_utils.InferenceRequest, name: str) -> Any:  # noqa: ANN401  what the client sent
    """Return the first element of an input, text decoded; None if the request lacks the input."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return None
    first = tensor.as_numpy().ravel()[0]
    return first.decode("utf-8") if isinstance(first, bytes) else first


class Answer:
    """Reads one request, and sends its responses: one per token when streaming, else a single one."""

    def __init__(self, request: pb_utils.InferenceRequest, model_name: str) -> None:
        self.sender = request.get_response_sender()
        self.num_input_tokens = 0
        self.request, self.model_name = request, model_name
        self.pieces: list[str] = []
        self.logprobs: list[dict[int, dict[str, Any]]] | None = None
        self.count, self.cumulative = 0, float("nan")

    def read(self) -> str:
        """Read the tensors; return the sampling parameters' JSON text; raise ValueError in the real backend's words."""
        request = self.request
        if value(request, "embedding_request") is not None:
            raise ValueError(f"Model {self.model_name} does not support 'embed' request")
        self.prompt: str = value(request, "text_input")
        image = pb_utils.get_input_tensor_by_name(request, "image")
        if image is not None and image.as_numpy().size:
            raise ValueError("input 'image' is set, but this CPU stand-in for vLLM reads only text")
        self.stream = bool(value(request, "stream"))
        exclude = value(request, "exclude_input_in_output")
        self.prepends = not self.stream if exclude is None else not exclude
        if self.prepends and self.stream:
            raise ValueError("When streaming, `exclude_input_in_output` = False is not allowed.")
        self.wanted = {name for name in FLAGS if name.startswith("return_") and value(request, name)}
        # The tensor takes precedence: BLS and ensembles have no other way to pass parameters on.
        given: str | None = value(request, "sampling_parameters")
        return request.parameters() if given is None else given

    def is_cancelled(self) -> bool:
        """Return whether the client has cancelled the request."""
        return self.sender.is_cancelled()

    def add(self, delta: Delta) -> None:
        """Add what one token adds: send it when streaming, else send everything with the last one."""
        self.pieces.append(delta.text)
        self.count += 1
        if delta.logprob is not None and delta.likeliest is not None:
            self.cumulative = delta.logprob + (0 if self.logprobs is None and self.count == 1 else self.cumulative)
            self.logprobs = [*(self.logprobs or []), delta.likeliest]
        if self.stream or delta.reason:
            self.send(delta.reason)

    def take(self, said: dict[str, Any]) -> None:
        """Add what one message of the real vLLM adds, which can be several tokens; see `vllm_worker`."""
        self.pieces.append(said["text"])
        self.count += said["tokens"]
        if said["logprobs"] is not None:
            self.cumulative, self.logprobs = said["cumulative"], [*(self.logprobs or []), *said["logprobs"]]
        if self.stream or said["reason"]:
            self.send(said["reason"])

    def send(self, reason: str | None) -> None:
        """Send what has accumulated since the last response; a reason to end makes it the final one."""
        text = (self.prompt if self.prepends else "") + "".join(self.pieces)
        response = pb_utils.InferenceResponse([pb_utils.Tensor("text_output", texts(text)), *self.extras(reason)])
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if reason or not self.stream else 0
        self.sender.send(response, final)
        self.pieces.clear()
        self.count, self.logprobs = 0, None if self.logprobs is None else []

    def extras(self, reason: str | None) -> list[pb_utils.Tensor]:
        """Return the other outputs that the request asked for; counts are those since the last response."""
        logprobs = json.dumps(self.logprobs) if self.logprobs is not None else "null"
        arrays = {
            "finish_reason": texts(str(reason)),
            "cumulative_logprob": np.array([self.cumulative], np.float32),
            "logprobs": texts(logprobs),
            "num_input_tokens": np.array([self.num_input_tokens], np.uint32),
            "num_output_tokens": np.array([self.count], np.uint32),
        }
        return [pb_utils.Tensor(name, array) for name, array in arrays.items() if f"return_{name}" in self.wanted]

    def cancel(self) -> None:
        """End a cancelled request as the real backend does: with an error when streaming, else with the text so far."""
        if self.stream:
            self.fail("Request was cancelled", pb_utils.TritonError.CANCELLED)
        else:
            self.send(None)

    def fail(self, message: str, code: int) -> None:
        """End the request with an error."""
        response = pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
        self.sender.send(response, pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def texts(text: str) -> NDArray[Any]:
    """Return one text as a tensor of one element."""
    return np.array([text.encode("utf-8")], dtype=np.object_)
