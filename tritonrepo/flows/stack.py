"""What several commands begin with: reading stack files and their lock, and writing the lock."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tritonrepo import spec
from tritonrepo.diagnostics import Faults, Span, failure, fatal, unreadable
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec import lock as locks
from tritonrepo.spec.lock import Lock
from tritonrepo.spec.nodes import MAX_BYTES
from tritonrepo.spec.stack import Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.links import inside
from tritonrepo.tree import of_text

DEFAULT = "tritonrepo.yaml"


def is_stack(path: str) -> bool:
    """Whether a path names a stack file, or a directory that holds one."""
    return Path(path).is_file() or (Path(path) / DEFAULT).is_file()


class Loaded(NamedTuple):
    """Stack with its lock and the lock's path, the files that it was read from, and its workspace."""

    stack: Stack
    lock: Lock
    lock_path: Path
    paths: tuple[Path, ...]
    work: Workspace

    @property
    def remake(self) -> str:
        """The command that builds the indexes of this stack."""
        return shlex.join(["tritonrepo", "index", *(word for path in self.paths for word in ("-f", str(path)))])

    def gathering(self) -> Gathering:
        """Return what resolves the stack's sources."""
        return Gathering(self.stack, self.lock, self.work.cache, self.remake, self.work.links)


def load(paths: Path | str | Sequence[Path | str], work: Workspace) -> Loaded:
    """Read one stack file or several, later ones merged over earlier ones, and the lock next to the first."""
    paths = [paths] if isinstance(paths, Path | str) else paths
    with reading():
        named = [path / DEFAULT if path.is_dir() else path for path in map(Path, paths)] or [Path(DEFAULT)]
        lock_path = named[0].with_suffix(".lock")
        faults = Faults()
        lock = faults.tried(lambda: _lock(lock_path, named[0], work.links), Lock())
        texts = [(str(path), faults.tried(partial(_content, path, work.links), None)) for path in named]
        there = [(path, text) for path, text in texts if text is not None]
        opened = partial(_extended, links=work.links)
        stack = faults.tried(lambda: spec.read(there, work.environ, work.parts, opened), None) if there else None
        faults.stop()
    assert stack is not None  # noqa: S101  nothing was found
    return Loaded(stack, lock, lock_path, tuple(named), work)


@contextmanager
def reading() -> Iterator[None]:
    """Turn an OSError into a Stop: many files of a stack are read only where their content is needed."""
    try:
        yield
    except OSError as error:
        raise unreadable(error) from None


def not_overtaken(loaded: Loaded, lock: Lock) -> None:
    """Raise Stop if the lock on disk is neither what was read nor what is to be written."""
    path = loaded.lock_path
    if _lock(path, loaded.paths[0], loaded.work.links) not in (loaded.lock, lock):
        message = "somebody else changed the lock file after it was read"
        raise failure("lock-overtaken", str(path), message, "Run the command again.")


def write_lock(loaded: Loaded, lock: Lock) -> None:
    """Write the lock if it changed, whole or not at all; raise Stop if somebody else has changed it since."""
    not_overtaken(loaded, lock)
    path = loaded.lock_path
    if locks.dump(lock) != locks.dump(loaded.lock) or not path.exists():
        store, name = open_store(str(path))
        try:
            store.put(name, of_text(locks.dump(lock)))
        finally:
            store.tidy()


def _lock(path: Path, stack: Path, links: Sequence[Path]) -> Lock:
    if path == stack:
        raise fatal(
            "stack-name", str(path), "the stack file has the path of its own lock file", "Rename it to end in .yaml."
        )
    return locks.load(path.read_bytes(), str(path)) if inside(path, path.parent, links).exists() else Lock()


def _extended(name: str, at: Span, links: Sequence[Path]) -> tuple[str, bytes]:
    """Return the path and content of a stack file that another one extends at this place."""
    above = Path(at.path).parent
    path = inside(above / name, above, links, at)
    path = path / DEFAULT if path.is_dir() else path
    short = Path(os.path.normpath(path))
    path = short if short.resolve() == path.resolve() else path  # with links, `a/..` can be another directory
    if not path.is_file():
        state = "is not a regular file" if path.exists() else "does not exist"
        hint = f"Use a path relative to {above}/." if above.name else "Use a path relative to this file."
        raise fatal("stack-extends", at, f"the extended stack file {path} {state}", hint)
    with inside(path, path.parent, links, at).open("rb") as stream:
        return str(path), stream.read(MAX_BYTES + 1)


def _content(path: Path, links: Sequence[Path]) -> bytes:
    if not path.exists():
        raise fatal(
            "stack-missing",
            str(path),
            "the stack file does not exist",
            "Use the path of a stack file or its directory.",
        )
    if not path.is_file():
        raise fatal("stack-missing", str(path), "the stack file is not a regular file")
    with inside(path, path.parent, links).open("rb") as stream:
        return stream.read(MAX_BYTES + 1)
