"""How late the client itself is: the delay that an event waits until the loop turns to it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tritonrepo.server.turns import turns

EVERY_S = 0.01
"""Time between two samples."""


class Pulse:
    """Samples of a running loop's delay, in seconds: an event is due every 10 ms, and is handled so much later.

    It waits for its turn among the tasks of all connections, so a client that falls behind with its answers is late
    here, too. A thread posts the events. A timer of the loop would do for less, but asyncio rounds what it waits for up
    to a whole millisecond while other events come in (Python 3.13, selectors.py, EpollSelector.select), and that delays
    no answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, every_s: float = EVERY_S) -> None:
        self.lags_s: list[float] = []
        self._loop = loop
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="bench-lag", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what is not handled by then is no sample."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        due_s = time.perf_counter() + self._every_s
        while not self._over.wait(max(0.0, due_s - time.perf_counter())):
            try:
                self._loop.call_soon_threadsafe(self._arrived, due_s)
            except RuntimeError:  # the loop was closed
                return
            due_s = max(due_s + self._every_s, time.perf_counter())

    def _arrived(self, due_s: float) -> None:
        turns().ask(partial(self._handle, due_s))

    def _handle(self, due_s: float) -> None:
        self.lags_s.append(time.perf_counter() - due_s)


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
