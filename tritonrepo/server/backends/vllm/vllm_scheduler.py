"""Lets the sequences of all requests take turns, one step each, so that every client receives a stream."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable

from vllm_generation import Generation


class Scheduler:
    """Steps at most `limit` sequences on one thread; the others wait in order of arrival.

    There is no batching: a step belongs to one sequence. The one that has waited longest since its last step is next.
    """

    def __init__(self, limit: int, fail: Callable[[Generation, Exception], None]) -> None:
        self.limit, self.fail, self.closing = limit, fail, False
        self.waiting: deque[Generation] = deque()
        self.running: list[tuple[float, int, Generation]] = []
        self.serial, self.changed = itertools.count(), threading.Condition()
        self.thread = threading.Thread(target=self.work, name="vllm-scheduler", daemon=True)
        self.thread.start()

    def submit(self, generation: Generation) -> None:
        """Accept a sequence."""
        with self.changed:
            self.waiting.append(generation)
            self.changed.notify()

    def close(self) -> None:
        """Stop after the current step; unfinished sequences fail."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join()
        for generation in [*(entry[-1] for entry in self.running), *self.waiting]:
            self.fail(generation, RuntimeError("the model is being unloaded"))

    def work(self) -> None:
        """Step one sequence after another until closed."""
        while (generation := self.next_due()) is not None:
            try:
                more = generation.advance()
            except Exception as error:
                self.fail(generation, error)
                more = False
            if more:
                self.queue(generation)

    def queue(self, generation: Generation) -> None:
        """Put a sequence in line for its next step."""
        heapq.heappush(self.running, (generation.due, next(self.serial), generation))

    def next_due(self) -> Generation | None:
        """Return the sequence whose turn it is, waiting for it; None once closed."""
        with self.changed:
            while not self.closing:
                while self.waiting and len(self.running) < self.limit:
                    self.queue(self.waiting.popleft())
                wait_s = self.running[0][0] - time.monotonic() if self.running else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self.running)[-1]
                self.changed.wait(wait_s)
        return None
