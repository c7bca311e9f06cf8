"""The files of documents that a stack file names: by glob patterns, directories, or single files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.indexing import json_lines, markdown, texts, web_pages
from tritonrepo.indexing.documents import RULE, DocumentFile, Documents, Reading
from tritonrepo.indexing.vectors import EMBEDDINGS, PASSAGES
from tritonrepo.stores.links import inside
from tritonrepo.tree import on_disk

READERS = {
    ".jsonl": json_lines.read,
    ".ndjson": json_lines.read,
    ".json": json_lines.read,
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".txt": texts.plain,
    ".html": web_pages.read,
    ".htm": web_pages.read,
}
LINES = frozenset(suffix for suffix, reader in READERS.items() if reader is json_lines.read)
IN_DIRECTORIES = READERS.keys() - {".json"}
"""What is read of a directory, whose .json files can be anything."""

FORMATS = "JSON Lines (.jsonl), Markdown (.md), HTML (.html) and plain text (.txt)"


class Files(NamedTuple):
    """The files of documents in order, and the files of the directories that are in no known format."""

    all: list[DocumentFile]
    left: list[Path]


def find(patterns: Sequence[str], at: Span, links: Sequence[Path] = ()) -> Files:
    """Return the files that glob patterns match, those of a pattern sorted; each is relative to the stack file.

    A directory stands for all files below it in a known format that are not hidden. Raise Stop if a pattern matches
    nothing, or a link leads out of the directory that it names and not into one of `links`.
    """
    found = Files([], [])
    if not patterns:
        raise fatal(RULE, at, "documents is empty", "Set it to a directory, or to a pattern such as `./docs/*.md`.")
    for pattern in patterns:
        directory = Path(at.path).parent / pattern
        if pattern and directory.is_dir():
            _add_directory(found, directory, at, links)
        else:
            _add_matches(found, pattern, at, links)
    first = {file.path: file for file in reversed(found.all)}
    return Files([file for file in found.all if first.pop(file.path, None)], found.left)


def _add_directory(found: Files, directory: Path, at: Span, links: Sequence[Path]) -> None:
    inside(directory, Path(at.path).parent, links, at)
    below = sorted(_Walk(directory, at, links).files(directory), key=os.fsencode)
    known = [path for path in below if path.suffix.lower() in IN_DIRECTORIES]
    left = [path for path in below if path.suffix.lower() not in IN_DIRECTORIES]
    if not known:
        rest = f"; its files are in other formats: {kinds(left)}" if left else ""
        raise fatal(RULE, at, f"no documents are below {directory}{rest}", f"Read are {FORMATS}.")
    found.all.extend(DocumentFile(path, path.relative_to(directory).as_posix()) for path in known)
    found.left.extend(left)


class _Walk:
    """A walk through a directory that the stack file names; one to which several links lead is read once."""

    def __init__(self, top: Path, at: Span, links: Sequence[Path]) -> None:
        self.top, self.at, self.links = top, at, links
        self.seen: set[str] = set()

    def files(self, place: Path) -> Iterator[Path]:
        """Yield the files below a directory that are not hidden."""
        real = os.path.realpath(place)
        if real in self.seen:
            return
        self.seen.add(real)
        for path in sorted(place.iterdir()):
            if path.name.startswith(".") or (path.name == PASSAGES and (place / EMBEDDINGS).exists()):
                continue  # hidden, or part of an index, which may be below its own documents
            if inside(path, self.top, self.links, self.at).is_dir():
                yield from self.files(path)
            elif path.is_file():
                yield path


def _add_matches(found: Files, pattern: str, at: Span, links: Sequence[Path]) -> None:
    base = Path(at.path).parent
    anchor = Path(pattern).anchor
    try:
        matches = sorted((Path(anchor) if anchor else base).glob(str(Path(pattern).relative_to(anchor))))
    except (ValueError, IndexError):  # what Path.glob raises for "**x" and ""
        raise fatal(
            RULE,
            at,
            f'"{pattern}" is not a glob pattern of files',
            "Set documents to a directory, or to a pattern such as `./docs/*.md`.",
        ) from None
    top = base / _unmistakable(pattern)
    named = inside(top, base, links, at)
    files = [path for path in matches if inside(path, named, links, at).is_file()]
    if not files:
        hint = (
            f"Check the pattern. It is relative to {base}."
            if not anchor
            else "Check that it matches files, not directories."
        )
        raise fatal(RULE, at, f'no file matches "{pattern}"', hint)
    for path in files:
        if path.suffix.lower() not in READERS:
            kind = path.suffix or "without a suffix"
            hint = f"Read are {FORMATS}. Convert it to one of them, or name only such files."
            raise fatal(RULE, at, f"{path} cannot be read: files {kind} are not supported", hint)
        found.all.append(DocumentFile(path, path.relative_to(top).as_posix()))


def _unmistakable(pattern: str) -> Path:
    """Return the directory that a pattern names before its first part with a wildcard."""
    parts = Path(pattern).parts
    varies = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    return Path(*parts[:varies])


def kinds(paths: Sequence[Path]) -> str:
    """Return the suffixes of files with their counts, the most frequent first."""
    suffixes = [path.suffix.lower() or "no suffix" for path in paths]
    counts = sorted((-suffixes.count(suffix), suffix) for suffix in {*suffixes})
    return ", ".join(f"{suffix} ({-count:,})" for count, suffix in counts)


def read(files: Sequence[DocumentFile]) -> Documents:
    """Return the documents of files; raise Stop with everything that is wrong with them."""
    reading = each(files)
    return Documents([*reading], reading.empty)


def each(files: Sequence[DocumentFile]) -> Reading:
    """Return the same as something to go through, with one document in memory at a time."""
    return Reading(files, READERS)


def digest(files: Sequence[DocumentFile]) -> str:
    """Return one SHA-256 of the names and contents of the document files.

    The directory of a file counts if it is part of its document's id.
    """
    names = [file.path.name if file.path.suffix.lower() in LINES else file.name for file in files]
    return digested([(name, _sha256(file.path)) for name, file in zip(names, files, strict=True)])


def digested(files: Sequence[tuple[str, str]]) -> str:
    """Return the same for files of these names, with the SHA-256 of their contents."""
    lines = "".join(f"{name} {content}\n" for name, content in files)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    return on_disk(path, path.stat().st_size).sha256
