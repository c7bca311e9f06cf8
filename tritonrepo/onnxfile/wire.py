"""Protobuf's wire format, walked in a file through a small window.

Source: protobuf.dev, "Encoding": a message is a sequence of fields, each a tag (number and wire type) and a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.tree import File

WINDOW = 64 << 10
LONGEST_VARINT = 10
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED = {FIXED64: 8, FIXED32: 4}


class BrokenError(ValueError):
    """The file is not a protobuf message of the expected form."""


class Part(NamedTuple):
    """A range of a file that holds the value of a field: `[start, end)` in bytes."""

    start: int
    end: int


class Field(NamedTuple):
    """A field: its number, the value of a varint, and the range of any other value."""

    number: int
    value: int
    part: Part


class Wire:
    """A file of messages; it is read where it is looked at, in pieces."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._offset = 0
        self._window = b""

    @property
    def whole(self) -> Part:
        """The range of the message that the file is."""
        return Part(0, self.file.size)

    def fields(self, part: Part) -> Iterator[Field]:
        """Yield the fields of the message in a range; raise BrokenError if they do not fill it exactly."""
        at = part.start
        while at < part.end:
            tag, at = self._varint(at, part.end)
            kind, value, start = tag & 7, 0, at
            if kind == VARINT:
                value, at = self._varint(at, part.end)
            elif kind == BYTES:
                length, start = self._varint(at, part.end)
                at = start + length
            elif kind in FIXED:
                at += FIXED[kind]
            else:
                raise BrokenError(f"byte {start} begins no field")
            if at > part.end or tag >> 3 == 0:
                raise BrokenError(f"the field at byte {start} ends after byte {part.end}, where its message ends")
            yield Field(tag >> 3, value, Part(start, at))

    def text(self, part: Part, most: int = 1 << 16) -> str:
        """Return the string in a range; raise BrokenError if it is longer than `most` bytes."""
        if part.end - part.start > most:
            raise BrokenError(f"the name at byte {part.start} has {part.end - part.start:,} bytes")
        return self._bytes(part).decode("utf-8", "replace")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        number = 0
        for index, byte in enumerate(self._bytes(Part(at, min(at + LONGEST_VARINT, end)))):
            number |= (byte & 0x7F) << 7 * index
            if byte < 0x80:  # noqa: PLR2004  the bit that says that more bytes follow
                return number & (1 << 64) - 1, at + index + 1
        raise BrokenError(f"the number at byte {at} has no end")

    def _bytes(self, part: Part) -> bytes:
        start = part.start - self._offset
        if start < 0 or part.end - self._offset > len(self._window):
            self._offset, start = part.start, 0
            self._window = self.file.read(part.start, max(WINDOW, part.end - part.start))
        return self._window[start : start + part.end - part.start]
