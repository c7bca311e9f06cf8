"""Requests over HTTP/1.1 for who measures: each piece of a response with the time at which it arrived.

The time is taken in the call in which the loop hands over the bytes, before anything is read in them, and before a task
that waits for them has its turn. Between the turns of two such tasks, the loop looks for what else has arrived, so
bytes of many connections at the same instant do not wait until those of all others are read. Nothing is sent twice: a
connection that its server has closed meanwhile is noticed before it is used again, and one that has been unused for
longer than servers keep them is not used at all.
"""

from __future__ import annotations

import asyncio
import errno
import select
import ssl
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Self

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.server.endpoint import Address, Endpoint
from tritonrepo.server.reaching import Port, cause
from tritonrepo.server.responding import Head, Reader, WireError, needed
from tritonrepo.server.turns import turns

KEPT_S = 2.0
"""How long an unused connection is used again; uvicorn closes one after 5 s (uvicorn, config.py)."""

BUFFER_BYTES = 1 << 14
"""How much is read at once: as much as a record of TLS holds (RFC 8446, 5.1)."""

HELD_BYTES = 1 << 20
"""How much of a response may wait to be read; the server then has to wait, too, or memory would be its to fill."""


class Part(NamedTuple):
    """Bytes of a body, and when they arrived, in seconds on `time.perf_counter`."""

    at_s: float
    content: bytes


class Wire(asyncio.BufferedProtocol):
    """A connection; one request at a time. What arrives is only kept here, with its time.

    It has a buffer of its own, since asyncio would allocate 256 KiB for whatever arrives (Python 3.13,
    selector_events.py, _SelectorSocketTransport.max_size), which takes longer than all that is done here.
    """

    def __init__(self) -> None:
        self.reader: Reader | None = None
        self.closed = False
        self.unused_s = 0.0
        self._transport: Any = None
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._arrived: list[Part] = []
        self._held_bytes = 0
        self._lost_s = 0.0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Return where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what arrived."""
        at_s = time.perf_counter()
        self._arrived.append(Part(at_s, bytes(self._buffer[:nbytes])))
        self._held_bytes += nbytes
        if self._held_bytes > HELD_BYTES:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end of the connection."""
        self.closed, self._lost_s, self._error = True, time.perf_counter(), error
        self._wake()

    def usable(self) -> bool:
        """Return whether another request can be sent: the server has not closed the connection, nor said anything."""
        if self.closed or self._arrived or self._transport is None or self._transport.is_closing():
            return False
        if time.perf_counter() - self.unused_s > KEPT_S:
            return False
        asked = select.poll()
        asked.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not asked.poll(0)

    def send(self, content: bytes, reader: Reader) -> float:
        """Send a request whose response a reader reads, and return when its first byte was handed over."""
        self.reader = reader
        sent_s = time.perf_counter()
        self._transport.write(content)
        return sent_s

    async def arrived(self) -> list[Part]:
        """Wait for bytes and return what has arrived; nothing at the end of the connection."""
        while not self._arrived and not self.closed:
            self._waiter = asyncio.get_running_loop().create_future()
            self._asked = False
            try:
                await self._waiter
            finally:
                self._waiter = None
        found, self._arrived = self._arrived, []
        if self._held_bytes > HELD_BYTES:
            self._transport.resume_reading()
        self._held_bytes = 0
        return found

    def lost_s(self) -> float:
        """Return when the connection ended; raise WireError if it broke."""
        if self._error is not None:
            why = getattr(self._error, "strerror", None) or self._error
            raise WireError(f"the connection broke: {why}")
        return self._lost_s

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._asked:
            self._asked = True
            turns().ask(partial(_go_on, self._waiter))


