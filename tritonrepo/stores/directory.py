"""A directory on this machine as a Store: files appear complete, by rename, weights as hard links to the cache."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores.beneath import Scanned, Spot
from tritonrepo.stores.intact import checked
from tritonrepo.stores.store import Capabilities, Conflict, Fetched, Late, Send, Store, Tag, Write
from tritonrepo.stores.walk import WRITTEN_BY_PYTHON, Walk
from tritonrepo.tree import File, Tree, hashed, in_order, of_bytes

STAGING = ".tritonrepo-staging"
"""Where half-written files are: next to the repository, never in it, so that no server sees one."""

ALONE_S = 10.0
"""Longest wait for another process's conditional write, which takes milliseconds."""

TRIES = 100
"""For a directory that others remove again and again while it is empty, which takes them longer than this does."""


class DirectoryStore:
    """The Store of a directory; `links` are directories into which links may lead out of what is scanned.

    `hasher` computes the digests of scanned files that are not known otherwise.
    """

    def __init__(self, root: Path, links: Sequence[Path] = (), hasher: Callable[[File], str] = hashed) -> None:
        self.root = root
        self.links = tuple(links)
        self.hasher = hasher
        self._own = root / STAGING / f"{os.getpid()}-{os.urandom(4).hex()}"

    @property
    def caps(self) -> Capabilities:
        """What a directory can do; a tag is a SHA-256, so the stray one has too few digits."""
        return Capabilities(stray=Tag("0" * 32), sees_changes=True)

    def scan(self, prefix: str) -> Tree:
        """Return everything under the prefix; raise Stop if the prefix is not a directory or cannot be read."""
        top = self.root / prefix
        with explained(top, "read"):
            if not os.path.lexists(top):
                return {}
            if not top.is_dir():
                hint = "Use the directory of a model repository."
                raise fatal("store-access", str(top), "the path is not a directory", hint)
            return dict(in_order(Walk(top, self.links, self.hasher).found))

    def files(self, prefix: str) -> Iterator[tuple[str, File]]:
        """Yield the files under the prefix."""
        return ((path, entry) for path, entry in self.scan(prefix).items() if isinstance(entry, File))

    def fetch(self, path: str) -> Fetched | None:
        """Return the content of a file and its SHA-256; None if it does not exist."""
        with explained(self.root / path, "read"):
            try:
                content = self._spot(path).content()
            except FileNotFoundError:
                return None
        return Fetched(content, Tag(of_bytes(content).sha256))

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        """Write to a staging file, then rename it; the tag is the content's SHA-256."""
        self._done(Write(path, file, if_absent, if_match), None)
        return Tag(file.sha256)

    def delete(self, path: str) -> None:
        """Remove a file and the directories that it leaves empty."""
        self._done(Write(path, None), None)

    def ticket(self, write: Write, seconds: int) -> Send:
        """Prepare a write; an operating system lock makes its time check, condition and rename atomic."""
        end = awake() + seconds
        return lambda: self._done(write, end)

    def revoke(self, directory: str, there: Store | None = None) -> None:
        """Do nothing: the time of a prepared write is checked."""

    def _done(self, write: Write, end: float | None) -> Tag | None:
        target = self.root / write.path
        with explained(target, "delete" if write.file is None else "write"):
            if write.file is None:
                with self._judged(write, end):
                    self._remove(target)
                return None
            with self._staged(write.file) as staged, self._judged(write, end):
                # last: a refused write or an unreadable file must leave no empty directory
                _inside(target.parent, lambda: staged.replace(target))
        return Tag(write.file.sha256)

    @contextmanager
    def _judged(self, write: Write, end: float | None) -> Iterator[None]:
        """Let a write happen if its condition holds and its time is not over, both until it has happened."""
        if end is None and not write.if_absent and write.if_match is None:
            yield
            return
        with alone(self.root):
            there = self._tag(write.path)
            if end is not None and awake() > end:
                raise Late(write.path)
            if (write.if_absent and there is not None) or write.if_match not in {None, there}:
                raise Conflict(write.path)
            yield

    def _remove(self, target: Path) -> None:
        import shutil  # to read a directory takes less time than to import it

        target.unlink(missing_ok=True)
        for parent in target.parents:
            if parent == self.root:
                break
            try:
                if os.listdir(parent) == [WRITTEN_BY_PYTHON]:  # noqa: PTH208  names only
                    shutil.rmtree(parent / WRITTEN_BY_PYTHON, ignore_errors=True)
                parent.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.ENOTEMPTY and not any(parent.iterdir()):
                    raise
                break

    @contextmanager
    def _staged(self, file: File) -> Iterator[Path]:
        """Yield a path on the same file system that holds the content, and leave nothing behind."""
        if (self.root / STAGING).is_symlink():
            hint = "Remove the link. tritonrepo creates a directory of this name for half-written files."
            message = "the staging directory is a link, which is not followed"
            raise fatal("store-link", str(self.root / STAGING), message, hint)
        _inside(self._own.parent, lambda: self._own.mkdir(exist_ok=True))
        staged = self._own / os.urandom(8).hex()
        try:
            if not _linked(file, staged):
                with staged.open("xb") as stream:
                    stream.writelines(checked(file))
            yield staged
        finally:
            staged.unlink(missing_ok=True)

    def tidy(self, prefix: str = "", directories: Collection[str] = ()) -> str:  # noqa: ARG002
        """Remove what killed runs left half-written, and nothing of other runs that are still going on."""
        import shutil

        with suppress(OSError, Stop):  # missing, no directory, or not empty in the end
            staging = self._spot(STAGING).directory()
            try:
                for run in os.listdir(staging):  # noqa: PTH208  it is a descriptor
                    if run == self._own.name or not runs(run.partition("-")[0]):
                        shutil.rmtree(run, ignore_errors=True, dir_fd=staging)
            finally:
                os.close(staging)
            (self.root / STAGING).rmdir()
        return ""

    def server_environment(self) -> Mapping[str, str]:
        """Return nothing: a server reads a directory as this user does."""
        return {}

    def _spot(self, path: str) -> Spot:
        return Spot(os.path.realpath(self.root), path)

    def _tag(self, path: str) -> Tag | None:
        found = self.fetch(path)
        return found and found.tag


