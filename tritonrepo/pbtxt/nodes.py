"""The tree of a text: messages, fields and values, each with the bytes that it came from.

The classes are not frozen, only for speed: a frozen dataclass takes three times as long to create, and a text has
hundreds of them. Nothing changes them once they are read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tritonrepo.diagnostics import Span
from tritonrepo.pbtxt import tokens
from tritonrepo.pbtxt.schema import FieldType, MessageType

TAB = 8


Data = bool | int | float | str
"""A scalar's value; an enum's name is an `Enum`. Bytes that are not UTF-8 become surrogates, as by os.fsdecode."""


class Source:
    """A text and what its offsets mean; lines and comments are searched for on first use."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    @cached_property
    def comments(self) -> list[tuple[int, int]]:
        """The comments in order, each as the offsets of its `#` and of its line's end."""
        return tokens.comments(self.text)

    @cached_property
    def _lines(self) -> list[int]:
        starts, at = [0], self.text.find(b"\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find(b"\n", at + 1)
        return starts

    def _line_before(self, offset: int) -> tuple[int, bytes]:
        line = bisect_right(self._lines, offset)
        return line, self.text[self._lines[line - 1] : offset]

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column from 1 as an editor counts: in characters, with a tab as one."""
        line, before = self._line_before(offset)
        return line, len(before.decode("utf-8", "surrogateescape")) + 1

    def server_place(self, offset: int) -> tuple[int, int]:
        """Return line and column from 1 as the server counts: in bytes, with a tab up to the next multiple of 8.

        Source: protobuf v21, src/google/protobuf/io/tokenizer.cc, Tokenizer::NextChar.
        """
        line, before = self._line_before(offset)
        return line, len(before.replace(b"\r", b" ").expandtabs(TAB)) + 1


class Placed:
    """A node with a place in a text: `start` is the offset of the token that a user would edit, `end` where it ends."""

    __slots__ = ()
    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line from 1."""
        return self.source.place(self.start)[0]

    @property
    def column(self) -> int:
        """The column from 1, in characters."""
        return self.source.place(self.start)[1]

    def span(self, path: str) -> Span:
        """Return the place with its end in the file of this path; counted on demand: few places are reported."""
        return Span(path, *self.source.place(self.start), *self.source.place(self.end))


@dataclass(slots=True, eq=False)
class Scalar(Placed):
    """A value that is not a message, and where it is written."""

    source: Source
    start: int
    end: int
    data: Data

    @property
    def written(self) -> str:
        """The value as it is in the text, quotes, signs and all."""
        return self.source.text[self.start : self.end].decode("utf-8", "replace")


@dataclass(slots=True, eq=False)
class Field(Placed):
    """A field as it is written: from `start`, its name, to `end`, the end of its last value, bracket or separator.

    A repeated field that is written twice is two nodes; one that is written as a list is one node with all values.
    """

    source: Source
    start: int
    end: int
    spec: FieldType
    values: Sequence[Value]

    @property
    def name(self) -> str:
        """The field's name."""
        return self.spec.name

    @property
    def value(self) -> Value:
        """The last value; an empty list has none."""
        return self.values[-1]

    @property
    def comments(self) -> list[str]:
        """The comments directly above the name and after the field on its last line, without `#`."""
        text, spans = self.source.text, self.source.comments
        last = bisect_left(spans, (self.start, 0))
        first = last
        while first and _alone(text, spans[first - 1]) and _adjoin(text, spans[first - 1][1], self._head(first, last)):
            first -= 1
        behind = bisect_left(spans, (self.end, 0))
        stop = behind + (behind < len(spans) and not text[self.end : spans[behind][0]].strip(b" \t,;"))
        return [text[a + 1 : b].decode("utf-8", "replace").strip() for a, b in spans[first:last] + spans[behind:stop]]

    def _head(self, first: int, last: int) -> int:
        return self.start if first == last else self.source.comments[first][0]


def _alone(text: bytes, span: tuple[int, int]) -> bool:
    """Return whether a comment is alone on its line."""
    return not text[text.rfind(b"\n", 0, span[0]) + 1 : span[0]].strip()


def _adjoin(text: bytes, end: int, start: int) -> bool:
    """Return whether what starts here is on the line after what ends there."""
    between = text[end:start]
    return not between.strip() and between.count(b"\n") == 1


@dataclass(slots=True, eq=False)
class Message(Placed):
    """A message: its fields in the order of the text; `start` and `end` enclose its brackets, if it has them."""

    source: Source
    start: int
    end: int
    kind: MessageType
    fields: Sequence[Field]

    def get(self, name: str) -> Field | None:
        """Return the last field of this name."""
        for field in reversed(self.fields):
            if field.spec.name == name:
                return field
        return None

    def has(self, name: str) -> bool:
        """Return whether the text names the field."""
        return self.get(name) is not None

    def all(self, name: str) -> list[Value]:
        """Return all values of a field, whether written as a list or repeatedly."""
        return [value for field in self.fields if field.spec.name == name for value in field.values]

    def chosen(self, oneof: str) -> Field | None:
        """Return the member of a oneof that is set."""
        return next((field for field in reversed(self.fields) if field.spec.oneof == oneof), None)

    def messages(self, name: str) -> list[Message]:
        """Return the messages of a field."""
        return [
            value
            for field in self.fields
            if field.spec.name == name
            for value in field.values
            if isinstance(value, Message)
        ]

    def message(self, name: str) -> Message | None:
        """Return the message of a singular field."""
        for field in reversed(self.fields):
            if field.spec.name == name:
                for value in reversed(field.values):
                    if isinstance(value, Message):
                        return value
        return None

    def scalars(self, name: str) -> list[Scalar]:
        """Return the scalars of a field."""
        return [
            value
            for field in self.fields
            if field.spec.name == name
            for value in field.values
            if isinstance(value, Scalar)
        ]

    def numbers(self, name: str) -> list[int]:
        """Return the integers of a repeated field."""
        return [value.data for value in self.scalars(name) if isinstance(value.data, int)]

    def texts(self, name: str) -> list[str]:
        """Return the strings of a repeated field, or the names of its enum's values."""
        return [str(value.data) for value in self.scalars(name)]

    def data(self, name: str) -> Data | None:
        """Return the value of a singular field; None if the text does not set it."""
        for field in reversed(self.fields):
            if field.spec.name == name:
                for value in reversed(field.values):
                    if isinstance(value, Scalar):
                        return value.data
        return None

    def number(self, name: str, default: float = 0) -> float:
        """Return the number of a singular field."""
        data = self.data(name)
        return data if isinstance(data, int | float) else default

    def integer(self, name: str, default: int = 0) -> int:
        """Return the integer of a singular field."""
        data = self.data(name)
        return data if isinstance(data, int) else default

    def text(self, name: str, default: str = "") -> str:
        """Return the string of a singular field."""
        data = self.data(name)
        return data if isinstance(data, str) else default

    def flag(self, name: str) -> bool:
        """Return the bool of a singular field; false if it is not set."""
        return self.data(name) is True

    def enum(self, name: str, default: str = "") -> str:
        """Return the name of an enum's value, or the number as text if the enum has no such value."""
        data = self.data(name)
        return default if data is None else str(data)

    def entries(self, name: str) -> list[Message]:
        """Return a map's entries as they are written, messages with "key" and "value"."""
        return self.messages(name)

    def mapping(self, name: str) -> dict[Data, Value | None]:
        """Return a map by its keys; the last of several entries with one key counts, and a value may be missing."""
        return dict(map(_entry, self.entries(name)))


def _entry(entry: Message) -> tuple[Data, Value | None]:
    key = entry.data("key")
    if key is None:
        key = "" if entry.kind.fields["key"].type == "string" else 0
    return key, next(reversed(entry.all("value")), None)


Value = Scalar | Message


def walk(message: Message) -> Iterator[Message]:
    """Yield a message and all messages in it, in the order of the text."""
    stack = [message]
    while stack:
        inner = stack.pop()
        yield inner
        stack += [
            value
            for field in reversed(inner.fields)
            if field.spec.message is not None
            for value in reversed(field.values)
            if isinstance(value, Message)
        ]
