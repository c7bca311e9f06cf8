"""What the protocols over HTTP have in common: a request, and its response as events or as a whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any, Self

from tritonrepo.bench.clients.drafting import Draft, RefusedError, brief
from tritonrepo.bench.ending import apart
from tritonrepo.bench.target import Target
from tritonrepo.plain import hidden
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.eventlines import Events
from tritonrepo.server.exchanging import Exchange, Wires, unreachable
from tritonrepo.server.responding import Head, WireError

OK = 200
MOVED = frozenset({301, 302, 303, 307, 308})

EVENTS, JSON = "text/event-stream", "application/json"

CONNECT_S = 10.0
"""Longest wait for the first connection."""


class Asking:
    """The connections to one target, and how it is asked over them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.endpoint: Endpoint = target.endpoint
        self._wires = Wires(target.endpoint)

    async def __aenter__(self) -> Self:
        wires = self._wires
        try:
            async with asyncio.timeout(min(CONNECT_S, self.endpoint.timeout_s)):
                wires.keep(await wires.take())
        except (WireError, TimeoutError) as error:
            raise await apart(partial(unreachable, self.endpoint, error)) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wires.close()

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._wires.opened

    async def events(self, body: Mapping[str, Any], draft: Draft) -> AsyncGenerator[tuple[float, bytes]]:
        """Yield the data of the events that answer a request, each with its time; raise RefusedError or WireError."""
        async with self._asked(body, EVENTS) as exchange:
            draft.sent_s = exchange.sent_s
            head = await exchange.head()
            await self._admit(head, exchange, EVENTS)
            events = Events()
            while parts := await exchange.parts():
                for at_s, content in parts:
                    for data in events.feed(content):
                        yield at_s, data
                    self._failed(events)
            for data in events.end():
                yield exchange.ended_s, data
            self._failed(events)
            draft.ended_s, draft.unframed = exchange.ended_s, exchange.unframed

    async def whole(self, body: Mapping[str, Any], draft: Draft) -> tuple[float, dict[str, Any]]:
        """Return when the response to a request was complete, and its JSON; raise RefusedError or WireError."""
        async with self._asked(body, JSON) as exchange:
            draft.sent_s = exchange.sent_s
            head = await exchange.head()
            await self._admit(head, exchange, JSON)
            part = await exchange.whole()
            draft.ended_s = part.at_s
        found = self.parsed(part.content)
        if found.get("error"):
            raise RefusedError(str(OK), worded(found["error"], self.endpoint))
        return part.at_s, found

    def parsed(self, content: bytes) -> dict[str, Any]:
        """Return the JSON object that a server has sent; raise RefusedError if it is not one."""
        try:
            found = json.loads(content.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise RefusedError(str(OK), f"the response is not JSON: {self._quoted(content)}") from None
        if not isinstance(found, dict):
            raise RefusedError(str(OK), f"the response is not a JSON object: {self._quoted(content)}")
        return found

    def _asked(self, body: Mapping[str, Any], accept: str) -> Exchange:
        content = json.dumps(body).encode()
        headers = {"content-type": JSON, "accept": accept}
        return self._wires.ask(self.target.path, content, headers)

    def _failed(self, events: Events) -> None:
        """Raise RefusedError if an event says by its type that something failed."""
        if events.error is not None:
            raise RefusedError(str(OK), f"failed while it answered: {self._quoted(events.error)}")

    async def _admit(self, head: Head, exchange: Exchange, wanted: str) -> None:
        """Raise RefusedError unless a response has the form that was asked for."""
        status, headers, _ = head
        if status in MOVED:
            place = hidden(self.endpoint.without_secrets(headers.get("location", "another place")))
            raise RefusedError(str(status), f"HTTP {status}: the server redirects to {place}")
        if status != OK:
            content = await _rest(exchange)
            raise RefusedError(str(status), f"HTTP {status}: {self._said(content)}")
        coding = headers.get("content-encoding", "identity")
        if coding not in {"", "identity"}:
            raise RefusedError(str(status), f'the response is compressed ("{coding[:20]}"), which was not asked for')
        kind = headers.get("content-type", wanted).partition(";")[0].strip().lower()
        if kind != wanted:
            await self._other(kind, exchange, wanted)

    async def _other(self, kind: str, exchange: Exchange, wanted: str) -> None:
        """Raise RefusedError for a response of another type, with its error if it is one."""
        if kind == JSON:
            content = await _rest(exchange)
            if isinstance(found := _loaded(content), dict) and found.get("error"):
                raise RefusedError(str(OK), worded(found["error"], self.endpoint))
        what = "a stream of events" if wanted == EVENTS else "JSON"
        raise RefusedError(str(OK), f'the response is not {what}: its type is "{kind[:60]}"')

    def _said(self, content: bytes) -> str:
        """Return the words of an error."""
        found = _loaded(content.strip().removeprefix(b"data:"))
        if isinstance(found, dict):
            for name in ("error", "message", "detail"):
                if found.get(name):
                    return worded(found[name], self.endpoint)
        return self._quoted(content) if content.strip() else "an empty response"

    def _quoted(self, content: bytes) -> str:
        return brief(self.endpoint.without_secrets(content[:1000].decode("utf-8", "replace")))


def worded(error: object, endpoint: Endpoint) -> str:
    """Return the words of an error in JSON."""
    if isinstance(error, dict):
        error = error.get("message") or error
    text = error if isinstance(error, str) else json.dumps(error)
    return brief(endpoint.without_secrets(text[:4000]))


async def _rest(exchange: Exchange) -> bytes:
    """Return what a response says besides its status; nothing if it breaks off."""
    try:
        return (await exchange.whole()).content
    except WireError:
        return b""


def _loaded(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
