"""Directories of single calls in a place that processes share: what killed ones left there is removed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch(work: Path) -> Iterator[Path]:
    """Yield a new directory in `work`, which is removed in the end; before that, those of killed processes are."""
    import shutil  # which imports much that few commands need, and so does the next
    import tempfile

    work.mkdir(parents=True, exist_ok=True)
    with _alone(work):  # until the new directory is locked, others would take it for a dead process's
        _sweep(work)
        place = Path(tempfile.mkdtemp(dir=work))
        lock = _locked(place)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Wait until no other process is here; a file system that cannot lock directories lets all in."""
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _locked(directory: Path) -> int | None:
    """Return a descriptor that locks a directory as long as it is open; None if another process's does.

    Process numbers would not tell who is alive: containers that share a cache have their own.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep(work: Path) -> None:
    import shutil

    for place in work.iterdir():
        with suppress(OSError):
            lock = _locked(place)
            if lock is not None:
                shutil.rmtree(place, ignore_errors=True)
                os.close(lock)
