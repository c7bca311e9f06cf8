"""A small client of Triton's HTTP protocol, by the standard library: health, index, metadata, inference, generate.

Source of the paths and forms: Triton's docs/protocol (extension_generate.md, extension_model_repository.md) and the
KServe v2 protocol; the answers to faults were seen from Triton 24.10.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    RemoteDisconnected,
)
from ssl import SSLError
from typing import Any, NamedTuple
from urllib.parse import quote

from tritonrepo.diagnostics import Stop, failure, fatal
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.tensors import Request, Tensor, packed, unpacked

JSON = {"Content-Type": "application/json"}


class ModelState(NamedTuple):
    """A version of a model in the repository index; state and version are empty for a model that was never loaded."""

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""


class _Exchange(NamedTuple):
    """A response that is being read; `patience` is called before each read, and sets how long that may take."""

    response: HTTPResponse
    patience: Callable[[], None]


class Client:
    """Talks to one server over HTTP; raise Stop where its URL is none."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.url = endpoint.whole_url
        self._address = endpoint.address()

    def live(self) -> bool:
        """Tell whether the server has started; 24.10 says no when it could not read its repository at all."""
        return self._status("/v2/health/live")

    def ready(self) -> bool:
        """Tell whether the server says it is ready, which proves no model (a dead stub stays ready)."""
        return self._status("/v2/health/ready")

    def index(self) -> list[ModelState]:
        """Return every model of the server's repositories, one entry a version, in the server's order."""
        models = self._json("POST", "/v2/repository/index", {})
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            raise self._odd(models)
        return [ModelState(*(str(model.get(field, "")) for field in ModelState._fields)) for model in models]

    def metadata(self, model: str) -> dict[str, Any]:
        """Return a model's metadata: name, versions, platform, inputs, outputs."""
        return self._mapping(self._json("GET", _path(model, "")))

    def config(self, model: str, version: str = "") -> dict[str, Any]:
        """Return the config that a model is served with, completed, as the JSON form of ModelConfig."""
        return self._mapping(self._json("GET", f"{_path(model, version)}/config"))

    def shared(self, model: str, version: str) -> int:
        """Return by how many the requests that a version has answered are more than its executions, so far.

        Each of them shared an execution with another one. Source: docs/protocol/extension_statistics.md.
        """
        path = f"{_path(model, version)}/stats"
        try:
            (counted,) = self._json("GET", path)["model_stats"]
            return int(counted["inference_stats"]["success"]["count"]) - int(counted["execution_count"])
        except (KeyError, TypeError, ValueError) as error:
            raise failure("server-answer", self.url, f"{path}: the answer is no statistics: {error!r}") from None

    def infer(self, request: Request) -> dict[str, Tensor]:
        """Return a model's one answer; tensors go in binary, so that every data type and every NaN arrives as it is."""
        body, length = packed(request)
        path = f"{_path(request.model, request.version)}/infer"
        head = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}
        with self._asked("POST", path, body, head) as exchange:
            content = _content(exchange)
        if exchange.response.status != 200:  # noqa: PLR2004  HTTP's OK
            raise self._refused(path, exchange.response, self._parsed(content))
        size = int(exchange.response.getheader("Inference-Header-Content-Length") or len(content))
        try:
            return unpacked(self._parsed(content[:size])["outputs"], content[size:])
        except (KeyError, TypeError, ValueError) as error:
            message = f"{path}: the answer is no inference response: {error!r}"
            raise failure("server-answer", self.url, message) from None

    def generate(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a model's one answer to inputs given by name."""
        return self._mapping(self._json("POST", f"{_path(model, '')}/generate", inputs))

    def stream(self, model: str, inputs: Mapping[str, Any], version: str = "") -> Generator[dict[str, Any]]:
        """Yield a model's answers as they come; closing the iterator closes the connection."""
        path = f"{_path(model, version)}/generate_stream"
        with self._asked("POST", path, json.dumps(inputs).encode()) as exchange:
            for event in events(exchange.response, exchange.patience):
                answer = self._mapping(self._parsed(event))
                if "error" in answer:
                    raise failure("server-refused", self.url, f"{model}: {answer['error']}")
                yield answer
            if exchange.response.status >= 400:  # noqa: PLR2004  an answer with an error status that says no error
                raise failure("server-refused", self.url, f"{model}: the answer is HTTP {exchange.response.status}")

    def _status(self, path: str) -> bool:
        with self._asked("GET", path) as exchange:
            return exchange.response.status == 200  # noqa: PLR2004  HTTP's OK

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  JSON
        with self._asked(method, path, None if body is None else json.dumps(body).encode()) as exchange:
            text = _content(exchange)
        answer = self._parsed(text)
        if exchange.response.status != 200:  # noqa: PLR2004
            raise self._refused(path, exchange.response, answer)
        return answer

    def _refused(self, path: str, response: HTTPResponse, answer: Any) -> Stop:  # noqa: ANN401  JSON
        said = answer.get("error") if isinstance(answer, dict) else None
        return failure("server-refused", self.url, f"{path}: {said or f'HTTP {response.status}'}")

    def _parsed(self, text: bytes) -> Any:  # noqa: ANN401  JSON
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            shown = text[:200].decode("utf-8", "replace") or "an empty answer"
            hint = "Is this a Triton server's HTTP port? 8000 is its usual one"
            raise failure("server-answer", self.url, f"the answer is not JSON: {shown}", hint) from None

    def _mapping(self, answer: object) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise self._odd(answer)
        return answer

    def _odd(self, answer: object) -> Stop:
        message = f"the answer is not of Triton's form: {json.dumps(answer)[:60]}"
        return failure("server-answer", self.url, message, "Is this a Triton server's HTTP port?")

    @contextmanager
    def _asked(
        self, method: str, path: str, body: bytes | None = None, head: Mapping[str, str] = JSON
    ) -> Iterator[_Exchange]:
        timeout_s, whole_s = self.endpoint.timeout_s, self.endpoint.whole_s
        deadline = None if whole_s is None else time.monotonic() + whole_s
        connection = self._connection()
        connected = False

        def patience() -> None:
            if deadline is not None:
                wire.settimeout(min(timeout_s, max(0.001, deadline - time.monotonic())))

        try:
            connection.connect()
            connected, wire = True, connection.sock
            connection.request(method, self._address.path + path, body, {**head, **self.endpoint.headers})
            patience()
            with connection.getresponse() as response:
                yield _Exchange(response, patience)
        except (OSError, HTTPException) as error:
            raise self._broken(error, connected=connected) from error
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        host, port, _, secure = self._address
        if not secure:
            return HTTPConnection(host, port, timeout=self.endpoint.timeout_s)
        return HTTPSConnection(host, port, timeout=self.endpoint.timeout_s, context=self.endpoint.tls.context())

    def _broken(self, error: OSError | HTTPException, *, connected: bool) -> Stop:
        timeout_s, whole_s = self.endpoint.timeout_s, self.endpoint.whole_s
        if isinstance(error, TimeoutError) and whole_s is not None:
            return failure("server-late", self.url, f"the answer did not end within {whole_s:g} s")
        if isinstance(error, TimeoutError):
            hint = "Is it loading, or overloaded? Its log says more"
            return fatal("server-unreachable", self.url, f"the server was silent for {timeout_s:g} s", hint)
        if not connected:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            secure = isinstance(error, SSLError)
            hint = "Does this port have TLS, and a certificate that this machine trusts? Without TLS it is http://"
            return fatal(
                "server-unreachable",
                self.url,
                f"the server cannot be reached: {why}",
                hint if secure else "Is it running, and on this port?",
            )
        why = str(error) or type(error).__name__
        if isinstance(error, BadStatusLine) and not isinstance(error, RemoteDisconnected):
            hint = "Is this its HTTP port, and not gRPC's? 8000 is the usual one, and https:// is for one with TLS"
            return failure("server-answer", self.url, f"the answer is not HTTP: {why[:60]}", hint)
        return failure(
            "server-answer", self.url, f"the connection broke off before the answer's end: {why}", "Look into its log"
        )


def _path(model: str, version: str) -> str:
    return f"/v2/models/{quote(model, safe='')}" + (f"/versions/{version}" if version else "")


def _content(exchange: _Exchange) -> bytes:
    """Return the whole body; `read`, unlike `read1`, notices one that is cut short."""
    exchange.patience()
    return exchange.response.read()


def events(response: HTTPResponse, patience: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """Yield the data of server-sent events as they come; a body that is none of them is given as one.

    `read1` gives what is there: `read` would wait for more, and `readline` takes a broken chunked body for a whole one.
    """
    other, rest = b"", b""
    while got := _read(response, patience):
        *lines, rest = (rest + got).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip()
            else:
                other += line
    if other := (other + rest).strip():
        yield other.removeprefix(b"data:")


def _read(response: HTTPResponse, patience: Callable[[], None]) -> bytes:
    patience()
    return response.read1(1 << 16)
