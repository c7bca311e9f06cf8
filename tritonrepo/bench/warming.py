"""When a warm-up is enough: the answers have become no faster for a while."""

from __future__ import annotations

import statistics

LEAST = 8
"""Fewest answers of a window."""
MOST = 20
"""Windows whose number of requests a warm-up has at most."""
NEAR = 0.1
"""Share by which the medians of two windows may differ."""


class Warming:
    """A warm-up until the latency is stable.

    Its answers are taken in windows of as many as are in flight at once, at least 8. It is over when the medians of two
    windows, one after the other, differ by at most 10 %, and in any case after as many requests as 20 windows have.
    """

    def __init__(self, at_once: int) -> None:
        self.size = max(LEAST, at_once)
        self.medians_s: list[float] = []
        self._window_s: list[float] = []

    @property
    def most(self) -> int:
        """The most requests of it."""
        return MOST * self.size

    @property
    def over(self) -> bool:
        """Whether it is enough."""
        earlier_s, later_s = self.medians_s[-2:] if len(self.medians_s) > 1 else (0.0, 1.0)
        return abs(later_s - earlier_s) <= NEAR * earlier_s

    def heard(self, latency_s: float) -> None:
        """Take the latency of an answer; those that come after the end change nothing."""
        if self.over:
            return
        self._window_s.append(latency_s)
        if len(self._window_s) == self.size:
            self.medians_s.append(statistics.median(self._window_s))
            self._window_s.clear()
