"""query [B,1], passages, ids, metadata [B,k] STRING -> the best n of them, and scores [B,n] FP32, best first.

A cross-encoder reads pairs of query and passage; a late interaction compares the vectors of their tokens. calls.json
names the ONNX model and its version; settings.json has top_k, max_tokens, at which pairs or texts are cut, the tensors
and the largest batch of the ONNX model, how its output becomes a score, prefixes of queries and passages if there are
any, what a call costs on a CPU, and where packages and the tokenizer are.

num_input_tokens [B,1] UINT32 is how many tokens the model reads for each list: those of all pairs, or those of the
query and of all passages.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

# the server imports model.py as a module of its version directory: python_backend, src/pb_stub.cc, StubSetup
from .grouping import call_tokens, called, groups  # noqa: TID252

KEPT_BYTES = 128 << 20
"""How much an instance keeps of the vectors of tokens: of about 870 passages with 100 tokens of 384 numbers each."""


class Scored(NamedTuple):
    """The score of a pair, its tokens, and those of its query if that is read once for all passages."""

    score: float
    tokens: int
    query_tokens: int = 0


class Ask:
    """The lists of one request, all [B,k], and the query of each row."""

    def __init__(self, request: pb_utils.InferenceRequest) -> None:
        """Read a request; raise ValueError if its lists do not belong together."""
        passages, ids, metadata = (values(request, name) for name in ("passages", "ids", "metadata"))
        for name, given in (("ids", ids), ("metadata", metadata)):
            if given is not None and given.shape != passages.shape:
                shape = list(passages.shape)
                raise ValueError(f"{name} must have the shape of passages, {shape}, not {list(given.shape)}")
        self.queries = [text(query) for query in values(request, "query").ravel()]
        self.passages, self.ids = passages, ids
        self.metadata = np.full(passages.shape, b"{}", dtype=object) if metadata is None else metadata
        self.rows = [[text(value) for value in row] for row in passages.reshape(len(self.queries), passages.shape[-1])]

    def pairs(self) -> list[tuple[str, str]]:
        """Return every query with every passage of its row."""
        return [(query, passage) for query, row in zip(self.queries, self.rows) for passage in row]

    def answer(self, scored: Sequence[Scored], top_k: int) -> pb_utils.InferenceResponse:
        """Return the response: per row the top_k best, equal scores in the order of the request."""
        shape = self.passages.shape
        table = np.array([pair.score for pair in scored], np.float64).reshape(shape)
        tokens = np.array([pair.tokens for pair in scored], np.uint32).reshape(shape).sum(axis=-1, keepdims=True)
        once = np.array([pair.query_tokens for pair in scored], np.uint32).reshape(shape)
        counts = tokens + once.max(axis=-1, keepdims=True, initial=0)
        best = np.argsort(-table, axis=-1, kind="stable")[..., :top_k]
        lists = {
            "passages": self.passages,
            "ids": self.ids,
            "metadata": self.metadata,
            "scores": table.astype(np.float32),
        }
        found = {name: np.take_along_axis(array, best, axis=-1) for name, array in lists.items()}
        found["num_input_tokens"] = counts.astype(np.uint32)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in found.items()])


class TritonPythonModel:
    """The model of this step."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer, and replace its own truncation and padding, which are for other uses."""
        home = args["model_repository"]
        here = os.path.join(home, args["model_version"])
        with open(os.path.join(here, "calls.json"), encoding="utf-8") as f:
            ((self.model, self.version),) = json.load(f).items()
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            self.settings = json.load(f)
        sys.path.insert(0, os.path.join(home, self.settings["packages"]))
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(os.path.join(home, self.settings["tokenizer"]))
        self.padding = (self.tokenizer.padding or {}).get("pad_id", 0)
        self.prefixes: dict[str, str] = {"query": "", "passage": "", **self.settings.get("prefixes", {})}
        self.call_tokens = call_tokens(self.settings)
        self.kept: dict[str, NDArray[Any]] = {}
        self.nbytes = 0
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.settings["max_tokens"], strategy="longest_first")

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Score the pairs of all requests together; one that cannot be read fails alone."""
        read = [asked(request) for request in requests]
        answers = self.answers({number: ask for number, ask in enumerate(read) if isinstance(ask, Ask)})
        return [answers[number] if isinstance(ask, Ask) else ask for number, ask in enumerate(read)]

    def answers(self, asks: dict[int, Ask]) -> dict[int, pb_utils.InferenceResponse]:
        """Answer these requests; if that fails, answer each by itself, so that only a bad one fails."""
        try:
            pairs = [pair for ask in asks.values() for pair in ask.pairs()]
            scores = self.scored(list(dict.fromkeys(pairs)))  # equal pairs have equal scores, to the last bit
            return {
                number: ask.answer([scores[pair] for pair in ask.pairs()], self.settings["top_k"])
                for number, ask in asks.items()
            }
        except Exception as error:
            if len(asks) == 1:
                return {number: failed(error) for number in asks}
            return {number: self.answers({number: ask})[number] for number, ask in asks.items()}

    def scored(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Scored]:
        """Return what is known of each pair."""
        if self.settings["score"] == "late-interaction":
            read = {pair: (self.prefixes["query"] + pair[0], self.prefixes["passage"] + pair[1]) for pair in pairs}
            vectors = self.vectors(list(dict.fromkeys(text for texts in read.values() for text in texts)))
            found = {pair: (vectors[query], vectors[passage]) for pair, (query, passage) in read.items()}
            return {pair: Scored(similarity(*both), len(both[1]), len(both[0])) for pair, both in found.items()}
        how = self.settings["score"], self.settings["label"]
        return {pair: Scored(relevance(logits, *how), tokens) for pair, (logits, tokens) in zip(pairs, self.run(pairs))}

    def vectors(self, texts: list[str]) -> dict[str, NDArray[Any]]:
        """Return the vectors of each text's tokens; those of a passage do not depend on the query, so they are kept."""
        lacking = [text for text in texts if text not in self.kept]
        read = {text: vectors[:tokens].copy() for text, (vectors, tokens) in zip(lacking, self.run(lacking))}
        self.nbytes += sum(vectors.nbytes for vectors in read.values())
        found = {text: read[text] if text in read else self.kept.pop(text) for text in texts}
        self.kept.update(found)
        while self.nbytes > KEPT_BYTES:
            self.nbytes -= self.kept.pop(next(iter(self.kept))).nbytes  # the one that was used least recently
        return found

    def run(self, texts: Sequence[str | tuple[str, str]]) -> list[tuple[NDArray[Any], int]]:
        """Return what the ONNX model says of each text or pair, and its tokens; those of like length share a batch."""
        encodings = self.tokenizer.encode_batch(list(texts))
        lengths = np.array([len(encoding) for encoding in encodings], np.intp)
        found: list[tuple[NDArray[Any], int]] = [(np.empty(0), 0)] * len(texts)
        parts = groups(lengths, self.call_tokens, lambda _: int(self.settings["batch"])) if texts else []
        calls = called(lambda part: self.call([encodings[n] for n in part]), parts, self.settings.get("instances", 1))
        for part, rows in zip(parts, calls):
            for number, row in zip(part, rows):
                found[number] = (row, len(encodings[number]))
        return found

    def call(self, encodings: list[Any]) -> NDArray[Any]:
        """Return the output of the ONNX model for one batch, [len(encodings), …] FP32."""
        length = max(1, *(len(encoding.ids) for encoding in encodings))
        made = {
            "input_ids": ("ids", self.padding),
            "attention_mask": ("attention_mask", 0),
            "token_type_ids": ("type_ids", 0),
        }
        inputs = []
        for name in self.settings["inputs"]:
            field, fill = made[name]
            array = np.full((len(encodings), length), fill, np.int64)
            for row, encoding in zip(array, encodings):
                values = getattr(encoding, field)
                row[: len(values)] = values
            inputs.append(pb_utils.Tensor(name, array))
        request = pb_utils.InferenceRequest(
            model_name=self.model,
            model_version=self.version,
            requested_output_names=[self.settings["output"]],
            inputs=inputs,
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        )
        response = request.exec()
        if response.has_error():
            raise RuntimeError(response.error().message())
        return pb_utils.get_output_tensor_by_name(response, self.settings["output"]).as_numpy()


