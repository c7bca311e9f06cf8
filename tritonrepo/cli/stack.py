"""What several commands begin with: stack files and their lock, read; the lock, written."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from tritonrepo.tree import of_text

DEFAULT = "tritonrepo.yaml"
STACK_HELP = f"Stack file; several: a later one wins.  [default: {DEFAULT}]"


class Loaded(NamedTuple):
    """A stack with its lock, and where the lock lies."""

    stack: Stack
    lock: Lock
    lock_path: Path
    cache: Cache


def load(paths: Sequence[Path]) -> Loaded:
    """Read stack files, a later one over an earlier one, and the lock beside the first."""
    paths = [path / DEFAULT if path.is_dir() else path for path in paths] or [Path(DEFAULT)]
    stack = spec.read([(str(path), _content(path)) for path in paths], os.environ)
    lock_path = paths[0].with_suffix(".lock")
    lock = locks.load(lock_path.read_bytes(), str(lock_path)) if lock_path.exists() else Lock()
    return Loaded(stack, lock, lock_path, cache())


def cache() -> Cache:
    """Give the user's cache, which tells on stderr what takes a while."""
    return Cache(default_root(os.environ), lambda what: click.echo(f"{what} …", err=True))


def write_lock(loaded: Loaded, lock: Lock) -> None:
    """Write the lock where it changed, whole or not at all."""
    if locks.dump(lock) != locks.dump(loaded.lock) or not loaded.lock_path.exists():
        store, name = open_store(str(loaded.lock_path))
        store.put(name, of_text(locks.dump(lock)))
        store.tidy()


def _content(path: Path) -> bytes:
    if not path.exists():
        raise fatal(
            "stack-missing", str(path), "there is no such stack file", "Name one with -f, or go to its directory."
        )
    if not path.is_file():
        raise fatal("stack-missing", str(path), "is not a file")
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise fatal("stack-missing", str(path), f"cannot be read: {error.strerror or error}") from None
