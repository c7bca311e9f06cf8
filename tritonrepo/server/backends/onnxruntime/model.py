"""CPU stand-in for Triton's onnxruntime backend: the same contract, implemented with the onnxruntime package.

Triton loads this file as a Python-based backend if the C++ one is not installed. Source of the behaviour:
onnxruntime_backend, src/onnxruntime.cc.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx_contract
import onnx_session
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray


class TritonPythonModel:
    """One instance of an ONNX model."""

    @staticmethod
    def auto_complete_config(config: pb_utils.ModelConfig) -> pb_utils.ModelConfig:
        """Complete a configuration that lacks inputs or outputs, from the graph."""
        given = config.as_dict()
        if onnx_contract.is_complete(given):
            return config
        graph = onnx_contract.read_graph(onnx_session.open_session(given, pb_utils.get_model_dir()))
        onnx_contract.complete(config, graph, pb_utils.Logger.log_warn)
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Open the session and check the configuration against its graph."""
        config = json.loads(args["model_config"])
        self.session = onnx_session.open_session(config, pb_utils.get_model_dir())
        self.graph = onnx_contract.read_graph(self.session)
        onnx_contract.validate(config, self.graph)
        for line in onnx_session.ignored(config):
            pb_utils.Logger.log_warn(f"model '{config['name']}': {line}, ignored")
        self.run_options = onnx_session.run_options(config)
        self.batching = config["max_batch_size"] > 0
        self.input_names = [*self.graph.inputs, *self.graph.initializers]
        self.output_dims = {given["name"]: onnx_contract.configured_dims(given) for given in config["output"]}

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer the requests in order: as one batch if they can be combined, else one by one."""
        if self.batching and len(requests) > 1:
            try:
                return self.run_joined(requests)
            except Exception as error:
                pb_utils.Logger.log_verbose(f"running {len(requests)} requests one by one: {error}")
        return [self.run_alone(request) for request in requests]

    def run_joined(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Run the rows of all requests as one batch."""
        feeds = [self.feed(request) for request in requests]
        rows = [len(next(iter(feed.values()))) for feed in feeds]
        names = [name for name in self.output_dims if any(name in r.requested_output_names() for r in requests)]
        joined = self.run(names, {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]})
        for name, array in zip(names, joined, strict=True):
            if array.ndim == 0 or len(array) != sum(rows):
                raise ValueError(
                    f"failed to split the output tensor '{name}' in responses: expected batch size of atleast "
                    f"{sum(rows)} in model output, got {len(array) if array.ndim else 0}"
                )
        cuts = np.cumsum(rows)[:-1]
        parts = zip(*(np.split(array, cuts) for array in joined), strict=True)
        return [self.response(names, arrays) for arrays in parts]

    def run_alone(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        """Run one request; an error becomes its response."""
        try:
            names = [name for name in self.output_dims if name in request.requested_output_names()]
            return self.response(names, self.run(names, self.feed(request)))
        except Exception as error:
            message = onnx_session.runtime_words(error)
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG))

    def feed(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        """Return the request's tensors as onnxruntime expects them: text as str, rank 0 for a graph's scalar."""
        arrays = {}
        for name in self.input_names:
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            if tensor is None:
                continue  # an initializer keeps its own value
            array = tensor.as_numpy()
            wanted = self.graph.inputs.get(name) or self.graph.initializers[name]
            if array.dtype == np.object_:
                # The C++ backend passes bytes on as they are; the package accepts only str.
                texts = [text.decode("utf-8", errors="replace") for text in array.ravel()]
                array = np.array(texts, dtype=np.object_).reshape(array.shape)
            arrays[name] = array if wanted.dims else array.reshape(())
        return arrays

    def run(self, names: list[str], feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the named outputs; text comes back as bytes, a graph's scalar with the configured dims."""
        arrays = self.session.run(names, feed, self.run_options) if names else []
        return [self.outgoing(name, np.asarray(array)) for name, array in zip(names, arrays, strict=True)]

    def outgoing(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return one output as Triton expects it."""
        if array.dtype.kind in "OU":
            texts = [text.encode("utf-8") for text in array.ravel()]
            array = np.array(texts, dtype=np.object_).reshape(array.shape)
        return array if self.graph.outputs[name].dims else array.reshape(self.output_dims[name])

    @staticmethod
    def response(names: list[str], arrays: Iterable[NDArray[Any]]) -> pb_utils.InferenceResponse:
        """Return the response with these outputs."""
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in zip(names, arrays, strict=True)]
        )
