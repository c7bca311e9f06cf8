"""Triton's gRPC protocol with tritonclient: one response, or a stream of them up to its final flag.

Source of the final flag: Triton's docs/protocol/extension_parameters.md and docs/user_guide/decoupled_models.md; errors
in a stream come as messages, without a status, and the stream goes on (seen from Triton 24.10).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, Self

from tritonrepo.diagnostics import Stop, failure, fatal
from tritonrepo.server.denial import denied
from tritonrepo.server.endpoint import Endpoint, Tls
from tritonrepo.server.reaching import Port, cause
from tritonrepo.server.streaming import StreamError, Streams
from tritonrepo.server.tensors import Request, Tensor, for_client, missing_extra
from tritonrepo.server.unpacking import LARGEST, of_messages, shortened

LATE = "DEADLINE_EXCEEDED"
AWAY = "UNAVAILABLE"
OTHER = "UNIMPLEMENTED"
FULL = "RESOURCE_EXHAUSTED"
DENIED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}

ADDRESS = "Set the gRPC address (default port 8001) with `--grpc HOST:PORT`, or use only HTTP with `--grpc none`."

FINAL = "Check that the model sends TRITONSERVER_RESPONSE_COMPLETE_FINAL after its last response, and does not hang."

OPTIONS = [
    ("grpc.max_send_message_length", -1),  # no limit
    ("grpc.max_receive_message_length", LARGEST),
]
"""Options of the channel, in place of tritonclient's, which accept a response of 2 GiB."""


