"""The module that Triton's Python backend provides to models: its types, and as much behaviour as tests need.

The real module is made by the server's stub process and exists only in the server, so this one stands in for it: mypy
checks what runs inside Triton against it, and tests run that code as plain Python. A test on the real server checks
that all of this exists. Only ours are `models`, `model_dir`, `lines` and what a test reads from a request.

Source: python_backend, src/pb_stub.cc, PYBIND11_EMBEDDED_MODULE(c_python_backend_utils), and
src/resources/triton_python_backend_utils.py of Triton 24.10, the oldest release that builds support.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypeAlias, overload

from numpy.typing import NDArray

Config: TypeAlias = dict[str, Any]
"""The config of a model or a tensor, as Triton's JSON."""

MaybeNone: TypeAlias = Any
"""None if nothing has the name, which never happens for an input that the config requires."""


class MemoryType(Enum):
    """Where the tensors of a response are wanted."""

    GPU = "gpu"
    CPU = "cpu"


TRITONSERVER_MEMORY_GPU, TRITONSERVER_MEMORY_CPU = MemoryType.GPU, MemoryType.CPU
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1


class TritonError:
    """The numbers of the codes: core, include/triton/core/tritonserver.h, TRITONSERVER_Error_Code."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class Tensor:
    def __init__(self, name: str, numpy_array: NDArray[Any], /) -> None:
        self._name, self._array = name, numpy_array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        return self._array


class PreferredMemory:
    def __init__(self, preferred_memory_type: MemoryType, preferred_device_id: int = 0) -> None:
        self.wanted = preferred_memory_type, preferred_device_id


class InferenceResponse:
    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self._tensors, self._error = list(output_tensors), error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | MaybeNone:
        return self._error


class InferenceResponseSender:
    """The sender of a request; the real module does not export this name, so code can only use its objects."""

    def __init__(self) -> None:
        self.sent: list[tuple[InferenceResponse | MaybeNone, int]] = []
        self.cancelled = False
        self.ended = threading.Event()

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        self.sent.append((response, flags))
        if flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL:
            self.ended.set()

    def is_cancelled(self) -> bool:
        return self.cancelled


class ResponseIterator:
    """The responses of a decoupled model, which a test makes."""

    def __init__(self, response: Iterable[InferenceResponse]) -> None:
        self._responses = iter(response)

    def __iter__(self) -> ResponseIterator:
        return self

    def __next__(self) -> InferenceResponse:
        return next(self._responses)


models: dict[str, Callable[[InferenceRequest], InferenceResponse | ResponseIterator]] = {}


class InferenceRequest:
    def __init__(
        self,
        *,
        inputs: Sequence[Tensor],
        requested_output_names: Sequence[str] = (),
        model_name: str = "",
        model_version: int = -1,
        preferred_memory: PreferredMemory | None = None,
        parameters: Mapping[str, object] | None = None,
        request_id: str = "",
        timeout: int = 0,
    ) -> None:
        self._inputs, self._names, self._parameters = list(inputs), set(requested_output_names), parameters or {}
        self.model_name, self.model_version = model_name, model_version
        self.preferred_memory, self._id, self._timeout = preferred_memory, request_id, timeout
        self.sender = InferenceResponseSender()

    def inputs(self) -> list[Tensor]:
        return self._inputs

    def requested_output_names(self) -> set[str]:
        return self._names

    def parameters(self) -> str:
        return json.dumps(self._parameters)

    def get_response_sender(self) -> InferenceResponseSender:
        return self.sender

    def request_id(self) -> str:
        return self._id

    def timeout(self) -> int:
        return self._timeout

    @overload
    def exec(self, *, decoupled: Literal[False] = False) -> InferenceResponse: ...

    @overload
    def exec(self, *, decoupled: Literal[True]) -> ResponseIterator: ...

    def exec(self, *, decoupled: bool = False) -> InferenceResponse | ResponseIterator:
        found = models[self.model_name](self)
        assert isinstance(found, ResponseIterator) == decoupled, "the server refuses the other kind of call"
        return found


lines: list[str] = []


class Logger:
    @staticmethod
    def log_info(message: str) -> None:
        lines.append(message)

    log_warn = log_error = log_verbose = log_info


class ModelConfig:
    def __init__(self, model_config: str) -> None:
        self._config: Config = json.loads(model_config)

    def as_dict(self) -> Config:
        return self._config

    def set_max_batch_size(self, max_batch_size: int) -> None:
        self._config["max_batch_size"] = max_batch_size

    def set_dynamic_batching(self) -> None:
        self._config.setdefault("dynamic_batching", {})

    def add_input(self, tensor: Config) -> None:
        self._config["input"].append(tensor)

    def add_output(self, tensor: Config) -> None:
        self._config["output"].append(tensor)

    def set_model_transaction_policy(self, policy: Config) -> None:
        self._config.setdefault("model_transaction_policy", {}).update(policy)


model_dir = ""


def get_model_dir() -> str:
    return model_dir


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | MaybeNone:
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor | MaybeNone:
    return next((tensor for tensor in response.output_tensors() if tensor.name() == name), None)


def get_output_config_by_name(model_config: Config, name: str) -> Config | MaybeNone:
    return next((tensor for tensor in model_config.get("output", []) if tensor["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: Config) -> bool:
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled"))
