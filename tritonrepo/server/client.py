"""A small client of Triton's HTTP protocol, with the standard library: health, index, metadata, inference, generate.

Source of the paths and forms: Triton's docs/protocol (extension_generate.md, extension_model_repository.md) and the
KServe v2 protocol; the responses to errors were seen from Triton 24.10.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    RemoteDisconnected,
)
from typing import Any, NamedTuple
from urllib.parse import quote

from tritonrepo.diagnostics import Stop, failure, fatal
from tritonrepo.server import statistics
from tritonrepo.server.denial import admit
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.reaching import Cause, Port, cause
from tritonrepo.server.tensors import Request, Tensor, packed
from tritonrepo.server.unpacking import LARGEST, shortened, unpacked
from tritonrepo.server.wire import events, parsed, shut_after

JSON = {"Content-Type": "application/json"}

SEEN, SHOWN = 1 << 18, 200
"""How much of another service's response is looked at, and of one that makes no sense is quoted, in bytes."""

CUT = "the connection closed before the end of the response"


class ModelState(NamedTuple):
    """A version of a model in the repository index; state and version are empty for a model that was never loaded."""

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""


class Client:
    """A client of one server over HTTP; raise Stop if its URL is not one of a server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.url = endpoint.whole_url
        self._address = endpoint.address()
        self._wire: socket.socket | None = None
        self._aborted = False

    def abort(self) -> None:
        """End what another thread waits for, as if the connection had closed, and any later request of this client."""
        self._aborted = True
        if wire := self._wire:
            with suppress(OSError):
                socket.socket.shutdown(wire, socket.SHUT_RDWR)  # below TLS, as at a deadline

    def live(self) -> bool:
        """Return whether the server has started; 24.10 says no when it could not read its repository at all."""
        return self._status("/v2/health/live")

    def ready(self) -> bool:
        """Return whether the server says it is ready, which proves nothing about models (a dead stub stays ready)."""
        return self._status("/v2/health/ready")

    def peek(self, path: str, most: int = SEEN) -> tuple[str, str]:
        """Return which software says it answers, and the beginning of what it says at a path; empty unless it is OK."""
        with self._asked("GET", path) as response:
            text = response.read(most) if response.status == 200 else b""  # noqa: PLR2004  HTTP's OK
            return response.getheader("Server") or "", text.decode("utf-8", "replace")

    def told(self, path: str) -> dict[str, Any]:
        """Return the JSON object that a service of any kind has at a path; empty if it has none."""
        return parsed(self.peek(path, LARGEST >> 4)[1])

    def server_version(self) -> str:
        """Return the version of the server in its own words, such as 2.51.0."""
        return str(self.about().get("version", ""))

    def index(self) -> list[ModelState]:
        """Return every model of the server's repositories, one entry per version, in the server's order."""
        models = self._json("POST", "/v2/repository/index", {})
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            raise self._odd(models)
        return [ModelState(*(str(model.get(field, "")) for field in ModelState._fields)) for model in models]

    def about(self) -> dict[str, Any]:
        """Return the server's metadata: name, version, extensions."""
        return self._mapping(self._json("GET", "/v2"))

    def load(self, model: str) -> None:
        """Load a model, or load it again if its files changed, and wait for that; raise Stop with the reason if not."""
        self._asked_for("load", model)

    def unload(self, model: str) -> None:
        """Unload a model."""
        self._asked_for("unload", model)

    def metadata(self, model: str) -> dict[str, Any]:
        """Return a model's metadata: name, versions, platform, inputs, outputs."""
        return self._mapping(self._json("GET", _path(model, "")))

    def config(self, model: str, version: str = "") -> dict[str, Any]:
        """Return the config that a model is served with, completed, as the JSON form of ModelConfig."""
        return self._mapping(self._json("GET", f"{_path(model, version)}/config"))

    def shared(self, model: str, version: str) -> int:
        """Return how many more requests than executions a version has had so far: each shared one with another."""
        path = f"{_path(model, version)}/stats"
        try:
            (counted,) = self._json("GET", path)["model_stats"]
            return statistics.counted(counted).shared
        except (KeyError, TypeError, ValueError) as error:
            raise failure("server-answer", self.url, f"{path}: the response is not statistics: {error!r}") from None

    def statistics(self) -> dict[tuple[str, str], statistics.Counted]:
        """Return model and version → what the server has counted for it, of all that are loaded."""
        answer = self._json("GET", "/v2/models/stats")
        try:
            return statistics.read(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"/v2/models/stats: the response is not statistics: {error!r}"
            raise failure("server-answer", self.url, message) from None

    def content(self, most: int) -> tuple[int, bytes]:
        """Return the HTTP status and the content of the URL itself, at most one byte more than `most`."""
        with self._asked("GET", "") as response:
            return response.status, response.read(most + 1)

    def infer(self, request: Request) -> dict[str, Tensor]:
        """Return a model's single response; tensors are binary, so every data type and NaN arrives unchanged."""
        body, length = packed(request)
        path = f"{_path(request.model, request.version)}/infer"
        head = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}
        with self._asked("POST", path, body, head) as response:
            content = self._whole(path, response)
        if response.status != 200:  # noqa: PLR2004  HTTP's OK
            raise self._refused(path, response, self._parsed(content))
        said = response.getheader("Inference-Header-Content-Length", str(len(content)))
        size = int(said) if said.isdecimal() and len(said) < 20 else len(content)  # noqa: PLR2004  digits of 2^64
        try:
            return unpacked(self._parsed(content[:size]), content[size:])
        except ValueError as error:
            message = f"{path}: the response is not an inference response: {error}"
            raise failure("server-answer", self.url, message) from None

    def generate(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a model's single response to inputs given by name."""
        return self._mapping(self._json("POST", f"{_path(model, '')}/generate", inputs))

    def stream(self, model: str, inputs: Mapping[str, Any], version: str = "") -> Generator[dict[str, Any]]:
        """Yield a model's responses as they arrive; closing the iterator closes the connection."""
        path = f"{_path(model, version)}/generate_stream"
        with self._asked("POST", path, json.dumps(inputs).encode()) as response:
            for event in events(self._pieces(path, response)):
                answer = self._mapping(self._parsed(event))
                if "error" in answer:
                    words = self.endpoint.without_secrets(str(answer["error"]))
                    raise failure("server-refused", self.url, shortened(f"{model}: {words}"))
                yield answer
            if response.status >= 400:  # noqa: PLR2004  a response with an error status but no error text
                message = f"{model}: the response has HTTP status {response.status}"
                raise failure("server-refused", self.url, message)

    def _asked_for(self, what: str, model: str) -> None:
        path = f"/v2/repository/models/{quote(model, safe='')}/{what}"
        with self._asked("POST", path, b"{}") as response:
            text = response.read()
        if response.status != 200:  # noqa: PLR2004  HTTP's OK
            raise self._refused(path, response, self._parsed(text))

    def _status(self, path: str) -> bool:
        with self._asked("GET", path) as response:
            return response.status == 200  # noqa: PLR2004  HTTP's OK

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  JSON
        with self._asked(method, path, None if body is None else json.dumps(body).encode()) as response:
            text = self._whole(path, response)
        answer = self._parsed(text)
        if response.status != 200:  # noqa: PLR2004
            raise self._refused(path, response, answer)
        return answer

    def _whole(self, path: str, response: HTTPResponse) -> bytes:
        return b"".join(self._pieces(path, response))

    def _pieces(self, path: str, response: HTTPResponse) -> Iterator[bytes]:
        """Yield a body as it arrives, at most the size that a response may have.

        `read1` returns what has arrived: `read` would wait for more, and `readline` accepts a broken chunked body.
        """
        left = LARGEST
        while left >= (response.length or 0) and (got := response.read1(1 << 16)):
            left -= len(got)
            yield got
        if left < (response.length or 0):
            message = f"{path}: the response is larger than {LARGEST >> 20} MiB"
            raise failure("server-answer", self.url, message)
        if response.length:  # http.client reports an early end only of a body that is read at once
            message = f"{CUT}: {response.length} bytes are missing"
            raise failure("server-answer", self.url, message, "Check the server's log.")

    def _refused(self, path: str, response: HTTPResponse, answer: Any) -> Stop:  # noqa: ANN401  JSON
        said = answer.get("error") if isinstance(answer, dict) else None
        words = self.endpoint.without_secrets(str(said or f"HTTP {response.status}"))
        return failure("server-refused", self.url, shortened(f"{path}: {words}"))

    def _parsed(self, text: bytes) -> Any:  # noqa: ANN401  JSON
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            shown = self.endpoint.without_secrets(text[:SHOWN].decode("utf-8", "replace")) or "an empty response"
            hint = "Check that this is the HTTP port of a Triton server, by default 8000."
            raise failure("server-answer", self.url, f"the response is not JSON: {shown}", hint) from None

    def _mapping(self, answer: object) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise self._odd(answer)
        return answer

    def _odd(self, answer: object) -> Stop:
        said = self.endpoint.without_secrets(json.dumps(answer))
        message = f"the response does not have Triton's format: {said[:60]}"
        return failure("server-answer", self.url, message, "Check that this is the HTTP port of a Triton server.")

    @contextmanager
    def _asked(
        self, method: str, path: str, body: bytes | None = None, head: Mapping[str, str] = JSON
    ) -> Iterator[HTTPResponse]:
        connection = self._connection()
        connected = False
        try:
            connection.connect()
            connected, self._wire = True, connection.sock
            if self._aborted:
                raise ConnectionAbortedError("the request was cancelled")
            with shut_after(self.endpoint.whole_s, connection.sock):
                connection.request(method, self._address.path + path, body, {**head, **self.endpoint.headers})
                with connection.getresponse() as response:
                    admit(response, self.endpoint)
                    yield response
        except (OSError, HTTPException) as error:
            raise self._broken(error, connected=connected) from error
        finally:
            self._wire = None
            connection.close()

    def _connection(self) -> HTTPConnection:
        host, port, _, secure = self._address
        timeout_s = min(self.endpoint.timeout_s, self.endpoint.whole_s or self.endpoint.timeout_s)
        if not secure:
            return HTTPConnection(host, port, timeout=timeout_s)
        return HTTPSConnection(host, port, timeout=timeout_s, context=self.endpoint.tls.context())

    def _broken(self, error: OSError | HTTPException, *, connected: bool) -> Stop:
        timeout_s, whole_s = self.endpoint.timeout_s, self.endpoint.whole_s
        if isinstance(error, TimeoutError) and whole_s is not None:
            return failure("server-late", self.url, f"the response was not complete within {whole_s:g} s")
        if isinstance(error, TimeoutError):
            hint = "Check the server's log: it may be loading models, or overloaded."
            return fatal("server-unreachable", self.url, f"the server sent nothing for {timeout_s:g} s", hint)
        found = self._cause(error)
        if not connected or (found and not found.away):
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            why, hint = (
                (found.message, found.hint) if found else (why, "Check that the server is running on this port.")
            )
            return fatal("server-unreachable", self.url, f"the server cannot be reached: {why}", hint)
        why = self.endpoint.without_secrets(str(error) or type(error).__name__)
        if isinstance(error, BadStatusLine) and not isinstance(error, RemoteDisconnected):
            hint = "Check that this is the HTTP port, by default 8000, not gRPC's. For a port with TLS, use `https://`."
            return failure("server-answer", self.url, f"the response is not HTTP: {why[:60]}", hint)
        message = f"{CUT}: {why}"
        return failure("server-answer", self.url, message, "Check the server's log.")

    def _cause(self, error: OSError | HTTPException) -> Cause | None:
        host, port, _, secure = self._address
        at = Port(host, port or (443 if secure else 80), grpc=False, secure=secure, tls=self.endpoint.tls)
        return cause(at) if isinstance(error, BadStatusLine | OSError) else None  # what else answered speaks HTTP


def _path(model: str, version: str) -> str:
    return f"/v2/models/{quote(model, safe='')}" + (f"/versions/{version}" if version else "")
