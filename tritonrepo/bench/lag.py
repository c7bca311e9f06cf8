"""How late the client itself is: the delay that an event waits until the loop turns to it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_S = 0.01
"""Time between two samples."""

MOST = 100_000
"""Samples of one delay that are kept: of a process that was stopped, there would be any number."""

MONOTONIC, ABSOLUTE = 1, 1
"""CLOCK_MONOTONIC and TFD_TIMER_ABSTIME of Linux; TFD_NONBLOCK and TFD_CLOEXEC are O_… (timerfd_create(2))."""


class Pulse:
    """Samples of a running loop's delay, in seconds: an event is due every 10 ms, and is noticed so much later.

    The events come from a timer of the kernel that the loop waits for as it waits for its sockets, so that they are as
    late as what a server sends. Where the kernel has none, a thread posts them, and what it waits for the interpreter's
    lock counts as well. A timer of the loop would not do: asyncio rounds what it waits for up to a whole millisecond
    while other events come in (Python 3.13, selectors.py, EpollSelector.select), and that delays no answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, every_s: float = EVERY_S) -> None:
        self.lags_s: list[float] = []
        self._loop = loop
        self._every_s = every_s
        self._due_s = 0.0
        self._timer: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="bench-lag", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._due_s = time.perf_counter() + self._every_s
        self._timer = _timer(self._due_s, self._every_s)
        if self._timer is None:
            self._thread.start()
        else:
            self._loop.add_reader(self._timer, self._read, self._timer)

    def stop(self) -> None:
        """End it; what is not noticed by then is no sample."""
        if self._timer is None:
            self._over.set()
            self._thread.join()
        else:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)

    def _read(self, timer: int) -> None:
        try:
            (passed,) = struct.unpack("=Q", os.read(timer, 8))
        except BlockingIOError:  # nothing is due yet
            return
        late_s = time.perf_counter() - self._due_s
        self.lags_s += (late_s - number * self._every_s for number in range(min(passed, MOST)))
        self._due_s += passed * self._every_s

    def _beat(self) -> None:
        due_s = self._due_s
        while not self._over.wait(max(0.0, due_s - time.perf_counter())):
            try:
                self._loop.call_soon_threadsafe(self._notice, due_s)
            except RuntimeError:  # the loop was closed
                return
            due_s = max(due_s + self._every_s, time.perf_counter())

    def _notice(self, due_s: float) -> None:
        self.lags_s.append(time.perf_counter() - due_s)


def _timer(first_s: float, every_s: float) -> int | None:
    """Return the descriptor of a timer that is due at a time of `time.perf_counter` and so often; None if none is.

    Python has it from 3.13 on (os.timerfd_create), and its clock is CLOCK_MONOTONIC on Linux (PEP 418).
    """
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    timer: int = library.timerfd_create(MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if timer < 0:
        return None
    words = [part for time_s in (every_s, first_s) for part in divmod(round(time_s * 1e9), 10**9)]
    library.timerfd_settime(timer, ABSOLUTE, struct.pack("@4l", *words), None)
    return timer


@contextmanager
def unpaused() -> Iterator[None]:
    """Collect no garbage of long-lived objects within the block, because a pass over all records stops the loop.

    Young objects are still collected, so a long run does not grow by the cycles that a client leaves.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(before[0], before[1], 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
