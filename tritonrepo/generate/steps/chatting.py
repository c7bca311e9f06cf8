"""Chat completions of one endpoint: connections, limits of time, and when a request is sent again.

A request is sent again only if the endpoint could not be reached, or answered with a status that passes: never once an
answer has begun. OpenAI's own clients send it again for these and others (openai-python, _base_client.py,
_should_retry).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .chat_reading import Reading  # noqa: TID252
from .connections import Connections, Head, Server  # noqa: TID252
from .events import Events  # noqa: TID252
from .refusals import Fault, broken, code, said, shown, unavailable  # noqa: TID252

BODY = 1 << 16
"""Maximum bytes that are read of a refusal."""

LIST = 1 << 24
AGAIN_S = 0.5
LATER_S = 10.0
"""The longest wait that an endpoint can ask for with Retry-After; if it asks for more, the request fails at once."""

CHECK_S = 10.0
SOME = 5
OK = 200
REST_S = 2.0
"""How long the end of a stream can take after the answer is complete."""

AGAIN = frozenset({408, 429, 502, 503})
"""408: the connection was kept for too long (RFC 9110, 15.5.9); 502: a proxy's server is being replaced."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
T = TypeVar("T")


class Endpoint:
    """An endpoint, as settings.json has it."""

    def __init__(self, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Read the keys from the server's environment; raise ValueError if one is not there."""
        self.settings, self.times = settings, settings["timeouts"]
        url = urlsplit(settings["url"])
        tls = url.scheme == "https"
        self.path, host = url.path.rstrip("/"), url.hostname or ""
        self.server = Server(host, url.port or (443 if tls else 80), tls, self.times["connect"])
        given = {name: from_environment(variable, environment) for name, variable in settings["headers"].items()}
        if settings["api_key"]:
            given["Authorization"] = f"Bearer {from_environment(settings['api_key'], environment)}"
        self.secrets = [text for value in given.values() for text in {value, value.removeprefix("Bearer ")}]
        self.secrets.sort(key=len, reverse=True)
        self.headers = {
            "Host": url.netloc,
            "User-Agent": "tritonrepo",
            "Accept-Encoding": "identity",
            **given,
        }
        self.connections: Connections | None = None

    def open(self) -> Connections:
        """Return the connections, which belong to the loop that runs."""
        if self.connections is None:
            self.connections = Connections(self.server, self.settings["connections"])
        return self.connections

    def request(self, method: str, path: str, content: bytes = b"") -> bytes:
        """Return a request as it is sent."""
        own = {"Accept": "text/event-stream", "Content-Type": "application/json"} if content else {}
        own["Content-Length"] = str(len(content))
        lines = [f"{name}: {value}" for name, value in {**self.headers, **own}.items()]
        head = "\r\n".join([f"{method} {self.path}{path} HTTP/1.1", *lines, "", ""])
        return head.encode("latin-1") + content

    async def answer(self, body: bytes, told: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Yield the pieces of an answer; raise Fault with the address before its message.

        `told` gets what the endpoint says of the whole answer, before its end: Reading.told.
        """
        clock = asyncio.get_running_loop().time
        limits = Limits(self.times, clock())
        request = self.request("POST", "/chat/completions", body)
        for attempt in range(self.settings["retries"] + 1):
            reading = Reading(self.secrets)
            try:
                async with aclosing(self.once(request, reading, limits)) as pieces:
                    async for text in pieces:
                        yield text
            except Fault as fault:
                wait_s = None if attempt == self.settings["retries"] else pause(fault, attempt)
                if wait_s is None or clock() + wait_s >= limits.first:
                    raise self.named(fault) from None
                await asyncio.sleep(wait_s)
            else:
                told.update(reading.told())
                return

    async def once(self, request: bytes, reading: Reading, limits: Limits) -> AsyncGenerator[str, None]:
        """Yield the pieces of one attempt."""
        connections = self.open()
        connection, head = await limits.keep(connections.begin(request), reading)
        try:
            pieces = connection.body()
            await limits.keep(self.judge(head, pieces), reading)
            async with aclosing(texts(pieces, reading, limits)) as found:
                async for text in found:
                    yield text
        finally:
            connections.end(connection)

    async def judge(self, head: Head, pieces: AsyncGenerator[bytes, None]) -> None:
        """Raise Fault unless the reply is a stream of events."""
        status, kind = head.status, head.headers.get("content-type", "")
        if status in REDIRECTS:
            place = shown(head.headers.get("location", "nowhere"), self.secrets)
            raise broken(f"redirects to {place}, which is not followed: set url to the address that answers")
        encoding = head.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            raise broken(f"answered with the content encoding {shown(encoding)}, which it was not asked for")
        if status == OK and kind.partition(";")[0].strip().lower() == "text/event-stream":
            return
        text = shown(said(await read(pieces, BODY)), self.secrets)
        if status == OK:
            raise broken(f"answered with {shown(kind) or 'no type'} in place of a stream of events: {text}")
        again_s = retry_after(head.headers.get("retry-after", "")) if status in AGAIN else None
        words = " ".join(filter(None, (str(status), head.reason)))
        raise Fault(f"answered {words}{': ' if text else ''}{text}", code(status), again_s)

    async def check(self) -> None:
        """Raise Refused if the endpoint refuses the key or has not the model, and Fault if it cannot say so."""
        limits = Limits({**self.times, "first": self.times["connect"] + CHECK_S}, asyncio.get_running_loop().time())
        connections, reading = self.open(), Reading(self.secrets)
        try:
            connection, head = await limits.keep(connections.begin(self.request("GET", "/models")), reading)
            try:
                content = await limits.keep(read(connection.body(), LIST), reading)
            finally:
                connections.end(connection)
            self.listed(head, content)
        except Fault as fault:
            raise self.named(fault) from None

    def listed(self, head: Head, content: bytes) -> None:
        """Judge the list of models."""
        if head.status != OK:
            kind = Refused if head.status in {401, 403} else Fault
            text = shown(said(content), self.secrets)
            raise kind(f"answered {head.status} when it was asked for its models: {text}", code(head.status))
        try:
            names = [str(each["id"]) for each in json.loads(content)["data"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise broken("answered with something else than a list when it was asked for its models") from None
        if self.settings["model"] not in names:
            has = ", ".join(f'"{name}"' for name in names[:SOME]) or "none"
            message = f'has no model "{shown(self.settings["model"])}"; its models: {shown(has, self.secrets)}'
            raise Refused(message, code(404))

    def named(self, fault: Fault) -> Fault:
        """Return a fault that says which endpoint it is of."""
        return type(fault)(f"endpoint {self.settings['url']} {fault}", fault.code)


class Refused(Fault):
    """What does not change by waiting."""


class Limits:
    """How long the parts of one answer can take."""

    def __init__(self, times: Mapping[str, float], now: float) -> None:
        """Begin to count."""
        self.times, self.first, self.last = times, now + times["first"], now + times["total"]

    async def keep(self, work: Awaitable[T], reading: Reading) -> T:
        """Return what the work gives; raise Fault if it takes too long for what was read so far."""
        now = asyncio.get_running_loop().time()
        gap_s = REST_S if reading.finished else self.times["between"]
        due = reading.at + gap_s if reading.begun or reading.finished else self.first
        try:
            return await asyncio.wait_for(work, max(min(due, self.last) - now, 0))
        except asyncio.TimeoutError:  # another one than TimeoutError in Python 3.10
            if due > self.last:
                raise unavailable(f"did not finish its answer within {self.times['total']:g} s") from None
            if not reading.begun:
                raise unavailable(f"sent no text within {self.times['first']:g} s") from None
            raise unavailable(f"sent nothing for {gap_s:g} s in the middle of an answer") from None


async def texts(pieces: AsyncGenerator[bytes, None], reading: Reading, limits: Limits) -> AsyncGenerator[str, None]:
    """Yield the texts of a stream until its end; what follows a complete answer does not matter."""
    events = Events()
    try:
        while not reading.done and (piece := await limits.keep(following(pieces), reading)):
            for data in events.feed(piece):
                reading.at = asyncio.get_running_loop().time()
                if text := reading.read(data):
                    yield text
    except Fault:
        if not reading.finished:
            raise
        return
    reading.end()
    with suppress(Fault):  # the end of the body, after which the connection can have another request
        await limits.keep(following(pieces), reading)


async def following(pieces: AsyncGenerator[bytes, None]) -> bytes:
    """Return the next piece; nothing at the end."""
    return await anext(pieces, b"")


async def read(pieces: AsyncGenerator[bytes, None], most: int) -> bytes:
    """Return a body up to so many bytes."""
    found = bytearray()
    async for piece in pieces:
        found += piece
        if len(found) >= most:
            break
    return bytes(found[:most])


def pause(fault: Fault, attempt: int) -> float | None:
    """Return after how many seconds to send a request again; None: not at all."""
    if fault.again_s is None or fault.again_s > LATER_S:
        return None
    backoff_s: float = AGAIN_S * 2**attempt * random.uniform(0.5, 1)  # noqa: S311  no secret
    return max(fault.again_s, backoff_s)


def retry_after(text: str) -> float:
    """Return the seconds of a Retry-After, which is a number or a date; 0 without one (RFC 9110, 10.2.3)."""
    if text.isdecimal():
        return float(text[:9])
    try:
        return max((parsedate_to_datetime(text) - datetime.now(timezone.utc)).total_seconds(), 0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0


def from_environment(name: str, environment: Mapping[str, str]) -> str:
    """Return the value of a variable, which no message shows."""
    value = environment.get(name, "").strip()
    if not value:
        raise ValueError(f"the environment variable {name}, from which the endpoint gets its key, is not set")
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"the environment variable {name} has characters that a header cannot have")
    return value
