"""Protobuf's wire format, walked in a file through a window.

Source: protobuf.dev, "Encoding": a message is a sequence of fields, each a tag (number and wire type) and a value;
protobuf, src/google/protobuf/parse_context.cc: tags have at most 5 bytes, numbers at most 10, and groups are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tritonrepo.tree import File

FIRST, NEXT, LARGEST = 64 << 10, 16 << 10, 1 << 20
"""Bytes that are read at once: at the beginning, after a jump over weights, and at most where all is looked at."""

HEAD = 30
"""Bytes that hold any tag with its length or number."""

LONGEST_TAG, LONGEST_VARINT, MORE = 5, 10, 0x80
VARINT, FIXED64, BYTES, GROUP, END, FIXED32 = range(6)
FIXED = {FIXED64: 8, FIXED32: 4}
PLAIN = frozenset(tag for tag in range(8, MORE) if tag & 7 in {VARINT, BYTES})
"""Tags of one byte, of numbers and of what has a length."""

DEEPEST = 100
"""Messages in one another, beyond which protobuf gives up (`CodedInputStream::GetDefaultRecursionLimit`)."""

MOST_FIELDS = 10_000_000
UNSEEN = "it is too large to be looked at"
"""How an error begins about a file that may be a model."""


class BrokenError(ValueError):
    """The file is not a protobuf message of the expected form, or too large a one to be looked at."""


Part = tuple[int, int]
"""A range of a file that holds the value of a field: `[start, end)` in bytes."""

Field = tuple[int, int, int, Part]
"""A field: its number, its wire type, the value of a varint, and the range of any other value."""

NOWHERE = (0, 0)


class Wire:
    """A file of messages; it is read where it is looked at, in pieces."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._offset = 0
        self._window = b""
        self._size = FIRST
        self._left = MOST_FIELDS

    @property
    def whole(self) -> Part:
        """The range of the message that the file is."""
        return 0, self.file.size

    def fields(self, part: Part) -> Iterable[Field]:
        """Return the fields of the message in a range, without groups; raise BrokenError if they do not fill it."""
        start, end = part
        if end - start > FIRST:
            return self._far(start, end)
        here = self._at(start, end)
        self.passed(end - start + 8)
        if len(self._window) - here < end - start:
            raise BrokenError(f"it is cut off at byte {self._offset + len(self._window):,}")
        return self._near(self._window, here, here + end - start, self._offset)

    def _near(self, data: bytes, at: int, end: int, base: int) -> list[Field]:
        """Return the fields of a message that is at hand; `base` is the offset of the data in the file."""
        found, last = list[Field](), end - 1
        while at < end:
            tag = data[at]
            if at == last or tag not in PLAIN or (size := data[at + 1]) >= MORE:
                field, after = self.field(base + at, base + end)
                at = after - base
                if field is not None:
                    found.append(field)
            elif tag & BYTES:
                start, at = at + 2, at + 2 + size
                if at > end:
                    raise self._past(base + start - 2, base + at, base + end)
                found.append((tag >> 3, BYTES, 0, (base + start, base + at)))
            else:
                at += 2
                found.append((tag >> 3, VARINT, size, NOWHERE))
        return found

    def _far(self, at: int, end: int) -> Iterator[Field]:
        while at < end:
            field, at = self.field(at, end)
            if field is not None:
                yield field

    def field(self, start: int, end: int) -> tuple[Field | None, int]:
        """Return the field at a byte, or None for a group, and where it ends."""
        tag, at = self._tag(start, end)
        kind, value, begin = tag & 7, 0, at
        if kind == VARINT:
            value, at = self._varint(at, end)
        elif kind == BYTES:
            length, begin = self._varint(at, end)
            at = begin + length
        else:
            at = self._other(tag, start, at, end)
        if at > end:
            raise self._past(start, at, end)
        return (None if kind == GROUP else (tag >> 3, kind, value, (begin, at))), at

    def near(self, at: int, end: int) -> tuple[bytes, int]:
        """Return what is at hand of the file, in which a byte is, and the offset of it."""
        here = at - self._offset
        if here < 0 or here + HEAD > len(self._window):
            self._at(at, min(at + HEAD, end))
        return self._window, self._offset

    def passed(self, size: int) -> None:
        """Count fields in a range that was walked over elsewhere."""
        self._left -= size // 8
        if self._left < 0:
            raise BrokenError(f"{UNSEEN}: it has more than {MOST_FIELDS:,} fields")

    def inner(self, part: Part, number: int) -> Iterator[Part]:
        """Yield the ranges of the messages and strings with a number in a message."""
        return (found for each, kind, _, found in self.fields(part) if each == number and kind == BYTES)

    def numbers(self, part: Part) -> list[int]:
        """Return packed numbers; raise BrokenError for more than fit a name."""
        at, end = part
        found = list[int]()
        self.raw(part)
        while at < end:
            number, at = self._varint(at, end)
            found.append(number)
        return found

    def text(self, part: Part, most: int = 1 << 16) -> str:
        """Return the string in a range; raise BrokenError if it is longer than `most` bytes."""
        return self.raw(part, most).decode("utf-8", "replace")

    def raw(self, part: Part, most: int = 1 << 16) -> bytes:
        """Return the bytes of a range; raise BrokenError if they are more than `most`."""
        start, end = part
        if end - start > most:
            raise BrokenError(f"{UNSEEN}: the name at byte {start:,} has {end - start:,} bytes")
        here = self._at(start, end)
        return self._window[here : here + end - start]

    def _at(self, start: int, end: int) -> int:
        """Return where in the window a range begins, which is then in it as far as the file goes."""
        here = start - self._offset
        if here < 0 or here + end - start > len(self._window):
            follows = 0 <= here <= len(self._window)
            self._size = min(self._size * 2, LARGEST) if follows and self._window else NEXT if self._window else FIRST
            self._window = self.file.read(start, max(self._size, end - start))
            self._offset, here = start, 0
        return here

    def _tag(self, at: int, end: int) -> tuple[int, int]:
        self._left -= 1
        if self._left < 0:
            raise BrokenError(f"{UNSEEN}: it has more than {MOST_FIELDS:,} fields")
        here = at - self._offset
        if 0 <= here < len(self._window) and 8 <= (tag := self._window[here]) < MORE:  # noqa: PLR2004  number > 0
            return tag, at + 1
        tag, after = self._varint(at, end, LONGEST_TAG)
        tag &= (1 << 32) - 1
        if tag >> 3 == 0:
            raise BrokenError(f"byte {at:,} begins no field")
        return tag, after

    def _varint(self, at: int, end: int, longest: int = LONGEST_VARINT) -> tuple[int, int]:
        here = at - self._offset
        if 0 <= here < len(self._window) and (number := self._window[here]) < MORE:
            return number, at + 1
        most = min(at + longest, end)
        here, number = self._at(at, min(at + HEAD, end)), 0
        for index, byte in enumerate(self._window[here : here + most - at]):
            number |= (byte & 0x7F) << 7 * index
            if byte < MORE:
                return number & (1 << 64) - 1, at + index + 1
        if most == self.file.size:
            raise BrokenError(f"it is cut off at byte {most:,}")
        raise BrokenError(f"the number at byte {at:,} has no end")

    def _other(self, tag: int, start: int, at: int, end: int) -> int:
        """Return where a field ends that is neither a number nor has a length; groups may be in one another."""
        groups = list[int]()
        while True:
            kind, number = tag & 7, tag >> 3
            if kind == GROUP and len(groups) < DEEPEST:
                groups.append(number)
            elif kind == END and groups and groups[-1] == number:
                groups.pop()
            elif kind in FIXED or (groups and kind in {VARINT, BYTES}):
                at = self._skipped(kind, at, end)
            else:
                raise BrokenError(f"byte {start:,} begins no field")
            if not groups:
                return at
            if at >= end:
                raise self._past(start, at + 1, end)
            start = at
            tag, at = self._tag(at, end)

    def _skipped(self, kind: int, at: int, end: int) -> int:
        if kind in FIXED:
            return at + FIXED[kind]
        number, at = self._varint(at, end)
        return at if kind == VARINT else at + number

    def _past(self, start: int, at: int, end: int) -> BrokenError:
        if end == self.file.size:
            return BrokenError(f"it is cut off: the field at byte {start:,} needs {at - end:,} more bytes")
        return BrokenError(f"the field at byte {start:,} ends after byte {end:,}, where its message ends")
