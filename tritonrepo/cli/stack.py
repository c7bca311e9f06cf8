"""What several commands begin with: stack files and their lock, read; the lock, written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from tritonrepo import spec
from tritonrepo.diagnostics import fatal
from tritonrepo.sources.cache import Cache, default_root
from tritonrepo.spec import lock as locks
from tritonrepo.spec.lock import Lock
from tritonrepo.spec.nodes import MAX_BYTES
from tritonrepo.spec.stack import Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.links import inside
from tritonrepo.tree import of_text

DEFAULT = "tritonrepo.yaml"
STACK_HELP = f"Stack file; several: a later one wins.  [default: {DEFAULT}]"


class Loaded(NamedTuple):
    """A stack with its lock, where the lock lies, and the directories that links may lead into."""

    stack: Stack
    lock: Lock
    lock_path: Path
    cache: Cache
    links: tuple[Path, ...] = ()


def load(paths: Sequence[Path], links: tuple[Path, ...] = ()) -> Loaded:
    """Read stack files, a later one over an earlier one, and the lock beside the first."""
    with reading():
        paths = [path / DEFAULT if path.is_dir() else path for path in paths] or [Path(DEFAULT)]
        stack = spec.read([(str(path), _content(path, links)) for path in paths], os.environ)
        lock_path = paths[0].with_suffix(".lock")
        if lock_path == paths[0]:
            raise fatal("stack-name", str(lock_path), "is where the lock would be written", "Name it something.yaml.")
        there = inside(lock_path, lock_path.parent, links).exists()
        lock = locks.load(lock_path.read_bytes(), str(lock_path)) if there else Lock()
    return Loaded(stack, lock, lock_path, cache(), links)


@contextmanager
def reading() -> Iterator[None]:
    """Make a Stop of what the system refuses: many files of a stack are read only where their content is needed."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        message = f"cannot be read: {error.strerror or error}"
        raise fatal(
            "input-access", str(error.filename), message, "Give this user access to it, or another path."
        ) from None


def cache() -> Cache:
    """Give the user's cache, which tells on stderr what takes a while."""
    return Cache(default_root(os.environ), lambda what: click.echo(f"{what} …", err=True))


def write_lock(loaded: Loaded, lock: Lock) -> None:
    """Write the lock where it changed, whole or not at all."""
    if locks.dump(lock) != locks.dump(loaded.lock) or not loaded.lock_path.exists():
        store, name = open_store(str(loaded.lock_path))
        try:
            store.put(name, of_text(locks.dump(lock)))
        finally:
            store.tidy()


def _content(path: Path, links: Sequence[Path]) -> bytes:
    if not path.exists():
        raise fatal("stack-missing", str(path), "there is no such stack file", "Name a stack file or its directory.")
    if not path.is_file():
        raise fatal("stack-missing", str(path), "is not a file")
    with inside(path, path.parent, links).open("rb") as stream:
        return stream.read(MAX_BYTES + 1)
