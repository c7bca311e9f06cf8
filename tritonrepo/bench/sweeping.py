"""A load at one concurrency after the other: when more brings no more, and where to operate.

The knee is where throughput stops growing: the last step before the first one that gains less than `least_gain` for
each doubling of the concurrency, while latency grows by more than that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tritonrepo.bench.figures import Distribution, Figures, Slo
from tritonrepo.bench.measures import too_many_failed

LEAST_GAIN = 0.1
"""Share by which throughput must grow for each doubling of the concurrency."""
PERCENTILES = ("mean", "p50", "p90", "p95", "p99")


class Step(NamedTuple):
    """A concurrency, and what it gave."""

    concurrency: int
    figures: Figures


class Kept(NamedTuple):
    """A limit of an SLO at a step: the metric, its percentile in milliseconds (None: not measured), and the limit."""

    metric: str
    found_ms: float | None
    most_ms: float

    @property
    def kept(self) -> bool:
        """Whether the limit holds."""
        return self.found_ms is not None and self.found_ms <= self.most_ms


class Point(NamedTuple):
    """Where to operate: the knee, the highest concurrency that keeps the SLO, and the one that is recommended.

    `recommended` is the step with the most goodput among those that keep the SLO, without an SLO the knee. Each is None
    if no step is.
    """

    knee: Step | None
    kept: Step | None
    recommended: Step | None


def throughput(figures: Figures) -> float:
    """Return what a sweep compares: output tokens per second, or texts and documents where nobody counts tokens."""
    return figures.items_per_s if figures.output_tokens_per_s is None else figures.output_tokens_per_s


def saturated(steps: Sequence[Step], least_gain: float = LEAST_GAIN) -> bool:
    """Whether the last step gained too little and made requests slower, or failed: more of them are useless."""
    if not steps:
        return False
    return too_many_failed(steps[-1].figures) or (len(steps) > 1 and _flat(steps[-2], steps[-1], least_gain))


def point(steps: Sequence[Step], slo: Slo | None, at: str = "p95", least_gain: float = LEAST_GAIN) -> Point:
    """Return where to operate; `at` is the percentile of requests, "p95" or another one, that must keep the SLO."""
    knee = _knee(steps, least_gain)
    if slo is None:
        return Point(knee, None, knee)
    keeping = [step for step in steps if keeps(step, slo, at)]
    best = max(keeping, key=_goodput, default=None)
    return Point(knee, keeping[-1] if keeping else None, best)


def keeps(step: Step, slo: Slo, at: str) -> bool:
    """Whether a step keeps every limit of an SLO at a percentile, with at most 1 % of its requests failed."""
    return not too_many_failed(step.figures) and all(limit.kept for limit in limits(step, slo, at))


def limits(step: Step, slo: Slo, at: str) -> list[Kept]:
    """Return the limits of an SLO with what was measured; a 99th percentile of fewer than 100 values is not known."""
    return [Kept(metric, _value(step.figures, metric, at), most_ms) for metric, most_ms in slo.most_ms.items()]


def doubled(most: int) -> list[int]:
    """Return 1, 2, 4 and so on up to a concurrency, which is the last."""
    return [*(1 << power for power in range(most.bit_length()) if 1 << power < most), most]


def _value(figures: Figures, metric: str, at: str) -> float | None:
    found: Distribution | None = {
        "ttft": figures.ttft_ms,
        "itl": figures.itl_ms,
        "tpot": figures.tpot_ms,
        "latency": figures.latency_ms,
    }[metric]
    value: float | None = None if found is None else getattr(found, at)
    return value


def _knee(steps: Sequence[Step], least_gain: float) -> Step | None:
    """Return the last step that was worth it; None if it is not known, because throughput grew up to the last one."""
    working = [step for step in steps if not too_many_failed(step.figures)]
    for before, after in pairwise(working):
        if _flat(before, after, least_gain):
            return before
    return working[-1] if working and len(working) < len(steps) else None


def _flat(before: Step, after: Step, least_gain: float) -> bool:
    if _per_doubling(before, after, throughput) >= least_gain:
        return False
    return _per_doubling(before, after, _latency) > least_gain


def _latency(figures: Figures) -> float:
    return figures.latency_ms.mean if figures.latency_ms else math.inf


def _per_doubling(before: Step, after: Step, of: Callable[[Figures], float]) -> float:
    earlier, later = of(before.figures), of(after.figures)
    if earlier <= 0 or not math.isfinite(earlier) or not math.isfinite(later):
        return math.inf if later > earlier else 0.0
    power = 1 / math.log2(after.concurrency / before.concurrency)
    return float((later / earlier) ** power) - 1


def _goodput(step: Step) -> tuple[float, float]:
    good = step.figures.goodput
    if good is None:
        return throughput(step.figures), 0.0
    return good.requests_per_s if good.tokens_per_s is None else good.tokens_per_s, good.share
