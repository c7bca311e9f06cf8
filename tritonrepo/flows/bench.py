"""A load on a target: what it gave, what the server says of it, and whether both can be true."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from tritonrepo import __version__
from tritonrepo.bench.asking import Client
from tritonrepo.bench.clients import client
from tritonrepo.bench.ending import Ending
from tritonrepo.bench.figures import Figures, Slo
from tritonrepo.bench.judging import judge, of_result
from tritonrepo.bench.load import Load, Sampling, Shape
from tritonrepo.bench.measures import client_bound, figures
from tritonrepo.bench.prompts import Sent, Source
from tritonrepo.bench.record import Record
from tritonrepo.bench.result import INTERRUPTED, Hardware, Machine, Observed, Result
from tritonrepo.bench.running import MEASURING, Progress, Ran, run
from tritonrepo.bench.target import Target
from tritonrepo.bench.watching import Observer, beside
from tritonrepo.cores import cores
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.bench_found import found
from tritonrepo.flows.bench_prompts import PromptOptions, sources
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server import machine

AHEAD, MOST_AHEAD = 1000, 10_000
"""Prompts that are made before a run whose number of requests is not known, and of any run at most."""

Hear = Callable[[Progress], None]
"""Is told how far a load is."""

Hearing = Callable[[Target], AbstractContextManager[Hear]]
"""Gives what is told how far the load on a target is."""

LOAD, SAMPLING, UNKNOWN = Load(requests=100), Sampling(), Hardware()


def _made(target: Target) -> Source:
    return sources(PromptOptions(), Workspace())(target)


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What is sent, how it is judged, and what the user says of the server.

    `source` gives the prompts of a target. `count` counts tokens where the server does not. `metrics` is the URL of
    the server's metrics, "none", or None for where they usually are. `first` is the number of the first prompt.
    `ending` ends a run from outside.
    """

    load: Load = LOAD
    sampling: Sampling = SAMPLING
    source: Callable[[Target], Source] = _made
    timeout_s: float = 120.0
    slo: Slo | None = None
    metrics: str | None = None
    hardware: Hardware = UNKNOWN
    count: Callable[[str], int] | None = None
    first: int = 0
    ending: Ending = field(default_factory=Ending)


class Benched(NamedTuple):
    """What a load on a target gave: the result, its records, and what is wrong with it."""

    result: Result
    records: tuple[Record, ...]
    found: tuple[Diagnostic, ...]

    @property
    def interrupted(self) -> bool:
        """Whether the user ended it."""
        return self.result.ended_early == INTERRUPTED


def bench(
    targets: Sequence[Target],
    options: BenchOptions = BenchOptions(),
    hear: Hear = lambda _: None,
) -> tuple[Benched, ...]:
    """Return what a load gives on each of the targets, one after the other, with the same prompts and times.

    `hear` is told how far it is. What a server does to single requests is in the records, and raises nothing; Stop is
    raised for what keeps a target from being asked at all.
    """
    return tuple(each_measured(targets, options, lambda _: nullcontext(hear)))


def each_measured(targets: Sequence[Target], options: BenchOptions, hearing: Hearing) -> Iterator[Benched]:
    """Yield what a load gives on one target after the other, until the user ends it."""
    for target in targets:
        with hearing(target) as hear:
            done = measured(target, options, hear)
        yield done
        if over(done, options):
            return


def over(last: Benched, options: BenchOptions) -> bool:
    """Return whether the user ended the last load, or ended everything just after it."""
    return last.interrupted or options.ending.over


def measured(target: Target, options: BenchOptions, hear: Hear) -> Benched:
    """Return what a load gives on one target."""
    source = options.source(target)
    load = _bounded(options.load, source)
    sent = Sent(_from(source, options.first), _ahead(load))
    asking = client(target, options.sampling, options.timeout_s, options.count)
    watch = _Watch(Observer(target, options.metrics), hear)
    with options.ending.held():
        return _measured(target, replace(options, load=load), sent, asking, watch)


