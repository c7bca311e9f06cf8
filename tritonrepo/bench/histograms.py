"""The middle of the values that a histogram counted, as Prometheus finds it.

Source: Prometheus, docs/querying/functions.md, histogram_quantile(): the values of a bucket count as evenly spread
between its bounds, those of the first one from 0, and nothing is known of where those in the last one (+Inf) end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple


class Quantile(NamedTuple):
    """A quantile, interpolated within its bucket, and the bounds of that; in the last one, without end, None."""

    value: float | None
    above: float
    upto: float | None


def quantile(share: float, buckets: Mapping[float, float]) -> Quantile | None:
    """Return a quantile of a histogram: upper bound → values up to it, also those of smaller buckets.

    None if it has no values, or if its last bucket has an end: nobody knows how many values lie beyond it. A count that
    is smaller than that of a smaller bucket counts as equal to it, as in Prometheus: buckets are not counted at the
    same moment.
    """
    counted, most = [], 0.0
    for bound, count in sorted(buckets.items()):
        most = max(most, count)
        counted.append((bound, most))
    if not most or counted[-1][0] < math.inf:
        return None
    rank = share * most
    above = below = 0.0
    for bound, count in counted:
        if count >= rank and count > below:
            if math.isinf(bound):
                return Quantile(None, above, None)
            start = min(above, bound)  # the first bucket may end below 0
            return Quantile(start + (bound - start) * (rank - below) / (count - below), start, bound)
        above, below = bound, count
    return None
