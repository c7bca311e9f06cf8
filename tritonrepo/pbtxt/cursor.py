"""The parser's position in the tokens, and the faults and log lines so far."""

from __future__ import annotations

from typing import NoReturn

from tritonrepo.pbtxt import spelling
from tritonrepo.pbtxt.edits import Edit
from tritonrepo.pbtxt.faults import Own, TextFault
from tritonrepo.pbtxt.lexical import UNCLOSED, LexicalFault
from tritonrepo.pbtxt.nodes import Source
from tritonrepo.pbtxt.tokens import END, QUOTE, Tokens

MOST = 50
"""Faults after which reading stops, and lines of the log: nobody reads more, and each may cost a scan of the rest."""


SIGNS = frozenset({b"-", b"+"})
ENDS = frozenset({b"", *(b" \t\r\n\v\f,;}]>#"[n : n + 1] for n in range(12))})
BEGINNINGS = frozenset({b":", b"=", b"[", b"{"})
"""Bytes that can follow a value, and others that can precede one."""


class Lost(Exception):  # noqa: N818  control flow of the parser: `recovery` finds where it goes on
    """Reading cannot go on here; the fault has been reported."""


class More(Exception):  # noqa: N818  control flow of the parser: it starts again with a larger window
    """The text continues after the tokens that were read."""


class Cursor:
    """The tokens of a text, the number of the current one, and the faults so far.

    The tokenizer is one token ahead of the parser and reports first; `log` is in that order, and ends where the server
    stops: at the parser's first report. `names` are those of the fields that were read; `unnamed` is whether an enum
    had a number for which it has no name.
    """

    __slots__ = (
        *("at", "ends", "kinds", "opened", "source", "starts", "texts", "whole"),
        *("ended", "faults", "log", "names", "pending", "stopped", "unnamed"),
    )

    def __init__(self, source: Source, tokens: Tokens) -> None:
        self.source = source
        self.texts, self.kinds, self.starts, self.ends, self.pending, self.whole = tokens
        self.at = 0
        self.opened: list[int] = []
        self.faults: list[TextFault] = []
        self.log: list[str] = []
        self.stopped = False
        self.unnamed = False
        self.names: set[str] = set()
        self.ended = False

    def written(self, at: int | None = None) -> str:
        """Return a token's text as messages show it."""
        return self.texts[self.at if at is None else at].decode("utf-8", "replace")

    def begins_line(self, at: int) -> bool:
        """Return whether a token is the first one of its line."""
        before = self.ends[at - 1] if at else 0
        return not at or b"\n" in self.source.text[before : self.starts[at]]

    def fail(self, words: str, own: Own) -> NoReturn:
        """Report a fault at the current token and leave the production."""
        self.complain(words, own)
        raise Lost

    def complain(self, words: str, own: Own) -> None:
        """Report a fault at the current token, in the server's words and ours."""
        lexical = self.catch_up()
        if self.kinds[self.at] == END and not self.whole:
            self._stop_short()
        server = "" if self.stopped else self._say(self.starts[self.at], words)
        self.stopped = True
        if not lexical and not self.ended:
            token = self.at if own.token is None else own.token
            if own.write and self._stands_alone(token):
                own = own._replace(edits=(Edit(self.starts[token], self.ends[token], own.write.encode()),))
            self._add(own, self.starts[token], server, self.source.place(self.ends[token]))

    def _stands_alone(self, token: int) -> bool:
        """Return whether a token is all of a value: no other text is attached to it, no string and no minus joined."""
        before, start, end = self.texts[token - 1] if token else b"", self.starts[token], self.ends[token]
        attached = self.source.text[end : end + 1]
        if self.kinds[token] == END:
            return False
        joined = self.kinds[token] == self.kinds[token + 1] == QUOTE or before in SIGNS
        around = self.source.text[max(0, start - 1) : start]
        return not joined and attached in ENDS and (around in ENDS or around in BEGINNINGS)

    def _stop_short(self) -> NoReturn:
        """Leave a text that was only read up to the window's end: a fault there says nothing about the text."""
        if not self.faults:
            raise More
        self.ended = True
        raise Lost

    def catch_up(self) -> bool:
        """Report the tokenizer's faults up to the current token; return whether there were any."""
        said = [fault for fault in self.pending if fault.token <= self.at]
        self.pending = self.pending[len(said) :]
        for fault in said[:MOST]:
            self._hear(fault)
        return bool(said)

    def _hear(self, fault: LexicalFault) -> None:
        server = "" if self.stopped else self._say(fault.offset, fault.words)
        if not self.ended and not _is_inside(self.source.text, fault.offset):
            self._add(spelling.lexical_fault(self.source.text, fault), fault.offset, server)
        self.ended = self.ended or fault.words in UNCLOSED

    def _say(self, offset: int, words: str) -> str:
        line, column = self.source.server_place(offset)
        self.log.append(f"{line}:{column}: {words}")
        return self.log[-1]

    def _add(self, own: Own, offset: int, server: str, end: tuple[int, int] = (0, 0)) -> None:
        line, column = self.source.place(offset)
        first = server if len(self.log) == 1 else ""
        fault = TextFault(own.rule, offset, line, column, own.message, own.hint, first, *end, own.edits, own.safe)
        self.faults.append(fault)
        self.ended = self.ended or len(self.faults) >= MOST


def _is_inside(text: bytes, offset: int) -> bool:
    """Return whether this is a later byte of a non-ASCII character whose first byte was already reported."""
    return text[offset : offset + 1] >= b"\x80" and text[offset - 1 : offset] >= b"\x80"
