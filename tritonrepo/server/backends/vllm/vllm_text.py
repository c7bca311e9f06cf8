"""Turns tokens into text as they arrive, without partial characters and without any part of a stop string.

Source of the behaviour: vLLM 0.10, vllm/v1/engine/detokenizer.py.
"""

from __future__ import annotations

from collections.abc import Callable

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Transcript:
    """The text of one sequence so far, and how much of it can be sent."""

    def __init__(self, decode: Callable[[list[int]], str], stop: list[str], *, include_stop: bool) -> None:
        self.decode, self.stop, self.include_stop = decode, stop, include_stop
        self.held = 0 if include_stop else max(map(len, stop), default=1) - 1
        self.ids: list[int] = []
        self.text = ""
        self.given = self.searched = self.window = self.read = 0

    def add(self, token: int) -> None:
        """Add a token; a character with incomplete bytes waits for the next one."""
        self.ids.append(token)
        # A token's text depends on the one before it (spaces, bytes of a character): decode from there, not from 0.
        before = self.decode(self.ids[self.window : self.read])
        after = self.decode(self.ids[self.window :])
        if len(after) > len(before) and not after.endswith(UNFINISHED):
            self.text += after[len(before) :]
            self.window, self.read = self.read, len(self.ids)

    def meets_stop(self, *, may_end: bool) -> bool:
        """Return whether a stop string has occurred; the text then ends before it, or after it if it is to be included.

        Before the minimum length (`may_end` false), a stop string remains part of the text.
        """
        start, self.searched = self.searched, len(self.text)
        for stop in self.stop if may_end else ():
            at = self.text.find(stop, max(0, start - len(stop) + 1))
            if at >= 0:
                self.text = self.text[: at + len(stop) if self.include_stop else at]
                return True
        return False

    def take(self, *, finished: bool) -> str:
        """Return the text that is new since the last call and certain to belong to the answer."""
        end = len(self.text) if finished else max(self.given, len(self.text) - self.held)
        piece, self.given = self.text[self.given : end], end
        return piece