def _go_on(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # its task was cancelled meanwhile
        waiter.set_result(None)


class Exchange:
    """One request and its response; leaving it ends or keeps the connection.

    `sent_s` is just before the first byte of the request, and `ended_s` when the last of the response arrived. `wire`
    is its connection once it is entered.
    """

    def __init__(self, wires: Wires, request: bytes) -> None:
        self.sent_s = self.ended_s = time.perf_counter()
        self.wire, self._reader = Wire(), Reader()
        self._wires, self._request = wires, request
        self._read: list[Part] = []

    async def __aenter__(self) -> Self:
        self.wire = await self._wires.take()
        self.sent_s = self.wire.send(self._request, self._reader)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wires.give(self.wire)

    @property
    def unframed(self) -> bool:
        """Whether only the end of the connection ends the response, so that a cut cannot be told from it."""
        return self._reader.unframed

    async def head(self) -> Head:
        """Wait for the head of the response; raise WireError if none arrives."""
        while self._reader.head is None:
            self._read += await self._more()
        return self._reader.head

    async def parts(self) -> list[Part]:
        """Wait for content and return what has arrived; nothing at the end. Raise WireError if it breaks off."""
        found, self._read = self._read, []
        while not found and not self._reader.complete():
            found = await self._more()
        return found

    async def whole(self) -> Part:
        """Return the whole content, and when the last of it arrived."""
        found: list[bytes] = []
        while parts := await self.parts():
            found += [part.content for part in parts]
        return Part(self.ended_s, b"".join(found))

    async def _more(self) -> list[Part]:
        """Wait for bytes and return the content in them."""
        reader, found = self._reader, []
        reader.check()
        arrived = await self.wire.arrived()
        for at_s, data in arrived:
            if content := reader.feed(data):
                found.append(Part(at_s, content))
            self.ended_s = at_s
        if not arrived:
            self.ended_s = self.wire.lost_s()
            reader.ended()
        if not found:
            reader.check()
        return found


class Wires:
    """The connections to one server: as many as requests are in flight, used again, without a limit or a proxy."""

    def __init__(self, endpoint: Endpoint) -> None:
        needed()
        self._address: Address = endpoint.address()
        self._secure: ssl.SSLContext | None = endpoint.tls.context() if self._address.secure else None
        self._headers = {"host": _host(self._address), "accept-encoding": "identity", **endpoint.headers}
        self._unused: list[Wire] = []
        self._all: set[Wire] = set()
        self.opened = 0
        """How many connections were made."""

    async def close(self) -> None:
        """End all connections."""
        for wire in self._all:
            wire.abort()
        self._all.clear()
        await asyncio.sleep(0)  # transports end in the loop's next turn

    def ask(self, path: str, content: bytes, headers: Mapping[str, str], method: str = "POST") -> Exchange:
        """Return the exchange of a request, to be entered; raise WireError there if the server cannot be reached."""
        given = {**self._headers, **headers, "content-length": str(len(content))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return Exchange(self, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + content)

    async def take(self) -> Wire:
        """Return a connection that nobody uses, a new one if need be."""
        while self._unused:
            wire = self._unused.pop()
            if wire.usable():
                return wire
            self._all.discard(wire)
            wire.abort()
        host, port, _, secure = self._address
        try:
            _, wire = await asyncio.get_running_loop().create_connection(
                Wire, host, port or (443 if secure else 80), ssl=self._secure
            )
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise WireError("this machine opens no more connections: raise its limit with `ulimit -n`") from None
            why = getattr(error, "verify_message", "") or error.strerror or str(error) or type(error).__name__
            raise WireError(f"the server cannot be reached: {why}") from None
        self._all.add(wire)
        self.opened += 1
        return wire

    def keep(self, wire: Wire) -> None:
        """Take back a connection on which nothing was asked."""
        wire.unused_s = time.perf_counter()
        self._unused.append(wire)

    def give(self, wire: Wire) -> None:
        """Take a connection back; one whose response is not whole is ended."""
        reader = wire.reader
        if (
            reader is not None
            and reader.complete()
            and reader.head is not None
            and reader.head.kept
            and not wire.closed
        ):
            self.keep(wire)
            return
        self._all.discard(wire)
        wire.abort()


def unreachable(endpoint: Endpoint, error: Exception) -> Stop:
    """Return the Stop for a server to which no connection could be made, with what listens there in its place."""
    host, port, _, secure = endpoint.address()
    found = cause(Port(host, port or (443 if secure else 80), grpc=False, secure=secure, tls=endpoint.tls))
    if found:
        why, hint = found.message, found.hint
    else:
        why, hint = str(error) or "no connection in time", "Check that the server is running on this port."
    return fatal("server-unreachable", endpoint.whole_url, f"the server cannot be reached: {why}", hint)


def _host(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host.encode("idna").decode()
    return host if address.port is None else f"{host}:{address.port}"
