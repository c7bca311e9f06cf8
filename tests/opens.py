"""What the kernel says was opened, by whatever process and by whatever name: inotify."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

IN_ACCESS, IN_OPEN = 0x1, 0x20
EVENT = struct.Struct("iIII")
AT_ONCE = 1 << 16


@contextmanager
def watched(place: Path) -> Iterator[Callable[[], set[str]]]:
    """Yield a function that says which files below a place were opened since, as paths from there."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    names: dict[int, str] = {}
    try:
        for path in sorted(place.rglob("*")):
            if path.is_file() and not path.is_symlink():
                number = libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN | IN_ACCESS)
                assert number > 0, os.strerror(ctypes.get_errno())
                names[number] = str(path.relative_to(place))
        yield lambda: {names[number] for number in _events(watch)}
    finally:
        os.close(watch)


def _events(watch: int) -> Iterator[int]:
    while True:
        try:
            said = os.read(watch, AT_ONCE)
        except BlockingIOError:
            return
        yield from (number for number, *_ in EVENT.iter_unpack(said))


@contextmanager
def unopened(place: Path) -> Iterator[None]:
    """See that no file below a place is opened meanwhile."""
    with watched(place) as opened:
        yield
        assert not opened()
