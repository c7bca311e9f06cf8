"""What was measured: distributions and rates."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ENOUGH = 100
"""Values from which on a 99th percentile is more than the largest value."""


class Distribution(NamedTuple):
    """The values of one metric; percentiles by linear interpolation, as NumPy's. `p99` is None under ENOUGH values."""

    n: int
    mean: float
    std: float
    least: float
    p50: float
    p90: float
    p95: float
    p99: float | None
    most: float


def distribution(values: Sequence[float]) -> Distribution | None:
    """Return the distribution of values; None without any."""
    if not values:
        return None
    ordered = sorted(values)
    p50, p90, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.9, 0.95, 0.99))
    mean = statistics.fmean(ordered)
    std = math.sqrt(statistics.fmean([(value - mean) ** 2 for value in ordered]))
    last = p99 if len(ordered) >= ENOUGH else None
    return Distribution(len(ordered), mean, std, ordered[0], p50, p90, p95, last, ordered[-1])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return a percentile of sorted values, interpolated between the two nearest."""
    at = (len(ordered) - 1) * share
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


class Slo(NamedTuple):
    """What a good request keeps: metric (ttft, itl, tpot, latency) → most milliseconds."""

    most_ms: Mapping[str, float]


class Goodput(NamedTuple):
    """Requests that kept every limit of an SLO: how many, as a share of all sent, and per second.

    `tokens_per_s` counts their output tokens alone; None if nobody counted tokens.
    """

    slo: Slo
    good: int
    share: float
    requests_per_s: float
    tokens_per_s: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What one load on one target gave, warm-up excluded; times in milliseconds, rates per second.

    `sent` = `succeeded` + the sum of `errors` (reason → requests), and only requests that succeeded are in the
    distributions. `duration_s` is from the first request to the end of the last response; rates are over it, and
    those that begin with `steady_` over the window `steady_s` (its start and end, in seconds), in which the load was
    whole: neither starting nor running out; of several repeats, from the first one's start to the last one's end.
    `in_flight` and `decoding` are means over that window, or over all of the run without one: of requests, and of
    requests between their first token and their last. `single` answers of one token have no TPOT. `lag_ms` is how late
    the client's own loop was.
    """

    sent: int
    succeeded: int
    errors: Mapping[str, int]
    duration_s: float
    steady_s: tuple[float, float] | None
    in_flight: float
    decoding: float | None
    requests_per_s: float
    items_per_s: float
    steady_requests_per_s: float | None
    output_tokens_per_s: float | None
    steady_output_tokens_per_s: float | None
    input_tokens_per_s: float | None
    tokens_from: str
    ttft_ms: Distribution | None
    itl_ms: Distribution | None
    tpot_ms: Distribution | None
    chunk_ms: Distribution | None
    latency_ms: Distribution | None
    queued_ms: Distribution | None
    input_tokens: Distribution | None
    output_tokens: Distribution | None
    lag_ms: Distribution | None
    empty_first: int = 0
    single: int = 0
    goodput: Goodput | None = None
