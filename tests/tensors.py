"""What the tests of the code that runs inside Triton share: requests and what is read from their responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray


def request(**tensors: str | bytes | list[bytes] | NDArray[Any] | bool) -> pb_utils.InferenceRequest:
    """Return a request with these inputs; text and flags are tensors of one element."""
    return pb_utils.InferenceRequest(inputs=[pb_utils.Tensor(name, array(value)) for name, value in tensors.items()])


def array(value: object) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, bool):
        return np.array([value])
    texts = value if isinstance(value, list) else [value.encode() if isinstance(value, str) else value]
    return np.array(texts, dtype=np.object_)


def outputs(response: pb_utils.InferenceResponse) -> dict[str, Any]:
    """Return the outputs as lists by name; the response has no error."""
    assert not response.has_error(), response.error().message()
    return {tensor.name(): tensor.as_numpy().tolist() for tensor in response.output_tensors()}


def refusal(response: pb_utils.InferenceResponse) -> str:
    """Return the error of a response, which has no outputs."""
    assert response.has_error()
    assert not response.output_tensors()
    return str(response.error().message())


class Broken(pb_utils.Tensor):
    """A tensor that cannot be read."""

    def as_numpy(self) -> NDArray[Any]:
        raise RuntimeError("no memory is left")


def written(directory: Path, files: Mapping[str, object]) -> dict[str, str]:
    """Write the files of version 1 of a model; return what `initialize` is told of it.

    A tokenizer is in a directory that versions share.
    """
    for name, content in files.items():
        home = directory / ("0123" if name == "tokenizer.json" else "1")
        home.mkdir(exist_ok=True)
        if isinstance(content, np.ndarray):
            np.save(home / name, content)
        else:
            (home / name).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return {"model_repository": str(directory), "model_version": "1"}