def _inside(directory: Path, act: Callable[[], object]) -> None:
    """Do something in a directory that is made if it is missing, though others may remove it while it is empty."""
    for left in reversed(range(TRIES)):
        try:
            _make(str(directory))
            act()
        except (FileNotFoundError, FileExistsError):  # also from what exists and is gone at the next look
            if not left:
                raise
        else:
            return


def _make(directory: str) -> None:
    """Create a directory and its parents; the standard library's functions recurse once per level."""
    missing = []
    while directory and not os.path.isdir(directory):  # noqa: PTH112  as text, as the walk has them
        missing.append(directory)
        directory = os.path.dirname(directory)  # noqa: PTH120
    for each in reversed(missing):
        Path(each).mkdir(exist_ok=True)


def _linked(file: File, staged: Path) -> bool:
    """Hard-link a read-only file (of the cache), so that weights are on the disk only once."""
    if isinstance(file.place, Scanned) or file.path is None or file.path.stat().st_mode & 0o222:
        return False
    try:
        os.link(file.path, staged)
    except OSError:  # another file system, or one without links
        return False
    return True


def folds(directory: Path) -> bool:
    """Whether a directory's disk takes names for the same that differ only in case; nothing is written to find out."""
    for each in (directory, *directory.parents):
        other = each.parent / each.name.swapcase()
        with suppress(OSError):
            if other != each and each.exists():
                return other.exists() and other.samefile(each)
    return False


def runs(pid: str) -> bool:
    """Whether a process with this number runs on this machine."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True  # another user's
    except (ValueError, OverflowError, OSError):
        return False
    return True


def awake() -> float:
    """Return the seconds of a clock that keeps running while this process or the whole machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep every other conditional write to a directory out; raise Stop if one is stuck in the middle."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        end = awake() + ALONE_S
        while not _locked(descriptor):
            if awake() > end:
                message = f"another process has been in the middle of a write to this directory for {ALONE_S:g} s"
                raise fatal("store-busy", str(directory), message, "If that process is stopped, resume or end it.")
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


@contextmanager
def explained(path: Path, verb: str) -> Iterator[None]:
    """Turn an error of the operating system into one message that names the path."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.EACCES: "Grant this user access, or choose another directory.",
            errno.EROFS: "Choose a directory on a writable file system.",
            errno.ENOSPC: "Free some space and run the command again. It continues from this point.",
            errno.EDQUOT: "Free some of this user's quota and run the command again. It continues from this point.",
            errno.ENOTDIR: "Move the file that is where a directory is needed.",
            errno.EEXIST: "Move the file that is where a directory is needed.",
            errno.EISDIR: "Move the directory that is where a file is needed.",
        }
        reason = error.strerror or str(error)
        raise fatal("store-access", str(path), f"cannot {verb}: {reason}", hints.get(error.errno or 0, "")) from error