class Rpc:
    """A client of one server over gRPC; raise Stop if its address is not valid."""

    def __init__(self, endpoint: Endpoint) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it logs on stderr is in the errors as well
        try:
            import tritonclient.grpc as client
        except (ImportError, RuntimeError) as error:  # the latter if tritonclient is installed without its gRPC part
            raise missing_extra(error) from None
        self.address, self.endpoint = endpoint.grpc_address(), endpoint
        self.whole_s = endpoint.timeout_s if endpoint.whole_s is None else endpoint.whole_s
        self._types, self._headers = client, dict(endpoint.headers)
        secure = endpoint.grpc_secure()
        if secure:
            endpoint.tls.context()  # reports what is wrong with a file; gRPC fails only at the first request
        try:
            self._client = client.InferenceServerClient(
                self.address, ssl=secure, channel_args=OPTIONS, **_files(endpoint.tls)
            )
            self._streams = Streams(self.address, _files(endpoint.tls) if secure else None, OPTIONS)
        except Exception as error:  # noqa: BLE001  grpc rejects an address in many ways
            message = f"this is not the address of a gRPC server: {error}"
            raise fatal("server-url", self.address, message, "Use the form `HOST:PORT`.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._streams.close()
        self._client.close()

    def check(self) -> None:
        """Raise Stop unless a server responds at this address."""
        try:
            self._client.is_server_live(self._headers, client_timeout=self.whole_s)
        except self._types.InferenceServerException as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Any) -> Stop:  # noqa: ANN401  tritonclient has no types
        status, words = _status(error), self.endpoint.without_secrets(str(error.message())).split("\n")[0]
        if status in DENIED:
            return denied(self.endpoint, self.address, status, words)
        if status == OTHER:
            message = "the port speaks gRPC, but it is not the port of a Triton server"
            return fatal("server-unreachable", self.address, message, ADDRESS)
        host, _, port = self.address.rpartition(":")
        endpoint = self.endpoint
        found = cause(Port(host.strip("[]"), int(port), True, endpoint.grpc_secure(), endpoint.tls))  # noqa: FBT003
        why, hint = (found.message, found.hint) if found else (words, ADDRESS)
        return fatal("server-unreachable", self.address, f"the gRPC server cannot be reached: {why}", hint)

    def about(self) -> dict[str, Any]:
        """Return the server's metadata: name, version, extensions."""
        return self._told(self._client.get_server_metadata)

    def statistics(self, model: str, version: str) -> dict[str, Any]:
        """Return what the server has counted for a version, in the form of HTTP's response, with numbers as strings."""
        return self._told(self._client.get_inference_statistics, model, version)

    def config(self, model: str) -> dict[str, Any]:
        """Return the config that a model is served with, in the form of HTTP's response, long numbers as strings."""
        found = self._told(self._client.get_model_config, model)["config"]
        return found if isinstance(found, dict) else {}

    def _told(self, ask: Callable[..., Any], *what: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = ask(*what, headers=self._headers, as_json=True, client_timeout=self.whole_s)
        except self._types.InferenceServerException as error:
            raise self._refused(error) from None
        return answer

    def infer(self, request: Request) -> dict[str, Tensor]:
        """Return a model's single response; raise Stop with the server's words, or when time is up."""
        try:
            result = self._client.infer(
                request.model,
                self._inputs(request),
                request.version,
                headers=self._headers,
                client_timeout=self.whole_s,
                **request.parameters(),
            )
        except self._types.InferenceServerException as error:
            raise self._refused(error) from None
        return self._outputs(result.get_response())

    def stream(self, request: Request) -> Iterator[dict[str, Tensor]]:
        """Yield a decoupled model's responses as they arrive, up to its final flag; raise Stop if it is late."""
        size = 0
        try:
            with closing(self._streams.responses(request, self._headers, self.whole_s)) as responses:
                for response in responses:
                    size += response.ByteSize()
                    if size > LARGEST:
                        raise failure("server-answer", self.address, f"the stream is larger than {LARGEST >> 20} MiB")
                    if outputs := self._outputs(response):
                        yield outputs
                    if response.parameters["triton_final_response"].bool_param:
                        return
        except StreamError as error:
            if error.status == LATE:
                raise self._late("the stream's final flag did not arrive", FINAL) from None
            status = f"StatusCode.{error.status}" if error.status else None
            raise self._refused(self._types.InferenceServerException(error.words, status)) from None
        raise failure("server-answer", self.address, "the server ended the stream without its final flag", FINAL)

    def _outputs(self, response: Any) -> dict[str, Tensor]:  # noqa: ANN401  tritonclient has no types
        try:
            return of_messages(response.outputs, response.raw_output_contents)
        except ValueError as error:
            message = f"the response is not an inference response: {error}"
            raise failure("server-answer", self.address, message) from None

    def _inputs(self, request: Request) -> list[Any]:
        inputs = []
        for tensor in request.inputs:
            given = self._types.InferInput(tensor.name, list(tensor.values.shape), tensor.datatype)
            inputs.append(given.set_data_from_numpy(for_client(tensor)))
        return inputs

    def _refused(self, error: Any) -> Stop:  # noqa: ANN401  tritonclient has no types
        status, message = _status(error), self.endpoint.without_secrets(str(error.message())).strip()
        if status in DENIED:
            return denied(self.endpoint, self.address, status, message)
        if status == LATE:
            return self._late("no response arrived")
        if status == AWAY:
            return fatal("server-unreachable", self.address, f"the connection was lost: {message.splitlines()[0]}")
        if status == FULL and "larger than max" in message:
            return failure("server-answer", self.address, f"the response is larger than {LARGEST >> 20} MiB")
        return failure("server-refused", self.address, shortened(f"{status}: {message}" if status else message))

    def _late(self, what: str, hint: str = "") -> Stop:
        return failure("server-late", self.address, f"{what} within {self.whole_s:g} s", hint)


def _status(error: Any) -> str:  # noqa: ANN401  tritonclient has no types
    return str(error.status() or "").removeprefix("StatusCode.")


def _files(tls: Tls) -> dict[str, str]:
    """Return the TLS files by the names that tritonclient has for them."""
    named = {"root_certificates": tls.ca, "certificate_chain": tls.certificate, "private_key": tls.key}
    if tls.certificate and not tls.key:  # the standard library reads both from one file
        named["private_key"] = tls.certificate
    return {name: str(path) for name, path in named.items() if path}
