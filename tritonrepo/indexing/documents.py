"""The documents of a search index: JSON Lines, each line with an id, a text, and metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.indexing import metadata
from tritonrepo.stores.links import inside

RULE = "index-documents"
MOST = 20
"""Maximum number of wrong lines that are reported: every line of a file in another format is wrong."""


class Document(NamedTuple):
    """A text to be found, with the id that traces it in answers, and what else is known of it."""

    id: str
    text: str
    metadata: Mapping[str, Any] = {}


def find(pattern: str, at: Span, links: Sequence[Path] = ()) -> list[Path]:
    """Return the files that a glob pattern matches, sorted; the pattern is relative to the stack file's directory.

    Raise Stop if one is a link out of the directory that the pattern names and not into one of `links`.
    """
    base = Path(at.path).parent
    anchor = Path(pattern).anchor
    try:
        found = sorted((Path(anchor) if anchor else base).glob(str(Path(pattern).relative_to(anchor))))
    except (ValueError, IndexError):  # what Path.glob raises for "**x" and "."
        raise fatal(
            RULE,
            at,
            f'"{pattern}" is not a glob pattern of files',
            "Set documents to a pattern such as `./docs/*.jsonl`.",
        ) from None
    named = inside(base / _unmistakable(pattern), base, links, at)
    files = [path for path in found if inside(path, named, links, at).is_file()]
    if not files:
        hint = (
            f"Check the pattern. It is relative to {base}."
            if not anchor
            else "Check that it matches files, not directories."
        )
        raise fatal(RULE, at, f'no file matches "{pattern}"', hint)
    return files


def _unmistakable(pattern: str) -> Path:
    """Return the directory that a pattern names before its first part with a wildcard."""
    parts = Path(pattern).parts
    varies = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    return Path(*parts[:varies])


def digest(paths: Sequence[Path]) -> str:
    """Return one SHA-256 of the names and contents of the document files."""
    return digested([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths])


def digested(files: Sequence[tuple[str, str]]) -> str:
    """Return the same for files of these names, with the SHA-256 of their contents."""
    return hashlib.sha256("".join(f"{name} {content}\n" for name, content in files).encode()).hexdigest()


def read(paths: list[Path]) -> list[Document]:
    """Return the documents in order; raise Stop with every wrong line and every duplicate id."""
    wrong: list[Diagnostic] = []
    seen: dict[str, Span] = {}
    documents: list[Document] = []
    for at, line in _lines(paths):
        try:
            document = _document(line)
        except ValueError as error:
            hint = 'Write each line as `{"id": "a-name", "text": "what is found"}`.'
            wrong.append(Diagnostic(RULE, Severity.FATAL, at, str(error), hint))
            continue
        if document.id in seen:
            first = seen[document.id]
            hint = f"Rename this one or the one in {first}."
            wrong.append(Diagnostic(RULE, Severity.FATAL, at, f'duplicate id "{document.id}"', hint))
        seen.setdefault(document.id, at)
        documents.append(document)
    if wrong:
        raise Stop(_shortened(wrong))
    if not documents:
        raise fatal(RULE, Span(str(paths[0])), "the file contains no documents", "Add at least one document.")
    return documents


def _shortened(wrong: list[Diagnostic]) -> list[Diagnostic]:
    """Return the first ones; the last of them says how many more there are."""
    rest = len(wrong) - MOST
    if rest <= 0:
        return wrong
    last = wrong[MOST - 1]
    more = "1 more line is wrong." if rest == 1 else f"{rest:,} more lines are wrong."
    return [*wrong[: MOST - 1], replace(last, hint=f"{last.hint}\n{more}")]


def _lines(paths: list[Path]) -> Iterator[tuple[Span, bytes]]:
    for path in paths:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield Span(str(path), number), line


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
