"""Plots of a sweep: what grows with the load, where it no longer does, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.bench.load import Shape
from tritonrepo.bench.result import Result
from tritonrepo.plain import inline
from tritonrepo.report.bench import shown
from tritonrepo.report.plots.axes import axis, figure, levels
from tritonrepo.report.plots.chart import Chart, Rule, Series, chart

Value = Callable[[Result], float | None]
SHARES = ("p50", "p95", "p99")
"""Percentiles that are drawn, each with its kind of line."""

NARROW = 410.0
"""Width of a plot of which three fit beside each other."""

TIMES = {"ttft": "TTFT", "itl": "ITL", "latency": "Latency"}


class Mark(NamedTuple):
    """A level of a sweep of a target that is marked, and what is said of it, such as where more load only queues."""

    target: str
    level: float
    says: str


class Plot(NamedTuple):
    """A plot with its heading."""

    title: str
    svg: str


def sweeps(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results of each target that was measured at several levels of one shape of load, by level."""
    groups: dict[tuple[str, str, str, Shape], list[Result]] = {}
    for result in results:
        if shown.level(result.load) is not None:
            key = (result.target, result.protocol, result.model, result.load.shape)
            groups.setdefault(key, []).append(result)
    found = [sorted(group, key=_level) for group in groups.values()]
    return [group for group in found if len({_level(result) for result in group}) > 1]


def plots(results: Sequence[Result], marks: Sequence[Mark] = ()) -> Iterator[Plot]:
    """Yield the plots of the sweeps among the results; nothing if there are none."""
    groups = sweeps(results)
    if not groups:
        return
    yield Plot("Throughput", _throughput(groups, marks))
    for name, title in TIMES.items():
        if any(_time(result, name, "p50") is not None for group in groups for result in group):
            yield Plot(title, _times(groups, name, marks))
    yield Plot("Latency against throughput", _trade(groups))


def _throughput(groups: Sequence[Sequence[Result]], marks: Sequence[Mark]) -> str:
    name, value = _rate([result for group in groups for result in group])
    series = []
    for tone, group in enumerate(groups):
        whole = _series(_target(group, groups) or "all requests", group, value, tone, 0)
        series.append(whole._replace(filled=len(groups) == 1))
        if any(result.figures.goodput for result in group):
            kept = f"{_target(group, groups)} within the SLO".strip()
            series.append(_series(kept, group, _good(name), tone, 1))
    return _drawn(name.capitalize(), name, groups, series, _marked(marks, groups))


def _times(groups: Sequence[Sequence[Result]], name: str, marks: Sequence[Mark]) -> str:
    shares = SHARES if len(groups) == 1 else ("p50", "p99")
    series = [
        _series(f"{_target(group, groups)} {share}".strip(), group, _of(name, share), tone, SHARES.index(share))
        for tone, group in enumerate(groups)
        for share in shares
    ]
    limits = {
        found.slo.most_ms[name]
        for group in groups
        for result in group
        if (found := result.figures.goodput) and name in found.slo.most_ms
    }
    rules = [Rule(most, f"SLO: {most:,.6g} ms", alarm=True) for most in sorted(limits)]
    title = f"{TIMES[name]}, ms"
    return _drawn(title, title, groups, series, [*rules, *_marked(marks, groups)])


def _trade(groups: Sequence[Sequence[Result]]) -> str:
    """Return latency against throughput: the levels follow each other along each line."""
    everything = [result for group in groups for result in group]
    name, value = _rate(everything)
    timed = "ttft" if any(_time(result, "ttft", "p50") is not None for result in everything) else "latency"
    series = []
    for tone, group in enumerate(groups):
        for share in ("p50", "p99"):
            points = [
                (x, y)
                for result in group
                if (x := value(result)) is not None and (y := _time(result, timed, share)) is not None
            ]
            label = f"{_target(group, groups)} {TIMES[timed]} {share}".strip()
            texts = [figure(_level(result)) for result in group] if share == "p50" else ()
            if points:
                series.append(Series(label, points, tone, SHARES.index(share), marked=True, texts=texts))
    across = axis(name, [point[0] for one in series for point in one.points])
    up = axis(f"{TIMES[timed]}, ms", [point[1] for one in series for point in one.points])
    about = f"{_told(series, name)} The load grows along each line; its levels are written beside the points."
    return chart(Chart(f"{TIMES[timed]} against {name}", about, across, up, series, width=NARROW))


def _drawn(
    title: str, y: str, groups: Sequence[Sequence[Result]], series: Sequence[Series], rules: Sequence[Rule]
) -> str:
    closed = groups[0][0].load.shape is Shape.CLOSED
    load = "requests in flight" if closed else "requests sent per second"
    series = [one for one in series if one.points]
    values = [value for one in series for _, value in one.points]
    values += [rule.at for rule in rules if not rule.vertical]
    across = levels(load, [_level(result) for group in groups for result in group])
    return chart(
        Chart(f"{title} against {load}", _told(series, load), across, axis(y, values), series, rules, width=NARROW)
    )


def _series(name: str, group: Sequence[Result], value: Value, tone: int, dash: int) -> Series:
    points = [(_level(result), found) for result in group if (found := value(result)) is not None]
    return Series(name, points, tone, dash, marked=True)


def _told(series: Sequence[Series], across: str) -> str:
    """Return the points in words, for readers who do not see them."""
    each = (
        f"{one.name}: {', '.join(f'{shown.number(y)} at {shown.number(x)}' for x, y in one.points) or 'nothing'}"
        for one in series
    )
    return f"By {across}. {'. '.join(each)}."


def _marked(marks: Sequence[Mark], groups: Sequence[Sequence[Result]]) -> list[Rule]:
    targets = [group[0].target for group in groups]
    named = len(targets) > 1
    return [
        Rule(mark.level, f"{f'{inline(mark.target)}: ' if named else ''}{inline(mark.says)}", vertical=True)
        for mark in marks
        if mark.target in targets
    ]


def _rate(results: Sequence[Result]) -> tuple[str, Value]:
    """Return what the throughput is counted in, and how: tokens where somebody counts them, else items or requests."""
    if any(result.figures.output_tokens_per_s for result in results):
        return "output tokens per second", lambda result: result.figures.output_tokens_per_s
    if any(result.figures.items_per_s > result.figures.requests_per_s for result in results):
        return "items per second", lambda result: result.figures.items_per_s
    return "requests per second", lambda result: result.figures.requests_per_s


def _good(name: str) -> Value:
    def value(result: Result) -> float | None:
        found = result.figures.goodput
        return (found.tokens_per_s if "tokens" in name else found.requests_per_s) if found else None

    return value


def _of(name: str, share: str) -> Value:
    return lambda result: _time(result, name, share)


def _time(result: Result, name: str, share: str) -> float | None:
    found: Mapping[str, float] | None = getattr(result.figures, f"{name}_ms")
    return None if found is None else getattr(found, share)


def _target(group: Sequence[Result], groups: Sequence[Sequence[Result]]) -> str:
    """Return the name of a target; "" where only one was measured."""
    return inline(group[0].target) if len(groups) > 1 else ""


def _level(result: Result) -> float:
    return shown.level(result.load) or 0.0
