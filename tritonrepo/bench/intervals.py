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

LOST = 0.5
"""Highest share of the variance that is believed to be lost."""

UNLIKE = 5
"""So many distances in a row at which values are not alike end the search for more."""

FARTHEST = 2000
"""Most distances that are looked at: a series with a trend would be alike at all of them."""

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
    cut = [blocks(values, at) for values in series]
    fewest = min(len(values) // each.size for values, each in zip(series, cut, strict=True))
    if fewest < LEAST:
        return None
    given = enumerate(zip(series, cut, strict=True))
    drawn = [_drawn(values, each.size, at, f"{seed} {n}") for n, (values, each) in given]
    if min(map(min, drawn)) <= 0:
        return None
    ratios = sorted(math.log(b / a) for a, b in zip(*drawn, strict=False))  # the longer series has fewer samples
    middle = percentile(ratios, 0.5)
    wider = quantile(fewest - 1) / Z * max(each.wider for each in cut)  # few blocks say less of how much they differ
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


def _percentile_of(values: Sequence[float], size: int, at: float) -> Callable[[Sequence[int]], float]:
    """Return what gives a percentile of the blocks that begin at such places: with NumPy the same value, sooner."""
    number = len(values)
    try:
        import numpy as np
    except ImportError:

        def listed(starts: Sequence[int]) -> float:
            sample = [value for start in starts for value in values[start : start + size]]
            return percentile(sorted(sample[:number]), at)

        return listed
    array, block = np.asarray(values, dtype=float), np.arange(size)
    place = (number - 1) * at
    below = math.floor(place)
    above = min(below + 1, number - 1)

    def found(starts: Sequence[int]) -> float:
        taken = (np.asarray(starts)[:, None] + block).ravel()[:number]
        ordered = np.partition(array[taken], (below, above))
        low, high = float(ordered[below]), float(ordered[above])
        return low + (high - low) * (place - below)

    return found


class Blocks(NamedTuple):
    """How many values are drawn together, and by how much wider an interval of such samples is than the samples say."""

    size: int
    wider: float


def blocks(values: Sequence[float], at: float) -> Blocks:
    """Return how a series is drawn: in blocks of the cube root of its number at least.

    They are longer if values that are near each other are alike, by whether they are above the percentile or the
    median: the length that suits the correlations, up to a tenth of the series (D. Politis and H. White, Automatic
    Block-Length Selection for the Dependent Bootstrap, 2004, as corrected by A. Patton, 2009). Samples of blocks differ
    less than series do, as what is alike on both sides of a block's end is lost: by a share of the variance that the
    same correlations give (H. Künsch, 1989).
    """
    number = len(values)
    least = math.cbrt(number)
    found = [Blocks(max(1, round(least)), 1.0)]
    for share in {at, 0.5} if values else ():
        spectrum, slope = _dependence(_correlations(values, share))
        suited = math.cbrt(1.5 * (slope / spectrum) ** 2 * number)
        size = max(1, round(max(least, min(suited, number / 10))))
        lost = min(max(0.0, slope / spectrum / size), LOST)
        found.append(Blocks(size, 1 / math.sqrt(1 - lost)))
    return max(found)


def _dependence(correlations: Sequence[float]) -> tuple[float, float]:
    """Return the sum of the correlations at all distances, and of each times its distance; distant ones count less."""
    ends = len(correlations) + 1
    weighed = [min(1.0, 2 * (1 - lag / ends)) * each for lag, each in enumerate(correlations, 1)]
    return max(1.0, 1 + 2 * math.fsum(weighed)), 2 * math.fsum(lag * each for lag, each in enumerate(weighed, 1))


def _correlations(values: Sequence[float], at: float) -> list[float]:
    """Return how alike values are that are one apart, two apart and so on, up to twice as far as they surely are."""
    edge, number = percentile(sorted(values), at), len(values)
    above = int("".join("1" if value > edge else "0" for value in values), 2)
    share, least = above.bit_count() / number, 2 * math.sqrt(math.log10(max(number, 10)) / number)
    spread = share * (1 - share) * number
    found: list[float] = []
    far = 0
    while spread and len(found) < max(2 * far, far + UNLIKE) and len(found) < min(number // 5, FARTHEST):
        lag = len(found) + 1
        both = (above & (above >> lag)).bit_count()
        ends = (above >> lag).bit_count() + (above & ((1 << (number - lag)) - 1)).bit_count()
        found.append((both - share * ends + (number - lag) * share**2) / spread)
        if found[-1] >= least and lag <= far + UNLIKE:
            far = lag
    return found[: 2 * far]


def _drawn(values: Sequence[float], size: int, at: float, seed: str) -> list[float]:
    """Return the percentile of each of many samples that are drawn from a series in blocks."""
    seeded, found = random.Random(seed), _percentile_of(values, size, at)  # noqa: S311  samples, no secret
    number, starts = math.ceil(len(values) / size), len(values) - size + 1
    many = min(MOST, max(FEWEST, VALUES // len(values)))
    return [found([int(seeded.random() * starts) for _ in range(number)]) for _ in range(many)]


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
