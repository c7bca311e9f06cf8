"""Triton's gRPC protocol for a process that serves many at a time: one loop, and a call that ends with its task.

Source of the messages: Triton's docs/protocol; of the status with which a stream ends after an error, since 24.08:
server, docs/customization_guide/inference_protocols.md, "GRPC Status Codes".
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from tritonrepo.server.client import ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.streaming import message
from tritonrepo.server.tensors import Request, Tensor, missing_extra
from tritonrepo.server.unpacking import LARGEST, of_messages, shortened

OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", LARGEST),
    # a server that restarts is back within seconds, while gRPC's own pauses grow up to two minutes
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # a name with several addresses is several servers, such as a headless Service: by default, one would get all calls
    ("grpc.lb_policy_name", "round_robin"),
]

OWN = ("grpc.use_local_subchannel_pool", 1)
"""What keeps a channel from using the connection of another one."""

STATUS = ("triton_grpc_error", "true")
"""Metadata that lets a stream end with the status of its error, which it would otherwise send without one."""

END_S = 2.0
"""How long the server has to end a stream after its last response."""

BROKEN, UNKNOWN = "DATA_LOSS", "UNKNOWN"
"""Statuses of what is no answer: a response that cannot be read, or a stream that ends before its final flag."""


class CallError(Exception):
    """A call failed: the name of gRPC's status, and the server's words."""

    def __init__(self, status: str, words: str) -> None:
        super().__init__(f"{status}: {words}")
        self.status, self.words = status, shortened(words.strip())


class Context(NamedTuple):
    """What goes with a call: its metadata, the id of the request, and how long it may take."""

    metadata: Mapping[str, str] = {}
    id: str = ""
    timeout_s: float = 60


QUIET = Context()


class Calls:
    """A connection to a server, within one event loop; it connects again by itself.

    `own`: it is not shared with others to the same address, as gRPC does otherwise.
    """

    def __init__(self, endpoint: Endpoint, *, own: bool = False) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it logs on stderr is in the errors as well
        try:
            import grpc.aio
            from tritonclient.grpc import service_pb2, service_pb2_grpc
        except (ImportError, RuntimeError) as error:  # the latter if tritonclient is installed without its gRPC part
            raise missing_extra(error) from None
        self.endpoint, self.address = endpoint, endpoint.grpc_address()
        self._grpc, self._types, self._stubs = grpc, service_pb2, service_pb2_grpc
        self._credentials = self._secured() if endpoint.grpc_secure() else None
        self._options = [*OPTIONS, *((OWN,) if own else ())]
        self._channel: Any = None
        self._stub: Any = None

    def _secured(self) -> Any:  # noqa: ANN401  grpc has no types
        tls = self.endpoint.tls
        tls.context()  # reports what is wrong with a file; gRPC fails only at the first request
        files = (tls.ca, tls.key or tls.certificate, tls.certificate)
        return self._grpc.ssl_channel_credentials(*(Path(each).read_bytes() if each else None for each in files))

    async def __aenter__(self) -> Self:
        made = self._grpc.aio
        if self._credentials is None:
            self._channel = made.insecure_channel(self.address, self._options)
        else:
            self._channel = made.secure_channel(self.address, self._credentials, self._options)
        self._stub = self._stubs.GRPCInferenceServiceStub(self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def infer(self, request: Request, about: Context = QUIET) -> dict[str, Tensor]:
        """Return a model's single response; raise CallError."""
        made = message(request, streams=False)
        made.id = about.id
        return self._outputs(await self._asked(self._stub.ModelInfer, made, about))

    async def stream(self, request: Request, about: Context = QUIET) -> AsyncGenerator[dict[str, Tensor]]:
        """Yield a model's responses up to its final flag; raise CallError. Closing it cancels the request."""
        made = message(request)
        made.id = about.id
        async with aclosing(self.messages(made, about)) as responses:
            async for response in responses:
                if outputs := self._outputs(response):
                    yield outputs

    async def messages(self, made: Any, about: Context) -> AsyncGenerator[Any]:  # noqa: ANN401  tritonclient has no types
        """Yield the responses to a message as they arrive, unread, with the one that has the final flag."""
        call = self._stub.ModelStreamInfer(
            _once(made), timeout=about.timeout_s, metadata=[*self._metadata(about), STATUS]
        )
        size = 0
        try:
            async for said in call:
                if said.error_message:
                    raise CallError(UNKNOWN, self.endpoint.without_secrets(said.error_message))
                response = said.infer_response
                size += response.ByteSize()
                if size > LARGEST:
                    raise CallError(BROKEN, f"the stream is larger than {LARGEST >> 20} MiB")
                yield response
                if response.parameters["triton_final_response"].bool_param:
                    await _ended(call)
                    return
        except self._grpc.aio.AioRpcError as error:
            raise self._failed(error) from None
        finally:
            call.cancel()
        raise CallError(BROKEN, "the server ended the stream without its final flag")

    async def message(self, made: Any, about: Context) -> Any:  # noqa: ANN401  tritonclient has no types
        """Return the single response to a message, unread."""
        return await self._asked(self._stub.ModelInfer, made, about)

    async def index(self) -> list[ModelState]:
        """Return every model of the server's repositories, one entry per version."""
        found = await self._asked(self._stub.RepositoryIndex, self._types.RepositoryIndexRequest(), SHORT)
        return [ModelState(each.name, each.version, each.state, each.reason) for each in found.models]

    async def config(self, model: str) -> Any:  # noqa: ANN401  tritonclient has no types
        """Return the config that a model is served with, as ModelConfig."""
        asked = self._types.ModelConfigRequest(name=model)
        return (await self._asked(self._stub.ModelConfig, asked, SHORT)).config

    async def config_json(self, model: str) -> dict[str, Any]:
        """Return the config that a model is served with, in the JSON form that HTTP has; large integers are texts."""
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(await self.config(model), preserving_proto_field_name=True)

    async def ready(self, model: str = "") -> bool:
        """Return whether the server, or a model, says that it is ready; False as well if nothing answers."""
        with suppress(CallError):
            if model:
                asked = self._types.ModelReadyRequest(name=model)
                return bool((await self._asked(self._stub.ModelReady, asked, GLANCE)).ready)
            return bool((await self._asked(self._stub.ServerReady, self._types.ServerReadyRequest(), GLANCE)).ready)
        return False

    def _metadata(self, about: Context) -> list[tuple[str, str]]:
        return [(name.lower(), value) for name, value in (*self.endpoint.headers.items(), *about.metadata.items())]

    async def _asked(self, call: Any, made: Any, about: Context) -> Any:  # noqa: ANN401  grpc has no types
        try:
            return await call(made, timeout=about.timeout_s, metadata=self._metadata(about))
        except self._grpc.aio.AioRpcError as error:
            raise self._failed(error) from None

    def _failed(self, error: Any) -> CallError:  # noqa: ANN401  grpc has no types
        return CallError(error.code().name, self.endpoint.without_secrets(str(error.details() or "")))

    def _outputs(self, response: Any) -> dict[str, Tensor]:  # noqa: ANN401  tritonclient has no types
        try:
            return of_messages(response.outputs, response.raw_output_contents)
        except ValueError as error:
            raise CallError(BROKEN, f"the response is not an inference response: {error}") from None


SHORT, GLANCE = Context(timeout_s=10), Context(timeout_s=3)
"""How long a server has to list its models, and to say whether it is ready."""


async def _ended(call: Any) -> None:  # noqa: ANN401  grpc has no types
    """Wait for the end of a stream that has nothing more to say; Triton logs an error if it is cancelled meanwhile."""
    with suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            async for _ in call:
                pass


async def _once(made: Any) -> AsyncGenerator[Any]:  # noqa: ANN401  tritonclient has no types
    yield made
