"""A load on a target at one concurrency after the other, and where to operate it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from tritonrepo.bench.figures import Figures, Slo
from tritonrepo.bench.load import Load
from tritonrepo.bench.running import Progress
from tritonrepo.bench.sweeping import LEAST_GAIN, Point, Step, limits, point, saturated
from tritonrepo.bench.target import Target
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.flows.bench import Benched, BenchOptions, measured
from tritonrepo.report.bench.against_load import Mark

NAME = "bench-sweep"


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


def sweep(
    target: Target, options: BenchOptions, how: SweepOptions, hear: Callable[[Progress], None]
) -> Iterator[Benched]:
    """Yield what a target gives at one concurrency after the other, each with prompts of its own, up to the knee."""
    steps: list[Step] = []
    first = options.first
    for concurrency in how.concurrencies:
        given = replace(options, load=how.load(concurrency), first=first)
        done = measured(target, given, partial(_heard, hear, concurrency))
        first += len(done.records)
        steps.append(Step(concurrency, done.result.figures))
        yield done
        if done.interrupted or (not how.whole and saturated(steps, how.least_gain)):
            return


def _heard(hear: Callable[[Progress], None], concurrency: int, progress: Progress) -> None:
    hear(progress._replace(phase=f"{progress.phase} at {concurrency}"))


def concluded(done: Sequence[Benched], how: SweepOptions, slo: Slo | None) -> Iterator[Diagnostic]:
    """Yield what a sweep shows, and what is wrong with its results.

    Requests that fail at the last concurrency are how a sweep finds the end: they are a warning, if one before works.
    """
    steps = _steps(done)
    for number, each in enumerate(done):
        for found in each.found:
            end = number and number == len(done) - 1 and found.rule in {"bench-failed", "bench-stopped"}
            yield replace(found, severity=Severity.WARNING) if end else found
    if not steps:
        return
    at = Span(done[0].result.target)
    for message, hint in _said(steps, point(steps, slo, how.at, how.least_gain), slo, how.at):
        yield Diagnostic(NAME, Severity.INFO, at, message, hint)


def marks(done: Sequence[Benched], how: SweepOptions, slo: Slo | None) -> list[Mark]:
    """Return the concurrencies that are marked in plots: the knee, and what is recommended if that is another one."""
    found = point(_steps(done), slo, how.at, how.least_gain)
    said = {"the knee": found.knee, "recommended": found.recommended}
    if found.recommended == found.knee:
        said = {"the knee, recommended": found.knee}
    return [Mark(done[0].result.target, step.concurrency, says) for says, step in said.items() if step is not None]


def _steps(done: Sequence[Benched]) -> list[Step]:
    return [Step(each.result.load.concurrency or 1, each.result.figures) for each in done if each.result.figures.sent]


def _said(steps: Sequence[Step], found: Point, slo: Slo | None, at: str) -> Iterator[tuple[str, str]]:
    if found.knee is None:
        yield (
            f"throughput still grew at concurrency {steps[-1].concurrency}, the last one: the knee is above it",
            "Raise the highest concurrency to find it.",
        )
    else:
        yield f"throughput stops growing at concurrency {found.knee.concurrency}: {_rates(found.knee.figures)}", ""
    if slo is not None:
        said = ", ".join(f"{metric} <= {most_ms:g} ms" for metric, most_ms in slo.most_ms.items())
        if found.kept is None:
            yield f"no concurrency keeps {said} at {at}: {_missed(steps[0], slo, at)}", ""
        else:
            yield f"{said} holds at {at} up to concurrency {found.kept.concurrency}", ""
    if found.recommended is not None:
        goodput = _goodput(found.recommended.figures)
        yield f"recommended: concurrency {found.recommended.concurrency}, {goodput}", ""


def _missed(step: Step, slo: Slo, at: str) -> str:
    """Return which limits of an SLO a step does not keep."""
    missed = [limit for limit in limits(step, slo, at) if not limit.kept]
    values = [
        f"{limit.metric} is {'not known' if limit.found_ms is None else f'{limit.found_ms:,.3g} ms'}"
        for limit in missed
    ]
    return f"at {step.concurrency}, {' and '.join(values) or 'more than 1 % of the requests fail'}"


def _rates(of: Figures) -> str:
    tokens = "" if of.output_tokens_per_s is None else f", {of.output_tokens_per_s:,.4g} output tokens/s"
    return f"{of.requests_per_s:,.4g} requests/s{tokens}"


def _goodput(of: Figures) -> str:
    good = of.goodput
    if good is None:
        return f"with {_rates(of)}"
    tokens = "" if good.tokens_per_s is None else f" and {good.tokens_per_s:,.4g} output tokens/s"
    return f"with a goodput of {good.requests_per_s:,.4g} requests/s{tokens}, {good.share:.1%} of the requests"
