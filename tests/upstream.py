"""A server whose models answer in every way that the page of `ui` must cope with, and hostile ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tests.speaking import Asked, Said, Speaking, index, inferred, plain, speaking
from tests.test_ask import config, events
from tritonrepo.report.graph import Pipeline, Port, Step, Tensor
from tritonrepo.server.endpoint import NO_GRPC, Endpoint
from tritonrepo.ui.work import Work

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\u202e"
SOURCES = [
    {"id": "a", "title": f"First {HOSTILE}", "url": "https://example.com/a", "score": 0.75, "text": f"body {HOSTILE}"},
    {"id": "b", "title": "", "url": "javascript:window.hacked = 1", "score": 0.5, "text": "second"},
    {"id": "c", "title": "Third", "url": "data:text/html,<script>1</script>", "score": 0.25, "text": "third"},
]
STEPS = [
    {"model_name": "embedder", "model_version": 1, "input_map": {"text": "query"}, "output_map": {"vector": "v"}},
    {"model_name": "retriever", "model_version": -1, "input_map": {"vector": "v"}, "output_map": {"ids": "ids"}},
]
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "rag": config("query,BOOL stream?", "answer,sources", backend="python"),
    "search": config("query", "ids,FP32 scores,passages", platform="ensemble", ensemble_scheduling={"step": STEPS}),
    "embedder": config("text", "FP32[3] vector", backend="onnxruntime", max_batch_size=4),
    "retriever": config("FP32[3] vector", "ids", backend="python", max_batch_size=4),
    "slow": config("query", "answer"),
    "failing": config("query", "answer"),
}
STATES = [*((name, "1", "READY", "") for name in CONFIGS), ("bad", "1", "UNAVAILABLE", f"no weights {HOSTILE}")]


class Upstream(NamedTuple):
    """The server, and whether the stream of its slow model has been closed by who asked."""

    here: Speaking
    closed: threading.Event


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Run the server."""
    closed = threading.Event()

    def slow() -> Iterator[bytes]:
        try:
            while not closed.wait(0.01):
                yield events({"answer": "word "})
        finally:
            closed.set()

    def answer(asked: Asked) -> Said:
        _, _, *path = asked.path.split("/")
        if path == ["models", "slow", "generate_stream"]:
            return Said(b"", head={"Content-Length": "999999"}, more=slow())
        return _answer(path)

    with speaking(answer) as here:
        yield Upstream(here, closed)
        closed.set()


def _answer(path: list[str]) -> Said:
    match path:
        case ["repository", "index"]:
            return index(STATES)
        case ["models", name, *_, "config"]:
            return plain(CONFIGS[name])
        case ["models", name, *_, "generate_stream"]:
            return STREAMS[name]
        case ["models", name, *_, "infer"]:
            return inferred(**TENSORS[name])
        case _:
            return plain({"name": "triton", "version": "2.51.0"})


TENSORS = {
    "embedder": {"vector": np.array([[1.5, np.nan, -np.inf]])},
    "retriever": {"ids": np.array([[f"id {HOSTILE}".encode(), b"\xff"]], object)},
}


def work(server: Upstream) -> Work:
    """Return what a page works on: this server, and the steps of one model, which no served config has."""
    steps = (Step("embedder", "1", "onnxruntime", (Port("text", "query"),), (Port("vector", "v"),)),)
    known = {"rag": Pipeline("rag", (Tensor("query"),), (Tensor("answer"),), steps)}
    return Work(Endpoint(server.here.url, 30, 30, NO_GRPC), known)


FOUND = {"ids": ["a", "b"], "scores": [0.5, 0.25], "passages": ["one", "two"], "metadata": ["{}", "{}"]}
STREAMS = {
    "rag": Said(events({"sources": json.dumps(SOURCES)}, {"answer": "An answer "}, {"answer": HOSTILE})),
    "search": Said(events(FOUND)),
    "embedder": Said(events({"vector": [1.5, 2, 3]})),
    "failing": Said(events({"answer": "half "}, {"error": "out of memory"})),
}
