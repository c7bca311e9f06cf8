"""What two looks at a server and the gauges between them say: an Observed, and what must be known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tritonrepo.bench.gauges import Gauges
from tritonrepo.bench.histograms import Quantile
from tritonrepo.bench.result import Observed
from tritonrepo.bench.scraped import FIRST, Growth, model_of, models_of, name_of
from tritonrepo.bench.steps import Counts, Member, Split, split
from tritonrepo.bench.target import Target
from tritonrepo.diagnostics import some
from tritonrepo.server.catalogue import catalogue, exposers
from tritonrepo.server.metrics import Scrape
from tritonrepo.server.sampling import EVERY_S, Sampler

SHOWN = 4
"""How many names are listed."""

ENGINES = "engine"
"""vLLM's label of one of several engines behind one port: vllm, v1/metrics/loggers.py."""

RARE = 1.5
"""From how many times the usual pause on the result says how far apart its looks were."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the counts of models, the metrics, and the models of the pipeline; None for what could not be read."""

    server: str = ""
    version: str = ""
    counted: Counts | None = None
    scrape: Scrape | None = None
    pipeline: tuple[Member, ...] = ()


def observed(target: Target, looks: tuple[Seen, Seen], gauges: Gauges, sampler: Sampler | None) -> Observed:
    """Return what was observed between two looks."""
    before, after = looks
    steps = Split((), ())
    if before.counted is not None and after.counted is not None:
        steps = split(before.pipeline, before.counted, after.counted)
    made = Observed(before.server, before.version, steps.steps, missing=steps.missing, notes=steps.notes)
    if before.scrape is None or after.scrape is None:
        return made
    growth = Growth(before.scrape, after.scrape, _models(target, after.scrape, steps))
    gauges.see(after.scrape, gpus=sampler is None or not sampler.looks)
    again = bool(gauges.back if growth.models is None else gauges.back.intersection(growth.models))
    members = steps.models or (target.model,)
    counts, found, gpus = growth.counts(target.model), growth.histograms(members), _gpus(gauges, growth)
    notes = [*_names(target, after.scrape, growth), *_failures(growth), *growth.notes, *_coarse(found)]
    missing = [*_lost(growth, again=again), *_switched_off(before, steps, after.scrape)]
    if again:
        counts, found = {}, {}
    return made._replace(
        counts=counts,
        gauges=gauges.largest(growth.models),
        histograms={meaning: (mean, middle.value) for meaning, (mean, middle) in found.items()},
        bounds={meaning: (middle.above, middle.upto) for meaning, (_, middle) in found.items()},
        gpus=gpus,
        missing=(*made.missing, *missing),
        notes=(*made.notes, *notes, *looked_at(sampler)),
    )


def _models(target: Target, scrape: Scrape, steps: Split) -> tuple[str, ...] | None:
    """Return the models whose metrics count: those of the pipeline; of an engine, its model; None for all."""
    if steps.models:
        return steps.models
    return (target.model,) if target.model in models_of(scrape, ["generated_tokens", "requests_running"]) else None


def _names(target: Target, scrape: Scrape, growth: Growth) -> Iterator[str]:
    engines = {
        said[ENGINES]
        for labels in growth.of("generated_tokens") or {}
        if ENGINES in (said := dict(labels))
    }  # fmt: skip
    if len(engines) > 1:
        yield f"the figures are those of {len(engines)} engines together"
    models = sorted(models_of(scrape, ["generated_tokens"]))
    if growth.models is None and models and target.model not in models:
        yield f'the metrics do not name "{target.model}": they are of {some(models, SHOWN)}'


def _failures(growth: Growth) -> Iterator[str]:
    """Yield why requests failed, by model."""
    label = exposers()["triton"]["reason"]
    found: dict[str, dict[str, float]] = {}
    for labels, count in (growth.of("requests_failed") or {}).items():
        if count and (reason := dict(labels).get(label, "")):
            reasons = found.setdefault(model_of(labels), {})
            reasons[reason] = reasons.get(reason, 0) + count
    for model, reasons in sorted(found.items()):
        told = ", ".join(f"{reason} {count:,.0f}" for reason, count in sorted(reasons.items()))
        yield f"requests to {model} that failed, by reason: {told}"


def _coarse(found: dict[str, tuple[float, Quantile]]) -> Iterator[str]:
    """Yield what is to be said of a p50 that is in the first or the last bucket of its histogram."""
    for meaning, (_, middle) in found.items():
        if middle.value is None:
            yield f"the p50 of {meaning} is over {middle.above:,g} ms, where the last bucket begins"
        elif not middle.above:
            yield f"the p50 of {meaning} is interpolated in the first bucket, which ends at {middle.upto:,g} ms"


def _lost(growth: Growth, *, again: bool) -> Iterator[str]:
    why = "the server or a model was started again during the run, or several servers respond at this address"
    if growth.back:
        yield f"{some(growth.back, SHOWN)}: counters went back: {why}"
    elif again:
        yield f"tokens and times of the engine: a counter went back between two looks: {why}"
    if growth.gone:
        yield f"{some(growth.gone, SHOWN)}: the metrics had them before the run, and not after it"


def _switched_off(before: Seen, steps: Split, scrape: Scrape) -> Iterator[str]:
    """Yield what the server would have said if it had been started or configured for it."""
    asked = {step.model for step in steps.steps}
    engines = [member.model for member in before.pipeline if member.backend == "vllm" and member.model in asked]
    silent = sorted(set(engines) - models_of(scrape, ["generated_tokens"]))
    if silent:
        yield f"tokens and times of {some(silent, SHOWN)}: its config needs the parameter REPORT_CUSTOM_METRICS"
    if any(step.streams for step in steps.steps) and not name_of(FIRST, scrape, of="_count"):
        name = catalogue()[FIRST].names[0]
        yield f"{FIRST}: start Triton {name.since} or later with `{name.when}`"


def looked_at(sampler: Sampler | None) -> Iterator[str]:
    """Yield how well gauges were seen, unless it was every second."""
    if sampler is None:
        return
    if sampler.failed:
        of = sampler.failed + sampler.looks
        yield f"the metrics could not be read at {sampler.failed} of {of} looks during the run: {sampler.why}"
    if not sampler.looks:
        yield "no look at the metrics was made during the run: the largest values are those before and after it"
    elif sampler.longest_s > RARE * EVERY_S:
        yield f"the largest values are of looks up to {sampler.longest_s:.1f} s apart, because a look takes long"


def _gpus(gauges: Gauges, growth: Growth) -> dict[str, dict[str, float]]:
    """Return the means of each GPU, and the energy that it took, in joules."""
    found = gauges.gpus()
    label = exposers()["triton"]["gpu"]
    for labels, joules in (Growth(growth.before, growth.now, None).of("gpu_energy") or {}).items():
        if gpu := dict(labels).get(label, ""):
            found.setdefault(gpu, {})["gpu_energy"] = joules
    return found
