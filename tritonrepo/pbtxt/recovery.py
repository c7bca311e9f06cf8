"""Where reading resumes after a fault, so that one run reports all faults and none that only follows from another.

Brackets are trusted first: a field whose value is wrong but well-formed is skipped. Otherwise reading resumes at the
next line that begins with a field of the same message, or at the message's closing bracket.
"""

from __future__ import annotations

from tritonrepo.pbtxt.cursor import Cursor
from tritonrepo.pbtxt.schema import MessageType
from tritonrepo.pbtxt.tokens import DIGIT, DOT, END, QUOTE, WORD

OPENING = {b"{", b"<", b"["}
CLOSING = {b"}", b">", b"]"}
BLOCK_ENDS = {b"}", b">"}
SEPARATORS = {b",", b";"}


def resume(cursor: Cursor, start: int, kind: MessageType) -> bool:
    """Resume after the field that begins with token `start`; return whether there is a place to resume."""
    found = None
    if not cursor.ended:
        found = _over_field(cursor, start) or _next_field(cursor, max(cursor.at, start + 1), kind)
    if found is None:
        _give_up(cursor)
        return False
    cursor.at = found
    return True


def _give_up(cursor: Cursor) -> None:
    """Go to the end: report the tokenizer's faults up to here and skip the rest."""
    cursor.catch_up()
    cursor.ended = True
    cursor.at = len(cursor.texts) - 1


def next_item(cursor: Cursor) -> bool:
    """Go to the comma or bracket that ends a list's item; return whether there is one."""
    at, depth = cursor.at, 0
    while cursor.kinds[at] != END:
        text = cursor.texts[at]
        if depth == 0 and text in {b",", b"]"}:
            cursor.at = at
            return True
        depth += (text in OPENING) - (text in CLOSING)
        if depth < 0:
            return False
        at += 1
    return False


def _over_field(cursor: Cursor, start: int) -> int | None:
    """Return the token after a well-formed field, if another field can begin or the message can end there."""
    texts, kinds = cursor.texts, cursor.kinds
    if kinds[start] != WORD:
        return None
    at = start + 1
    while texts[at] == b"-" and kinds[at + 1] == WORD:
        at += 2
    at += texts[at] in {b":", b"="}
    end = _over_value(cursor, at)
    if end is None:
        return None
    end += texts[end] in SEPARATORS
    return end if kinds[end] in {WORD, END} or texts[end] in BLOCK_ENDS else None


def _over_value(cursor: Cursor, at: int) -> int | None:
    texts, kinds = cursor.texts, cursor.kinds
    if texts[at] in OPENING:
        return _over_brackets(cursor, at)
    at += texts[at] in {b"-", b"+"}
    if kinds[at] == QUOTE:
        while kinds[at] == QUOTE:
            at += 1
        return at
    return at + 1 if kinds[at] in {WORD, DIGIT, DOT} else None


def _over_brackets(cursor: Cursor, at: int) -> int | None:
    depth = 0
    while cursor.kinds[at] != END:
        depth += (cursor.texts[at] in OPENING) - (cursor.texts[at] in CLOSING)
        at += 1
        if depth == 0:
            return at
    return None


def _next_field(cursor: Cursor, at: int, kind: MessageType) -> int | None:
    """Return the next token that begins its line with a field of this message, or closes the message."""
    texts, depth = cursor.texts, 0
    while at < len(texts) - 1:
        text = texts[at]
        if depth <= 0 and text in kind.keys and cursor.begins_line(at):
            return at
        if depth == 0 and text in BLOCK_ENDS and cursor.opened:
            return at
        depth += (text in OPENING) - (text in CLOSING)
        at += 1
    return None
