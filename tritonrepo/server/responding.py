"""The responses of an HTTP/1.1 connection, read as their bytes arrive.

Source: RFC 9112, 4 (status line), 6 (message body), 7.1 (chunked), and RFC 9110, 15.2 (interim responses). A client
that measures asks for no compression, follows no redirect, and sends no `Expect`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from tritonrepo.server.unpacking import LARGEST

HEAD_BYTES = 1 << 16
"""Maximum size of a status line with its headers."""

LINE_BYTES = 1 << 12
"""Maximum size of the line before a chunk, and of the headers after the last one."""

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,15}")
FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
LENGTH = re.compile(r"[0-9]{1,15}")

NO_CONTENT, NOT_MODIFIED, SWITCHING = 204, 304, 101
FINAL = 200
"""The least status of a response that is not an interim one."""


class WireError(Exception):
    """What arrived is not a response, or no response arrived; says why."""


class Head(NamedTuple):
    """The status and the headers of a response, names in lower case."""

    status: int
    headers: Mapping[str, str]
    kept: bool
    """Whether the connection stays open after the response."""


class _At(IntEnum):
    """What is read next."""

    HEAD = 0
    LENGTH = 1
    SIZE = 2
    CHUNK = 3
    AFTER = 4
    TRAILER = 5
    CLOSE = 6
    DONE = 7


class Reader:
    """Reads one response. `unframed`: only the end of the connection ends it; `wrong`: why it is not a response."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.size = 0
        self.unframed = False
        self.wrong: WireError | None = None
        self._at, self._held, self._left = _At.HEAD, b"", 0

    def complete(self) -> bool:
        """Return whether the end of the response has arrived."""
        return self._at is _At.DONE

    def feed(self, data: bytes) -> bytes:
        """Return the content within the bytes that arrived, up to what is no part of a response."""
        if self._held:
            data, self._held = self._held + data, b""
        found: list[bytes] = []
        place = 0
        try:
            if self._at is _At.SIZE:
                place = self._chunks(data, found)
            while place < len(data) and self._at is not _At.DONE:
                step = self._step(data, place, found)
                if step < 0:  # the rest of a line has not arrived
                    self._held = data[place:]
                    break
                place = step
        except WireError as error:
            self.wrong = error
        if self._at is _At.DONE and place < len(data) and self.head is not None:
            self.head = self.head._replace(kept=False)  # nobody asked for what follows
        content = found[0] if len(found) == 1 else b"".join(found)
        self.size += len(content)
        if self.size > LARGEST:
            self.wrong = WireError(f"the response is larger than {LARGEST >> 20} MiB")
        return content

    def check(self) -> None:
        """Raise WireError if what has arrived is not a response."""
        if self.wrong is not None:
            raise self.wrong

    def ended(self) -> None:
        """Take the end of the connection; raise WireError if the response needed more."""
        if self._at is _At.CLOSE:
            self._at = _At.DONE
        if self._at is _At.HEAD:
            raise WireError("the server closed the connection without a response")
        if self._at is not _At.DONE:
            raise WireError("the connection closed before the end of the response")

    @staticmethod
    def _chunks(data: bytes, found: list[bytes]) -> int:
        """Read the whole chunks with which the bytes begin; return the place after them. What is odd is left."""
        place = 0
        while (end := data.find(b"\r\n", place, place + 10)) > 0:
            size = data[place:end]
            if not HEXADECIMAL.fullmatch(size):
                break
            last = end + 2 + int(size, 16)
            if last == end + 2 or data[last : last + 2] != b"\r\n":
                break
            found.append(data[end + 2 : last])
            place = last + 2
        return place

    def _step(self, data: bytes, place: int, found: list[bytes]) -> int:
        """Read one part of a response; return the place after it, -1 if it has not arrived as a whole."""
        if self._at is _At.SIZE:
            return self._chunk_size(data, place)
        if self._at is _At.CHUNK or self._at is _At.LENGTH or self._at is _At.CLOSE:
            return self._content(data, place, found)
        if self._at is _At.AFTER:
            return self._after(data, place)
        if self._at is _At.TRAILER:
            return self._trailer(data, place)
        return self._head(data, place)

    def _content(self, data: bytes, place: int, found: list[bytes]) -> int:
        if self._at is _At.CLOSE:
            found.append(data[place:])
            return len(data)
        part = data[place : place + self._left]
        found.append(part)
        self._left -= len(part)
        if not self._left:
            self._at = _At.AFTER if self._at is _At.CHUNK else _At.DONE
        return place + len(part)

    def _chunk_size(self, data: bytes, place: int) -> int:
        end = data.find(b"\r\n", place)
        if (len(data) if end < 0 else end) - place > LINE_BYTES:
            raise WireError(f"the line before a chunk is longer than {LINE_BYTES >> 10} KiB")
        if end < 0:
            return -1
        size = data[place:end].partition(b";")[0].rstrip(b" \t")
        if not HEXADECIMAL.fullmatch(size):
            raise WireError("the response is not chunked as it says: a chunk has no size")
        self._left = int(size, 16)
        self._at = _At.CHUNK if self._left else _At.TRAILER
        return end + 2

    def _after(self, data: bytes, place: int) -> int:
        if len(data) - place < 2:  # noqa: PLR2004  a line break
            if data[place:] not in {b"", b"\r"}:
                raise WireError("the response is not chunked as it says: a chunk does not end where it should")
            return -1
        if data[place : place + 2] != b"\r\n":
            raise WireError("the response is not chunked as it says: a chunk does not end where it should")
        self._at = _At.SIZE
        return place + 2

    def _trailer(self, data: bytes, place: int) -> int:
        end = data.find(b"\r\n", place)
        if (len(data) if end < 0 else end) - place > LINE_BYTES:
            raise WireError(f"a header after the last chunk is longer than {LINE_BYTES >> 10} KiB")
        if end < 0:
            return -1
        if end == place:
            self._at = _At.DONE
        self._left += end + 2 - place
        if self._left > HEAD_BYTES:
            raise WireError(f"the headers after the last chunk are larger than {HEAD_BYTES >> 10} KiB")
        return end + 2

    def _head(self, data: bytes, place: int) -> int:
        end = data.find(b"\r\n\r\n", place)
        if not data[place:].startswith(b"HTTP/1."[: len(data) - place]):
            raise WireError("the response is not HTTP/1.1")
        if (len(data) if end < 0 else end) - place > HEAD_BYTES:
            raise WireError(f"the headers are larger than {HEAD_BYTES >> 10} KiB")
        if end < 0:
            return -1
        first, _, rest = data[place:end].partition(b"\r\n")
        if not (line := STATUS_LINE.fullmatch(first)):
            raise WireError("the response is not HTTP/1.1: its status line cannot be read")
        status = int(line[2])
        if status == SWITCHING:
            raise WireError("the server switches to another protocol, which was not asked for")
        if status >= FINAL:
            fields = _fields(rest)
            asked = fields.get("connection", "").lower()
            kept = "close" not in asked and (line[1] == b"1" or "keep-alive" in asked)
            self.head = Head(status, fields, kept)
            self._framed(self.head)
        return end + 4

    def _framed(self, head: Head) -> None:
        """Take from the headers how the content ends."""
        coding = head.headers.get("transfer-encoding", "").lower()
        length = {each.strip() for each in head.headers.get("content-length", "").split(",")} - {""}
        if head.status in {NO_CONTENT, NOT_MODIFIED}:
            self._at = _At.DONE
        elif coding == "chunked":
            self._at = _At.SIZE
        elif coding:
            raise WireError(f'the response has the transfer encoding "{coding[:40]}", which was not asked for')
        elif not length:
            self._at, self.head, self.unframed = _At.CLOSE, head._replace(kept=False), True
        elif len(length) > 1 or not LENGTH.fullmatch(next(iter(length))):
            raise WireError("the response has no valid Content-Length")
        else:
            self._left = int(length.pop())
            self._at = _At.LENGTH if self._left else _At.DONE


def _fields(lines: bytes) -> dict[str, str]:
    """Return the headers, those that are repeated joined with commas (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for line in lines.decode("latin-1").split("\r\n") if lines else []:
        if not (field := FIELD.fullmatch(line)):
            raise WireError("the response is not HTTP/1.1: a header cannot be read")
        name = field[1].lower()
        found[name] = f"{found[name]}, {field[2]}" if name in found else field[2]
    return found
