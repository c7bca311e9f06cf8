"""The events of a stream, as pieces of its body arrive.

Source: the HTML standard, 9.2.6 (interpreting an event stream). Unlike there, an event that the end of the body cuts
before its blank line is kept: some servers send no blank line after the last one.
"""

from __future__ import annotations

from tritonrepo.server.responding import WireError

LONGEST = 16 << 20
"""Maximum size of an event in bytes."""

MARK = b"\xef\xbb\xbf"
"""A byte order mark, which may stand before the first line."""

ERROR = b"error"
"""The type of an event that says that something failed."""


class Events:
    """Reads events; `error` is the data of the one that says by its type that something failed, and ends them."""

    def __init__(self) -> None:
        self.error: bytes | None = None
        self._held = b""
        self._data: list[bytes] = []
        self._size = 0
        self._kind = b""
        self._begun = False
        self._split = False  # between a carriage return and what may be its line feed

    def feed(self, content: bytes) -> list[bytes]:
        """Return the data of the events that this completes; raise WireError if an event is too large."""
        if b"\r" in content or self._split:
            content = self._unified(content)
        *lines, self._held = (self._held + content if self._held else content).split(b"\n")
        if lines and not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(MARK)
        if len(self._held) + self._size > LONGEST:
            raise WireError(f"an event is larger than {LONGEST >> 20} MiB")
        found: list[bytes] = []
        for line in lines:
            self._line(line, found)
        return found

    def _unified(self, content: bytes) -> bytes:
        """Return content whose lines all end with a line feed; they can end with a carriage return, or with both."""
        if self._split:
            content = content.removeprefix(b"\n")
        self._split = content.endswith(b"\r")
        return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def end(self) -> list[bytes]:
        """Return the data of an event that lacks its blank line."""
        found: list[bytes] = []
        self._line(self._held if self._begun else self._held.removeprefix(MARK), found)
        self._line(b"", found)
        self._held = b""
        return found

    def _line(self, line: bytes, found: list[bytes]) -> None:
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            self._data.append(value)
            self._size += len(value)
        elif not line:
            if self._data:
                self._take(self._data[0] if len(self._data) == 1 else b"\n".join(self._data), found)
                self._data, self._size = [], 0
            self._kind = b""
        elif line.startswith(b"event:"):
            self._kind = line[6:].strip()

    def _take(self, data: bytes, found: list[bytes]) -> None:
        if self._kind == ERROR and self.error is None:
            self.error = data
        elif self.error is None:
            found.append(data)
