"""The pipeline of `init`: a template becomes the files of a new stack, all of them or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.flows.paths import DEFAULT, reading
from tritonrepo.releases import newest
from tritonrepo.spec.compose import literal
from tritonrepo.spec.yaml import string
from tritonrepo.stores import is_remote
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.links import inside
from tritonrepo.stores.store import Conflict
from tritonrepo.tree import File, of_text

TEMPLATES = ("rag", "search", "llm", "model")
TEXT = ".txt"
"""Ending of a template's Python files, which are no modules of this package."""

RULE = "init-exists"


@reading()
def init(directory: Path | str, template: str = TEMPLATES[0]) -> list[Path]:
    """Write the files of a template to a directory, and return their paths: all of them, or none.

    Files that already have this content stay. Raise Stop if another file is in the place of one of them.
    """
    directory = Path(directory)
    if is_remote(str(directory)):
        hint = "Use a directory. `tritonrepo push` uploads what is built from the stack."
        raise fatal("init-directory", str(directory), "a new stack must be in a directory, not at a URI", hint)
    if os.path.lexists(directory) and not directory.is_dir():
        raise fatal("init-directory", str(directory), "the path is not a directory", "Use another path.")
    found = dict(sorted(_files(template, Path(os.path.realpath(directory)).name), key=lambda item: item[0] == DEFAULT))
    taken = [name for name, file in found.items() if not _free(inside(directory / name, directory, ()), file)]
    if taken:
        raise Stop(_taken(directory / name) for name in taken)
    _write(directory, {name: file for name, file in found.items() if not (directory / name).exists()})
    return sorted(directory / name for name in found)


def _free(path: Path, file: File) -> bool:
    """Return whether a file can be written at a path, or is there."""
    if path.is_symlink() or path.exists():
        return path.is_file() and not path.is_symlink() and path.read_bytes() == file.content()
    return all(parent.is_dir() or not parent.exists() for parent in path.parents)


def _taken(path: Path) -> Diagnostic:
    message = "the template has a file of this name, and another one is already there"
    hint = "Move it elsewhere, or use another directory."
    return Diagnostic(RULE, Severity.FATAL, Span(str(path)), message, hint)


def _files(template: str, name: str) -> Iterator[tuple[str, File]]:
    """Yield the path and content of each file of a template, with the stack's name and a release in it."""
    top = resources.files("tritonrepo").joinpath("data", "templates", template)
    for path, entry in _walk(top, ""):
        text = entry.read_text("utf-8").replace("@RELEASE@", newest().name)
        yield path, of_text(text.replace("@NAME@", string(literal(name or template))))


def _walk(top: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(top.iterdir(), key=lambda entry: entry.name):
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        else:
            yield path.removesuffix(TEXT), entry


def _write(directory: Path, files: dict[str, File]) -> None:
    """Write the files, the stack file last; remove what was written if one of them cannot be."""
    made = not directory.exists()
    store, written = DirectoryStore(directory), list[str]()
    try:
        for name, file in files.items():
            if _put(store, name, file):
                written.append(name)
    except BaseException:
        for name in written:
            store.delete(name)
        store.tidy()
        if made and directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
        raise
    store.tidy()


def _put(store: DirectoryStore, name: str, file: File) -> bool:
    """Write a file where none is, and return whether it was written; another run may write the same one meanwhile."""
    try:
        store.put(name, file, if_absent=True)
    except Conflict:
        if not _free(store.root / name, file):
            raise Stop([_taken(store.root / name)]) from None
        return False
    return True
