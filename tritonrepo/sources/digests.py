"""Digests of large files on this machine, remembered while a file is the same: of sources, and of what is pushed.

A file is the same while its size and the times of its content and its state are. Where these might not show a change,
nothing is remembered:

- As in Git's index (Documentation/technical/racy-git), a file that was changed just before it was read: a second change
  within the same tick of the clock would not show.
- A file that a process has open for writing, as a file or as memory: Linux notes the time when a page of memory becomes
  dirty, not at further changes until it is written back (seen on ext4, Linux 6; mmap(2)).
- A file in memory (tmpfs), where changes through memory may not show at all (seen on Linux 6).
- A file of an image, a file system that is read-only or on a loop device: another one, built as reproducibly, can be at
  the same place with the same numbers and times (seen with ext4 that `mke2fs -d` makes under SOURCE_DATE_EPOCH).
- A file on FAT, which has no time of the state (Linux, fs/fat/misc.c, fat_truncate_time), or on FUSE, where it is up to
  a program; sshfs says the time of the content (sshfs.c, buf_get_attrs).
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tritonrepo.sources.scratch import scratch
from tritonrepo.tree import File, hashed

SMALL = 1 << 20
"""Smaller files are read as quickly as what is remembered of them."""

YOUNG_NS = 2_000_000_000
"""The longest tick of a file system's clock, that of FAT, in ns."""

WRITTEN_BACK_NS = 60_000_000_000
"""When what was changed in memory is written back at the latest, in ns: after 35 s by default.

Source: Linux, Documentation/admin-guide/sysctl/vm.rst, dirty_expire_centisecs and dirty_writeback_centisecs.
"""

MOST = 10_000
"""How many files are remembered; those that were read first are forgotten."""

ENTRY_BYTES = 1_000
UNTRACED = re.compile("tmpfs|ramfs|devtmpfs|fuse.*|vfat|msdos|exfat")
"""File systems that do not trace each change of a file."""

LOOP = 7
"""The major number of loop devices. Source: Linux, Documentation/admin-guide/devices.txt."""

MOUNTS = Path("/proc/self/mountinfo")


class _State(NamedTuple):
    """What names a file for good, and what any change of it changes: size, times of content and of state in ns.

    The time of the content can be set back, as by `touch` and archives, but not that of the state.
    """

    device: int
    inode: int
    size: int
    content_ns: int
    state_ns: int


class Digests:
    """The hasher of files on disk, which remembers what it has read in the cache's directory.

    If it is not to trust that, it reads every file, and remembers what it finds.
    """

    def __init__(self, cache: Path, clock: Callable[[], int] = time.time_ns, *, trusting: bool = True) -> None:
        self._places = cache / "digests"
        self._work = cache / "work"
        self._clock, self._trusting, self._counted = clock, trusting, False
        self._untraced = functools.cache(untraced)

    def __call__(self, file: File) -> str:
        """Return the SHA-256 of a file in hex."""
        if file.place is None or file.size < SMALL:
            return hashed(file)
        began, (state, closed) = self._clock(), _seen(file.place)
        if self._untraced(state.device):
            return hashed(file)
        place = self._places / f"{state.device}-{state.inode}"
        if self._trusting and (known := _known(place, state)):
            return known
        digest = hashed(file)
        age = began - max(state.content_ns, state.state_ns)
        if _seen(file.place) == (state, closed) and age > (YOUNG_NS if closed else WRITTEN_BACK_NS):
            self._remember(place, state, digest)
        return digest

    def _remember(self, place: Path, state: _State, digest: str) -> None:
        text = json.dumps({"state": state, "sha256": digest, "check": _check(state, digest)})
        with suppress(OSError), scratch(self._work) as work:  # a read-only cache works as well
            made = work / place.name
            made.touch(0o600)
            made.write_text(text, "utf-8")
            place.parent.mkdir(exist_ok=True)
            self._make_room()
            made.replace(place)

    def _make_room(self) -> None:
        """Forget the oldest entries if there are too many; once, since a run reads only so many files."""
        if self._counted:
            return
        self._counted = True
        with os.scandir(self._places) as scan:
            found = sorted((each.stat(follow_symlinks=False).st_mtime_ns, each.path) for each in scan)
        for _, path in found[: max(0, len(found) - MOST)]:
            Path(path).unlink()


def _known(place: Path, state: _State) -> str:
    """Return what is remembered of a file in this state; "" if that is nothing, or something else is in its place."""
    with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            known = json.loads(stream.read(ENTRY_BYTES))
        digest = known["sha256"]
        if known["state"] == [*state] and known["check"] == _check(state, digest):
            return str(digest)
    return ""


def _check(state: _State, digest: str) -> str:
    """Return what shows that an entry is whole."""
    import hashlib  # loads OpenSSL, and most checks need no digest

    return hashlib.sha256(f"{[*state]} {digest}".encode()).hexdigest()[:16]


def _seen(path: str | os.PathLike[str]) -> tuple[_State, bool]:
    """Return the state of a file, and whether it is certain that no process has it open for writing.

    It is opened for that, so that a network file system asks its server.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        state = _State(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        return state, _is_closed(descriptor)
    finally:
        os.close(descriptor)


def _is_closed(descriptor: int) -> bool:
    """Whether the system grants a lease, which it does only while nobody has the file open for writing: fcntl(2).

    It is given back at once; a process that opens the file in between is told by a signal that does nothing.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except (OSError, AttributeError):  # another user's file, a network file system, another system
        return False
    return True


def untraced(device: int) -> bool:
    """Return whether a file on a device can become another one while nothing that names it changes, see above.

    Of the devices without a number of their own that are not among the mounts, those of btrfs are its subvolumes, and
    others are layers of an overlay, which can be images.
    """
    if os.major(device) == LOOP:
        return True
    number, kinds = f"{os.major(device)}:{os.minor(device)}", set[str]()
    with suppress(OSError, IndexError):
        for line in MOUNTS.read_text("utf-8", "replace").splitlines():
            mount, _, disk = line.partition(" - ")  # of the options, those after it are of the whole file system
            kind, *_, options = disk.split()
            if mount.split()[2] == number:
                return UNTRACED.fullmatch(kind) is not None or "ro" in options.split(",")
            kinds.add(kind)
    return not os.major(device) and "overlay" in kinds and "btrfs" not in kinds
