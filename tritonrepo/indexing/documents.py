"""JSON Lines documents to passages: each with an id and a text that the embedder reads whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.stores.links import inside

RULE = "index-documents"
MOST = 20
"""So many wrong lines are told one by one: a file of another form has nothing but such."""


class Document(NamedTuple):
    """A text to be found, under the id that answers are traced by."""

    id: str
    text: str


def find(pattern: str, at: Span, links: Sequence[Path] = ()) -> list[Path]:
    """Return the files that a pattern matches, sorted; the pattern counts from the stack file's directory.

    Raise Stop where one is a link out of the directory that the pattern names, but into none of `links`.
    """
    base = Path(at.path).parent
    anchor = Path(pattern).anchor
    try:
        found = sorted((Path(anchor) if anchor else base).glob(str(Path(pattern).relative_to(anchor))))
    except (ValueError, IndexError):  # what Path.glob raises of "**x" and of "."
        raise fatal(RULE, at, f'"{pattern}" is no pattern of files', "Write one such as ./docs/*.jsonl.") from None
    named = inside(base / _unmistakable(pattern), base, links, at)
    files = [path for path in found if inside(path, named, links, at).is_file()]
    if not files:
        hint = f"It was looked for in {base}." if not anchor else "Is it the path of files, not of their directory?"
        raise fatal(RULE, at, f'no file matches "{pattern}"', hint)
    return files


def _unmistakable(pattern: str) -> Path:
    """Return the directory that a pattern names before the first part that stands for several."""
    parts = Path(pattern).parts
    varies = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    return Path(*parts[:varies])


def digest(paths: list[Path]) -> str:
    """Return one SHA-256 over the names and contents of the document files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def read(paths: list[Path]) -> list[Document]:
    """Return the documents in order; raise Stop with every line that is not one, and with ids given twice."""
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
        raise Stop(_shortened(wrong))
    if not documents:
        raise fatal(RULE, Span(str(paths[0])), "holds no document")
    return documents


def _shortened(wrong: list[Diagnostic]) -> list[Diagnostic]:
    """Return the first ones; the last of them says how many follow."""
    rest = len(wrong) - MOST
    if rest <= 0:
        return wrong
    last = wrong[MOST - 1]
    return [*wrong[: MOST - 1], replace(last, hint=f"{last.hint}\n{rest:,} more lines are wrong.")]


def _lines(paths: list[Path]) -> Iterator[tuple[Span, bytes]]:
    for path in paths:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield Span(str(path), number), line


def _document(line: bytes) -> Document:
    """Return the document of a line; ValueError says what it is not."""
    try:
        data = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004  one kind of fault to the caller
    for name in ("id", "text"):
        if not isinstance(data.get(name), str) or not data[name].strip():
            raise ValueError(f'has no "{name}", or one that is not a text')
        if any("\ud800" <= c <= "\udfff" for c in data[name]):
            raise ValueError(f'has half of a surrogate pair in its "{name}", which is no character')
    return Document(data["id"], data["text"])
