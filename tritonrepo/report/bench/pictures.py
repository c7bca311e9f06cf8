"""Plots of requests: their distributions, what happens over time, and where the server spends its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tritonrepo.bench.record import Record
from tritonrepo.bench.result import Result, Step
from tritonrepo.plain import inline
from tritonrepo.report.bench import shown
from tritonrepo.report.bench.against_load import NARROW, Plot
from tritonrepo.report.bench.steps import PARTS, parts
from tritonrepo.report.plots.axes import Axis, axis
from tritonrepo.report.plots.bars import Bar, stacked
from tritonrepo.report.plots.chart import Chart, Kind, Rule, Series, chart
from tritonrepo.report.plots.curves import ecdf, open_at_once, rates

BINS = 120
"""Parts of the time of a run: what happens in each is one point."""

CURVES = 6
"""Distributions in one plot; of more, as many are shown, from the first to the last."""

LOW = 165.0
"""Height of a plot over time."""

Times = Callable[[Record], float | None]
TIMES: dict[str, Times] = {
    "Time to first token": lambda record: record.ttft_s,
    "Inter-token latency": lambda record: record.itl_s,
    "Latency": lambda record: record.latency_s,
}


def measured(records: Sequence[Record]) -> list[Record]:
    """Return the records that count: without those of a warm-up."""
    return [record for record in records if not record.warm_up]


def distributions(results: Sequence[Result], records: Sequence[Sequence[Record]]) -> Iterator[Plot]:
    """Yield, for each metric, how many requests stay below which time, one curve for each result."""
    every = [*zip(shown.names(results), records, strict=True)] if records else []
    kept = every if len(every) <= CURVES else [every[round(n * (len(every) - 1) / (CURVES - 1))] for n in range(CURVES)]
    for title, time in TIMES.items():
        series, told = [], []
        for number, (name, found) in enumerate(kept):
            values = [1000 * s for record in measured(found) if record.ok and (s := time(record)) is not None]
            if values:
                points = ecdf(values)
                series.append(Series(name, points, number, number))
                told.append(
                    f"{name}: {', '.join(f'{share:.0f}% within {shown.number(ms)}' for ms, share in _few(points))}"
                )
        if series:
            across = axis("ms", [x for one in series for x, _ in one.points], zero=False, log=True)
            up = Axis("percent of requests", 0, 100)
            alone = len(series) == 1 and len(results) > 1  # a legend would name it only beside others
            yield Plot(
                f"{title}: {series[0].name}" if alone else title,
                chart(Chart(title, f"{'. '.join(told)} ms.", across, up, series, [Rule(50, "p50")], width=NARROW)),
            )


def _few(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that are next to the shares that people ask for."""
    return [min(points, key=lambda point: abs(point[1] - share)) for share in (50, 90, 99)]


def over_time(result: Result, records: Sequence[Record]) -> Iterator[Plot]:
    """Yield what was in flight and when requests failed, and the tokens or answers per second, over the run's time."""
    found = measured(records)
    began_s, ended_s = min([one.sent_s for one in found] or [0]), max([one.ended_s for one in found] or [0])
    if ended_s > began_s:
        across = Axis("seconds since the first request", 0, ended_s - began_s)
        bins = min(BINS, max(8, len(found)))
        failed = sum(not one.ok for one in found)
        name = f"In flight{f', ✗ failed: {failed:,}' if failed else ''}"
        yield Plot(name, _in_flight(result, found, (across, began_s, bins)))
        yield _rates(found, (across, began_s, bins))


def _in_flight(result: Result, found: Sequence[Record], when: tuple[Axis, float, int]) -> str:
    across, began_s, bins = when
    flying = open_at_once(((one.sent_s - began_s, one.ended_s - began_s) for one in found), across.high, bins)
    failed = [(one.ended_s - began_s, 1.0) for one in found if not one.ok]
    crosses = [(at_s + across.high / bins / 2, 0.0) for at_s, rate in rates(failed, across.high, bins) if rate]
    series = [Series("", flying, 2, kind=Kind.STEPS, filled=True)]
    series += [Series("", crosses, 1, kind=Kind.CROSSES)] if failed else []
    most = max(value for _, value in flying)
    about = f"Mean {shown.number(result.figures.in_flight)}, largest {shown.number(most)}; {len(failed):,} failed."
    up = axis("requests in flight", [0, 1.2 * most])
    rules = _steady(result, began_s)
    return chart(Chart("Requests in flight over time", about, across, up, series, rules, LOW))


def _rates(found: Sequence[Record], when: tuple[Axis, float, int]) -> Plot:
    across, began_s, bins = when
    unit, events = _events(found, began_s)
    each = rates(events, across.high, bins)
    values = [value for _, value in each]
    about = f"{unit.capitalize()}, between {shown.number(min(values))} and {shown.number(max(values))}."
    drawn = [Series(unit, each, 0, kind=Kind.STEPS, filled=True)]
    return Plot(unit.capitalize(), chart(Chart(unit.capitalize(), about, across, axis(unit, values), drawn, (), LOW)))


def _steady(result: Result, began_s: float) -> list[Rule]:
    window = result.figures.steady_s
    if window is None:
        return []
    says = ("steady from here", "to here")
    return [Rule(at_s - began_s, said, vertical=True) for at_s, said in zip(window, says, strict=True)]


def _events(found: Sequence[Record], began_s: float) -> tuple[str, list[tuple[float, float]]]:
    """Return what is counted per second, and when it arrived."""
    if not any(one.answer_tokens for one in found):
        items = any(one.items > 1 for one in found)
        unit = "items per second" if items else "answers per second"
        return unit, [(one.ended_s - began_s, float(one.items)) for one in found if one.ok]
    events = []
    for one in found:
        if one.ok and one.answer_tokens and one.pieces:
            known = all(piece.tokens is not None for piece in one.pieces)
            each = one.answer_tokens / len(one.pieces)
            events += [(p.at_s - began_s, float(p.tokens or 0) if known else each) for p in one.pieces]
    return "output tokens per second", events


def steps(found: Sequence[Step]) -> str:
    """Return the mean time of each step of the server, with its parts, as bars."""
    bars = [Bar(_name(step), parts(step), f"{shown.number(sum(parts(step)))} ms") for step in found]
    told = (
        f"{_name(step)}: {', '.join(f'{name} {shown.number(ms)}' for name, ms in zip(PARTS, parts(step), strict=True))}"
        for step in found
    )
    unit = "milliseconds of a request, on average"
    return stacked("Time in each step of the server", f"{'. '.join(told)}.", unit, PARTS, bars)


def _name(step: Step) -> str:
    return f"{inline(step.model)} {inline(step.version)}".strip()
