"""text_input [1] STRING, stream [1] BOOL, … -> text_output [1] STRING, one piece of the answer per response.

Inputs return_NAME [1] BOOL ask for finish_reason STRING, num_input_tokens and num_output_tokens UINT32, [1] each, which
come with the last response, as far as the endpoint says them.
The answer comes from an endpoint with OpenAI's API, as settings.json describes it. The inputs are those of the vLLM
backend: `text_input` is a list of messages as JSON, which the prompt step writes, or what the user says. The endpoint
applies the chat template of its model. Requests are in flight together, in one event loop of one thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

# the server imports model.py as a module of its version directory: python_backend, src/pb_stub.cc, StubSetup
from . import chat_request  # noqa: TID252
from .chatting import Endpoint, Refused  # noqa: TID252
from .refusals import Fault  # noqa: TID252

WATCH_S = 0.2
"""How often the server is asked whether the clients still wait."""

CLOSING_S = 5
COUNTED = ("num_input_tokens", "num_output_tokens")
TOLD = ("finish_reason", *COUNTED)
"""What the vLLM backend says of an answer if it is asked. Source: vllm_backend, src/model.py, auto_complete_config."""


class TritonPythonModel:
    """The model of this step."""

    def initialize(self, args: dict[str, str]) -> None:
        """Start the event loop and ask the endpoint for its models."""
        here = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            self.settings = json.load(f)
        self.named = frozenset({*self.settings["extra"], *self.settings["sampling"]})
        self.endpoint = Endpoint(self.settings, os.environ)
        self.asked: set[Asked] = set()
        self.ended = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.run, self.watch)]
        for thread in self.threads:
            thread.start()
        try:
            self.check()
        except Exception:
            self.finalize()
            raise

    def check(self) -> None:
        """Let the load fail if the endpoint says that it can never answer, or if it must be up already."""
        if self.settings["check"] == "never":
            return
        try:
            asyncio.run_coroutine_threadsafe(self.endpoint.check(), self.loop).result()
        except Refused:
            raise
        except Fault as fault:
            if self.settings["check"] == "always":
                raise
            pb_utils.Logger.log_warn(f"{fault}; the model is loaded all the same, and asks it for each request")

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> None:
        """Accept the requests; each is answered through its own response sender."""
        for request in requests:
            asked = Asked(request.get_response_sender())
            try:
                asked.read(request)
                body = self.body(asked)
            except Exception as error:
                invalid = isinstance(error, ValueError)
                asked.fail(str(error), pb_utils.TritonError.INVALID_ARG if invalid else pb_utils.TritonError.INTERNAL)
                continue
            self.loop.call_soon_threadsafe(self.begin, asked, body)

    def body(self, asked: Asked) -> bytes:
        """Return the body of the endpoint's request."""
        defaults = self.settings["sampling"]
        given = asked.sampling
        if given is None:  # as the vLLM backend reads them, among parameters of others
            given = chat_request.picked(asked.parameters, self.named)
        chosen = chat_request.sampling(given, defaults, self.named)
        counted = not asked.wanted.isdisjoint(COUNTED)
        return chat_request.body(self.settings, chat_request.messages(asked.prompt), chosen, counted=counted)

    def begin(self, asked: Asked, body: bytes) -> None:
        """Begin to answer a request."""
        asked.task = self.loop.create_task(self.serve(asked, body))
        self.asked.add(asked)
        asked.task.add_done_callback(lambda _: self.asked.discard(asked))

    async def serve(self, asked: Asked, body: bytes) -> None:
        """Send the responses to one request; an error is the last one, and only of this request."""
        try:
            told = dict[str, Any]()
            await asked.send(self.endpoint.answer(body, told), told)
        except asyncio.CancelledError:
            asked.fail("the request was cancelled", pb_utils.TritonError.CANCELLED)
        except Fault as fault:
            asked.fail(str(fault), fault.code)
        except Exception as error:
            asked.fail(f"{type(error).__name__}: {error}", pb_utils.TritonError.INTERNAL)

    def run(self) -> None:
        """Run the event loop until the model is unloaded."""
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def watch(self) -> None:
        """Cancel the requests whose clients have left; closing its connection tells the endpoint."""
        while not self.ended.wait(WATCH_S):
            for asked in self.asked.copy():
                with suppress(Exception):  # this thread goes on for the other requests
                    if asked.is_cancelled() and asked.task is not None:
                        self.loop.call_soon_threadsafe(asked.task.cancel)

    def finalize(self) -> None:
        """End the threads. The server unloads a model only after the last response to each request."""
        self.ended.set()
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self.close(), self.loop).result(CLOSING_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        for thread in self.threads:
            thread.join(CLOSING_S)

    async def close(self) -> None:
        """Close the connections, which takes one more turn of the loop."""
        self.endpoint.open().close()
        await asyncio.sleep(0)


class Asked:
    """One request: its inputs, and its responses."""

    def __init__(self, sender: Any) -> None:  # noqa: ANN401  pb_utils does not export the type of a sender
        """Take the sender, with which a request that cannot be read is answered too."""
        self.sender, self.ended, self.lock = sender, False, threading.Lock()
        self.task: asyncio.Task[None] | None = None

    def read(self, request: pb_utils.InferenceRequest) -> None:
        """Read the inputs, whose memory the server may use again once `execute` has returned."""
        given = {name: first(request, name) for name in ("text_input", "stream", "exclude_input_in_output")}
        self.prompt = text(given["text_input"])
        self.streams = bool(given["stream"])
        exclude = given["exclude_input_in_output"]
        # vllm_backend, src/utils/request.py, GenerateRequest: only a whole answer begins with its input
        self.prepends = not self.streams if exclude is None else not exclude
        if self.prepends and self.streams:
            raise ValueError("exclude_input_in_output cannot be false in a request with stream")
        self.wanted = frozenset(name for name in TOLD if first(request, f"return_{name}"))
        given_sampling = first(request, "sampling_parameters")
        self.sampling = None if given_sampling is None else text(given_sampling)
        self.parameters = request.parameters()

    async def send(self, pieces: AsyncGenerator[str, None], told: dict[str, Any]) -> None:
        """Send each piece of an answer, or all at the end if the request does not stream, and what is told of it."""
        kept = [self.prompt] if self.prepends else []  # nothing if the request streams
        async with aclosing(pieces):
            async for piece in pieces:
                if self.streams:
                    self.sender.send(response(piece))
                else:
                    kept.append(piece)
        more = {name: told[name] for name in TOLD if name in self.wanted and name in told}
        self.finish(None if self.streams and not more else response("".join(kept), more))

    def fail(self, message: str, code: int) -> None:
        """End the request with an error."""
        self.finish(pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code)))

    def finish(self, last: pb_utils.InferenceResponse | None) -> None:
        """Send the last response; the server lets go of the request with it, and may not be asked about it later."""
        with self.lock:
            if self.ended:
                return
            self.ended = True
            final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            if last is None:
                self.sender.send(flags=final)
            else:
                self.sender.send(last, flags=final)

    def is_cancelled(self) -> bool:
        """Whether the client has left."""
        with self.lock:
            return not self.ended and bool(self.sender.is_cancelled())


def first(request: pb_utils.InferenceRequest, name: str) -> Any:  # noqa: ANN401  text or a flag
    """Return the first value of an input; None if it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    values = [] if tensor is None else tensor.as_numpy().ravel()
    return values[0] if len(values) else None


def text(value: bytes | None) -> str:
    """Return a value of a STRING tensor as text."""
    return bytes(value or b"").decode("utf-8", "replace")


def response(piece: str, more: dict[str, Any] | None = None) -> pb_utils.InferenceResponse:
    """Return a response with this text, and more outputs: texts, or numbers of tokens."""
    values = {"text_output": piece, **(more or {})}
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, of_value(value)) for name, value in values.items()])


def of_value(value: str | int) -> NDArray[Any]:
    """Return a tensor [1] with a text or a number of tokens."""
    if isinstance(value, str):
        return np.array([value.encode("utf-8", "replace")], dtype=object)
    return np.array([value], np.uint32)
