"""Documents in JSON Lines: each line has an id, a text, and any other keys, which are metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.indexing import metadata
from tritonrepo.indexing.documents import RULE, Document, DocumentFile

HINT = 'Write each line as `{"id": "a-name", "text": "what is found"}`.'


def read(file: DocumentFile) -> Iterator[tuple[Span, Document | Diagnostic]]:
    """Yield the document of each line that is not blank, or what is wrong with it."""
    with file.path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                at = Span(str(file.path), number)
                try:
                    yield at, _document(line)
                except ValueError as error:
                    yield at, Diagnostic(RULE, Severity.FATAL, at, str(error), HINT)


def _document(line: bytes) -> Document:
    """Return the document of a line; raise ValueError if it is not one."""
    try:
        data = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("the line is not valid UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the line is not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("the line is not a JSON object")  # noqa: TRY004  one kind of fault to the caller
    for name in ("id", "text"):
        if not isinstance(data.get(name), str) or not data[name].strip():
            raise ValueError(f'"{name}" is missing, empty or not a string')
        if any("\ud800" <= c <= "\udfff" for c in data[name]):
            raise ValueError(f'"{name}" contains half of a surrogate pair, which is not a character')
    return Document(data["id"], data["text"], metadata.of_line(data))
