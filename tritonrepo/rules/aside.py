"""Looking at many models at once: forked processes tell in which there is nothing to find; all else is looked at here.

What they say is one byte a model, so that no finding travels, and one that fails only costs time.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

MANY = 1000
"""From so many models on, a process is worth its start."""

SHARE = 0.9
"""What is looked at here, relative to an even share: what others name costs more than most."""

PIPE, PIECE = 1 << 16, 64
"""Bytes that wait in a pipe (Linux, pipe(7)), and how many models a process looks at before it writes what it found.

A process that has more to say than a pipe takes says it at the end, so that it never waits for this one.
"""

Nothing = Callable[[str], bool]
"""Whether there is nothing to find in the model of this name."""


def cores() -> int:
    """Return how many processes may look at models: 1 where a fork may not be safe, or is of no use."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return len(os.sched_getaffinity(0))


@contextmanager
def aside(models: Sequence[str], here: Collection[str], nothing: Nothing) -> Iterator[Aside]:
    """Yield those to look at here, among them those that must be, while others are looked at aside."""
    count = cores() if len(models) >= MANY else 1
    free = [name for name in models if name not in here]
    share = int(len(models) / count * SHARE)
    own = max(0, share - (len(models) - len(free))) if count > 1 else len(free)
    shares = [free[own + number :: count - 1] for number in range(count - 1)]
    with running(shares, nothing) as found:
        yield found


@contextmanager
def running(shares: Sequence[Sequence[str]], nothing: Nothing) -> Iterator[Aside]:
    """Yield processes that look at shares of the models as long as the block runs."""
    found = Aside([share for share in shares if share], nothing)
    try:
        found.start()
        yield found
    finally:
        found.stop()


class Aside:
    """Processes that each look at a share of the models; `given` are the names of these models."""

    def __init__(self, shares: Sequence[Sequence[str]], nothing: Nothing) -> None:
        self.given = frozenset(name for share in shares for name in share)
        self._shares, self._nothing = shares, nothing
        self._running: list[tuple[int, int, Sequence[str]]] = []

    def start(self) -> None:
        """Start the processes, or as many as the system allows."""
        with suppress(OSError):
            for share in self._shares:
                self._start(share)

    def _start(self, share: Sequence[str]) -> None:
        reading, writing = os.pipe()
        try:
            child = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if not child:
            self._work(share, writing)
        os.close(writing)  # at once, so that the next process does not keep it open
        self._running.append((child, reading, share))

    def clean(self) -> set[str]:
        """Wait for the processes, and return the names of the models in which they found nothing."""
        found = set[str]()
        for _, reading, share in self._running:
            said = b""
            while piece := os.read(reading, 1 << 16):
                said += piece
            found |= {name for name, clean in zip(share, said, strict=False) if clean}
        return found

    def done(self) -> int:
        """Return how many models the processes have looked at by now: the bytes that wait in their pipes."""
        found = 0
        for _, reading, _ in self._running:
            waiting = array("i", [0])
            with suppress(OSError):
                fcntl.ioctl(reading, termios.FIONREAD, waiting)
            found += waiting[0]
        return found

    def stop(self) -> None:
        """End the processes, whatever they do."""
        for child, reading, _ in self._running:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reading)
        self._running.clear()

    def _work(self, share: Sequence[str], writing: int) -> None:
        """Do the work of a process, and end it without what would be done at the end of the one it is forked from."""
        try:
            at_once = PIECE if len(share) <= PIPE else len(share)
            for start in range(0, len(share), at_once):
                said = bytes(self._nothing(name) for name in share[start : start + at_once])
                while said:
                    said = said[os.write(writing, said) :]
        finally:
            os._exit(0)
