"""What the server is shown: a private copy of the repository by hard links, and its backends directory.

The server writes `__pycache__` beside every model.py, which must not land in what the user builds and pushes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.server.runtime import Runtime

WRITTEN_BY_PYTHON = "__pycache__"


class Item(NamedTuple):
    """Something of a directory by its relative path: a directory, a file with where it really lies, or a problem."""

    at: str
    file: Path | None = None
    problem: str = ""


def check(repository: Path) -> None:
    """Raise a fatal Stop unless this is a directory that can be listed."""
    at = str(repository)
    if not repository.exists():
        raise fatal("server-repository", at, "there is no such directory", "Build it first: tritonrepo build")
    if not repository.is_dir():
        raise fatal(
            "server-repository", at, "this is a file, not a model repository", "Name the directory of the models"
        )
    if not os.access(repository, os.R_OK | os.X_OK):
        raise fatal("server-repository", at, "this directory may not be listed by this user", f"chmod u+rx {at}")


def copy(repository: Path, target: Path) -> None:
    """Make `target` a copy: links within the repository resolved, others refused by a fatal Stop, FIFOs left out."""
    root = repository.resolve()
    items = [*walk(root, root, (root,), "")]
    if found := [problem(repository, item) for item in items if item.problem]:
        raise Stop(found)
    target.mkdir()
    try:
        for item in items:
            if item.file is None:
                (target / item.at).mkdir()
            else:
                place(item.file, target / item.at)
    except OSError as error:
        hint = "Set TMPDIR to a directory on the repository's own file system, where the copy takes no space"
        raise fatal("server-copy", str(repository), f"copying it to {target} failed: {error}", hint) from error


def walk(root: Path, directory: Path, within: tuple[Path, ...], prefix: str) -> Iterator[Item]:
    """Give what lies below a directory, each directory before what is in it, sorted by name."""
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        yield Item(prefix or ".", problem=f"cannot be listed: {error.strerror}")
        return
    for entry in entries:
        at = prefix + entry.name
        real = resolved(entry)
        if real is None or entry.name == WRITTEN_BY_PYTHON:
            continue
        if not real.is_relative_to(root):
            yield Item(at, problem=f"links to {real}, outside the repository")
        elif real in within:
            yield Item(at, problem="links to a directory that it is in itself")
        elif real.is_dir():
            yield Item(at)
            yield from walk(root, real, (*within, real), at + "/")
        elif real.is_file():
            yield Item(at, real)


def resolved(entry: Path) -> Path | None:
    """Give where an entry really lies; nothing for a link that leads nowhere, or round and round."""
    if not entry.is_symlink():
        return entry
    try:
        return entry.resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def problem(repository: Path, item: Item) -> Diagnostic:
    """Give the fatal diagnostic for an item."""
    hint = "Put what is meant into the repository itself; a bucket cannot hold links"
    return Diagnostic("server-link", Severity.FATAL, Span(str(repository / item.at)), f"this {item.problem}", hint)


def place(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system or the kernel's rules for links do not let us."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy(source, target)


def backends(runtime: Runtime, ours: Mapping[str, Path], target: Path) -> None:
    """Make the backends directory: the wheel's Python backend with the stub of this Python, and Python-based ones.

    No symbolic links: Triton 24.10 refuses a backend library that lies outside the backends directory. Python-based
    backends are copied, so that an edit of the original never reaches a server that runs.
    """
    python = target / "python"
    python.mkdir(parents=True)
    for source in (*runtime.backend_files, runtime.stub):
        place(source, python / source.name)
    for name, directory in ours.items():
        if not (directory / "model.py").is_file():
            raise fatal("server-backend", str(directory), f"backend {name} has no model.py here", "Name its directory")
        shutil.copytree(directory, target / name, ignore=shutil.ignore_patterns(WRITTEN_BY_PYTHON))
