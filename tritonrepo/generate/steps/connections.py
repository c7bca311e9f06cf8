"""HTTP/1.1 to one server, with asyncio alone: connections that are kept, limited in number, and closed when in doubt.

Source: RFC 9112, "HTTP/1.1": 2.2 (what a message begins with), 4 (status line), 6 and 7.1 (how a body ends).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import NamedTuple

from .refusals import Fault, broken, shown, unavailable  # noqa: TID252

LINE = 1 << 16
"""Maximum bytes of a line of a head."""

ALERT = b"\x15\x03"
"""What a server that speaks TLS says to a client that does not: RFC 8446, 5.1 and 6.2."""

LINES = 200
PIECE = 1 << 16
IDLE_S = 30
"""A connection that was unused for longer is closed: something on its way may have forgotten it."""


class Server(NamedTuple):
    """Where to connect to, and how long that may take."""

    host: str
    port: int
    tls: bool
    connect_s: float


class Head(NamedTuple):
    """The beginning of a reply; names of headers are in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]


class Gone(Exception):  # noqa: N818  usual, and no error
    """The server has closed a kept connection before it read the request."""


class Connections:
    """The connections to a server."""

    def __init__(self, server: Server, most: int) -> None:
        """Connect to nothing yet."""
        self.server = server
        self.tls = ssl.create_default_context() if server.tls else None
        self.idle: list[tuple[Connection, float]] = []
        self.free = asyncio.Semaphore(most)

    async def begin(self, request: bytes) -> tuple[Connection, Head]:
        """Send a request once a connection is free; return the connection, which has the body, and the head."""
        await self.free.acquire()
        try:
            return await self.begun(request)
        except BaseException:
            self.free.release()
            raise

    def end(self, connection: Connection) -> None:
        """Keep a connection whose body was read to its end; close another, so that the server notices."""
        self.free.release()
        if connection.ended and not connection.is_closed():
            self.idle.append((connection, asyncio.get_running_loop().time()))
        else:
            connection.close()

    async def begun(self, request: bytes) -> tuple[Connection, Head]:
        """Return the connection and the head of the reply; a kept connection that is gone is replaced."""
        while True:
            kept = self.kept()
            connection = kept or await self.opened()
            try:
                return connection, await connection.ask(request)
            except Gone:
                connection.close()
                if kept is None:
                    raise broken("closed the connection without an answer") from None
            except BaseException:
                connection.close()
                raise

    def kept(self) -> Connection | None:
        """Return a connection from before that still stands."""
        while self.idle:
            connection, since = self.idle.pop()
            if not connection.is_closed() and asyncio.get_running_loop().time() - since < IDLE_S:
                return connection
            connection.close()
        return None

    async def opened(self) -> Connection:
        """Return a new connection."""
        server = self.server
        try:
            opening = asyncio.open_connection(server.host, server.port, ssl=self.tls, limit=LINE)
            return Connection(*await asyncio.wait_for(opening, server.connect_s))
        except asyncio.TimeoutError:  # another one than TimeoutError in Python 3.10
            raise unavailable(f"did not accept a connection within {server.connect_s:g} s", 0) from None
        except ssl.SSLCertVerificationError as error:
            raise Fault(f"has a certificate that is not trusted: {error.verify_message}", broken("").code) from None
        except ssl.SSLError as error:
            said = (error.reason or str(error)).replace("_", " ").lower()
            raise unavailable(f"cannot be reached over TLS: {shown(said)}", 0) from None
        except (OSError, UnicodeError) as error:
            raise unavailable(f"cannot be reached: {shown(why(error))}", 0) from None

    def close(self) -> None:
        """Close what is not in use."""
        while self.idle:
            self.idle.pop()[0].close()


