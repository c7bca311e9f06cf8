"""The highest rate at which a served model keeps an SLO, from loads that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tritonrepo.bench.figures import Slo
from tritonrepo.bench.keeping import Kept, kept
from tritonrepo.bench.load import Shape
from tritonrepo.bench.queues import steady_mean
from tritonrepo.bench.result import Result, Step

WAITED = 0.05
"""A limit on what is in flight hides a wait in the client if its p95 is more than this part of the smallest limit."""


class Point(NamedTuple):
    """A measured load: requests per second and replica, and the share of them that kept the SLO.

    `opened`: requests were sent whether or not others had been answered. If not, `concurrency` of them were in flight.
    `offered_per_s` is what was sent, `served_per_s` what was answered. `latency_s` is the mean time to the last text.
    """

    number: int
    opened: bool
    concurrency: int | None
    offered_per_s: float
    served_per_s: float
    share: Kept
    latency_s: float
    requests: int
    input_tokens: float | None = None
    output_tokens: float | None = None

    @property
    def safe_per_s(self) -> float:
        """The lower of what was sent and what was answered."""
        return min(self.offered_per_s, self.served_per_s)

    def keeps(self, share: float) -> bool:
        """Return whether it surely kept the SLO in this share of requests."""
        return self.share.least >= share

    def misses(self, share: float) -> bool:
        """Return whether it surely did not."""
        return self.share.most < share


class Left(NamedTuple):
    """A result that says nothing of the rate at which an SLO holds, and why."""

    number: int
    why: str


class Capacity(NamedTuple):
    """The highest rate of a replica at which the SLO holds, in requests per second; 0 if no load kept it.

    `below` is the measured load that it follows from, `above` the lowest load that did not surely keep the SLO. Without
    the latter it is `at_least` this much. `usable` is the part of the throughput of a closed loop that random arrivals
    may use, 1 for others.
    """

    rate_per_s: float
    at_least: bool
    opened: bool
    points: tuple[Point, ...]
    left: tuple[Left, ...] = ()
    below: Point | None = None
    above: Point | None = None
    usable: float = 1.0

    @property
    def latency_s(self) -> float | None:
        """The mean latency under the load that it follows from."""
        return self.below.latency_s if self.below is not None else None


def capacity(results: Sequence[Result], slo: Slo, share: float) -> Capacity:
    """Return the highest rate of a replica at which this share of requests keeps an SLO.

    Loads with random arrivals are used where there are any: in a closed loop, a request is sent only when another has
    been answered, so that it never waits behind a burst.
    """
    points, left = list[Point](), list[Left]()
    for number, result in enumerate(results, 1):
        one = _point(number, result, slo)
        if isinstance(one, Point):
            points.append(one)
        else:
            left.append(one)
    opened = sorted((point for point in points if point.opened), key=lambda point: point.offered_per_s)
    closed = sorted((point for point in points if not point.opened), key=lambda point: point.concurrency or 0)
    found = _opened(opened, share) if opened else _closed(closed, share)
    return found._replace(left=tuple(left), points=(*closed, *opened))


def _point(number: int, result: Result, slo: Slo) -> Point | Left:
    figures, load = result.figures, result.load
    why = _useless(result, slo)
    if why:
        return Left(number, why)
    replicas = max(1, result.hardware.replicas or 1)
    steady = figures.steady_requests_per_s
    served = (figures.requests_per_s if steady is None else steady) / replicas
    opened = load.shape in {Shape.POISSON, Shape.TRACE}
    offered = load.rate / replicas if opened and load.rate is not None else served
    shares = [kept(each, slo) for each in (figures, *result.repeats)]
    return Point(
        number,
        opened,
        None if opened or load.concurrency is None else max(1, load.concurrency // replicas),
        offered,
        served,
        Kept(min(each.least for each in shares), min(each.most for each in shares)),
        figures.latency_ms.mean / 1000 if figures.latency_ms is not None else 0.0,
        figures.sent,
        figures.input_tokens.mean if figures.input_tokens is not None else None,
        figures.output_tokens.mean if figures.output_tokens is not None else None,
    )


def _useless(result: Result, slo: Slo) -> str:
    """Return why a result says nothing of a rate; "" if it does."""
    figures, load = result.figures, result.load
    if figures.succeeded <= 0 or figures.latency_ms is None:
        return "no request succeeded"
    if load.shape is Shape.RAMP:
        return "a ramp mixes rates, and its figures are of all of them together"
    if load.shape is Shape.CLOSED and load.concurrency is None:
        return "it does not say how many requests were in flight"
    waits = [most_ms for metric, most_ms in slo.most_ms.items() if metric in {"ttft", "latency"}]
    if figures.queued_ms is not None and waits and figures.queued_ms.p95 > WAITED * min(waits):
        return f"a limit on what is in flight kept requests waiting in the client, p95 {figures.queued_ms.p95:.0f} ms"
    return ""


def _opened(points: Sequence[Point], share: float) -> Capacity:
    """Return the rate from random arrivals: between the last load that keeps the SLO and the first that does not.

    A line between their shares crosses `share` before the curve does as long as the curve bends downwards, as the
    share of good requests does where a server saturates. If either share is not known, it is the last load that keeps.
    """
    above = next((point for point in points if not point.keeps(share)), None)
    lower = [point for point in points if above is None or point.offered_per_s < above.offered_per_s]
    if not lower:
        return Capacity(0.0, at_least=False, opened=True, points=(), above=above)
    below = max(lower, key=lambda point: point.safe_per_s)
    rate = below.safe_per_s
    if above is not None and above.misses(share) and below.share.known and above.share.known:
        part = (below.share.least - share) / (below.share.least - above.share.least)
        rate += part * (above.offered_per_s - below.offered_per_s)
    at_least = above is None or not above.misses(share)
    return Capacity(rate, at_least=at_least, opened=True, points=(), below=below, above=above)


def _closed(points: Sequence[Point], share: float) -> Capacity:
    """Return the rate from closed loops: what random arrivals may be so that rarely more are in flight than measured.

    If C in flight keep the SLO with a throughput X, random arrivals at λ have λ · W in flight on average, W = C ÷ X,
    and their number is Poisson at most as wide, as W only falls with fewer in flight. `usable` is the part of X with
    which an arrival finds fewer than C others in `share` of all cases.
    """
    above = next((point for point in points if not point.keeps(share)), None)
    lower = [p for p in points if above is None or (p.concurrency or 1) < (above.concurrency or 1)]
    if not lower:
        return Capacity(0.0, at_least=False, opened=False, points=(), above=above)
    rated = {steady_mean(p.concurrency or 1, share) / (p.concurrency or 1) * p.served_per_s: p for p in lower}
    rate = max(rated)
    below = rated[rate]
    usable = steady_mean(below.concurrency or 1, share) / (below.concurrency or 1)
    at_least = above is None or not above.misses(share)
    return Capacity(rate, at_least=at_least, opened=False, points=(), below=below, above=above, usable=usable)


class Busy(NamedTuple):
    """A step of a pipeline: how busy its instances are, from 0 to 1, when the pipeline has the measured rate.

    That is what it executes a second times how long an execution takes, per instance. `saturates_per_s` is the rate of
    the pipeline at which it has no rest if it batches as it did.
    """

    step: Step
    instances: int
    busy: float
    saturates_per_s: float


def busiest(result: Result, instances: dict[str, int], replicas: int = 1) -> tuple[Busy, ...]:
    """Return the steps of a load that run one batch at a time, the busiest first.

    `instances` are those of each model; others, such as engines that run requests side by side and steps that only
    wait for other models, are left out: the time that a request spends there does not keep an instance busy. If the
    executions are not known, each request counts as one row of a batch.
    """
    figures, found = result.figures, list[Busy]()
    if figures.duration_s <= 0 or figures.requests_per_s <= 0:
        return ()
    for step in result.observed.steps:
        count = instances.get(step.model, 0) * replicas
        took_s = (step.input_ms + step.infer_ms + step.output_ms) / 1000
        if count and took_s > 0 and step.requests > 0 and not step.streams:
            executions = step.requests / (step.batch or 1) if step.executions is None else step.executions
            executions_per_s = executions / figures.duration_s
            busy = executions_per_s * took_s / count
            found.append(Busy(step, count // replicas, busy, figures.requests_per_s / busy / replicas))
    return tuple(sorted(found, key=lambda each: -each.busy))
