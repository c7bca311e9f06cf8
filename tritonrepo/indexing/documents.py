"""JSON Lines documents to passages: each with an id and a text that the embedder reads whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal

RULE = "index-documents"


class Document(NamedTuple):
    """A text to be found, under the id that answers are traced by."""

    id: str
    text: str


def find(pattern: str, at: Span) -> list[Path]:
    """Give the files that a pattern matches, sorted; the pattern counts from the stack file's directory."""
    base = Path(at.path).parent
    found = [base / pattern] if Path(pattern).is_absolute() else sorted(base.glob(pattern))
    files = [path for path in found if path.is_file()]
    if not files:
        raise fatal(RULE, at, f'no file matches "{pattern}"', f"It was looked for in {base}.")
    return files


def digest(paths: list[Path]) -> str:
    """Give one SHA-256 over the names and contents of the document files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def read(paths: list[Path]) -> list[Document]:
    """Give the documents in order; raise Stop with every line that is not one, and with ids given twice."""
    wrong: list[Diagnostic] = []
    seen: dict[str, Span] = {}
    documents: list[Document] = []
    for at, line in _lines(paths):
        try:
            document = _document(line)
        except ValueError as error:
            hint = 'A line is {"id": "a-name", "text": "what is found"}.'
            wrong.append(Diagnostic(RULE, Severity.FATAL, at, str(error), hint))
            continue
        if document.id in seen:
            first = seen[document.id]
            wrong.append(
                Diagnostic(RULE, Severity.FATAL, at, f'the id "{document.id}" is given twice', f"First in {first}.")
            )
        seen.setdefault(document.id, at)
        documents.append(document)
    if wrong:
        raise Stop(wrong)
    if not documents:
        raise fatal(RULE, Span(str(paths[0])), "holds no document")
    return documents


def _lines(paths: list[Path]) -> Iterator[tuple[Span, bytes]]:
    for path in paths:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield Span(str(path), number), line


def _document(line: bytes) -> Document:
    """Give the document of a line; ValueError says what it is not."""
    try:
        data = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004  one kind of fault to the caller
    for name in ("id", "text"):
        if not isinstance(data.get(name), str) or not data[name].strip():
            raise ValueError(f'has no "{name}", or one that is not a text')
    return Document(data["id"], data["text"])
