"""query [1] STRING and more inputs -> sources [1] STRING, then the pieces of answer [-1] STRING, one per response.

Inputs return_NAME ask for finish_reason, num_input_tokens and num_output_tokens of the last model, where it has them.

calls.json has the models that it calls, with their versions. settings.json has `steps`, the calls in their order: which
tensor each input and output of the model is, and how many axes are put before an input (-1: its first one is taken
away). The last model answers with a stream. `sources` has the tensors that become the list of sources, and `threads` is
how many requests are answered at a time; others wait.

Without `stream`, all is in one response, since HTTP's generate accepts no second one (server, src/http_server.cc,
SendChunkResponse).
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Lock, Semaphore
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

# the server imports model.py as a module of its version directory: python_backend, src/pb_stub.cc, StubSetup
from .conversation import conversation  # noqa: TID252

WAITING = 12
"""How many calls of steps can wait at a time, and how many of the last model for its first response.

Each occupies one of the 32 threads with which the server also sends this model's responses (python_backend,
src/python_be.cc, thread_pool_size and ExecuteBLSRequest): more of them would hold up streams that have begun.
"""

Tensors = dict[str, NDArray[Any]]


class TritonPythonModel:
    """The model of this pipeline."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read what to call."""
        here = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(here, "calls.json"), encoding="utf-8") as f:
            versions = json.load(f)
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            settings = json.load(f)
        *self.steps, self.last = [Step(each, versions[each["model"]]) for each in settings["steps"]]
        self.found = settings["sources"]
        self.inputs = [tensor["name"] for tensor in json.loads(args["model_config"])["input"]]
        self.pool = ThreadPoolExecutor(settings["threads"])
        self.calling, self.starting = Semaphore(WAITING), Semaphore(WAITING)
        self.lock, self.ended = Lock(), list[Any]()

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Answer each request in a thread, which sends its responses."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self.pool.submit(self.serve, Asked(request, sender, self.inputs))
            except Exception as error:
                refuse(sender, error)

    def finalize(self) -> None:
        """End the threads. The server unloads a model only after the last response to each request."""
        self.pool.shutdown(wait=False)

    def serve(self, asked: Asked) -> None:
        """Send the responses to one request; an error is the last one, and only of this request."""
        try:
            with closing(self.responses(asked)) as responses:
                for tensors in responses:
                    asked.sender.send(pb_utils.InferenceResponse(tensors))
        except Exception as error:
            refuse(asked.sender, error)
        else:
            asked.sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def responses(self, asked: Asked) -> Generator[list[pb_utils.Tensor]]:
        """Yield the tensors of each response to a request, for as long as its client waits for them."""
        tensors = asked.tensors
        if "query" in self.inputs and "query" not in tensors:
            tensors["query"] = of_text(question(tensors))
        for step in self.steps:
            with self.calling:
                if asked.sender.is_cancelled():
                    return
                tensors |= step.call(tensors, asked)
        sources = [pb_utils.Tensor("sources", of_text(listed(self.found, tensors)))] if "sources" in asked.names else []
        if asked.streams and sources:
            yield sources
            sources = []
        with closing(self.pieces(asked)) as pieces:
            if asked.streams:
                for piece in pieces:
                    yield [pb_utils.Tensor(name, array) for name, array in piece.items()]
            else:
                whole = joined([*pieces])
                yield [*(pb_utils.Tensor(name, array) for name, array in whole.items()), *sources]

    def pieces(self, asked: Asked) -> Generator[Tensors]:
        """Yield the pieces of the answer, with what is said of each; stop when the client has left.

        Servers since 25.04 can end the last model's work (python_backend, "Cancelling decoupled BLS requests"). It is
        read to its end: the server would keep what is left, and hang when the model is unloaded (seen with 24.10,
        src/pb_stub.cc, SendCleanupId, which waits for a lock of the iterators that are destroyed).
        """
        if "answer" not in asked.names:
            return
        with self.starting:
            if asked.sender.is_cancelled():
                return
            found = self.last.request(asked.tensors, asked).exec(decoupled=True)
        try:
            while not asked.sender.is_cancelled() and (response := next(found, None)) is not None:
                if outputs := self.last.outputs(response):
                    yield outputs
        finally:
            getattr(found, "cancel", int)()
            while next(found, None) is not None:
                pass
            self.drop(found, asked.sender)

    def drop(self, found: Any, sender: Any) -> None:  # noqa: ANN401  pb_utils does not export their types
        """Let go of streams that were read to their end, once the server has let go of them.

        If the server is the last to do so, it frees their arrays in a thread without Python's lock, which crashes this
        process until 24.12 (python_backend, src/pb_stub.cc, SendCleanupId; src/pb_tensor.cc, ~PbTensor). It does so
        before it says whether a client has left, unless that is known already: then a later request waits for it.
        """
        with self.lock:
            ended, self.ended = [*self.ended, found], []
        if sender.is_cancelled():
            with self.lock:
                self.ended += ended


