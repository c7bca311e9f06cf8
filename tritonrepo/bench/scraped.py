"""What the metrics of a server say of the time between two looks: how much its counters and histograms grew."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from tritonrepo.bench.histograms import Quantile, quantile
from tritonrepo.server.catalogue import catalogue, exposers
from tritonrepo.server.metrics import Labels, Scrape

ENGINE = (
    "prompt_tokens",
    "generated_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "preemptions",
    "answers_finished",
    "corrupted_requests",
)
"""Counters of an engine."""

CACHE = ("cache_hits", "cache_misses")
"""Counters of Triton's response cache."""

REQUESTS = ("requests_succeeded", "requests_failed")
"""Counters of Triton of which only those of the target itself can be compared with the client's."""

FIRST = "first_response"
"""The histogram that a pipeline and its generator both have."""

MS = {"seconds": 1000.0, "milliseconds": 1.0}

Grown = Mapping[Labels, float]


@cache
def times() -> tuple[str, ...]:
    """Return the histograms of times."""
    return tuple(meaning for meaning, one in catalogue().items() if one.kind == "histogram" and one.unit in MS)


@cache
def _labels() -> tuple[str, ...]:
    """Return what servers call the label of a model; Triton labels the metrics of vLLM in its own way."""
    return tuple(dict.fromkeys(labels["model"] for labels in exposers().values()))


def model_of(labels: Labels) -> str:
    """Return the model that a series belongs to; "" if to none."""
    said = dict(labels)
    return next((said[name] for name in _labels() if name in said), "")


def name_of(meaning: str, *scrapes: Scrape | None, of: str = "") -> str | None:
    """Return the name under which servers have a metric, in the first scrape that has one; None if nobody has it."""
    names = [f"{name.name}{of}" for name in catalogue()[meaning].names]
    return next((name for scrape in scrapes if scrape for name in names if scrape.series.get(name)), None)


@dataclass(slots=True)
class Growth:
    """What grew, and which metrics went back, or were there only before."""

    before: Scrape
    now: Scrape
    models: Collection[str] | None
    """The models whose series count; None for all."""
    back: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, meaning: str, ending: str = "", models: Collection[str] | None = None) -> Grown | None:
        """Return what each series of a metric grew by; None if it is not there, or went back."""
        models = self.models if models is None else models
        name = name_of(meaning, self.now, self.before, of=ending)
        if name is None:
            return None
        earlier, later = (_of(scrape.series.get(name, {}), models) for scrape in (self.before, self.now))
        grown = {labels: value - earlier.get(labels, 0.0) for labels, value in later.items()}
        if earlier.keys() - later.keys():
            self._told(self.gone, meaning)
            return None
        if any(value < 0 for value in grown.values()):
            self._told(self.back, meaning)
            return None
        return grown or None

    def _told(self, where: list[str], meaning: str) -> None:
        if meaning not in where:
            where.append(meaning)

    def counts(self, target: str) -> dict[str, float]:
        """Return what counters grew by: of the engines, of the response cache, and of the target alone."""
        found = {meaning: self.of(meaning) for meaning in (*ENGINE, *CACHE)}
        found |= {meaning: self.of(meaning, models=(target,)) for meaning in REQUESTS}
        return {meaning: math.fsum(grown.values()) for meaning, grown in found.items() if grown is not None}

    def histograms(self, members: Sequence[str]) -> dict[str, tuple[float, Quantile]]:
        """Return the mean and p50 in milliseconds of the times that were counted in histograms.

        `members` are the models, the target first.
        """
        found = {}
        for meaning in times():
            if whose := self._whose(meaning, members):
                made = self._histogram(meaning, None if meaning != FIRST else whose)
                if made is not None:
                    found[meaning] = made
        return found

    def _whose(self, meaning: str, members: Sequence[str]) -> tuple[str, ...]:
        """Return the models with values in a histogram; of the first response, the target or the first that has it."""
        grown = self.of(meaning, "_count")
        have = {model_of(labels) for labels, count in (grown or {}).items() if count}
        if meaning != FIRST:
            return tuple(have)
        (*first,) = [each for each in (*members, *sorted(have)) if each in have][:1]
        if first and first[0] != next(iter(members), ""):
            self.notes.append(f"{FIRST} is the one of {first[0]}")
        return tuple(first)

    def _histogram(self, meaning: str, models: Collection[str] | None) -> tuple[float, Quantile] | None:
        buckets, sums, counts = (self.of(meaning, each, models) for each in ("_bucket", "_sum", "_count"))
        if not counts or not sums:
            return None
        factor, count = MS[catalogue()[meaning].unit], math.fsum(counts.values())
        middle = quantile(0.5, together(buckets or {}, factor) | {math.inf: count})
        return None if middle is None else (math.fsum(sums.values()) / count * factor, middle)


def together(buckets: Grown, factor: float) -> dict[float, float]:
    """Return upper bound → count over all series, bounds times a factor; bounds that are not numbers are left out."""
    found: dict[float, float] = {}
    for labels, count in buckets.items():
        try:
            bound = float(dict(labels).get("le", "nan")) * factor
        except ValueError:
            continue
        if not math.isnan(bound):
            found[bound] = found.get(bound, 0.0) + count
    return found


def _of(series: Mapping[Labels, float], models: Collection[str] | None) -> dict[Labels, float]:
    return {labels: value for labels, value in series.items() if models is None or model_of(labels) in models}


def models_of(scrape: Scrape, meanings: Iterable[str]) -> set[str]:
    """Return the models that have one of these metrics."""
    names = [name_of(meaning, scrape) for meaning in meanings]
    return {model_of(labels) for name in names if name for labels in scrape.series[name]} - {""}
