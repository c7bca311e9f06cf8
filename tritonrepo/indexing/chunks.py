"""Documents cut into passages: which metadata each has, and where headings matter."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.indexing.documents import Document, Heading
from tritonrepo.spec.part import RULE, Encoding
from tritonrepo.spec.stack import Chunks

HEADINGS = "headings"
"""Key of a passage's metadata: the titles above it, the outermost first."""

BETWEEN = " > "


class Settings(NamedTuple):
    """How documents are cut: the most tokens of a passage, how many of them overlap, and whether headings part them."""

    size: int
    overlap: int
    headings: bool


def pinned(chunks: Chunks) -> str:
    """Return what the lock has of the keys that decide the cuts: those that differ from their default, as JSON."""
    keys = {"max_tokens": chunks.max_tokens, "overlap": chunks.overlap or None, HEADINGS: chunks.headings or None}
    given = {name: value for name, value in keys.items() if value is not None}
    return json.dumps(given) if given else ""


def settings(chunks: Chunks, limit: int, embedder: str) -> Settings:
    """Return how to cut for an embedder that reads `limit` tokens of a text; raise Stop if the keys do not fit that."""
    size = chunks.max_tokens or limit
    at = chunks.places
    if size > limit:
        message = f'max_tokens is {size}, but "{embedder}" reads only {limit} tokens of a passage'
        raise fatal(RULE, at.get("max_tokens", Span("")), message, f"Set it to {limit} or less, or remove it.")
    if chunks.overlap * 2 >= size:
        message = f"overlap must be less than half of the {size} tokens of a passage, not {chunks.overlap}"
        raise fatal(RULE, at.get("overlap", Span("")), message, f"Set it to {(size - 1) // 2} or less.")
    return Settings(size, chunks.overlap, chunks.headings)


def cut(document: Document, encoding: Encoding, how: Settings) -> Iterator[Document]:
    """Yield the passages of a document; the ids of further ones end in `#2`, `#3` ….

    Each has the document's metadata and, if the document has headings, the titles above its first line.
    """
    pieces = _sections(document, encoding, how) if how.headings else _plainly(document, encoding, how)
    for number, (text, above) in enumerate(pieces, 1):
        id_ = document.id if number == 1 else f"{document.id}#{number}"
        known = {**document.metadata, HEADINGS: list(above)} if above else document.metadata
        yield Document(id_, text, known)


Piece = tuple[str, Sequence[str]]
"""The text of a passage, and the titles above it."""


def _plainly(document: Document, encoding: Encoding, how: Settings) -> Iterator[Piece]:
    """Yield the passages of a text that is cut without regard to headings."""
    starts, paths = [heading.start for heading in document.headings], [(), *_paths(document.headings)]
    for begin, end in encoding.cut(document.text, how.size, how.overlap):
        yield document.text[begin:end], paths[bisect_right(starts, begin)]


def _sections(document: Document, encoding: Encoding, how: Settings) -> Iterator[Piece]:
    """Yield the passages of each section by itself, each below a line with its title and headings.

    A heading without a text of its own is only in the lines of those below it. A document of headings alone is one
    section.
    """
    ends = [*(heading.start for heading in document.headings), len(document.text)]
    starts, paths = [0, *(heading.end for heading in document.headings)], [(), *_paths(document.headings)]
    sections = [
        (document.text[start:end], path)
        for start, end, path in zip(starts, ends, paths, strict=True)
        if document.text[start:end].strip()
    ]
    for text, path in sections or [(document.text, ())]:
        head = _head(document.metadata, path, encoding, how)
        size = how.size - (encoding.count(head) + 1 if head else 0)
        for begin, end in encoding.cut(text, size, min(how.overlap, (size - 1) // 2)):
            yield f"{head}{text[begin:end]}", path


def _head(metadata: Mapping[str, Any], path: Sequence[str], encoding: Encoding, how: Settings) -> str:
    """Return the line above a passage: title and headings, the inner ones if all of them need half of a passage."""
    title = metadata.get("title")
    names = [title] if isinstance(title, str) and title.strip() and title not in path[:1] else []
    names = [" ".join(name.split()) for name in (*names, *path)]
    for first in range(len(names)):
        head = f"{BETWEEN.join(names[first:])}\n"
        if encoding.count(head) + 1 <= how.size // 2:
            return head
    return ""


def _paths(headings: Sequence[Heading]) -> list[tuple[str, ...]]:
    """Return for each heading its title and those of the headings that it is below, the outermost first."""
    paths: list[tuple[str, ...]] = []
    above: list[Heading] = []
    for heading in headings:
        above = [other for other in above if other.level < heading.level] + [heading]
        paths.append(tuple(other.title for other in above if other.title))
    return paths
