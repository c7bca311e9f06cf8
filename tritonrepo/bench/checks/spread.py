"""Distributions: the order of percentiles, and of how many values they are: check 10."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from tritonrepo.bench.checks.times import METRICS, points
from tritonrepo.bench.checks.values import EXACT, NAMES, lacking, rounded, shown
from tritonrepo.bench.claim import Claim, Judgement, State

FAILED = 0.01
"""The share of failed requests from which on the p99 of all requests is not known: they could be its slowest 1 %."""

FEW = 10
"""How many values are assumed where a table does not say it: bounds of the mean are wider the fewer there are."""

ENDS = {"min": 0.0, "max": 1.0}
ALL = (*METRICS, "input_tokens", "output_tokens")
WORDS = {**NAMES, "input_tokens": "input tokens", "output_tokens": "output tokens"}


def percentiles(claim: Claim) -> Iterator[Judgement]:
    """Yield whether percentiles grow with their share, and are those of enough requests, few of which failed."""
    given = {metric: _ordered(points(claim, metric)) for metric in ALL}
    compared = {metric: found for metric, found in given.items() if len(found) > 1}
    if not compared:
        yield lacking("percentiles", "two percentiles of a metric")
        return
    holds = True
    for metric, found in compared.items():
        for (_, low, value), (_, high, above) in itertools.pairwise(found):
            if value - _slack(claim, metric, low) > above + _slack(claim, metric, high):
                sides = f"{WORDS[metric]} {low} {shown(value)}", f"{WORDS[metric]} {high} {shown(above)}"
                yield Judgement("percentiles", State.BROKEN, *sides, f"{high} is under {low}", f"{low} at most {high}")
                holds = False
    if holds:
        yield from _few(claim, [point for found in compared.values() for _, point, _ in found], [*compared])


def _few(claim: Claim, named: Sequence[str], metrics: Sequence[str]) -> Iterator[Judgement]:
    """Yield whether the requests are enough for the percentiles."""
    highest = max((point for point in named if point not in ENDS), key=_share, default="p50")
    needed, n = round(1 / max(1 - _share(highest), 1e-4)), claim.succeeded
    left = f"{highest} of {', '.join(WORDS[metric] for metric in metrics)}"
    if n is not None and n < needed:
        right, says = f"{n:,} requests", f"{highest} of fewer than {needed:,} values is little more than the largest"
        yield Judgement("percentiles", State.WEAK, left, right, says)
    elif n and claim.failed and claim.failed >= FAILED * (n + claim.failed):
        says = "failed requests are in no percentile, and they could be the slowest"
        yield Judgement("percentiles", State.WEAK, left, f"{claim.failed:,} of {n + claim.failed:,} failed", says)
    else:
        yield Judgement("percentiles", State.HOLDS, left, f"{n:,} requests" if n else "in order", "")


def means(claim: Claim) -> Iterator[Judgement]:
    """Yield whether each mean is possible with the percentiles of its metric.

    At least half of the values are the p50 or more, 1 % the p99 or more, and none is under the minimum, which gives the
    least mean; the largest follows from the maximum likewise. Percentiles are interpolated between two of n values,
    which shifts a share by 1 / n. A mean is never further from the p50 than the standard deviation.
    """
    for metric in ALL:
        stated = points(claim, metric)
        found, value = _ordered(stated), stated.get("mean")
        if value is None or not found:
            continue
        slack = (EXACT - 1) * value + _slack(claim, metric, "mean")
        low, high = _bounds(found, claim.succeeded or FEW)
        if "std" in stated and "p50" in stated:
            low = max(low, stated["p50"] - stated["std"] * EXACT)
            high = min(high, stated["p50"] + stated["std"] * EXACT)
        most = f"from {shown(low)} to {shown(high)}" if math.isfinite(high) else f"at least {shown(low)}"
        left, right = f"{WORDS[metric]} mean {shown(value)}", f"{most} by its percentiles"
        if low - slack <= value <= high + slack:
            yield Judgement("means", State.HOLDS, left, right, "")
        else:
            nearest = shown(low if value < low else high)
            yield Judgement("means", State.BROKEN, left, right, "no such values exist", f"a mean of {nearest}")


def _bounds(found: Sequence[tuple[float, str, float]], n: int) -> tuple[float, float]:
    known, scale = {share: value for share, _, value in found}, max(0.0, (n - 1) / n)
    low, before = known.get(0.0, 0.0), known.get(0.0, 0.0)
    for share, value in known.items():
        low, before = low + max(0.0, value - before) * (1 - share) * scale, max(before, value)
    if 1.0 not in known:
        return low, math.inf
    high, after = known[1.0], known[1.0]
    for share, value in reversed(known.items()):
        high, after = high - max(0.0, after - value) * share * scale, min(after, value)
    return low, high


def _ordered(stated: Mapping[str, float]) -> list[tuple[float, str, float]]:
    return sorted((_share(point), point, value) for point, value in stated.items() if point not in {"mean", "std"})


def _share(point: str) -> float:
    return ENDS[point] if point in ENDS else float(point[1:]) / 100


def _slack(claim: Claim, metric: str, point: str) -> float:
    return rounded(claim, f"{metric}_{point}")
