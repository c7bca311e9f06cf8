"""The message of a whole text, whose fields need not be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tritonrepo.pbtxt.nodes import Field, Message, Source
from tritonrepo.pbtxt.schema import MessageType


class Root(Message):
    """The message of a whole text. Its fields can be dropped to save memory: whoever asks for them reads them again."""

    __slots__ = ("_again", "_kept")

    def __init__(
        self, source: Source, kind: MessageType, fields: Sequence[Field], again: Callable[[], Message]
    ) -> None:
        self.source, self.start, self.end, self.kind = source, 0, len(source.text), kind
        self._again = again
        self._kept: Sequence[Field] | None = fields

    @property
    def fields(self) -> Sequence[Field]:
        """The fields, which are the same nodes until they are dropped."""
        kept = self._kept
        if kept is None:
            self._kept = kept = self._again().fields
        return kept

    @fields.setter
    def fields(self, fields: Sequence[Field]) -> None:
        self._kept = fields

    def drop(self) -> None:
        """Drop the fields; nodes that somebody holds stay as they are."""
        self._kept = None
