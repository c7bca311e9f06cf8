"""Ignore comments: what the author of a config.pbtxt or a stack file knows and does not want to be told.

    # tritonrepo: ignore[rule-name, other-rule] the reason

After something else on its line, the comment applies to that line; on a line of its own, to the next line that is
neither empty nor a comment; above the first field, to the whole model. A `#` in a string does not start a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Span
from tritonrepo.pbtxt.nodes import Source
from tritonrepo.repository.model import Model

MARK = b"tritonrepo:"
SEARCHED_BYTES = 4 << 20
"""A longer text is not searched for comments, to save memory."""

MOST = 50
"""How many names are read at most: nobody needs more, and each unknown one costs a search for the nearest."""

_ADDRESSED = re.compile(r"#+\s*tritonrepo:")
_IGNORE = re.compile(r"#+\s*tritonrepo:\s*ignore\s*\[([^\]]*)\]\s*(.*)")
_NAME = re.compile(r"[^,\s][^,]*")
_BLANK = re.compile(rb"(?:\s++|#[^\n\0]*+)*+")


class Name(NamedTuple):
    """A rule's name in a comment."""

    text: str
    at: Span


class Ignore(NamedTuple):
    """An ignore comment; one without names is addressed to tritonrepo, but cannot be read.

    `line` is the line that it applies to, or 0 for the whole model; if it is in a stack file, for the whole `file`.
    """

    model: str
    at: Span
    names: tuple[Name, ...]
    reason: str
    line: int
    file: str = ""

    def covers(self, found: Diagnostic) -> bool:
        """Return whether this comment applies to the place of a finding on the same model."""
        return not self.line or (found.at.path == self.at.path and found.at.line == self.line)


def ignores(model: Model) -> Iterator[Ignore]:
    """Yield the ignore comments of a model's config, in order."""
    source = model.config.source
    if MARK not in source.text or len(source.text) > SEARCHED_BYTES:
        return
    head = _end_of_gap(source.text, 0)
    names = 0
    for start, end in source.comments:
        text = source.text[start:end].decode("utf-8", "replace")
        if names < MOST and is_addressed(text):
            found = _ignore(model, text, start, 0 if start < head else _line(source, start, end))
            names += max(1, len(found.names))
            yield found


def _ignore(model: Model, text: str, start: int, line: int) -> Ignore:
    return named(Ignore(model.name, Span(model.at().path, *model.config.source.place(start)), (), "", line), text)


def is_addressed(text: str) -> bool:
    """Return whether a comment is for tritonrepo."""
    return _ADDRESSED.match(text) is not None


def named(ignore: Ignore, text: str) -> Ignore:
    """Return an ignore comment with the names and the reason in its text."""
    found = _IGNORE.match(text)
    if found is None:
        return ignore
    names = [
        Name(name[0].rstrip(), replace(ignore.at, column=ignore.at.column + name.start()))
        for name in _NAME.finditer(text, found.start(1), found.end(1))
    ]
    return ignore._replace(names=tuple(names[:MOST]), reason=found[2].strip())


def _line(source: Source, start: int, end: int) -> int:
    """Return the line that a comment below the first field applies to: its own, or the next one if it is alone."""
    text = source.text
    alone = not text[text.rfind(b"\n", 0, start) + 1 : start].strip()
    return source.place(_end_of_gap(text, end) if alone else start)[0]


def _end_of_gap(text: bytes, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at
