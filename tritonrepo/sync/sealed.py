"""A tree that must not change while it is pushed: after a build in between, the push would send unchecked files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from tritonrepo.repository.calls import PINS
from tritonrepo.repository.paths import is_config
from tritonrepo.shared import SETTINGS
from tritonrepo.tree import Entry, File, State, facts, of_bytes, state_of


@dataclass(frozen=True, slots=True)
class Sealed(File):
    """A file on this machine's disk whose state is that when it was sealed."""


def seal(tree: dict[str, Entry]) -> dict[str, Entry]:
    """Take the configs, calls and settings of a tree into memory, let all others know whether they changed; return it.

    Raise OSError if a file can no longer be read.
    """
    for path, entry in tree.items():
        tree[path] = _sealed(path, entry)  # in its place: thousands would be there twice
    return tree


def _sealed(path: str, entry: Entry) -> Entry:
    if not isinstance(entry, File):
        return entry
    if is_config(path) or path.endswith((f"/{PINS}", f"/{SETTINGS}")):
        content = of_bytes(entry.content())
        was = entry.place is not None and entry.state is not None and _now(entry.place)[0] == entry.state
        return replace(content, state=entry.state) if was else content  # it is the content in that state
    if entry.place is None:
        return entry
    state, _ = _now(entry.place)
    state = entry.state if entry.state == state else state  # thousands are kept: each once
    return Sealed(entry.size, entry.read, entry.place, entry.digest, entry.hasher, state)


def broken(file: File) -> bool:
    """Whether a file is no longer the one that was sealed."""
    if not isinstance(file, Sealed) or file.place is None:
        return False
    try:
        now, size = _now(file.place)  # new names and rights of a file are no change
    except OSError:
        return True
    return file.state is None or (*facts(now)[1:3], size) != (*facts(file.state)[1:3], file.size)


def _now(place: str | os.PathLike[str]) -> tuple[State, int]:
    """Return the state of a file as a scan does, and its size in bytes."""
    status = os.stat(place)  # noqa: PTH116  as scans do
    return state_of(status), status.st_size
