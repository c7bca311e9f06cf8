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


def read(files: Sequence[DocumentFile], readers: Mapping[str, Reader]) -> Documents:
    """Return the documents in order, by the readers of suffixes.

    Raise Stop with everything that is wrong and every duplicate id.
    """
    wrong: list[Diagnostic] = []
    seen: dict[str, Span] = {}
    found = Documents([], [])
    for file in files:
        before = len(found.all) + len(wrong)
        for at, document in _read(file, readers):
            if isinstance(document, Diagnostic):
                wrong.append(document)
                continue
            if document.id in seen:
                hint = f"Rename this one or the one in {seen[document.id]}."
                wrong.append(Diagnostic(RULE, Severity.FATAL, at, f'duplicate id "{document.id}"', hint))
            seen.setdefault(document.id, at)
            found.all.append(document)
        if len(found.all) + len(wrong) == before:
            found.empty.append(file.path)
    if wrong:
        raise Stop(_shortened(wrong))
    if not found.all:
        raise fatal(RULE, Span(str(files[0].path)), "the file contains no documents", "Add at least one document.")
    return found


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
