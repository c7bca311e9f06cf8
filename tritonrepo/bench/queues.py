"""What queues say of a load: in flight by Little's law, room for peaks by the Poisson distribution, waits by Erlang C.

Sources: J. D. C. Little, A proof for the queuing formula L = λW, 1961; A. K. Erlang's formulas as in L. Kleinrock,
Queueing Systems, volume 1, section 3.5; that the number in an M/G/∞ system is Poisson, section 3.4 for M/M/∞, whatever
the distribution of times (insensitivity: F. P. Kelly, Reversibility and Stochastic Networks).
"""

from __future__ import annotations

import math
from statistics import NormalDist

STEPS = 60
"""Halvings of an interval: enough for every bit of a float."""

MANY = 10_000
"""From so many on, a Poisson number is as good as normal."""


def in_flight(rate_per_s: float, latency_s: float) -> float:
    """Return the mean number of requests in flight, by Little's law."""
    return rate_per_s * latency_s


def poisson_at_most(count: int, mean: float) -> float:
    """Return the probability that a Poisson number with this mean is at most `count`."""
    if count < 0:
        return 0.0
    if mean <= 0:
        return 1.0
    logs = [at * math.log(mean) - mean - math.lgamma(at + 1) for at in range(count + 1)]
    return min(1.0, math.fsum(map(math.exp, logs)))


def steady_mean(concurrency: int, share: float) -> float:
    """Return the mean number in flight with which an arrival finds at most `concurrency` - 1 others in this share.

    It is what random arrivals may amount to so that no more than `concurrency` are in flight together, in that share.
    """
    if concurrency > MANY:
        z = NormalDist().inv_cdf(share)
        return ((math.sqrt(z * z + 4 * (concurrency - 1)) - z) / 2) ** 2
    low, high = 0.0, float(max(concurrency, 1))
    for _ in range(STEPS):
        middle = (low + high) / 2
        if poisson_at_most(concurrency - 1, middle) >= share:
            low = middle
        else:
            high = middle
    return low


def erlang_c(slots: int, offered: float) -> float:
    """Return the probability that an arrival waits for one of `slots`; 1 if `offered`, λ · W, is not below them."""
    if slots <= 0 or offered >= slots:
        return 1.0
    if offered <= 0:
        return 0.0
    blocked = 1.0
    for at in range(1, slots + 1):  # Erlang B by its recursion, which overflows nowhere
        blocked = offered * blocked / (at + offered * blocked)
    return blocked / (1 - offered / slots * (1 - blocked))
