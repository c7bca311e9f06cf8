"""Files below a directory, opened from its real path down without following a link, whoever else writes there.

A scan finds out where links lead and records each file by its real location. What is opened later is looked up there,
step by step: if a directory or the file has become a link or a FIFO since, nothing is read.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Stop, fatal

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Opened without blocking, because a FIFO may have replaced the file."""

REPLACED = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}
"""The system's errors for a link, for a file or link instead of a directory, and for a socket."""


class Spot(NamedTuple):
    """A location: the real path of a directory, and the path below it, without links or `..`; "" is the directory."""

    root: str
    path: str

    def child(self, name: str) -> Spot:
        """Return the location of a name in this directory."""
        return Spot(self.root, f"{self.path}/{name}" if self.path else name)

    def __str__(self) -> str:
        """Return the full path."""
        return os.path.join(self.root, self.path) if self.path else self.root  # noqa: PTH118  thousands of them

    def directory(self) -> int:
        """Return a descriptor of the directory here, which the caller closes."""
        here = -1
        try:
            here = os.open(self.root, DIRECTORY)
            for name in self.path.split("/") if self.path else ():
                here, last = os.open(name, DIRECTORY, dir_fd=here), here
                os.close(last)
        except OSError as error:
            if here >= 0:
                os.close(here)
            raise self.told(error) from None
        return here

    def directory_in(self, above: int) -> int:
        """Return a descriptor of the directory here, opened through the descriptor of its parent."""
        try:
            return os.open(self.path.rpartition("/")[2], DIRECTORY, dir_fd=above)
        except OSError as error:
            raise self.told(error) from None

    def open(self) -> int:
        """Return a descriptor of the regular file here, which the caller closes."""
        above, _, name = self.path.rpartition("/")
        directory = Spot(self.root, above).directory()
        try:
            descriptor = os.open(name, FILE, dir_fd=directory)
        except OSError as error:
            raise self.told(error) from None
        finally:
            os.close(directory)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise self.told(OSError(errno.ELOOP, ""))

    def read(self, offset: int, n: int) -> bytes:
        """Read as `tree.Read` does."""
        descriptor = self.open()
        try:
            content = os.pread(descriptor, n, offset)
            while len(content) < n and (more := os.pread(descriptor, n - len(content), offset + len(content))):
                content += more
        finally:
            os.close(descriptor)
        return content

    def content(self) -> bytes:
        """Return the whole content of the file here."""
        with os.fdopen(self.open(), "rb") as stream:
            return stream.read()

    def link(self, target: Path) -> None:
        """Create a hard link to the file here."""
        above, _, name = self.path.rpartition("/")
        directory = Spot(self.root, above).directory()
        try:
            os.link(name, target, src_dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            raise self.told(error) from None
        finally:
            os.close(directory)
        if not stat.S_ISREG(target.lstat().st_mode):
            target.unlink()
            raise self.told(OSError(errno.ELOOP, ""))

    def told(self, error: OSError) -> OSError | Stop:
        """Return the error with the full path, or a Stop if something is here that no scan can have seen."""
        if error.errno in REPLACED:
            message = "the path leads through a link or to something other than a file; it was not read"
            hint = "If another process writes to this path, run the command again when it has finished."
            return fatal("store-link", str(self), message, hint)
        return OSError(error.errno, error.strerror, str(self))


@dataclass(frozen=True, slots=True)
class Scanned:
    """A file that a scan has found: its real location as in a spot, and the directory and path where it was found.

    It is both a file's `place`, where it was found, and its `read`. Thousands are kept: each refers to texts of the
    scan.
    """

    root: str
    real: str
    top: str
    path: str

    @property
    def spot(self) -> Spot:
        """Its real location."""
        return Spot(self.root, self.real)

    def __fspath__(self) -> str:
        """Return the path at which it was found, which may lead through links."""
        return f"{self.top}/{self.path}"

    def __call__(self, offset: int, n: int) -> bytes:
        """Read as `tree.Read` does."""
        return self.spot.read(offset, n)