def _measured(target: Target, options: BenchOptions, sent: Sent, asking: Client, watch: _Watch) -> Benched:
    load = options.load
    began, here = datetime.now(UTC), _machine()
    ran = _ran(lambda: options.ending.during(run(load, sent.prompt, asking, watch.hear)))
    warm_up = sum(record.warm_up for record in ran.records)
    observed = watch.end(len(ran.records) - warm_up, interrupted=ran.interrupted)
    limit = options.sampling.max_tokens if asking.limits else None
    whole, repeats = _figures(ran, load, options.slo)
    result = Result(
        target=target.text,
        protocol=target.protocol,
        model=target.model,
        began=began.isoformat(timespec="seconds"),
        tool=f"tritonrepo {__version__}",
        machine=here,
        load=load,
        prompts=sent.described(limit, exact=options.sampling.exact, warm_up=warm_up),
        hardware=options.hardware,
        figures=whole,
        repeats=repeats,
        observed=observed,
        client_bound=client_bound(whole, load),
        ended_early=INTERRUPTED if ran.interrupted else ran.stopped,
    )
    if whole.sent:
        result = replace(result, judgements=judge(of_result(result)))
    return Benched(result, ran.records, tuple(found(result, options.slo)))


class _Watch:
    """Begins to observe the server once the warm-up is over, and hands on how far the run is."""

    def __init__(self, observer: Observer, hear: Callable[[Progress], None]) -> None:
        self._observer, self._hear = observer, hear
        self._begun = False
        self._in_flight = 0

    def hear(self, progress: Progress) -> None:
        """Take a report of progress."""
        if not self._begun and progress.phase.startswith(MEASURING):
            self._begun = True
            self._observer.begin()
        self._in_flight = progress.in_flight
        self._hear(progress)

    def end(self, asked: int, *, interrupted: bool) -> Observed:
        """Return what was observed; what an interrupted run had in flight has no record, but the server counts it."""
        if not self._begun:
            return Observed(missing=("nothing was measured",))
        observed = self._observer.end()
        return observed if interrupted and self._in_flight else beside(observed, asked)


def _ran(work: Callable[[], Coroutine[object, object, Ran]]) -> Ran:
    """Return what a run gives, in a thread of its own where a loop runs in this one, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def _from(source: Source, first: int) -> Source:
    """Return a source whose numbers begin later, so that two runs on a server send different prompts."""
    return source._replace(make=lambda number: source.make(number + first)) if first else source


def _bounded(load: Load, source: Source) -> Load:
    """Return the load, which sends no more than a trace has."""
    if load.shape is not Shape.TRACE or source.rows is None:
        return load
    return replace(load, requests=source.rows if load.requests is None else min(load.requests, source.rows))


def _ahead(load: Load) -> int:
    return min(MOST_AHEAD, load.warmup + (AHEAD if load.requests is None else load.requests * load.repeats))


def _figures(ran: Ran, load: Load, slo: Slo | None) -> tuple[Figures, tuple[Figures, ...]]:
    """Return the figures of all requests, and those of each repeat."""
    whole = _unsteady(figures(ran.records, ran.lags_s, slo), load)
    if load.repeats == 1:
        return whole, (whole,)
    begun = {record.repeat for record in ran.records if not record.warm_up}
    each = (figures([record for record in ran.records if record.repeat == at], (), slo) for at in sorted(begun))
    return whole, tuple(_unsteady(one, load) for one in each)


def _unsteady(of: Figures, load: Load) -> Figures:
    """Return figures without what is said of a steady load if the load is none: a ramp changes all the time."""
    if load.shape is not Shape.RAMP:
        return of
    return replace(of, steady_s=None, steady_requests_per_s=None, steady_output_tokens_per_s=None)


def _machine() -> Machine:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Machine(cores(), machine.processor(), system, platform.python_version(), machine.busy())
