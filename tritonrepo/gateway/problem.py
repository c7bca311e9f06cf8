"""What went wrong with a request, in OpenAI's form: the HTTP status, and an `error` with message, type, param and code.

Source of the form: https://platform.openai.com/docs/guides/error-codes and the official client, `_exceptions.py`, which
chooses its exception by the status.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from tritonrepo.plain import inline
from tritonrepo.server.calls import CallError

BAD, REFUSED, SERVER = "invalid_request_error", "rate_limit_error", "server_error"
NOT_FOUND, DATA_LOSS, UNAVAILABLE = "NOT_FOUND", "DATA_LOSS", "UNAVAILABLE"

STATUSES = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "OUT_OF_RANGE": HTTPStatus.BAD_REQUEST,
    NOT_FOUND: HTTPStatus.NOT_FOUND,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    "CANCELLED": HTTPStatus.SERVICE_UNAVAILABLE,
    "DEADLINE_EXCEEDED": HTTPStatus.GATEWAY_TIMEOUT,
    # it is this process that Triton, or what stands before it, does not accept
    "UNAUTHENTICATED": HTTPStatus.BAD_GATEWAY,
    "PERMISSION_DENIED": HTTPStatus.BAD_GATEWAY,
    "UNIMPLEMENTED": HTTPStatus.BAD_GATEWAY,
    DATA_LOSS: HTTPStatus.BAD_GATEWAY,
}
"""gRPC's status → HTTP's; any other is 500."""

UNKNOWN_MODEL = re.compile(r"Request for unknown model: ")
"""A stream sends this one without a status (server, src/grpc/stream_infer_handler.cc; seen with 24.10)."""

BY_REQUEST = re.compile(
    r"(?:in ensemble '[^']{1,255}', )?(?:step \S{1,255}: )?(?:max_tokens must |sampling_parameters |the query has [0-9]"
    r"|the prompt with the query needs |messages|the role of |metadata\[|Error generating stream: (?:Was trying to "
    r"create `TritonSamplingParams`|The (?:decoder )?prompt ))"
)
"""Words of our prompt step and of the vLLM backend that blame the request.

Those of a step that a Python model calls arrive as INTERNAL, and so do those of the backend (seen with 24.10).
"""

TOO_LONG = re.compile(r"longer than the maximum model length|the prompt with the query needs|the query has [0-9]+ char")

LOST = re.compile(r"failed to connect|connection|socket|goaway|recvmsg|dns|name resolution|handshake", re.IGNORECASE)
"""Words of gRPC itself about a server that is away; they hold its address, which is no client's business."""

DEAD = re.compile(r"Stub process '[^']{1,255}' is not healthy")
"""How Triton refuses every request of a Python model whose process has died, though it calls the model ready."""

LONGEST = 256
"""How many characters of a name or path a message quotes."""

AWAY = "Triton cannot be reached, or its connection was lost; try again later"

RETRY_S = 1
"""After how many seconds a client may try again what was refused for lack of room, or while Triton restarts."""


class Problem(Exception):  # noqa: N818  becomes a response
    """A request cannot be answered; `param` names the field at fault, and `detail` is for the log alone."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = int(status), message, param, code
        self.detail = ""

    def body(self) -> dict[str, Any]:
        """Return it in OpenAI's form."""
        about = {"message": self.message, "type": self._type(), "param": self.param, "code": self.code}
        return {"error": about}

    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        if self.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            return {"retry-after": str(RETRY_S)}
        return {"www-authenticate": "Bearer"} if self.status == HTTPStatus.UNAUTHORIZED else {}

    def _type(self) -> str:
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return REFUSED
        return SERVER if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR else BAD


def wrong(message: str, param: str | None = None, code: str | None = None) -> Problem:
    """Return the problem of a request that must be changed."""
    return Problem(HTTPStatus.BAD_REQUEST, message, param, code)


def unknown_model(model: str, hint: str = "") -> Problem:
    """Return the problem of a model that is not offered."""
    message = f"the model `{inline(model[:LONGEST])}` does not exist or is not served here{f'. {hint}' if hint else ''}"
    return Problem(HTTPStatus.NOT_FOUND, message, "model", "model_not_found")


def of_call(error: CallError, model: str) -> Problem:
    """Return what an error of Triton's means to the client."""
    if UNKNOWN_MODEL.match(error.words) or error.status == NOT_FOUND:
        return unknown_model(model)
    blamed = error.status in {"INTERNAL", "UNKNOWN"} and BY_REQUEST.match(error.words)
    status = HTTPStatus.BAD_REQUEST if blamed else STATUSES.get(error.status, HTTPStatus.INTERNAL_SERVER_ERROR)
    status = HTTPStatus.SERVICE_UNAVAILABLE if DEAD.search(error.words) else status
    code = error.status.lower()
    if status == HTTPStatus.BAD_REQUEST:
        code = "context_length_exceeded" if TOO_LONG.search(error.words) else "invalid_value"
    elif status == HTTPStatus.TOO_MANY_REQUESTS and "larger than max" in error.words:
        status = HTTPStatus.BAD_GATEWAY  # gRPC's own words about a message that is too large
    lost = error.status == UNAVAILABLE and LOST.search(error.words)
    problem = Problem(status, AWAY if lost else error.words or error.status, None, code)
    problem.detail = error.words if lost else ""
    return problem