def asked(request: pb_utils.InferenceRequest) -> Ask | pb_utils.InferenceResponse:
    """Return a request that can be answered, or the response to one that cannot."""
    try:
        return Ask(request)
    except Exception as error:
        return failed(error)


def values(request: pb_utils.InferenceRequest, name: str) -> Any:  # noqa: ANN401  as in Triton's module
    """Return the values of an input; None if the request leaves it out."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def text(value: bytes) -> str:
    """Return a string of a request; what is not UTF-8 is replaced."""
    return value.decode("utf-8", "replace")


def failed(error: Exception) -> pb_utils.InferenceResponse:
    """Return the response to a request that cannot be answered."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))


def relevance(logits: NDArray[Any], score: str, label: int) -> float:
    """Return the score of a pair from its logits, one for each label."""
    wide = logits.astype(np.float64)
    if score == "softmax":
        shares = np.exp(wide - wide.max())
        return float(shares[label] / shares.sum())
    value = float(wide[label])
    if score == "sigmoid":
        small = float(np.exp(-abs(value)))  # never above 1, so that no logit overflows
        return 1 / (1 + small) if value >= 0 else small / (1 + small)
    return value


def similarity(query: NDArray[Any], passage: NDArray[Any]) -> float:
    """Return the mean, over the tokens of the query, of the cosine with the most similar token of the passage."""
    return float((query @ passage.T).max(axis=1).mean())
