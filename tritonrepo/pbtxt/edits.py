"""What an edit of a text is."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """Bytes `start` to `end` become `text`; if the two are equal, it is inserted."""

    start: int
    end: int
    text: bytes
