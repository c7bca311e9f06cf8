"""The documents of a search index: each has an id, a text, metadata, and the headings in its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal

RULE = "index-documents"
MOST = 20
"""Maximum number of wrong lines that are reported: every line of a file in another format is wrong."""


class Heading(NamedTuple):
    """A heading from `start` to `end` of a text, its level from 1 to 6, and its title without markup."""

    start: int
    end: int
    level: int
    title: str


class Document(NamedTuple):
    """A text to be found, with the id that traces it in answers, what else is known of it, and its headings."""

    id: str
    text: str
    metadata: Mapping[str, Any] = {}
    headings: tuple[Heading, ...] = ()


class DocumentFile(NamedTuple):
    """A file with documents, and its path relative to what the stack file names, with slashes."""

    path: Path
    name: str


class Documents(NamedTuple):
    """All documents, and the files that have no text."""

    all: list[Document]
    empty: list[Path]


Reader = Callable[[DocumentFile], Iterator[tuple[Span, Document | Diagnostic]]]
"""Yields the documents of a file with their places, or what is wrong there; raises Stop if nothing can be read."""


class Reading:
    """The documents of files in order, by the readers of suffixes; only one of them is in memory at a time.

    Raise Stop at the end with everything that is wrong and every duplicate id. After the first of these, no document is
    yielded. `empty` are the files without text among those that were read.
    """

    def __init__(self, files: Sequence[DocumentFile], readers: Mapping[str, Reader]) -> None:
        self.empty: list[Path] = []
        self._files, self._readers = files, readers

    def __iter__(self) -> Iterator[Document]:
        wrong: list[Diagnostic] = []
        seen: dict[str, Span] = {}
        for at, found in self._found():
            if isinstance(found, Diagnostic):
                wrong.append(found)
            elif found.id in seen:
                hint = f"Rename this one or the one in {seen[found.id]}."
                wrong.append(Diagnostic(RULE, Severity.FATAL, at, f'duplicate id "{found.id}"', hint))
            else:
                seen[found.id] = at
                if not wrong:
                    yield found
        if wrong:
            raise Stop(_shortened(wrong))
        if not seen:
            at = Span(str(self._files[0].path))
            raise fatal(RULE, at, "the file contains no documents", "Add at least one document.")

    def _found(self) -> Iterator[tuple[Span, Document | Diagnostic]]:
        """Yield what is in the files, and remember those in which nothing is."""
        self.empty.clear()
        for file in self._files:
            full = False
            for found in _read(file, self._readers):
                full = True
                yield found
            if not full:
                self.empty.append(file.path)


def _read(file: DocumentFile, readers: Mapping[str, Reader]) -> Iterator[tuple[Span, Document | Diagnostic]]:
    """Yield what a reader yields; what it raises is one of the things that are wrong."""
    try:
        yield from readers[file.path.suffix.lower()](file)
    except Stop as stop:
        yield from ((each.at, each) for each in stop.diagnostics)


def _shortened(wrong: list[Diagnostic]) -> list[Diagnostic]:
    """Return the first ones; the last of them says how many more there are."""
    rest = len(wrong) - MOST
    if rest <= 0:
        return wrong
    last = wrong[MOST - 1]
    more = "1 more line is wrong." if rest == 1 else f"{rest:,} more lines are wrong."
    return [*wrong[: MOST - 1], replace(last, hint=f"{last.hint}\n{more}".lstrip())]