def why(error: OSError | UnicodeError) -> str:
    """Return why a server cannot be reached; asyncio's own text has only the address."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or "the connection was closed"


class Connection:
    """One connection, which has one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the ends of the connection."""
        self.reader, self.writer = reader, writer
        self.ended, self.keeps = False, True
        self.length: int | None = None
        self.chunked = False

    def is_closed(self) -> bool:
        """Whether it cannot have another request, also since it sends what nobody has asked for."""
        more = bool(getattr(self.reader, "_buffer", b""))  # asyncio has no other way to see it
        return not self.keeps or more or self.reader.at_eof() or self.writer.is_closing()

    def close(self) -> None:
        """Close it at once."""
        with suppress(Exception):
            self.writer.transport.abort()

    async def ask(self, request: bytes) -> Head:
        """Send a request and return the head of its reply; raise Gone if the server has left before."""
        self.ended = False
        try:
            self.writer.write(request)
            await self.writer.drain()
            line = await self.line()
        except (ConnectionError, asyncio.IncompleteReadError):
            raise Gone from None
        if not line:
            raise Gone
        head = await self.head(line)
        while 100 <= head.status < 200:  # noqa: PLR2004  interim replies
            head = await self.head(await self.line())
        self.frame(head)
        return head

    async def line(self) -> bytes:
        """Return the next line without its end; nothing at the end of the connection."""
        try:
            return (await self.reader.readline()).rstrip(b"\r\n") if not self.reader.at_eof() else b""
        except ValueError:
            raise broken(f"does not answer in HTTP: its first line or a header has more than {LINE:,} bytes") from None

    async def head(self, line: bytes) -> Head:
        """Return the head that begins with this line."""
        version, _, rest = line.partition(b" ")
        number, _, reason = rest.partition(b" ")
        if version not in {b"HTTP/1.1", b"HTTP/1.0"} or not (len(number) == 3 and number.isdigit()):  # noqa: PLR2004  digits
            if line.startswith(ALERT):
                raise broken("answers over TLS: set url to an https address")
            raise broken(f"does not answer in HTTP, but with {shown(repr(line[:60])[1:])}")
        headers: dict[str, str] = {"connection": "close"} if version == b"HTTP/1.0" else {}
        for _ in range(LINES):
            try:
                field = await self.line()
            except ConnectionError:
                field = b""
            if not field:
                break
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        else:
            raise broken(f"answered with more than {LINES} headers")
        return Head(int(number), shown(reason.decode("latin-1")), headers)

    def frame(self, head: Head) -> None:
        """Note how the body of this reply ends."""
        headers = head.headers
        self.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length", "")
        self.length = int(length) if length.isdecimal() and len(length) < 16 and not self.chunked else None  # noqa: PLR2004
        self.length = 0 if head.status in {204, 304} else self.length
        bounded = self.chunked or self.length is not None
        self.keeps = bounded and "close" not in headers.get("connection", "").lower()

    async def body(self) -> AsyncGenerator[bytes, None]:
        """Yield the pieces of the body; raise Fault if the connection ends before it does."""
        try:
            if self.chunked:
                async for piece in self.chunks():
                    yield piece
            elif self.length is not None:
                async for piece in self.exactly(self.length):
                    yield piece
            else:
                while piece := await self.reader.read(PIECE):
                    yield piece
        except (ConnectionError, asyncio.IncompleteReadError):
            raise broken("closed the connection in the middle of an answer") from None
        self.ended = True

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the content of the chunks, of which an empty one is the last."""
        while size := await self.size():
            async for piece in self.exactly(size):
                yield piece
            await self.reader.readexactly(2)
        for _ in range(LINES):
            if not await self.line():
                return
        raise broken(f"ended its answer with more than {LINES} headers")

    async def size(self) -> int:
        """Return the size of the next chunk."""
        line = await self.line()
        digits = line.partition(b";")[0].strip()
        if not digits:
            raise asyncio.IncompleteReadError(line, None)
        if len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):  # noqa: PLR2004  4 GiB
            raise broken(f"sent a chunk without its size: {shown(repr(line[:60])[1:])}")
        return int(digits, 16)

    async def exactly(self, size: int) -> AsyncGenerator[bytes, None]:
        """Yield so many bytes as they come."""
        while size:
            piece = await self.reader.read(min(size, PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(piece, size)
            size -= len(piece)
            yield piece
