"""How far apart two samples are, with the interval in which the truth is 19 times out of 20.

Repeats of a run are independent of each other; the requests of one run are not, since those that are in flight together
share batches and queues. Of one run, blocks of requests that follow each other are therefore drawn, not single ones
(moving blocks: H. Künsch, The Jackknife and the Bootstrap for General Stationary Observations, 1989), or its time is
taken in a few long parts (batch means: A. M. Law, Simulation Modeling and Analysis, section 9.5). What differs from run
to run is in none of these intervals.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tritonrepo.bench.figures import percentile

MOST, FEWEST, VALUES = 1000, 200, 3_000_000
"""Samples that are drawn: as many as have so many values in all, within these bounds."""

LEVEL = 0.95
"""How often the truth is in an interval."""

T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Quantile 0.975 of Student's distribution with 1, 2, … 30 degrees of freedom."""

ALIKE = 0.97
"""Highest correlation of neighbours that is believed of a series."""

LEAST = 5
"""Blocks, or parts, that a series must have: fewer say nothing of how much they differ."""

Z = 1.959964
"""That of the normal distribution."""


class Interval(NamedTuple):
    """A difference as a share of the first value, 0.1 for 10 % more, between a low and a high end."""

    low: float
    high: float


def of_repeats(before: Sequence[float], after: Sequence[float]) -> Interval | None:
    """Return the interval of the ratio of two means, from the value of each repeat; None if one is not above 0.

    Welch's interval of the difference of the logarithms, whose number of degrees of freedom is rounded down: drawing
    again from a handful of repeats gives intervals that are too narrow.
    """
    if min(len(before), len(after)) < 2 or min([*before, *after]) <= 0:  # noqa: PLR2004  one has no variance
        return None
    logs = [[math.log(value) for value in values] for values in (before, after)]
    errors = [statistics.variance(values) / len(values) for values in logs]
    return _welch(statistics.fmean(logs[1]) - statistics.fmean(logs[0]), errors, (len(before), len(after)))


def _welch(middle: float, errors: Sequence[float], numbers: Sequence[int]) -> Interval:
    """Return the interval around a difference of logarithms, from the squared errors of both and how many they are."""
    whole = sum(errors)
    if whole <= 0:
        return Interval(math.expm1(middle), math.expm1(middle))
    freedom = whole**2 / sum(error**2 / (number - 1) for error, number in zip(errors, numbers, strict=True))
    half = quantile(freedom) * math.sqrt(whole)
    return Interval(math.expm1(middle - half), math.expm1(middle + half))


def quantile(freedom: float) -> float:
    """Return quantile 0.975 of Student's distribution; between whole numbers of degrees of freedom, the wider.

    Beyond the table, it is Fisher's expansion about the normal distribution, which is right to five digits there
    (M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 26.7.5).
    """
    whole = max(1, math.floor(freedom))
    if whole <= len(T):
        return T[whole - 1]
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / whole + second / whole**2 + third / whole**3


