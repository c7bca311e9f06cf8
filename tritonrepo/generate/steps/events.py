"""Server-sent events: bytes as they come from the network -> the data of each event.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, "Parsing an event stream" and "Interpreting an
event stream".
"""

from __future__ import annotations

from .refusals import broken  # noqa: TID252

LONGEST = 1 << 20
"""Maximum bytes of an event: one piece of an answer has a few hundred."""

BOM = b"\xef\xbb\xbf"


class Events:
    """The events of one stream, read piece by piece."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.left, self.data, self.size = bytearray(), list[bytes](), 0
        self.begins, self.after_return = True, False

    def feed(self, piece: bytes) -> list[str]:
        """Return the data of the events that end in this piece; raise Fault if one is too long.

        A line ends with CR, LF or both, also where the network splits them.
        """
        if self.after_return and piece[:1] == b"\n":
            piece = piece[1:]
        self.after_return = piece.endswith(b"\r") if piece else self.after_return
        self.left += piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self.begins and len(self.left) < len(BOM) and BOM.startswith(bytes(self.left)):
            return []
        if self.begins and self.left.startswith(BOM):
            del self.left[: len(BOM)]
        self.begins = False
        *lines, rest = self.left.split(b"\n") if b"\n" in piece or b"\r" in piece else [self.left]
        self.left = rest
        found = [data for line in lines if (data := self.line(bytes(line))) is not None]
        if self.size + len(self.left) > LONGEST:
            raise broken(f"sent an event of more than {LONGEST:,} bytes")
        return found

    def line(self, line: bytes) -> str | None:
        """Take one line; return the data of the event that an empty line ends, if it has any."""
        if line:
            field, _, value = line.partition(b":")
            if field == b"data":
                self.data.append(value[1:] if value[:1] == b" " else value)
                self.size += len(value) + 1
            return None
        data, self.data, self.size = self.data, [], 0
        return b"\n".join(data).decode("utf-8", "replace") if data else None
