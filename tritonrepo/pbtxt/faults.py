"""Faults of a text: our message, place and hint, and the server's words for the one at which it stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.pbtxt.edits import Edit

UNPARSABLE = "config-unparsable"
UNKNOWN_FIELD = "unknown-field"
NEWER_FIELD = "field-newer-than-server"
UNKNOWN_ENUM = "unknown-enum-value"
QUOTED_ENUM = "enum-quoted"
SCALAR_TWICE = "scalar-field-twice"
MESSAGE_TWICE = "message-field-twice"
TWO_OF_ONEOF = "two-schedulers"
OUT_OF_RANGE = "integer-out-of-range"
WRONG_LITERAL = "wrong-literal-type"
BOOL_LITERAL = "bool-literal"
VALUE_NOT_MESSAGE = "parameter-value-not-message"
MISSING_COLON = "missing-colon"
TRAILING_COMMA = "trailing-comma-in-list"
COMMENT_STYLE = "wrong-comment-style"
BYTE_ORDER_MARK = "byte-order-mark"
JSON = "json-config"
YAML = "yaml-config"
TEMPLATE = "trtllm-template-placeholders"
UNBALANCED = "unbalanced-brackets"
EXTENSION = "unknown-extension"
"""The names of the rules, one for each kind of fault."""


@dataclass(frozen=True, slots=True)
class TextFault:
    """One fault of a text. Line and column count from 1, in characters, and point at what is to be edited.

    `end_column` is the column after the last character; both ends are 0 if the fault is not about a token.

    `server` is the server's line about it, "LINE:COLUMN: words", with the server's own count of columns; only the first
    fault has it, because the server stops there.

    `edits` repair it, if that can be said; `safe` is whether it can mean nothing else.
    """

    rule: str
    offset: int
    line: int
    column: int
    message: str
    hint: str = ""
    server: str = ""
    end_line: int = 0
    end_column: int = 0
    edits: tuple[Edit, ...] = ()
    safe: bool = False

    def span(self, path: str) -> Span:
        """Return the place in the file of this path."""
        return Span(path, self.line, self.column, self.end_line, self.end_column)


class Own(NamedTuple):
    """Our part of a fault: the rule, the message, the hint, and the number of the token to edit (None: the current).

    What repairs it: `write` in place of that token, or `edits`; and whether that is `safe`.
    """

    rule: str
    message: str
    hint: str = ""
    token: int | None = None
    write: str = ""
    edits: tuple[Edit, ...] = ()
    safe: bool = False
