"""Files with one document each: their text in UTF-8, the id from their path, and plain text as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Span, fatal
from tritonrepo.indexing import metadata
from tritonrepo.indexing.documents import RULE, Document, DocumentFile, Heading

LARGEST = 16 << 20
"""Maximum bytes of a file with one document, which is parsed in memory."""


def plain(file: DocumentFile) -> Iterator[tuple[Span, Document | Diagnostic]]:
    """Yield the document of a file in plain text, if it has any text."""
    yield from document(file, decoded(content(file), file), {})


def document(
    file: DocumentFile, text: str, known: dict[str, Any], headings: tuple[Heading, ...] = ()
) -> Iterator[tuple[Span, Document | Diagnostic]]:
    """Yield the document of a file, unless its text is blank; raise Stop if its name or metadata cannot be used."""
    at = Span(str(file.path))
    if not text.strip():
        return
    id_ = str(PurePosixPath(file.name).with_suffix(""))
    if not id_.strip() or any("\ud800" <= c <= "\udfff" for c in id_):
        raise fatal(RULE, at, "the file's name, which becomes the document's id, is not text", "Rename the file.")
    try:
        yield at, Document(id_, text, metadata.checked(known), headings)
    except ValueError as error:
        raise fatal(RULE, at, str(error), "Change the metadata in the file.") from None


def content(file: DocumentFile) -> bytes:
    """Return the bytes of a file; raise Stop if there are too many."""
    size = file.path.stat().st_size
    if size > LARGEST:
        message = f"the file has {size:,} bytes, but a document can have at most {LARGEST:,}"
        raise fatal(RULE, Span(str(file.path)), message, "Split it into several files.")
    return file.path.read_bytes()


def decoded(data: bytes, file: DocumentFile, encoding: str = "utf-8-sig") -> str:
    """Return a text with line feeds alone between its lines; raise Stop at the line that is not in this encoding."""
    name = "UTF-8" if encoding == "utf-8-sig" else encoding
    try:
        text = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeError as error:
        line = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
        message = f"the line is not valid {name}"
        raise fatal(RULE, Span(str(file.path), line), message, "Save the file as UTF-8 text.") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        message = "the line contains a NUL character, so the file is not text in UTF-8"
        raise fatal(RULE, Span(str(file.path), line), message, "Save the file as UTF-8 text.")
    return text
