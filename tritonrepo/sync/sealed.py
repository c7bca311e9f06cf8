"""A tree that must not change while it is pushed: after a build in between, the push would send unchecked files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from tritonrepo.repository.calls import PINS
from tritonrepo.repository.paths import is_config
from tritonrepo.shared import SETTINGS
from tritonrepo.tree import Entry, File, Tree, of_bytes

State = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Sealed(File):
    """A file on this machine's disk whose state is that when it was sealed."""


def seal(tree: Tree) -> dict[str, Entry]:
    """Return a tree whose configs, calls and settings are in memory and whose other files know whether they changed.

    Raise OSError if a file can no longer be read.
    """
    return {path: _sealed(path, entry) for path, entry in tree.items()}


def _sealed(path: str, entry: Entry) -> Entry:
    if not isinstance(entry, File):
        return entry
    if is_config(path) or path.endswith((f"/{PINS}", f"/{SETTINGS}")):
        content = of_bytes(entry.content())
        was = entry.place is not None and entry.state is not None and _state(entry.place)[0] == entry.state
        return replace(content, state=entry.state) if was else content  # it is the content in that state
    if entry.place is None:
        return entry
    state, _ = _state(entry.place)
    state = entry.state if entry.state == state else state  # thousands are kept: each once
    return Sealed(entry.size, entry.read, entry.place, entry.known_sha256, entry.hasher, state)


def broken(file: File) -> bool:
    """Whether a file is no longer the one that was sealed."""
    if not isinstance(file, Sealed) or file.place is None:
        return False
    try:
        (_, inode, content_ns, _), size = _state(file.place)  # new names and rights of a file are no change
    except OSError:
        return True
    return file.state is None or (inode, content_ns, size) != (*file.state[1:3], file.size)


def _state(path: str) -> tuple[State, int]:
    """Return the state of a file as a scan does, and its size in bytes."""
    status = os.stat(path)  # noqa: PTH116  as text, as scans have it
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns), status.st_size
