"""A directory of this machine as a Store: files appear whole, by rename, weights as links of the cache's."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tritonrepo.diagnostics import fatal
from tritonrepo.stores.store import Capabilities, Conflict, Fetched, Late, Send, Write
from tritonrepo.tree import Directory, Entry, File, Link, Tree, Unreadable, in_order, of_bytes, on_disk

STAGING = ".tritonrepo-staging"
"""Where half-written files lie: beside the repository, never in it, so that no server sees one."""

FOLLOWED = 10_000
"""How many entries are seen through links before further ones are left as links: links can multiply without end."""


ALONE_S = 10.0
"""Longest wait for another process's conditional write, which takes milliseconds."""


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

    def fetch(self, path: str) -> Fetched | None:
        """Give the content of a file and its SHA-256; None where there is none."""
        with _explained(self.root / path, "read"):
            try:
                content = (self.root / path).read_bytes()
            except FileNotFoundError:
                return None
        return Fetched(content, of_bytes(content).sha256)

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write beside, then rename; the tag is the content's SHA-256."""
        return self._done(Write(path, file, if_absent, if_match), None)

    def delete(self, path: str) -> None:
        """Remove a file and the directories that it leaves empty."""
        self._done(Write(path, None), None)

    def ticket(self, write: Write, seconds: int) -> Send:
        """Prepare a write; its time, its condition and its rename are one under a lock of the operating system."""
        end = awake() + seconds
        return lambda: self._done(write, end)

    def _done(self, write: Write, end: float | None) -> str:
        target = self.root / write.path
        with _explained(target, "delete" if write.file is None else "write"):
            if write.file is None:
                with self._judged(write, end):
                    self._remove(target)
                return ""
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._staged(write.file) as staged, self._judged(write, end):
                staged.replace(target)
        return write.file.sha256

    @contextmanager
    def _judged(self, write: Write, end: float | None) -> Iterator[None]:
        """Let a write happen if its condition holds and its time is not over, which stays so until it has happened."""
        if end is None and not write.if_absent and write.if_match is None:
            yield
            return
        with _alone(self.root):
            there = _tag(self.root / write.path)
            if end is not None and awake() > end:
                raise Late(write.path)
            if (write.if_absent and there is not None) or write.if_match not in {None, there}:
                raise Conflict(write.path)
            yield

    def _remove(self, target: Path) -> None:
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


def awake() -> float:
    """Give seconds that go on while this process, or the whole machine, sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep every other conditional write to a directory out; one that is stopped in the middle of its own is told."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        end = awake() + ALONE_S
        while not _locked(descriptor):
            if awake() > end:
                message = f"another process has been in the middle of a write there for {ALONE_S:g} s"
                raise fatal("store-busy", str(directory), message, "Is it stopped? Let it go on, or end it.")
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tag(path: Path) -> str | None:
    return on_disk(path, path.stat().st_size).sha256 if path.exists() else None


class _Walk:
    """One look at everything below a directory; links to directories in it are followed, as the server does.

    `found` is what lies there, by path. Paths are made as text: a Path for each would cost as much as the look itself.
    """

    def __init__(self, top: Path) -> None:
        self.found: dict[str, Entry] = {}
        self._real = os.path.realpath(top)
        self._left = FOLLOWED
        self._look(str(top), "", ())

    def _look(self, directory: str, prefix: str, trail: tuple[str, ...]) -> None:
        """Look into a directory; `trail` has the real places of the links that led there."""
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
            self._item(item, prefix + item.name, trail)

    def _item(self, item: os.DirEntry[str], path: str, trail: tuple[str, ...]) -> None:
        if trail:
            self._left -= 1
        if item.is_dir(follow_symlinks=False):
            if item.name != "__pycache__":
                self._look(item.path, path + "/", trail)
            return
        entry = _leaf(item)
        if isinstance(entry, Link) and self._left > 0:
            here = (*trail, os.path.realpath(os.path.dirname(item.path)))  # noqa: PTH120  see the class
            there = os.path.realpath(item.path)
            if _is_in(there, self._real) and not any(_is_in(place, there) for place in here):
                self._look(item.path, path + "/", here)
                return
        self.found[path] = entry


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
