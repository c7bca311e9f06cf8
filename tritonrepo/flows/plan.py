"""The pipeline of `plan`: a stack, a peak and an SLO become replicas, GPUs and costs, by measurement and by memory."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.bench.capacity import Busy, Capacity, busiest, capacity
from tritonrepo.bench.keeping import missing
from tritonrepo.bench.planning import Asked, Memory, Plan, assumptions, gaps, requests
from tritonrepo.bench.result import Result
from tritonrepo.bench.slo import said
from tritonrepo.deploy.needs import copies
from tritonrepo.diagnostics import Diagnostic, Severity, Span, either, fatal
from tritonrepo.flows.deployed import Source, source
from tritonrepo.flows.fit import of_repository
from tritonrepo.flows.generating import Chosen, all_of
from tritonrepo.flows.paths import reading
from tritonrepo.flows.plan_costs import Prices, priced
from tritonrepo.flows.plan_gpus import Lengths, alternatives, called, memory, replica_gpus
from tritonrepo.flows.plan_results import ACCEPTED, RESULT, Measured, alike, hardware, read, refused
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.llm.fitting import Fits
from tritonrepo.llm.gpus import gpus
from tritonrepo.plain import inline
from tritonrepo.repository import Said, Target

LONGER = 1.1
"""Requests that are so many times as long as the measured ones are not what was measured."""

RESULTS = "result.json"
"""Where the command that is shown writes what it measures."""

HIGHER = 1.25
"""The next load after the highest that was measured, as a part of it."""

FIELDS = {"ttft": "TTFT", "itl": "ITL", "tpot": "TPOT", "latency": "latency"}


class Given(NamedTuple):
    """What a plan is made from besides the stack: results of `bench`, and prices.

    `target` chooses one of several targets in the results. `lengths` are planned for in place of the measured ones.
    `accepted` results of something else than the stack declares are used with a warning.
    """

    results: tuple[Path, ...] = ()
    target: str = ""
    lengths: Lengths = Lengths()
    prices: Prices | None = None
    accepted: bool = False


@reading()
def plan(where: Path | str, asked: Asked, given: Given, work: Workspace, aim: Aim = declared) -> Plan:
    """Return how many replicas a stack, a directory or a URI needs for a peak, and what follows from that.

    Raise Stop if something cannot be read, or if results cannot be true or are of something else than the stack.
    """
    found = read(given.results, given.target)
    declares = source(where, Path(), work, _with_gpu(aim, found))
    generators = tuple(all_of(declares))
    each = replica_gpus(declares)
    measured = _capacity(found, asked)
    lengths = _lengths(given.lengths, measured)
    held = memory(declares, generators, lengths)
    differences = (*alike(found, declares, generators, each), *_longer(given.lengths, measured))
    if differences and not given.accepted:
        raise refused(found[0].path, differences)
    one = found[measured.below.number - 1].result if measured is not None and measured.below is not None else None
    shown = one or (found[0].result if found else None)
    made = Plan(
        name=declares.name,
        asked=asked,
        capacity=measured,
        of=shown,
        memory=held,
        busy=_busy(declares, generators, one),
        gpu=called(declares),
        gpus=each,
        others=_others(held),
        alternatives=tuple(alternatives(declares, generators, lengths)),
        commands=tuple(_commands(_measuring(declares, generators, found), asked, measured, shown)),
        wrong=(*_full(declares), *_wrong(asked, measured, held)),
        assumed=(
            *assumptions(asked, measured, (one.hardware.replicas or 1) if one is not None else 1),
            *_supposed(found, declares, generators, lengths),
        ),
        unmeasured=(*gaps(asked, measured, [each.result for each in found]), *_unknown(held)),
        found=tuple(Diagnostic(ACCEPTED, Severity.WARNING, Span(found[0].path), each) for each in differences),
    )
    return made if given.prices is None else priced(given.prices, made)


def _with_gpu(aim: Aim, found: Sequence[Measured]) -> Aim:
    """Return what makes the target, with the GPUs of the results if nobody says which it has."""
    known = next((kind for each in found if (kind := hardware(each)[0]) is not None), None)

    def aimed(record: Said, stack: Said) -> Target:
        made = aim(record, stack)
        if known is None or made.gpu is not None or made.gpu_memory is not None:
            return made
        return replace(made, gpu=known, gpu_memory=known.memory)

    return aimed


def _capacity(found: Sequence[Measured], asked: Asked) -> Capacity | None:
    """Return what was measured, None if nothing was; raise Stop if it says nothing of the SLO."""
    if not found:
        return None
    measured = capacity([each.result for each in found], asked.slo, asked.share)
    if not measured.points:
        left = measured.left[0]
        message = f"the results say nothing of a rate: {found[left.number - 1].said} {left.why}"
        raise fatal(RESULT, found[0].path, message, "Measure with `tritonrepo bench sweep`.")
    used = [found[point.number - 1].result.figures for point in measured.points]
    lacking = [set(missing(each, asked.slo)) for each in used]
    if never := sorted(set.intersection(*lacking)):
        names = either([FIELDS[metric] for metric in never])
        message = f"the results have no {names}, as of answers that do not stream or whose tokens nobody counted"
        raise fatal(RESULT, found[0].path, message, "Plan with a limit of the latency, as in `--slo latency=2s`.")
    return measured


def _lengths(wanted: Lengths, measured: Capacity | None) -> Lengths:
    below = (measured.below or measured.points[0]) if measured is not None else None
    return Lengths(
        wanted.input_tokens if below is None or wanted.input_tokens is not None else below.input_tokens,
        wanted.output_tokens if below is None or wanted.output_tokens is not None else below.output_tokens,
    )


def _longer(wanted: Lengths, measured: Capacity | None) -> Iterator[str]:
    """Yield that longer requests are planned for than were measured."""
    below = (measured.below or measured.points[0]) if measured is not None else None
    for what, planned, seen in (
        ("prompts", wanted.input_tokens, below.input_tokens if below else None),
        ("answers", wanted.output_tokens, below.output_tokens if below else None),
    ):
        if planned is not None and seen is not None and planned > seen * LONGER:
            yield f"{what} of {planned:,.0f} tokens are planned for, but those that were measured have {seen:,.0f}"


def _busy(declares: Source, generators: Sequence[Chosen], one: Result | None) -> tuple[Busy, ...]:
    """Return how busy the steps are that run one batch at a time: no engines, no pipelines, no endpoints."""
    if one is None:
        return ()
    side_by_side = {each.one.name for each in generators}
    models = [each for each in declares.found.models.values() if each.name not in side_by_side]
    instances = {each.name: copies(each) for each in models if not each.is_ensemble and not each.calls}
    return busiest(one, instances, max(1, one.hardware.replicas or 1))


def _others(held: Sequence[Memory]) -> int | None:
    """Return the GPUs behind endpoints, once a replica; None if one of them is not known."""
    elsewhere = [each for each in held if each.elsewhere]
    return sum(each.gpus for each in elsewhere) if all(each.state is not Fits.UNKNOWN for each in elsewhere) else None


def _full(declares: Source) -> Iterator[str]:
    """Yield that what is on a GPU does not fit together."""
    full = [each.gpu for each in of_repository(declares.found, ()).loads if each.left.high < 0]
    if full:
        yield f"what is on GPU {full[0]} of a replica does not fit together; `tritonrepo fit` shows it"


def _wrong(asked: Asked, measured: Capacity | None, held: Sequence[Memory]) -> Iterator[str]:
    """Yield why the SLO cannot be planned for."""
    for each in held:
        if each.state is Fits.NO:
            yield f"{inline(each.model)} does not fit the GPUs of a replica ({inline(each.gpu)})"
    if measured is None or measured.rate_per_s:
        return
    lowest = measured.above or measured.points[0]
    share = f"{lowest.share.most:.4g}" if lowest.share.known else f"{lowest.share.least:.4g} to {lowest.share.most:.4g}"
    kept = f"{share} of its requests kept it, but {asked.share:.4g} must"
    if not lowest.misses(asked.share):
        yield f"whether the lowest load keeps the SLO is not known: {kept}; measure with `--slo {said(asked.slo)}`"
    elif not lowest.opened and lowest.concurrency == 1:
        yield f"a single request at a time misses the SLO: {kept}; no number of replicas changes that"
    elif lowest.share.most == 0:
        yield "not one request of the lowest load kept the SLO; no number of replicas is known to change that"
    else:
        load = f"{lowest.offered_per_s:.4g}/s" if lowest.opened else f"{lowest.concurrency} in flight"
        yield f"the lowest load that was measured, {load}, misses the SLO: {kept}; measure lower loads"


def _supposed(
    found: Sequence[Measured], declares: Source, generators: Sequence[Chosen], lengths: Lengths
) -> Iterator[str]:
    """Yield what is supposed of the results and the stack, as sentences."""
    if found and hardware(found[0])[0] is None and (declares.target.gpus or generators):
        yield "The results do not say which GPUs they were measured on; they are taken for those of the stack."
    if found and not all(each.result.judgements for each in found):
        yield "The results were not judged for plausibility; `tritonrepo bench check` does that."
    if any(each.one.url for each in generators):
        yield (
            "A replica is one of Triton with one of the server behind each endpoint, as one of each was measured; the "
            "GPUs of that server are elsewhere, and are taken for the kind that the stack's target names."
        )
    if generators and lengths.each is None:
        yield "Nobody says how long requests are, so each is taken to fill max_model_len."
    elif generators:
        yield (
            "A request holds the cache for all its tokens from its start to its end; the prefix cache makes no room."
        )


def _unknown(held: Sequence[Memory]) -> Iterator[str]:
    for each in held:
        if each.state is Fits.UNKNOWN:
            yield f"What the GPUs hold of {inline(each.model)} is not known: {inline(each.why)}."
        elif each.why:
            yield f"What the GPUs hold of {inline(each.model)} is an estimate: {inline(each.why)}."


class _Measuring(NamedTuple):
    """What a command measures, and options that say what its server is."""

    target: str
    options: tuple[str, ...]


def _measuring(declares: Source, generators: Sequence[Chosen], found: Sequence[Measured]) -> _Measuring:
    target = found[0].result.target if found else f"grpc://127.0.0.1:8001/{_pipeline(declares, generators)}"
    if len(generators) != 1:
        return _Measuring(target, ())
    kind, (one,) = called(declares), [each.one for each in generators]
    about = ("--gpu", kind, "--gpus", str(one.gpus)) if kind in gpus() else ()
    return _Measuring(target, (*about, *(("--max-num-seqs", str(one.sequences)) if one.sequences else ())))


def _commands(of: _Measuring, asked: Asked, measured: Capacity | None, one: Result | None) -> Iterator[str]:
    """Yield the commands that measure what is not known: a sweep first, then random arrivals near the rate."""
    ends = [*of.options, "--slo", said(asked.slo), "--output"]
    if measured is None or one is None:
        yield shlex.join(["tritonrepo", "bench", "sweep", of.target, *ends, RESULTS])
        return
    for number, rate in enumerate(_next_rates(measured), 1):
        words = ["--rate", f"{rate * (one.hardware.replicas or 1):.3g}", "--requests", str(requests(asked))]
        yield shlex.join(["tritonrepo", "bench", "run", of.target, *words, *ends, f"rate-{number}.json"])


def _next_rates(measured: Capacity) -> tuple[float, ...]:
    """Return the rates with which more would be known: of a replica, at which requests are to arrive at random."""
    below, above = measured.below, measured.above
    if below is None:
        return (above.offered_per_s / 2,) if above is not None else ()
    if not measured.opened:
        return measured.rate_per_s, (measured.rate_per_s + below.served_per_s) / 2
    highest = max(point.offered_per_s for point in measured.points if point.opened)
    return (highest * HIGHER,) if measured.at_least else ()


def _pipeline(declares: Source, generators: Sequence[Chosen]) -> str:
    """Return the pipeline that answers, or a generator of its own; without generators, the first pipeline or model."""
    models, names = declares.found.models, {each.one.name for each in generators}
    ensembles = declares.stack.ensembles if declares.stack is not None else {}
    chains = {name: {*each.chain, *(step.model for step in each.steps)} for name, each in ensembles.items()}
    answering = [name for name, calls in chains.items() if names & calls]
    whole = [] if generators else [*chains, *(each.name for each in models.values() if each.is_ensemble or each.calls)]
    return next(iter([*answering, *whole, *(each.one.name for each in generators), *models]))
