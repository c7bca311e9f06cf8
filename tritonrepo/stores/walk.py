"""A scan of everything below a directory, through links that stay in it or lead into allowed directories."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.stores.beneath import Scanned, Spot
from tritonrepo.tree import Directory, Entry, File, Link, Outside, Unreadable, hashed, state_of

FOLLOWED = 10_000
"""How many entries are scanned through links before further links are not followed: links can multiply endlessly."""

READABLE = 0o444
WRITTEN_BY_PYTHON = "__pycache__"


class _Ahead(NamedTuple):
    """A directory to be scanned: its path in the tree, its real location, and those of the links that led there."""

    path: str
    spot: Spot
    trail: tuple[str, ...] = ()


class Walk:
    """A scan of a directory; `found` is what it contains, by path.

    Links are followed as the server does, but not out of the directory; `allowed` are others that they may lead into.
    `hasher` becomes the hasher of the files.
    Paths are built as text: a Path for each would cost as much as the scan itself.
    """

    def __init__(self, top: Path, allowed: Sequence[Path] = (), hasher: Callable[[File], str] = hashed) -> None:
        self.found: dict[str, Entry] = {}
        self._top, self._hasher = str(top), hasher
        self._roots = [os.path.realpath(each) for each in (top, *allowed)]
        self._left = FOLLOWED
        self._open: dict[Spot, int] = {}  # the top and the previous directory: most others are in one of these
        try:
            ahead = [_Ahead("", Spot(self._roots[0], ""))]
            while ahead:
                ahead += reversed(self._look(ahead.pop()))
        finally:
            for descriptor in self._open.values():
                os.close(descriptor)

    def _look(self, here: _Ahead) -> list[_Ahead]:
        """Scan a directory, and return the directories in it and those that its links lead to."""
        try:
            descriptor = self._opened(here.spot)
        except PermissionError:
            if not here.path:
                raise
            self.found[here.path] = Unreadable.LOCKED
            return []
        with os.scandir(descriptor) as scan:
            items = list(scan)
        if here.path and all(item.name == WRITTEN_BY_PYTHON for item in items):
            self.found[here.path] = Directory()
        items = items if len(items) == 1 else sorted(items, key=_name_in_bytes)
        return [each for item in items if (each := self._item(item, here, descriptor)) is not None]

    def _opened(self, spot: Spot) -> int:
        """Open a directory, through its parent if that is open, and close the previous one."""
        if spot in self._open:
            return self._open[spot]
        above = self._open.get(Spot(spot.root, spot.path.rpartition("/")[0])) if spot.path else None
        descriptor = spot.directory() if above is None else spot.directory_in(above)
        if len(self._open) > 1:
            os.close(self._open.popitem()[1])
        self._open[spot] = descriptor
        return descriptor

    def _item(self, item: os.DirEntry[str], here: _Ahead, descriptor: int) -> _Ahead | None:
        """Record what an entry is, or return the directory that it is or leads to."""
        name = item.name
        path = f"{here.path}/{name}" if here.path else name
        if here.trail:
            self._left -= 1
        if item.is_symlink():
            return self._link(item, path, here, descriptor)
        spot = Spot(here.spot.root, path) if here.spot.path == here.path else here.spot.child(name)
        if item.is_dir(follow_symlinks=False):
            return _Ahead(path, spot, here.trail) if name != WRITTEN_BY_PYTHON else None
        self.found[path] = self._leaf(item, path, spot, descriptor)
        return None

    def _link(self, item: os.DirEntry[str], path: str, here: _Ahead, descriptor: int) -> _Ahead | None:
        above = str(here.spot)
        there = _resolved(str(here.spot.child(item.name)))
        root = next((root for root in self._roots if is_in(there, root)), None)
        spot = Spot(root, there[len(root) :].strip("/")) if root is not None else here.spot
        entry = self._leaf(item, path, spot, descriptor)
        trail = (*here.trail, above)
        if root is None and entry is not Unreadable.DANGLING:
            entry = Outside(_target(item, descriptor), isinstance(entry, Link))
        elif isinstance(entry, Link) and self._left > 0 and not any(is_in(place, there) for place in trail):
            return _Ahead(path, spot, trail)
        self.found[path] = entry
        return None

    def _leaf(self, item: os.DirEntry[str], path: str, spot: Spot, descriptor: int) -> Entry:
        """Return what an entry is when links are followed; a directory as the link that leads to it."""
        try:
            status = item.stat()
        except OSError as error:
            lost = isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP
            return Unreadable.DANGLING if lost else Unreadable.FORBIDDEN
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            readable = status.st_mode & READABLE == READABLE or _readable(item, descriptor)
            if not readable:
                return Unreadable.FORBIDDEN
            found = Scanned(*spot, self._top, path)
            return File(status.st_size, found, found, None, self._hasher, state_of(status))
        if kind == stat.S_IFDIR:
            return Link(_target(item, descriptor))
        return {stat.S_IFIFO: Unreadable.FIFO, stat.S_IFSOCK: Unreadable.SOCKET}.get(kind, Unreadable.DEVICE)


def _readable(item: os.DirEntry[str], descriptor: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(item.name, os.R_OK, dir_fd=descriptor, effective_ids=effective)


def _resolved(path: str) -> str:
    """Return where a link leads; "" if that cannot be determined, such as for a path that is too long."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError:
        return ""


def _target(item: os.DirEntry[str], descriptor: int) -> str:
    return os.readlink(item.name, dir_fd=descriptor)


def _name_in_bytes(item: os.DirEntry[str]) -> bytes:
    return os.fsencode(item.name)


def is_in(path: str, directory: str) -> bool:
    """Whether a real path is a directory or something below it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")
