"""Which share of the requests of a load kept an SLO, as far as its figures tell.

It is known if the load was judged by the same SLO. Otherwise the percentiles give bounds: a percentile below the limit
has at least so many values below it, and several limits are missed by at most the sum of what misses each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.bench.figures import Distribution, Figures, Slo


class Kept(NamedTuple):
    """Bounds of a share, from 0 to 1, of all requests that were sent; equal if it is known."""

    least: float
    most: float

    @property
    def known(self) -> bool:
        """Whether it is one number."""
        return self.least == self.most


def kept(found: Figures, slo: Slo) -> Kept:
    """Return the share of requests that kept an SLO: exact if it is the one of the load, bounds by percentiles if not.

    Requests without a value of a metric, such as answers of one token, which have no time between tokens, are counted
    against the lower bound and for the upper one.
    """
    if found.sent <= 0:
        return Kept(0.0, 0.0)
    own = found.goodput
    if own is not None and dict(own.slo.most_ms) == dict(slo.most_ms):
        return Kept(own.share, own.share)
    counts = [_counts(found, metric, limit_ms) for metric, limit_ms in slo.most_ms.items()]
    least = max(0, found.succeeded - sum(found.succeeded - low for low, _ in counts))
    most = min([found.succeeded, *(high for _, high in counts)])
    if own is not None and _implies(own.slo.most_ms, slo.most_ms):
        least = max(least, own.good)
    if own is not None and _implies(slo.most_ms, own.slo.most_ms):
        most = min(most, own.good)
    return Kept(least / found.sent, max(least, most) / found.sent)


def missing(found: Figures, slo: Slo) -> tuple[str, ...]:
    """Return the metrics of an SLO of which a load has no values."""
    return tuple(metric for metric in slo.most_ms if _distribution(found, metric) is None)


def _implies(strict: Mapping[str, float], loose: Mapping[str, float]) -> bool:
    """Return whether what keeps the one certainly keeps the other."""
    return all(strict.get(metric, math.inf) <= limit_ms for metric, limit_ms in loose.items())


def _distribution(found: Figures, metric: str) -> Distribution | None:
    named = {"ttft": found.ttft_ms, "itl": found.itl_ms, "tpot": found.tpot_ms, "latency": found.latency_ms}
    return named[metric]


def _counts(found: Figures, metric: str, limit_ms: float) -> tuple[int, int]:
    """Return how many requests kept a limit, at least and at most.

    A percentile lies between two neighbors in the sorted values: below the limit, so does the first of them, and above
    it, so does the second.
    """
    values = _distribution(found, metric)
    if values is None or not values.n:
        return 0, found.succeeded
    n, without = min(values.n, found.succeeded), max(0, found.succeeded - values.n)
    if values.most <= limit_ms:
        return n, n + without
    low, high = int(values.least <= limit_ms), n - 1
    ranks = {0.5: values.p50, 0.9: values.p90, 0.95: values.p95, 0.99: values.p99}
    for share, value in ranks.items():
        at = (n - 1) * share
        if value is not None and value <= limit_ms:
            low = max(low, math.floor(at) + 1)
        elif value is not None:
            high = min(high, math.ceil(at))
    if values.least > limit_ms:
        return 0, without
    return low, max(low, high) + without
