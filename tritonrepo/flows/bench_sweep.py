"""A load on a target at one concurrency after the other, and where to operate it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from tritonrepo.bench.figures import Figures, Slo
from tritonrepo.bench.load import Load
from tritonrepo.bench.running import Progress
from tritonrepo.bench.sweeping import LEAST_GAIN, Point, Step, keeps, limits, point, saturated
from tritonrepo.bench.target import Target
from tritonrepo.diagnostics import Diagnostic, Severity, Span, some
from tritonrepo.flows.bench import Benched, BenchOptions, Hear, measured, over
from tritonrepo.report.bench import shown
from tritonrepo.report.bench.against_load import Mark

NAME = "bench-sweep"
MOST = 8
"""How many concurrencies are listed."""


class SweepOptions(NamedTuple):
    """How a sweep goes on: its concurrencies, the load at each of them, and when it is over.

    Throughput must grow by `least_gain` for each doubling; with `whole`, all concurrencies are measured in any case.
    `at` is the percentile that must keep the SLO.
    """

    concurrencies: Sequence[int]
    load: Callable[[int], Load]
    least_gain: float = LEAST_GAIN
    whole: bool = False
    at: str = "p95"


def sweep(target: Target, options: BenchOptions, how: SweepOptions, hear: Hear) -> Iterator[Benched]:
    """Yield what a target gives at one concurrency after the other, each with prompts of its own, up to the knee."""
    steps: list[Step] = []
    first = options.first
    for concurrency in how.concurrencies:
        given = replace(options, load=how.load(concurrency), first=first)
        done = measured(target, given, partial(_heard, hear, concurrency))
        first += len(done.records)
        steps.append(Step(concurrency, done.result.figures))
        yield done
        if over(done, options) or (not how.whole and saturated(steps, how.least_gain)):
            return


def _heard(hear: Hear, concurrency: int, progress: Progress) -> None:
    hear(progress._replace(phase=f"{progress.phase} at {concurrency}"))


def concluded(done: Sequence[Benched], how: SweepOptions, slo: Slo | None) -> Iterator[Diagnostic]:
    """Yield what a sweep shows, and what is wrong with its results.

    Requests that fail at the last concurrency are how a sweep finds the end: they are a warning, if one before works.
    """
    steps = _steps(done)
    yield from _joined(done)
    if not steps:
        return
    at = Span(done[0].result.target)
    where = point(steps, slo, how.at, how.least_gain)
    for message, hint in (
        _knee(steps, where.knee, interrupted=done[-1].interrupted),
        *_said(steps, where, slo, how.at),
    ):
        yield Diagnostic(NAME, Severity.INFO, at, message, hint)


def _joined(done: Sequence[Benched]) -> Iterator[Diagnostic]:
    """Yield what is wrong with the results: once what is the same at several concurrencies, which are named."""
    at: dict[Diagnostic, list[str]] = {}
    for number, each in enumerate(done):
        for found in each.found:
            end = number and number == len(done) - 1 and found.rule in {"bench-failed", "bench-stopped"}
            same = replace(found, severity=Severity.WARNING) if end else found
            at.setdefault(same, []).append(f"{each.result.load.concurrency or 1}")
    for found, concurrencies in at.items():
        yield replace(found, message=f"at concurrency {some(concurrencies, MOST)}: {found.message}")


def marks(done: Sequence[Benched], how: SweepOptions, slo: Slo | None) -> list[Mark]:
    """Return the concurrencies that are marked in plots: the knee, and what is recommended if that is another one."""
    found = point(_steps(done), slo, how.at, how.least_gain)
    said = {"the knee": found.knee, "recommended": found.recommended}
    if found.recommended == found.knee:
        said = {"the knee, recommended": found.knee}
    return [Mark(done[0].result.target, step.concurrency, says) for says, step in said.items() if step is not None]


def _steps(done: Sequence[Benched]) -> list[Step]:
    """Return what was measured; of a step that the user ended, throughput says nothing."""
    whole = [each.result for each in done if each.result.figures.sent and not each.interrupted]
    return [Step(result.load.concurrency or 1, result.figures) for result in whole]


def _knee(steps: Sequence[Step], knee: Step | None, *, interrupted: bool) -> tuple[str, str]:
    """Return what is known of the knee, and what to do to know more."""
    if knee is not None:
        return f"throughput stops growing at concurrency {knee.concurrency}: {_rates(knee.figures)}", ""
    if not any(step.figures.succeeded for step in steps):
        return "no request succeeded, so the knee is not known", ""
    if interrupted:
        return f"the knee was not reached up to concurrency {steps[-1].concurrency}", ""
    if len(steps) == 1:
        return "a single concurrency was measured, so the knee is not known", "Measure several, such as 1,2,4,8."
    message = f"throughput still grew at concurrency {steps[-1].concurrency}, the last one: the knee is above it"
    return message, "Raise the highest concurrency to find it."


def _said(steps: Sequence[Step], found: Point, slo: Slo | None, at: str) -> Iterator[tuple[str, str]]:
    if slo is not None:
        said = shown.slo(slo)
        if found.kept is None:
            yield f"no concurrency keeps {said} at {at}: {_missed(steps[0], slo, at)}", ""
        else:
            holds = "holds" if len(slo.most_ms) == 1 else "hold"
            below = [step for step in steps if step.concurrency < found.kept.concurrency]
            missed = [f"{step.concurrency}" for step in below if not keeps(step, slo, at)]
            but = f", but not at {some(missed, MOST)}" if missed else ""
            yield f"{said} {holds} at {at} up to concurrency {found.kept.concurrency}{but}", ""
    if found.recommended is not None:
        goodput = _goodput(found.recommended.figures)
        yield f"recommended: concurrency {found.recommended.concurrency}, {goodput}", ""


def _missed(step: Step, slo: Slo, at: str) -> str:
    """Return which limits of an SLO a step does not keep."""
    missed = [limit for limit in limits(step, slo, at) if not limit.kept]
    values = [
        f"{shown.METRICS[limit.metric]} is "
        f"{'not known' if limit.found_ms is None else f'{shown.number(limit.found_ms)} ms'}"
        for limit in missed
    ]
    return f"at {step.concurrency}, {' and '.join(values) or 'more than 1 % of the requests fail'}"


def _rates(of: Figures) -> str:
    tokens = "" if of.output_tokens_per_s is None else f", {shown.number(of.output_tokens_per_s)} output tokens/s"
    return f"{shown.number(of.requests_per_s)} requests/s{tokens}"


def _goodput(of: Figures) -> str:
    good = of.goodput
    if good is None:
        return f"with {_rates(of)}"
    tokens = "" if good.tokens_per_s is None else f" and {shown.number(good.tokens_per_s)} output tokens/s"
    share = shown.percent(good.share)
    return f"with a goodput of {shown.number(good.requests_per_s)} requests/s{tokens}, {share} of the requests"
