"""Looking at many models at once: forked processes tell in which there is nothing to find; all else is looked at here.

What they say is one byte a model, so that no finding travels, and one that fails only costs time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count

from tritonrepo.cores import cores as usable

MANY = 1000
"""From so many models on, a process is worth its start."""

MOST = 8
"""How many processes there are at most: each copies what it touches of this one's memory."""

PIECE = 16
"""How many models a process looks at before it writes what it found; as many are left to it at the end."""

Nothing = Callable[[str], bool]
"""Whether there is nothing to find in the model of this name."""


def cores() -> int:
    """Return how many processes may look at models: 1 where a fork may not be safe, or is of no use."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return min(usable(), MOST)


@contextmanager
def aside(models: Sequence[str], here: Collection[str], nothing: Nothing) -> Iterator[Aside]:
    """Yield processes that look at many models, except those that must be looked at here, as long as the block runs.

    Each has an equal share. What it has not done by the time that this process is done with the rest, both divide.
    """
    others = cores() - 1 if len(models) >= MANY else 0
    free = [name for name in models if name not in here] if others else []
    found = Aside([share for number in range(others) if (share := free[number::others])], nothing)
    try:
        found.start()
        yield found
    finally:
        found.stop()


class _Share:
    """What a process looks at, from the first one on: those before `end`; `said` is what it found so far."""

    def __init__(self, child: int, reading: int, names: Sequence[str]) -> None:
        self.child, self.reading, self.names = child, reading, names
        self.said, self.end = b"", len(names)

    @property
    def done(self) -> int:
        """How many models it has looked at that nobody else looks at."""
        return min(len(self.said), self.end)

    def hear(self) -> bool:
        """Read what it says, and return whether it has more to say."""
        if self.done >= self.end:
            return False
        try:
            piece = os.read(self.reading, 1 << 16)
        except BlockingIOError:
            return True
        self.said += piece
        return bool(piece)


class Aside:
    """Processes that each look at a share of the models; `given` are the names of these models."""

    def __init__(self, shares: Sequence[Sequence[str]], nothing: Nothing) -> None:
        self.given = frozenset(name for share in shares for name in share)
        self._shares, self._nothing = shares, nothing
        self._running: list[_Share] = []

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
            for end in (reading, *(each.reading for each in self._running)):
                os.close(end)  # so that a write fails once the parent is gone
            self._work(share, writing)
        os.close(writing)  # at once, so that the next process does not keep it open
        os.set_blocking(reading, False)
        self._running.append(_Share(child, reading, share))

    def taken(self) -> Iterator[str]:
        """Yield models to look at here, the last ones of the processes that have the most left to do."""
        for turn in count():
            if not self._running:
                return
            self._running[turn % len(self._running)].hear()
            most = max(self._running, key=lambda each: each.end - each.done)
            if most.end - most.done <= PIECE:
                return
            most.end -= 1
            yield most.names[most.end]

    def clean(self) -> set[str]:
        """Wait for the processes, and return the names of the models in which they found nothing."""
        found = set[str]()
        for each in self._running:
            os.set_blocking(each.reading, True)
            while each.done < each.end and each.hear():
                pass
            found |= {name for name, clean in zip(each.names[: each.end], each.said, strict=False) if clean}
        return found

    def done(self) -> int:
        """Return how many models the processes have looked at by now that nobody looks at here."""
        for each in self._running:
            each.hear()
        return sum(each.done for each in self._running)

    def stop(self) -> None:
        """End the processes, whatever they do; another process may have the number of one that has ended already."""
        for each in self._running:
            # where SIGCHLD is ignored, the system itself waits for what has ended
            with suppress(ChildProcessError, ProcessLookupError):
                if os.waitpid(each.child, os.WNOHANG) == (0, 0):
                    os.kill(each.child, signal.SIGKILL)
                    os.waitpid(each.child, 0)
            os.close(each.reading)
        self._running.clear()

    def _work(self, share: Sequence[str], writing: int) -> None:
        """Do the work of a process, and end it without what would be done at the end of the one it is forked from."""
        try:
            for start in range(0, len(share), PIECE):
                said = bytes(self._nothing(name) for name in share[start : start + PIECE])
                while said:
                    said = said[os.write(writing, said) :]
        finally:
            os._exit(0)
