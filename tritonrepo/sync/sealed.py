"""A tree that must not change while it is pushed: after a build in between, the push would send unchecked files."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tritonrepo.repository.calls import PINS
from tritonrepo.repository.paths import is_config
from tritonrepo.shared import SETTINGS
from tritonrepo.tree import Entry, File, Tree, of_bytes

Stamp = tuple[int, int, int]
"""A file's inode number, its size in bytes, and when its content was last written, in ns."""


@dataclass(frozen=True, slots=True)
class Sealed(File):
    """A file on this machine's disk that remembers its state when it was first seen."""

    stamp: Stamp = (0, 0, 0)


def seal(tree: Tree) -> dict[str, Entry]:
    """Return a tree whose configs, calls and settings are in memory and whose other files know whether they changed.

    Raise OSError if a file can no longer be read.
    """
    return {path: _sealed(path, entry) for path, entry in tree.items()}


def _sealed(path: str, entry: Entry) -> Entry:
    if not isinstance(entry, File):
        return entry
    if is_config(path) or path.endswith((f"/{PINS}", f"/{SETTINGS}")):
        return of_bytes(entry.content())
    if entry.place is None:
        return entry
    return Sealed(entry.size, entry.read, entry.place, entry.known_sha256, entry.hasher, stamp=_stamp(entry.place))


def broken(file: File) -> bool:
    """Whether a file is no longer the one that was sealed."""
    if not isinstance(file, Sealed) or file.place is None:
        return False
    try:
        return _stamp(file.place) != file.stamp
    except OSError:
        return True


def _stamp(path: str) -> Stamp:
    status = os.stat(path)  # noqa: PTH116  as text, as scans have it
    return status.st_ino, status.st_size, status.st_mtime_ns
