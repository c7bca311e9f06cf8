"""Two results next to each other: in which conditions they differ, and by how much their figures do for certain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, geometric_mean
from typing import NamedTuple

from tritonrepo.bench import intervals
from tritonrepo.bench.conditions import Condition, differing
from tritonrepo.bench.figures import Distribution, Figures
from tritonrepo.bench.intervals import Interval
from tritonrepo.bench.record import Record
from tritonrepo.bench.result import Result

REPEATS = 3
"""Repeats that each side must have for an interval from them."""

TAIL = 400
"""Requests that each side must have for an interval of a p99: of fewer, none may be beyond it."""

PARTS = 20
"""Most parts of the time of a repeat whose rates are compared."""

LONG = 2
"""Mean latencies that a part lasts at least: in shorter ones, the same requests are in flight as in the one before."""

PER_PART = 5
"""Answers that a part has at least, on average."""


class Basis(StrEnum):
    """What an interval comes from."""

    REPEATS = "repeats"
    REQUESTS = "requests of one run"
    NOTHING = "nothing"


class Verdict(StrEnum):
    """What is said of a metric, for the second result."""

    SAME = "no difference"
    BETTER = "better"
    WORSE = "worse"
    UNKNOWN = "not judged"


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of two results: both values, and how much the second is more, as a share of the first.

    `low` and `high` are the ends of the interval in which that share is 19 times out of 20; None, with `why`, if it is
    not known. A share of failures is compared as it is: 0.01 is one request of a hundred more. `basis` says what the
    interval comes from. `unit` is ms, 1/s or "" for a share, and `more_is_better` what a higher value means.
    """

    metric: str
    unit: str
    more_is_better: bool
    before: float
    after: float
    change: float | None
    low: float | None
    high: float | None
    basis: Basis
    verdict: Verdict
    why: str = ""

    @property
    def surely_worse(self) -> float:
        """By which share the second is worse for certain; 0 if that is not certain."""
        if self.low is None or self.high is None:
            return 0.0
        return max(0.0, -self.high if self.more_is_better else self.low)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results, each by its target and its load, the conditions in which they differ, and their metrics.

    It is void if a condition differs without which figures are not of the same thing.
    """

    before: str
    after: str
    conditions: tuple[Condition, ...]
    differences: tuple[Difference, ...]

    @property
    def void(self) -> tuple[Condition, ...]:
        """The conditions that make it void."""
        return tuple(each for each in self.conditions if each.void)


class Side(NamedTuple):
    """A result with its name and, if they were kept, its records."""

    name: str
    result: Result
    records: Sequence[Record] = ()


class _Metric(NamedTuple):
    """A metric: its name, unit and sense, its value of figures, its value of a record, and which percentile it is."""

    name: str
    unit: str
    more_is_better: bool
    of: Callable[[Figures], float | None]
    each: Callable[[Record], float | None]
    share: float | None


def compare(before: Side, after: Side) -> Comparison:
    """Return what differs between two results; the same for the same inputs, since what is drawn has fixed seeds."""
    differences = tuple(found for metric in METRICS if (found := _difference(metric, before, after)))
    conditions = tuple(differing(before.result, after.result))
    return Comparison(before.name, after.name, conditions, (*differences, *_failed(before.result, after.result)))


def _difference(metric: _Metric, before: Side, after: Side) -> Difference | None:
    """Return the difference in a metric; None if a side does not have it."""
    first, second = metric.of(before.result.figures), metric.of(after.result.figures)
    if first is None or second is None:
        return None
    interval, basis, why = _interval(metric, before, after)
    if basis is Basis.REPEATS:
        first, second = (geometric_mean(_repeats(metric, side)) for side in (before, after))
    change = second / first - 1 if first else None
    low, high = interval or (None, None)
    verdict = _verdict(interval, more_is_better=metric.more_is_better)
    return Difference(
        metric.name, metric.unit, metric.more_is_better, first, second, change, low, high, basis, verdict, why
    )


def _repeats(metric: _Metric, side: Side) -> list[float]:
    """Return the value of each repeat; none if there are too few of them, or if one does not have the metric."""
    values = [metric.of(each) for each in side.result.repeats]
    known = [value for value in values if value is not None and value > 0]
    return known if len(known) == len(values) >= REPEATS else []


def _verdict(interval: Interval | None, *, more_is_better: bool) -> Verdict:
    if interval is None:
        return Verdict.UNKNOWN
    if interval.low <= 0 <= interval.high:
        return Verdict.SAME
    return Verdict.BETTER if (interval.low > 0) == more_is_better else Verdict.WORSE


def _interval(metric: _Metric, before: Side, after: Side) -> tuple[Interval | None, Basis, str]:
    """Return the interval, what it comes from, and if there is none, why."""
    found = intervals.of_repeats(_repeats(metric, before), _repeats(metric, after))
    if found is not None:
        return found, Basis.REPEATS, ""
    if not (before.records and after.records):
        return None, Basis.NOTHING, f"it takes {REPEATS} repeats of each, or the records of both"
    return _of_requests(metric, before, after)


def _of_requests(metric: _Metric, before: Side, after: Side) -> tuple[Interval | None, Basis, str]:
    seed = f"tritonrepo {metric.name}"
    if metric.share is None:
        found = intervals.of_means(parts(before.records, metric.each), parts(after.records, metric.each))
    else:
        first, second = _series(before.records, metric.each), _series(after.records, metric.each)
        if metric.share > 0.98 and min(len(first), len(second)) < TAIL:  # noqa: PLR2004  a tail
            return None, Basis.NOTHING, f"it takes {TAIL} requests of each"
        found = intervals.of_percentile(first, second, metric.share, seed)
    return (found, Basis.REQUESTS, "") if found else (None, Basis.NOTHING, "there are too few requests")


def _series(records: Sequence[Record], of: Callable[[Record], float | None]) -> list[float]:
    """Return the values of the answered requests, in the order in which these were sent."""
    ordered = sorted((each for each in records if each.ok and not each.warm_up), key=lambda each: each.sent_s)
    return [value for each in ordered if (value := of(each)) is not None]


def parts(records: Sequence[Record], amount: Callable[[Record], float | None]) -> list[float]:
    """Return the rates of what was answered in equal parts of the time of each repeat in which its load was whole.

    That is from the first answer to the last request that was sent. What a request amounts to is spread over the time
    from its first piece to its end.
    """
    found: list[float] = []
    for repeat in sorted({each.repeat for each in records}):
        here = [each for each in records if each.repeat == repeat and each.ok and not each.warm_up]
        begin, end = min([one.ended_s for one in here] or [0]), max([one.sent_s for one in here] or [0])
        long_s = LONG * fmean([one.latency_s for one in here] or [0])
        number = int(min(PARTS, len(here) // PER_PART, (end - begin) / long_s if long_s > 0 else PARTS))
        if end > begin and number:
            found += _rates([(_span(one), amount(one) or 0) for one in here], begin, (end - begin) / number, number)
    return found


def _span(record: Record) -> tuple[float, float]:
    return (record.pieces[0].at_s if record.pieces and record.streamed else record.ended_s), record.ended_s


def _rates(
    amounts: Sequence[tuple[tuple[float, float], float]], begin: float, wide_s: float, number: int
) -> Iterator[float]:
    sums = [0.0] * number
    for (first, last), amount in amounts:
        for n in range(max(0, int((first - begin) // wide_s)), min(number - 1, int((last - begin) // wide_s)) + 1):
            low, high = begin + n * wide_s, begin + (n + 1) * wide_s
            inside = min(last, high) - max(first, low)
            sums[n] += amount * (inside / (last - first) if last > first else float(low <= last < high))
    yield from (each / wide_s for each in sums)


def _failed(before: Result, after: Result) -> Iterator[Difference]:
    """Yield the difference in the share of failures, if anything failed: times are those of answered requests alone."""
    counts = [(sum(each.figures.errors.values()), each.figures.sent) for each in (before, after)]
    if any(some for some, _ in counts) and all(of for _, of in counts):
        a, b = (some / of for some, of in counts)
        interval = intervals.of_shares(*counts)
        ends = (interval.low, interval.high, Basis.REQUESTS, _verdict(interval, more_is_better=False))
        yield Difference(FAILED, "", False, a, b, b - a, *ends)  # noqa: FBT003  a field


def _percentile(name: str, share: str) -> Callable[[Figures], float | None]:
    def of(figures: Figures) -> float | None:
        found: Distribution | None = getattr(figures, f"{name}_ms")
        value: float | None = None if found is None else getattr(found, share)
        return value

    return of


def _items(figures: Figures) -> float | None:
    """Return the items per second where a request has several of them."""
    return figures.items_per_s if figures.items_per_s > figures.requests_per_s else None


FAILED = "share of failed requests"
TIMES: Mapping[str, tuple[str, Callable[[Record], float | None]]] = {
    "ttft": ("TTFT", lambda record: record.ttft_s),
    "itl": ("ITL", lambda record: record.itl_s),
    "tpot": ("TPOT", lambda record: record.tpot_s),
    "latency": ("latency", lambda record: record.latency_s),
}
METRICS: tuple[_Metric, ...] = (
    _Metric("requests per second", "1/s", True, lambda found: found.requests_per_s, lambda _: 1.0, None),  # noqa: FBT003
    _Metric("items per second", "1/s", True, _items, lambda one: one.items, None),  # noqa: FBT003
    _Metric(
        "output tokens per second",
        "1/s",
        True,  # noqa: FBT003
        lambda found: found.output_tokens_per_s,
        lambda one: one.answer_tokens,
        None,
    ),
    *(
        _Metric(f"{name} {share}", "ms", False, _percentile(key, share), each, int(share[1:]) / 100)  # noqa: FBT003
        for key, (name, each) in TIMES.items()
        for share in ("p50", "p99")
    ),
)
"""What is compared, in this order."""

NAMES = (*(metric.name for metric in METRICS), FAILED)
"""Names of all metrics."""