def of_percentile(before: Sequence[float], after: Sequence[float], at: float, seed: str) -> Interval | None:
    """Return the interval of the ratio of a percentile of two series of one run each; None if one is too short.

    Args:
        before: Values in the order in which their requests were sent.
        after: Those that are compared with them.
        at: The percentile as a share, 0.5 for the median.
        seed: What is drawn follows from it.
    """
    series = (before, after)
    sizes = [block(values) for values in series]
    blocks = min(len(values) // size for values, size in zip(series, sizes, strict=True))
    if blocks < LEAST:
        return None
    statistic, given = _percentiles(at), enumerate(zip(series, sizes, strict=True))
    drawn = [_drawn(values, size, statistic, f"{seed} {n}") for n, (values, size) in given]
    if min(map(min, drawn)) <= 0:
        return None
    ratios = sorted(math.log(b / a) for a, b in zip(*drawn, strict=False))  # the longer series has fewer samples
    middle = percentile(ratios, 0.5)
    wider = quantile(blocks - 1) / Z  # so few blocks say less of how much they differ
    ends = (middle + wider * (percentile(ratios, end) - middle) for end in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(*map(math.expm1, ends))


def of_means(before: Sequence[float], after: Sequence[float]) -> Interval | None:
    """Return the interval of the ratio of the means of two series of one run each; None if one is too short or zero.

    The values are rates in parts of a run's time that are long enough to say nothing of each other. A handful of parts
    is too few to draw from, so it is Welch's interval, in which the error of a mean's logarithm is its relative error.
    """
    means = [math.fsum(values) / max(1, len(values)) for values in (before, after)]
    if min(len(before), len(after)) < LEAST or min(means) <= 0:
        return None
    errors = [
        statistics.variance([value / mean for value in values]) / len(values)
        for values, mean in zip((before, after), means, strict=True)
    ]
    return _welch(math.log(means[1] / means[0]), errors, (len(before), len(after)))


def _percentiles(at: float) -> Callable[[list[float]], float]:
    """Return what gives a percentile of a list: with NumPy the same value, sooner."""
    try:
        import numpy as np
    except ImportError:
        return lambda sample: percentile(sorted(sample), at)

    def found(sample: list[float]) -> float:
        place = (len(sample) - 1) * at
        below = math.floor(place)
        above = min(below + 1, len(sample) - 1)
        ordered = np.partition(np.asarray(sample), (below, above))
        low, high = float(ordered[below]), float(ordered[above])
        return low + (high - low) * (place - below)

    return found


def block(values: Sequence[float]) -> int:
    """Return how many values that follow each other are drawn together: the cube root of their number at least.

    It is more if neighbours are alike, by their ranks: the length that suits a series whose correlation falls evenly,
    up to a tenth of the series (D. Andrews, Heteroskedasticity and Autocorrelation Consistent Covariance Matrix
    Estimation, 1991, (6.2) and (6.4), for Bartlett's kernel, which moving blocks amount to).
    """
    number = len(values)
    places = sorted(range(number), key=values.__getitem__)
    rank = [0.0] * number
    for place, at in enumerate(places):
        rank[at] = place - (number - 1) / 2
    spread = math.fsum(each * each for each in rank)
    alike = math.fsum(a * b for a, b in pairwise(rank)) / spread if spread else 0.0
    rho = min(max(0.0, alike), ALIKE)
    suited = 1.1447 * math.cbrt(4 * rho**2 / (1 - rho**2) ** 2 * number)
    return max(1, round(max(math.cbrt(number), min(suited, number / 10))))


def _drawn(values: Sequence[float], size: int, statistic: Callable[[list[float]], float], seed: str) -> list[float]:
    """Return the statistic of samples that are drawn from a series in blocks."""
    seeded, found = random.Random(seed), []  # noqa: S311  samples, no secret
    number, starts = math.ceil(len(values) / size), len(values) - size + 1
    for _ in range(min(MOST, max(FEWEST, VALUES // len(values)))):
        sample: list[float] = []
        for _ in range(number):
            start = int(seeded.random() * starts)
            sample += values[start : start + size]
        found.append(statistic(sample[: len(values)]))
    return found


def of_shares(before: tuple[int, int], after: tuple[int, int]) -> Interval:
    """Return the interval of the difference of two shares, each as so many of so many; not relative to the first.

    Newcombe's, from Wilson's intervals (R. G. Newcombe, Interval Estimation for the Difference Between Independent
    Proportions, 1998, method 10).
    """
    (a, (a_low, a_high)), (b, (b_low, b_high)) = ((some / of, _wilson(some, of)) for some, of in (before, after))
    middle = b - a
    return Interval(middle - math.hypot(b - b_low, a_high - a), middle + math.hypot(b_high - b, a - a_low))


def _wilson(some: int, of: int) -> tuple[float, float]:
    found, scale = some / of, 1 + Z**2 / of
    middle = (found + Z**2 / (2 * of)) / scale
    half = Z * math.sqrt(found * (1 - found) / of + Z**2 / (4 * of**2)) / scale
    return middle - half, middle + half
