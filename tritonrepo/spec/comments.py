"""Comments of a stack file, which are in no node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from tritonrepo.diagnostics import Span, line_and_column
from tritonrepo.spec.composing import gaps

COMMENT = re.compile(r"#[^\r\n]*+")
BLANK = re.compile(r"(?:\s++|#[^\r\n]*+)*+")


class Comment(NamedTuple):
    """A comment and its place; `line` is that of what is before it or, if it is alone on its line, of what follows.

    It is 0 for a comment above the first key.
    """

    text: str
    at: Span
    line: int


def comments(text: str, path: str) -> Iterator[Comment]:
    """Yield the comments of a text that is YAML, in order; those within block scalars are text."""
    text = text.removeprefix("\ufeff")
    try:
        for start, end, begun in gaps(text):
            for found in COMMENT.finditer(text, start, end):
                yield _comment(text, found, path, begun=begun)
    except yaml.YAMLError:  # the file has changed since it was parsed
        return


def _comment(text: str, found: re.Match[str], path: str, *, begun: bool) -> Comment:
    at = Span(path, *line_and_column(text, found.start()))
    alone = not text[found.start() - at.column + 1 : found.start()].strip()
    rest = BLANK.match(text, found.end())
    line = at.line if not alone or rest is None else line_and_column(text, rest.end())[0]
    return Comment(found[0], at, line if begun else 0)
