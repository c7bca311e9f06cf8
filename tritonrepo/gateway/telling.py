"""One request and its response: what its head says, and how JSON and server-sent events are sent."""

from __future__ import annotations

import json
import re
import uuid
from http import HTTPStatus
from typing import Any

from starlette.types import Scope, Send

from tritonrepo.gateway.problem import Problem
from tritonrepo.server.calls import Context

REQUEST_ID = "x-request-id"
ID = re.compile(r"[!-~]{1,128}")
"""What an id may be that is passed on."""

TRACES = {
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "tracestate": re.compile(r"[ -~]{1,512}"),
}
"""Headers of a trace that are passed on as metadata (W3C Trace Context; Triton's docs/user_guide/trace.md)."""

JSON, EVENTS = b"application/json", b"text/event-stream; charset=utf-8"


class Asked:
    """A request: its headers, its body as JSON, and the model that answers once it is known."""

    def __init__(self, scope: Scope, began_s: float) -> None:
        self.head = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.id = request_id(self.head.get(REQUEST_ID, ""))
        self.body: Any = None
        self.model, self.began_s = "", began_s

    def context(self, timeout_s: float) -> Context:
        """Return what goes to Triton with the request."""
        told = {name: self.head[name] for name, form in TRACES.items() if form.fullmatch(self.head.get(name, ""))}
        return Context({**told, REQUEST_ID: self.id}, self.id, timeout_s)


def request_id(said: str) -> str:
    """Return the id that a client gave to its request, a new one if it is not usable."""
    return said if ID.fullmatch(said) else uuid.uuid4().hex


class Out:
    """The response to a request, as it is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.events = False

    async def json(self, body: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a whole response."""
        await self.whole(dumped(body), status, headers)

    async def whole(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a whole response that is JSON already."""
        told = {"content-type": JSON.decode(), "content-length": str(len(content)), **(headers or {})}
        await self._start(status, told)
        await self._send({"type": "http.response.body", "body": content})

    async def event(self, data: object) -> None:
        """Send an event; the first one begins the response."""
        await self._event(dumped(data))

    async def done(self) -> None:
        """Send the last event."""
        await self._event(b"[DONE]")
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, problem: Problem) -> None:
        """Send what went wrong: as the response, or as an event if events were sent."""
        if self.events:
            await self.event(problem.body())
            await self.done()
        elif not self.status:
            await self.json(problem.body(), problem.status, problem.headers())

    async def _event(self, data: bytes) -> None:
        if not self.status:
            self.events = True
            # a proxy such as nginx would collect the events otherwise
            await self._start(HTTPStatus.OK, {"content-type": EVENTS.decode(), "x-accel-buffering": "no"})
        await self._send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        self.status = int(status)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": int(status), "headers": raw})


def dumped(body: object) -> bytes:
    """Return a value as JSON."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
