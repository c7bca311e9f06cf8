"""A plan as text: the answer first, then how it follows, what is assumed, and what was not measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.bench.capacity import Capacity, Point
from tritonrepo.bench.planning import ROUNDED, Alternative, Plan
from tritonrepo.bench.queues import in_flight
from tritonrepo.diagnostics import counted
from tritonrepo.llm.gpus import GIB
from tritonrepo.plain import inline, printable
from tritonrepo.report.table import table

NAMES = {"ttft": "TTFT", "itl": "ITL", "tpot": "TPOT", "latency": "latency"}
SECOND_MS = 1000
MEASURE = "To know more, measure this and add each file with --bench"
MOST = 12
"""Rows of measured loads; of more, those nearest to the answer are shown."""


class Line(NamedTuple):
    """A number that the answer follows from: what it is, its value, and the arithmetic with its inputs."""

    name: str
    value: str
    formula: str


def text(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan for a terminal."""
    yield from map(printable, answer(plan))
    if lines := derived(plan):
        yield from ("", "How it follows")
        yield from table(("number", "value", "from"), lines).split("\n")
    for title, (head, rows) in tables(plan).items():
        yield from ("", title)
        yield from table(head, rows).split("\n")
    for title, said in remarks(plan).items():
        yield from ("", title)
        yield from (printable(f"- {each}") for each in said)
    if plan.commands:
        yield from ("", MEASURE, *(printable(f"  {each}") for each in plan.commands))
    for diagnostic in plan.found:
        yield from ("", *diagnostic.lines)


def answer(plan: Plan) -> Iterator[str]:
    """Yield the short answer."""
    yield from (f"{inline(plan.name)}: {wrong}" for wrong in plan.wrong)
    peak = f"peak {plan.asked.peak.text} with {limits(plan)}"
    if plan.capacity is None:
        yield f"{inline(plan.name)}: {peak}: the replicas are not known, since nothing was measured"
        for each in plan.memory:
            if each.slots is not None:
                size = f"{counted(each.slots, 'request')} of {each.each:,} tokens"
                yield f"by memory, a replica runs at least {size} at a time ({inline(each.model)})"
        return
    if plan.replicas is None or plan.rate_per_s is None:
        yield f"{inline(plan.name)}: {peak}: no number of replicas can be given"
        return
    pods = f" of {_gpus(plan.gpus, plan.gpu)}: {counted(plan.replicas * plan.gpus, 'GPU')}" if plan.gpus else ""
    elsewhere = f", and {_elsewhere(plan)}" if plan.others != 0 else ""
    yield f"{inline(plan.name)}: {counted(plan.replicas, 'replica')}{pods}{elsewhere}"
    spared = plan.headroom(1)
    lost = f", {_percent(spared)} with one replica lost" if spared is not None else ""
    fewer = "; fewer may do: no higher load was judged by this SLO" if plan.capacity.at_least else ""
    yield f"{peak}; headroom {_percent(plan.headroom())}{lost}{fewer}"
    for cost in plan.costs.expenses[:1] if plan.costs is not None else ():
        yield f"cost of a month: {money(plan, cost.low, cost.mid, cost.high)}"


def _elsewhere(plan: Plan) -> str:
    if plan.others is None or plan.replicas is None:
        return "as many of the server behind the endpoint, whose GPUs are not known"
    return f"{counted(plan.replicas * plan.others, 'GPU')} behind the endpoint"


def _gpus(number: int, kind: str) -> str:
    if kind.startswith("GPU"):
        return f"{counted(number, 'GPU')}{inline(kind.removeprefix('GPU'))}"
    return f"{number} {inline(kind)}" if kind else counted(number, "GPU")


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{math.floor(share * 100 + ROUNDED):,}%"


def money(plan: Plan, low: float, mid: float, high: float) -> str:
    """Return a sum of money with its range."""
    whole = f"{inline(plan.currency)} {mid:,.2f}"
    return whole if low == high else f"{whole} ({low:,.2f} to {high:,.2f})"


def limits(plan: Plan) -> str:
    """Return the SLO in words."""
    said = [f"{NAMES[metric]} ≤ {milliseconds(most_ms)}" for metric, most_ms in plan.asked.slo.most_ms.items()]
    return f"{' and '.join(said)} in {plan.asked.share * 100:.4g}% of requests"


