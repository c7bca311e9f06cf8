"""Values as curves that are small enough to draw: distributions, and what happens over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tritonrepo.bench.figures import percentile

Points = Sequence[tuple[float, float]]
MOST = 160
"""Points of a curve: more are not seen."""


def ecdf(values: Iterable[float], most: int = MOST) -> list[tuple[float, float]]:
    """Return the percentiles of values, value → percent, interpolated as those that tables show."""
    ordered = sorted(value for value in values if math.isfinite(value))
    if len(ordered) == 1:
        return [(ordered[0], 0), (ordered[0], 100)]
    if len(ordered) <= most:
        return [(value, 100 * n / (len(ordered) - 1)) for n, value in enumerate(ordered)]
    return [(percentile(ordered, n / (most - 1)), 100 * n / (most - 1)) for n in range(most)]


def thinned(points: Points, most: int = MOST) -> list[tuple[float, float]]:
    """Return at most so many of the points, evenly, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(n * (len(points) - 1) / (most - 1))] for n in range(most)]


def rates(events: Iterable[tuple[float, float]], end_s: float, bins: int) -> list[tuple[float, float]]:
    """Return how much happened per second in each bin of the time from 0 to the end, at the start of the bin.

    Args:
        events: Time in seconds, and how much it counts.
        end_s: End of the last bin; events outside are left out.
        bins: How many there are.
    """
    sums, wide_s = [0.0] * bins, end_s / bins
    for at_s, amount in events:
        if 0 <= at_s <= end_s:
            sums[min(bins - 1, int(at_s / wide_s))] += amount
    return [(n * wide_s, sum_ / wide_s) for n, sum_ in enumerate(sums)]


def open_at_once(spans: Iterable[tuple[float, float]], end_s: float, bins: int) -> list[tuple[float, float]]:
    """Return how many spans, each from and to a second, were open on average in each bin, at the bin's start."""
    sums, wide_s = [0.0] * bins, end_s / bins
    for from_s, to_s in spans:
        first, last = (min(bins - 1, max(0, int(at_s / wide_s))) for at_s in (from_s, to_s))
        for n in range(first, last + 1):
            sums[n] += max(0.0, min(to_s, (n + 1) * wide_s) - max(from_s, n * wide_s))
    return [(n * wide_s, sum_ / wide_s) for n, sum_ in enumerate(sums)]
