"""The responses of an HTTP/1.1 connection, read as their bytes arrive.

httptools reads them, whose parser is that of Node.js (llhttp). It sets no limit on sizes, and takes what no client
that measures has asked for: a client here asks for no compression, follows no redirect, and sends no `Expect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import uninstalled
from tritonrepo.server.unpacking import LARGEST

if TYPE_CHECKING:
    import httptools

HEAD_BYTES = 1 << 16
"""Maximum size of headers, and of what may arrive without content among it, such as the line before a chunk."""

VERSIONS = frozenset({"1.0", "1.1"})
"""Those whose responses are read; the parser knows others of the same form, as does ICE/1.0."""

INTERIM = range(100, 200)
SWITCHING = 101
BARE = frozenset({204, 304})
"""Statuses of responses without content (RFC 9112, 6.3)."""


class WireError(Exception):
    """What arrived is not a response, or no response arrived; says why."""


class Head(NamedTuple):
    """The status and the headers of a response, names in lower case."""

    status: int
    headers: Mapping[str, str]
    kept: bool
    """Whether the connection stays open after the response."""


def needed() -> None:
    """Raise Stop if the library is missing that reads responses."""
    try:
        import httptools
    except ImportError as error:
        raise uninstalled("server", "a load over HTTP needs httptools", error) from None
    del httptools


class Reader:
    """Reads one response. `unframed`: only the end of the connection ends it; `wrong`: why it is not a response.

    The methods that begin with `on_` are called by the parser.
    """

    def __init__(self) -> None:
        import httptools

        self.head: Head | None = None
        self.size = 0
        self.unframed = False
        self.wrong: WireError | None = None
        self._done = False
        self._found: list[bytes] = []
        self._fields: dict[str, str] = {}
        self._head_bytes = self._beside_bytes = 0
        self._library = httptools
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)  # RFC 9112, 7.1.1

    def complete(self) -> bool:
        """Return whether the end of the response has arrived."""
        return self._done

    def feed(self, data: bytes) -> bytes:
        """Return the content within the bytes that arrived, up to what is no part of a response."""
        if self._parser is None:  # complete, or wrong
            self._stopped()
            return b""
        found: list[bytes] = []
        self._found = found
        try:
            self._parser.feed_data(data)
        except self._library.HttpParserError as error:
            self._stopped(str(error))
        content = found[0] if len(found) == 1 else b"".join(found)
        if content:
            self.size += len(content)
            self._beside_bytes = 0
        else:
            self._beside_bytes += len(data)
        self._bounded()
        if self._done or self.wrong is not None:
            self._parser = None  # it holds the reader
        return content

    def check(self) -> None:
        """Raise WireError if what has arrived is not a response."""
        if self.wrong is not None:
            raise self.wrong

    def ended(self) -> None:
        """Take the end of the connection; raise WireError if the response needed more."""
        if self.unframed:
            self._done = True
        if self.head is None:
            raise WireError("the server closed the connection without a response")
        if not self._done:
            raise WireError("the connection closed before the end of the response")

    def on_message_begin(self) -> None:
        """Take the start of a response; after the final one, nothing is read."""
        if self._done:
            raise WireError("a second response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or one after the last chunk; those that are repeated are joined (RFC 9110, 5.3)."""
        self._head_bytes += len(name) + len(value) + 4  # what separates them, and the line break
        if self._head_bytes > HEAD_BYTES:
            raise self._refused(f"the headers are larger than {HEAD_BYTES >> 10} KiB")
        if self.head is None:
            key, said = name.decode("latin-1").lower(), value.decode("latin-1").strip(" ")
            self._fields[key] = f"{self._fields[key]}, {said}" if key in self._fields else said

    def on_headers_complete(self) -> None:
        """Take the end of the headers; those of an interim response are left (RFC 9110, 15.2)."""
        parser, fields = self._parser, self._fields
        assert parser is not None  # noqa: S101  it calls
        status, self._fields = parser.get_status_code(), {}
        if status == SWITCHING:
            raise self._refused("the server switches to another protocol, which was not asked for")
        if status in INTERIM:
            return
        if (version := parser.get_http_version()) not in VERSIONS:
            raise self._refused(f"the response is not HTTP/1.1: its version is {version}")
        coding = fields.get("transfer-encoding", "")
        if coding.lower() not in {"", "chunked"}:
            raise self._refused(f'the response has the transfer encoding "{coding[:40]}", which was not asked for')
        self.unframed = not coding and "content-length" not in fields and status not in BARE
        self.head = Head(status, fields, parser.should_keep_alive())

    def on_body(self, content: bytes) -> None:
        """Take content."""
        self._found.append(content)

    def on_message_complete(self) -> None:
        """Take the end of a response."""
        self._done = self.head is not None

    def _refused(self, why: str) -> WireError:
        """Return the error that ends the work of the parser, which says no more of it than that it was raised."""
        self.wrong = WireError(why)
        return self.wrong

    def _stopped(self, why: str = "") -> None:
        """Take the end of the parser's work: something follows the response, or why it is not one."""
        if self.head is not None and self._done:
            self.head = self.head._replace(kept=False)  # nobody asked for what follows
        elif self.wrong is None:
            what = "not HTTP/1.1" if self.head is None else "not chunked as it says"
            self.wrong = WireError(f"the response is {what}: {why}")

    def _bounded(self) -> None:
        if self.size > LARGEST:
            self.wrong = WireError(f"the response is larger than {LARGEST >> 20} MiB")
        elif self._beside_bytes > HEAD_BYTES and not self._done and self.wrong is None:
            what = "the headers are" if self.head is None else "what stands beside the chunks is"
            self.wrong = WireError(f"{what} larger than {HEAD_BYTES >> 10} KiB")