def milliseconds(value_ms: float) -> str:
    """Return a time in milliseconds, or in seconds from ten of them on."""
    return f"{value_ms:.4g} ms" if value_ms < 10 * SECOND_MS else f"{value_ms / SECOND_MS:.4g} s"


def derived(plan: Plan) -> tuple[Line, ...]:
    """Return the numbers that the answer follows from, each with its arithmetic."""
    found = [*_measured(plan), *_remembered(plan)]
    rate, carrying, replicas = plan.rate_per_s, plan.carrying, plan.replicas
    if rate is None or carrying is None or replicas is None:
        return tuple(found)
    peak = plan.asked.peak.per_s
    by = plan.bounds[0][0]
    found += [
        Line("rate of a replica", f"{_rate(rate)}", f"the lowest bound: {inline(by)}"),
        Line(
            "replicas",
            f"{replicas:,}",
            f"ceil({_rate(peak)} ÷ {_rate(rate)}) + spare = {carrying:,} + {plan.asked.spare}",
        ),
        *_rooms(plan, rate, peak, replicas),
    ]
    if plan.gpus:
        found.append(
            Line(
                "GPUs",
                f"{replicas * plan.gpus:,}",
                f"{counted(replicas, 'replica')} × {counted(plan.gpus, 'GPU')} of a pod",
            )
        )
    if plan.others:
        value = f"{replicas * plan.others:,}"
        found.append(
            Line("GPUs behind endpoints", value, f"{counted(replicas, 'replica')} × {counted(plan.others, 'GPU')}")
        )
    return tuple(found)


def _rooms(plan: Plan, rate: float, peak: float, replicas: int) -> Iterator[Line]:
    for lost, name in ((0, "headroom"), (1, "headroom, one lost")):
        here = f"{max(0, replicas - lost):,} × {_rate(rate)} ÷ {_rate(peak)} - 1"
        yield Line(name, _percent(plan.headroom(lost)), here)


def _measured(plan: Plan) -> Iterator[Line]:
    found = plan.capacity
    if found is None or found.below is None:
        return
    least = "at least " if found.at_least else ""
    yield Line("λ_SLO, measured", f"{least}{_rate(found.rate_per_s)}", _how(found, plan.asked.share))
    yield Line("latency W", milliseconds(found.below.latency_s * SECOND_MS), f"mean of result {found.below.number}")
    if plan.of is not None and plan.of.figures.items_per_s > plan.of.figures.requests_per_s:
        each = plan.of.figures.items_per_s / plan.of.figures.requests_per_s
        here = f"{_rate(found.rate_per_s)} × {each:.4g} texts or documents of a request"
        yield Line("items, measured", _rate(found.rate_per_s * each), here)
    flying = in_flight(plan.asked.peak.per_s, found.below.latency_s)
    here = f"λ · W = {_rate(plan.asked.peak.per_s)} × {found.below.latency_s:.4g} s, by Little's law"
    yield Line("in flight at the peak", f"{flying:,.4g}", here)


def _how(found: Capacity, share: float) -> str:
    below, above = found.below, found.above
    if below is None:
        return ""
    if not found.opened:
        return (
            f"throughput {_rate(below.served_per_s)} with {below.concurrency} in flight × {found.usable:.3g}, the mean "
            f"of a Poisson number below {below.concurrency} in {share * 100:.4g}% ÷ {below.concurrency}"
        )
    kept = f"result {below.number} kept the SLO at {_rate(below.safe_per_s)}"
    if above is None or found.rate_per_s == below.safe_per_s:
        return kept
    return (
        f"between {_rate(below.safe_per_s)} with {below.share.least:.4g} and {_rate(above.offered_per_s)} with "
        f"{above.share.least:.4g}, where a line crosses {share:.4g}"
    )


