"""Who is answered: those with a key; without keys, programs on this machine and no pages of other sites.

A page could send requests to this machine's ports, and, after its name was made to mean this machine (DNS rebinding),
read the responses. It cannot choose the Host header, nor hide its Origin, and no page has a key.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tritonrepo.gateway.problem import Problem
from tritonrepo.gateway.telling import REQUEST_ID, Out, request_id
from tritonrepo.server.hosts import LOCAL

OPEN = frozenset({"/health", "/ready", "/metrics"})
"""What probes and Prometheus ask without a key."""

HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


class Guard:
    """Refuses who may not ask; `local`: only this machine reaches the gateway."""

    def __init__(self, app: ASGIApp, keys: frozenset[str] | None, *, local: bool) -> None:
        self.app, self.local = app, local
        self.keys = None if keys is None else [key.encode() for key in sorted(keys)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        number = request_id(head.get(REQUEST_ID, ""))
        others = [each for each in scope["headers"] if each[0] != REQUEST_ID.encode()]
        scope = {**scope, "headers": [*others, (REQUEST_ID.encode(), number.encode())]}

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = {**HEADERS, REQUEST_ID: number}
                added = [(name.encode(), value.encode()) for name, value in told.items()]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        if (problem := self.refused(scope["path"], head)) is not None:
            await Out(sent).fail(problem)
            return
        await self.app(scope, receive, sent)

    def refused(self, path: str, head: Mapping[str, str]) -> Problem | None:
        """Return why a request is refused."""
        if self.keys is None:
            return self._foreign(head)
        return None if path in OPEN else self._unknown(head)

    def _unknown(self, head: Mapping[str, str]) -> Problem | None:
        scheme, _, key = head.get("authorization", "").partition(" ")
        given = key.strip().encode("latin-1", "replace")
        known = [hmac.compare_digest(given, each) for each in self.keys or ()]  # all, so that the time says nothing
        if any(known) and scheme.lower() == "bearer":
            return None
        what = "the API key is not known" if given else "the request has no API key: send `Authorization: Bearer KEY`"
        return Problem(HTTPStatus.UNAUTHORIZED, what, code="invalid_api_key")

    def _foreign(self, head: Mapping[str, str]) -> Problem | None:
        host = head.get("host", "")
        name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if self.local and name.lower() not in LOCAL:
            return Problem(HTTPStatus.FORBIDDEN, "without keys, only 127.0.0.1 and localhost are accepted as Host")
        if head.get("origin", f"http://{host}") not in {f"http://{host}", f"https://{host}"}:
            return Problem(HTTPStatus.FORBIDDEN, "without keys, requests of web pages are refused")
        return None
