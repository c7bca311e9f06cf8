"""text [B,1] STRING -> embedding [B,D] FP32: one tokenization per batch of texts, and few calls of the ONNX model.

num_input_tokens [B,1] UINT32 is how many tokens of each text the model reads, with its prefix and the special ones.
The optional input_type [B,1] STRING, query by default or passage, selects the prefix that is put before a text.
calls.json names the ONNX model and its version; settings.json has max_tokens, the length at which texts are cut with
their prefix, the prefixes if there are any, the inputs and the output of the ONNX model if they are not those of an
exported one, what a call costs on a CPU, and where the packages and the tokenizer are, which versions share.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

# the server imports model.py as a module of its version directory: python_backend, src/pb_stub.cc, StubSetup
from .grouping import call_tokens, called, groups  # noqa: TID252

SCORES = 64 * 512**2
"""How many pairs of tokens a call may have: the graph keeps a score of each of them for each of its heads."""


class TritonPythonModel:
    """The model of this step."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer, and replace its own truncation and padding, which are for other uses."""
        home = args["model_repository"]
        here = os.path.join(home, args["model_version"])
        with open(os.path.join(here, "calls.json"), encoding="utf-8") as f:
            ((self.model, self.version),) = json.load(f).items()
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            settings = json.load(f)
        sys.path.insert(0, os.path.join(home, settings["packages"]))
        from tokenizers import Tokenizer

        self.inputs: dict[str, str] = settings.get("inputs", {"input_ids": "INT64", "attention_mask": "INT64"})
        self.output: str = settings.get("output", "embedding")
        self.prefixes: dict[str, str] = {"query": "", "passage": ""} | settings.get("prefixes", {})
        self.tokenizer = Tokenizer.from_file(os.path.join(home, settings["tokenizer"]))
        self.padding: int = (self.tokenizer.padding or {}).get("pad_id", 0)
        self.call_tokens, self.instances = call_tokens(settings), settings.get("instances", 1)
        self.tokenizer.enable_truncation(settings["max_tokens"])
        self.tokenizer.no_padding()

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer all requests together; if that fails, answer each by itself, so that only a bad one fails."""
        try:
            return self.answers(requests)
        except Exception as error:
            if len(requests) > 1:
                return [self.execute([request])[0] for request in requests]
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))]

    def answers(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Embed all texts of all requests."""
        texts = [self.texts(request) for request in requests]
        encodings = self.tokenizer.encode_batch([text for own in texts for text in own])
        counts = np.array([[len(e)] for e in encodings], np.uint32)
        made = {"embedding": self.embed(encodings), "num_input_tokens": counts}
        ends = np.cumsum([len(own) for own in texts])
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, rows[end - len(own) : end]) for name, rows in made.items()]
            )
            for own, end in zip(texts, ends)
        ]

    def texts(self, request: pb_utils.InferenceRequest) -> list[str]:
        """Return the texts of a request with their prefixes, which come first, so that only texts are cut."""
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().ravel()
        given = pb_utils.get_input_tensor_by_name(request, "input_type")
        kinds = [b"query"] * len(texts) if given is None else given.as_numpy().ravel()
        return [self.prefix(kind) + text.decode("utf-8", "replace") for kind, text in zip(kinds, texts)]

    def prefix(self, kind: bytes) -> str:
        """Return the prefix of queries or of passages."""
        name = kind.decode("utf-8", "replace")
        if name not in self.prefixes:
            raise ValueError(f'input_type must be "query" or "passage", not "{name[:40]}"')
        return self.prefixes[name]

    def embed(self, encodings: list[Any]) -> NDArray[Any]:
        """Return the vectors of tokenized texts, [len(encodings), D] FP32; those of like length share a call."""
        lengths = np.array([len(e) for e in encodings])
        parts = groups(lengths, self.call_tokens, lambda longest: SCORES // max(1, longest) ** 2)
        rows = called(lambda part: self.call([encodings[place] for place in part]), parts, self.instances)
        return np.concatenate(rows)[np.argsort(np.concatenate(parts))] if len(parts) > 1 else rows[0]

    def call(self, encodings: list[Any]) -> NDArray[Any]:
        """Return the vectors of tokenized texts by one call."""
        request = pb_utils.InferenceRequest(
            model_name=self.model,
            model_version=self.version,
            requested_output_names=[self.output],
            inputs=[
                pb_utils.Tensor(name, tokens(name, encodings, np.dtype(kind.lower()), self.padding))
                for name, kind in self.inputs.items()
            ],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        )
        response = request.exec()
        if response.has_error():
            raise RuntimeError(response.error().message())
        return pb_utils.get_output_tensor_by_name(response, self.output).as_numpy()


def tokens(name: str, encodings: list[Any], kind: np.dtype[Any], padding: int) -> NDArray[Any]:
    """Return an input of the ONNX model [len(encodings), tokens]; padding is on the right, so that positions count."""
    fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    shape = len(encodings), max([1, *(len(e) for e in encodings)])  # a graph needs a token, if only one of padding
    if name not in fields:
        return np.tile(np.arange(shape[1], dtype=kind), (shape[0], 1))
    rows = np.full(shape, padding if name == "input_ids" else 0, kind)
    for row, encoding in zip(rows, encodings):
        row[: len(encoding)] = getattr(encoding, fields[name])
    return rows
