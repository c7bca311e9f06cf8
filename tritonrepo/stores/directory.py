"""A directory of this machine as a Store: files appear whole, by rename, weights as links of the cache's."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tritonrepo.diagnostics import fatal
from tritonrepo.stores.store import Capabilities, Conflict
from tritonrepo.tree import Directory, Entry, File, Link, Tree, Unreadable, in_order, on_disk

STAGING = ".tritonrepo-staging"
"""Where half-written files lie: beside the repository, never in it, so that no server sees one."""

FOLLOWED = 10_000
"""How many entries are seen through links before further ones are left as links: links can multiply without end."""


class DirectoryStore:
    """The Store of a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._own = root / STAGING / f"{os.getpid()}-{secrets.token_hex(4)}"

    @property
    def caps(self) -> Capabilities:
        """Conditions and empty directories are both there."""
        return Capabilities(conditions=True, directories=True)

    def scan(self, prefix: str) -> Tree:
        """Give everything under the prefix; raise Stop where the prefix is no directory or cannot be read."""
        top = self.root / prefix
        with _explained(top, "read"):
            if not os.path.lexists(top):
                return {}
            if not top.is_dir():
                raise fatal("store-access", str(top), "is not a directory", "Name the directory of a model repository.")
            return dict(in_order(_Walk(top).found))

    def read(self, path: str) -> bytes | None:
        """Give the content of a file; None where there is none."""
        with _explained(self.root / path, "read"):
            try:
                return (self.root / path).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write beside, then rename; the tag is the content's SHA-256."""
        target = self.root / path
        with _explained(target, "write"):
            _make(str(target.parent))
            with self._staged(file) as staged:
                if if_absent:
                    try:
                        os.link(staged, target)
                    except FileExistsError:
                        raise Conflict(path) from None
                elif if_match is not None and _tag(target) != if_match:
                    raise Conflict(path)
                else:
                    staged.replace(target)
        return file.sha256

    def delete(self, path: str) -> None:
        """Remove a file and the directories that it leaves empty."""
        target = self.root / path
        with _explained(target, "delete"):
            target.unlink(missing_ok=True)
            for parent in target.parents:
                if parent == self.root or (parent.exists() and any(parent.iterdir())):
                    break
                if parent.exists():
                    parent.rmdir()

    @contextmanager
    def _staged(self, file: File) -> Iterator[Path]:
        """Give a path on the same file system that holds the content, and leave nothing behind."""
        self._own.mkdir(parents=True, exist_ok=True)
        staged = self._own / secrets.token_hex(8)
        try:
            if not _linked(file, staged):
                with staged.open("xb") as stream:
                    stream.writelines(file.chunks())
            yield staged
        finally:
            staged.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what killed runs left half-written, and nothing of those that go on beside this one."""
        staging = self.root / STAGING
        for run in staging.iterdir() if staging.is_dir() else ():
            if run == self._own or not runs(run.name.partition("-")[0]):
                shutil.rmtree(run, ignore_errors=True)
        with suppress(OSError):  # not empty, or not there
            staging.rmdir()


def _make(directory: str) -> None:
    """Make a directory and what it lies in; those of the library call themselves once a level."""
    missing = []
    while directory and not os.path.isdir(directory):  # noqa: PTH112  as text, see _Walk
        missing.append(directory)
        directory = os.path.dirname(directory)  # noqa: PTH120
    for each in reversed(missing):
        Path(each).mkdir(exist_ok=True)


def _linked(file: File, staged: Path) -> bool:
    """Hard-link a file that nobody may write to (the cache's), so that weights lie on the disk once."""
    if file.path is None or file.path.stat().st_mode & 0o222:
        return False
    try:
        os.link(file.path, staged)
    except OSError:  # another file system, or one without links
        return False
    return True


def runs(pid: str) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True  # another user's
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _tag(path: Path) -> str | None:
    return on_disk(path, path.stat().st_size).sha256 if path.exists() else None


Look = Iterator["Look"]
"""A look into a directory, which goes on behind each of the looks that it yields."""


class _Walk:
    """One look at everything below a directory; links to directories in it are followed, as the server does.

    `found` is what lies there, by path. Paths are made as text: a Path for each would cost as much as the look itself.
    """

    def __init__(self, top: Path) -> None:
        self.found: dict[str, Entry] = {}
        self._real = os.path.realpath(top)
        self._left = FOLLOWED
        looks = [self._look(str(top), "", ())]
        while looks:  # not by recursion: directories may lie deeper in each other than Python's calls
            deeper = next(looks[-1], None)
            if deeper is None:
                looks.pop()
            else:
                looks.append(deeper)

    def _look(self, directory: str, prefix: str, trail: tuple[str, ...]) -> Iterator[Look]:
        """Look into a directory and yield the looks into those in it; `trail`: the real places of links on the way."""
        try:
            with os.scandir(directory) as scan:
                items = list(scan)
        except PermissionError:
            if not prefix:
                raise
            self.found[prefix[:-1]] = Unreadable.LOCKED
            return
        if not items and prefix:
            self.found[prefix[:-1]] = Directory()
        for item in items if len(items) == 1 else sorted(items, key=_name_in_bytes):
            if (deeper := self._item(item, prefix + item.name, trail)) is not None:
                yield deeper

    def _item(self, item: os.DirEntry[str], path: str, trail: tuple[str, ...]) -> Look | None:
        if trail:
            self._left -= 1
        if item.is_dir(follow_symlinks=False):
            return self._look(item.path, path + "/", trail) if item.name != "__pycache__" else None
        entry = _leaf(item)
        if isinstance(entry, Link) and self._left > 0:
            here = (*trail, os.path.realpath(os.path.dirname(item.path)))  # noqa: PTH120  see the class
            there = os.path.realpath(item.path)
            if _is_in(there, self._real) and not any(_is_in(place, there) for place in here):
                return self._look(item.path, path + "/", here)
        self.found[path] = entry
        return None


def _name_in_bytes(item: os.DirEntry[str]) -> bytes:
    return os.fsencode(item.name)


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _leaf(item: os.DirEntry[str]) -> Entry:
    try:
        status = item.stat()
    except OSError as error:
        lost = isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP
        return Unreadable.DANGLING if lost else Unreadable.FORBIDDEN
    if stat.S_ISREG(status.st_mode):
        readable = os.access(item.path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
        return on_disk(Path(item.path), status.st_size) if readable else Unreadable.FORBIDDEN
    if stat.S_ISDIR(status.st_mode):
        return Link(str(Path(item.path).readlink()))
    return {stat.S_IFIFO: Unreadable.FIFO, stat.S_IFSOCK: Unreadable.SOCKET}.get(
        stat.S_IFMT(status.st_mode), Unreadable.DEVICE
    )


@contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    """Turn what the operating system refuses into one message that names the path."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.EACCES: "Grant this user access, or choose another directory.",
            errno.EROFS: "Choose a directory on a file system that can be written.",
            errno.ENOSPC: "Free some space; what was written whole stays, and the next run goes on from there.",
            errno.EDQUOT: "Free some of this user's quota; the next run goes on from there.",
            errno.ENOTDIR: "A file stands where a directory is needed; move it away.",
            errno.EISDIR: "A directory stands where a file is needed; move it away.",
        }
        reason = error.strerror or str(error)
        raise fatal("store-access", str(path), f"cannot {verb}: {reason}", hints.get(error.errno or 0, "")) from error
