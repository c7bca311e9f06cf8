"""When the requests of an open loop are due: at random, at a mean rate that may grow."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.bench.load import Load, Shape


def arrivals(load: Load, chance: random.Random, *, measured: bool) -> Iterator[float]:
    """Yield the times at which requests are due, in seconds from 0, without an end unless the rate falls to 0.

    They are a Poisson process: what has arrived says nothing about what will. Requests before a ramp is measured come
    at its mean rate.
    """
    rate = load.rate or 1.0
    if load.shape is not Shape.RAMP:
        return _poisson(rate, chance)
    first, last = load.rate_from or 0.0, load.rate or 0.0
    mean = (first + last) / 2
    if not measured:
        return _poisson(mean, chance)
    length_s = load.duration_s if load.duration_s is not None else (load.requests or 1) / mean
    return Ramp(first, last, length_s).times(chance)


class Ramp(NamedTuple):
    """A rate in requests per second that changes evenly within a time, and then stays."""

    first: float
    last: float
    length_s: float

    def rate(self, at_s: float) -> float:
        """Return the rate at a time."""
        return self.first + (self.last - self.first) * min(at_s / self.length_s, 1)

    def expected(self, at_s: float) -> float:
        """Return how many requests arrive until a time, in the mean."""
        within_s = min(at_s, self.length_s)
        return (self.first + self.rate(within_s)) / 2 * within_s + self.last * (at_s - within_s)

    def time(self, expected: float) -> float:
        """Return when so many requests have arrived, in the mean; infinity if that is never."""
        total = self.expected(self.length_s)
        if expected > total:
            return self.length_s + (expected - total) / self.last if self.last else math.inf
        slope = (self.last - self.first) / self.length_s
        return 2 * expected / (self.first + math.sqrt(max(0.0, self.first**2 + 2 * slope * expected)))

    def times(self, chance: random.Random) -> Iterator[float]:
        """Yield random times: those of a process with rate 1, each moved to where the ramp expects as many."""
        for expected in _poisson(1.0, chance):
            at_s = self.time(expected)
            if math.isinf(at_s):
                return
            yield at_s


def _poisson(rate: float, chance: random.Random) -> Iterator[float]:
    at_s = 0.0
    while True:
        at_s += chance.expovariate(rate)
        yield at_s