def _remembered(plan: Plan) -> Iterator[Line]:
    for each in plan.memory:
        if each.slots is None or each.tokens is None:
            continue
        name = inline(each.model)
        arithmetic = f"{int(each.tokens.low):,} tokens of KV cache ÷ {each.each:,} of a request"
        limited = "" if each.by == "KV cache" else f", limited by {each.by}"
        yield Line(f"requests at a time, {name}", f"{each.slots:,}", f"{arithmetic}{limited}, of a replica at least")
        latency_s = plan.capacity.latency_s if plan.capacity is not None else None
        if latency_s:
            bound = f"{each.slots:,} ÷ {latency_s:.4g} s, by Little's law"
            yield Line(f"λ by memory, {name}", _rate(each.slots / latency_s), bound)
        if (waits := plan.waits(each)) is not None and latency_s:
            offered = plan.asked.peak.per_s / (plan.replicas or 1) * latency_s
            here = f"an estimate by Erlang C with {each.slots:,} places and λ · W = {offered:.4g} of a replica"
            yield Line(f"wait for memory, {name}", f"{waits:.2%}", here)


def _rate(per_s: float) -> str:
    return f"{per_s:.4g}/s"


def tables(plan: Plan) -> dict[str, tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """Return the tables of a plan by their titles, each with its head."""
    found: dict[str, tuple[Sequence[str], Sequence[Sequence[str]]]] = {}
    if plan.capacity is not None and plan.capacity.points:
        found["Measured loads, of a replica"] = (
            ("result", "load", "answered", "kept the SLO", "latency", "requests", ""),
            [_point(each, plan) for each in _shown(plan.capacity)],
        )
    if plan.busy:
        found["Steps, the busiest first"] = (
            ("step", "busy", "instances", "mean batch", "execution", "saturates at"),
            [_busy(plan, at) for at in range(min(MOST, len(plan.busy)))],
        )
    if plan.alternatives:
        length = plan.memory[0].each if plan.memory else 0
        size = f"{length:,} tokens" if length else "max_model_len"
        priced = any(each.month is not None for each in plan.alternatives)
        cost = ("GPUs of a replica, a month",) if priced else ()
        found["GPUs by memory alone"] = (
            ("GPU", "of a replica", "by memory", f"requests of {size}", "KV cache", *cost, ""),
            [_alternative(each, plan, priced=priced) for each in plan.alternatives],
        )
    if plan.costs is not None:
        rows = [(each.name, money(plan, each.low, each.mid, each.high), each.formula) for each in plan.costs.expenses]
        found[f"Cost, by the prices of {inline(plan.costs.path)}"] = ("what", "amount", "from"), rows
    return found


def _shown(found: Capacity) -> Sequence[Point]:
    """Return the loads of a table: of very many, those nearest to the rate."""
    near = sorted(found.points, key=lambda point: abs(point.offered_per_s - found.rate_per_s))[:MOST]
    return [point for point in found.points if point in near]


def _point(point: Point, plan: Plan) -> tuple[str, ...]:
    load = f"{_rate(point.offered_per_s)} at random" if point.opened else f"{point.concurrency} in flight"
    share, need = point.share, plan.asked.share
    kept = f"{share.least:.2%}" if share.known else f"{share.least:.0%} to {share.most:.0%}"
    says = "keeps" if point.keeps(need) else "misses" if point.misses(need) else "not known"
    latency = milliseconds(point.latency_s * SECOND_MS)
    return str(point.number), load, _rate(point.served_per_s), kept, latency, f"{point.requests:,}", says


def _busy(plan: Plan, at: int) -> tuple[str, ...]:
    each = plan.busy[at]
    took = each.step.input_ms + each.step.infer_ms + each.step.output_ms
    batch = f"{each.step.batch:.3g}" if each.step.batch is not None else "-"
    name = inline(each.step.model)
    return name, f"{each.busy:.0%}", f"{each.instances}", batch, milliseconds(took), _rate(each.saturates_per_s)


def _alternative(each: Alternative, plan: Plan, *, priced: bool) -> tuple[str, ...]:
    sequences = f"{each.sequences:,}" if each.sequences is not None else "-"
    left = f"{each.left / GIB:.1f} GiB" if each.left is not None else "-"
    cost = (money(plan, *each.month[1:4]) if each.month is not None else "-",) if priced else ()
    return each.gpu, str(each.gpus), str(each.state), sequences, left, *cost, each.note


def remarks(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the sentences on what is assumed and what was not measured, by their titles."""
    found = {"Assumed": plan.assumed, "Not measured": plan.unmeasured}
    return {title: said for title, said in found.items() if said}