class Asked:
    """One request: its inputs, the outputs that it wants, and what is passed on to each step."""

    def __init__(self, request: pb_utils.InferenceRequest, sender: Any, inputs: list[str]) -> None:  # noqa: ANN401  pb_utils does not export the type of a sender
        """Read a request, whose memory the server may use again once `execute` has returned."""
        found = ((name, pb_utils.get_input_tensor_by_name(request, name)) for name in inputs)
        self.tensors: Tensors = {name: np.array(tensor.as_numpy()) for name, tensor in found if tensor is not None}
        self.names = set(request.requested_output_names())
        self.sender = sender
        self.streams = bool(np.any(self.tensors.get("stream", np.array(0))))
        kept = json.loads(request.parameters() or "{}").items()
        self.passed: dict[str, Any] = {
            "request_id": request.request_id(),
            "timeout": request.timeout(),
            "parameters": {name: value for name, value in kept if isinstance(value, bool | int | str)},
        }


class Step:
    """A call of a model."""

    def __init__(self, settings: dict[str, Any], version: int) -> None:
        """Take the call as settings.json has it."""
        self.model, self.version = settings["model"], version
        self.takes, self.gives, self.axes = settings["inputs"], settings["outputs"], settings["axes"]

    def call(self, tensors: Tensors, asked: Asked) -> Tensors:
        """Return the tensors that the model makes of these."""
        return self.outputs(self.request(tensors, asked).exec())

    def request(self, tensors: Tensors, asked: Asked) -> pb_utils.InferenceRequest:
        """Return the request, with those of its inputs that are there."""
        given = ((name, tensors[tensor]) for name, tensor in self.takes.items() if tensor in tensors)
        return pb_utils.InferenceRequest(
            model_name=self.model,
            model_version=self.version,
            requested_output_names=[name for name in self.gives if self.wants(name, tensors)],
            inputs=[pb_utils.Tensor(name, shaped(array, self.axes.get(name, 0))) for name, array in given],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
            **asked.passed,
        )

    def wants(self, output: str, tensors: Tensors) -> bool:
        """Whether an output is needed: some are only made if an input asks for them."""
        asking = self.takes.get(f"return_{output}")
        return asking is None or bool(np.any(tensors.get(asking, np.array(0))))

    def outputs(self, response: pb_utils.InferenceResponse) -> Tensors:
        """Return the outputs of a response; raise StepError if it has an error."""
        if response.has_error():
            raise StepError(f"step {self.model}: {response.error().message()}", response.error().code())
        return {self.gives[tensor.name()]: tensor.as_numpy() for tensor in response.output_tensors()}


class StepError(Exception):
    """The error of a step, with its code."""


def refuse(sender: Any, error: Exception) -> None:  # noqa: ANN401  pb_utils does not export the type of a sender
    """Send an error as the last response: that of a step with its code."""
    code = pb_utils.TritonError.INVALID_ARG if isinstance(error, ValueError) else pb_utils.TritonError.INTERNAL
    message, code = error.args if isinstance(error, StepError) else (str(error), code)
    response = pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def joined(pieces: list[Tensors]) -> Tensors:
    """Return pieces of an answer as one: texts follow each other, tokens are added up, and the last reason counts."""
    rows = {name: [piece[name] for piece in pieces if name in piece] for piece in pieces for name in piece}
    whole = {name: arrays[-1] for name, arrays in rows.items()}
    if "answer" in rows:
        whole["answer"] = np.concatenate(rows["answer"])
    if "num_output_tokens" in rows:
        whole["num_output_tokens"] = np.sum(rows["num_output_tokens"], axis=0, dtype=np.uint32)
    return whole


def shaped(array: NDArray[Any], axes: int) -> NDArray[Any]:
    """Return an array with one axis more or less at its front."""
    return array[None] if axes > 0 else array[0] if axes < 0 else array


def of_text(text: str) -> NDArray[Any]:
    """Return a STRING tensor [1]."""
    return np.array([text.encode("utf-8", "replace")], dtype=object)


def texts(array: NDArray[Any]) -> list[str]:
    """Return the values of a STRING tensor."""
    return [value.decode("utf-8", "replace") for value in array.ravel()]


def question(tensors: Tensors) -> str:
    """Return the question with which a conversation ends; raise ValueError if it has none."""
    if "messages" not in tensors:
        raise ValueError("the request has neither query nor messages")
    said = conversation(bytes(tensors["messages"].ravel()[0]))
    if said.question is None:
        raise ValueError("messages must end with a turn of the user")
    return said.question


def listed(found: dict[str, str], tensors: Tensors) -> str:
    """Return the passages that are in the prompt as a JSON list, in its order."""
    ids, passages = texts(tensors[found["ids"]]), texts(tensors[found["passages"]])
    scores = tensors[found["scores"]].ravel().tolist()
    used = int(tensors[found["used"]].ravel()[0]) if "used" in found else len(ids)
    metadata = texts(tensors[found["metadata"]]) if "metadata" in found else ["{}"] * len(ids)
    rows = zip(ids[:used], passages, scores, metadata)
    return json.dumps([source(*row) for row in rows], ensure_ascii=False)


def source(id_: str, text: str, score: float, metadata: str) -> dict[str, Any]:
    """Return a passage with what its document says of it; null if there is no title, address or number."""
    try:
        said = json.loads(metadata, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise RuntimeError(f"the metadata of passage {id_!r} is not valid JSON: {error}") from None
    said = said if isinstance(said, dict) else {}
    title, url = said.pop("title", None), said.pop("url", None)
    number = float(f"{score:.7g}") if np.isfinite(score) else None  # the digits that FP32 has
    return {"id": id_, "title": title, "url": url, "score": number, "text": text, "metadata": said}
