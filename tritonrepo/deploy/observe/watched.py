"""What is watched: the models of a repository as alerts and dashboards need them, and what is expected of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.deploy.needs import calls, copies
from tritonrepo.repository import Model, Repository
from tritonrepo.rules.backends.arguments import objects

SEQUENCES = 256
"""Sequences that vLLM computes at once where model.json does not say how many. Source: vLLM, config/scheduler.py,
DEFAULT_MAX_NUM_SEQS of 0.8 to 0.11."""

LEAST = 8
"""Requests that may wait for any model: fewer are there at each look at a model that is quick."""

METRICS = "REPORT_CUSTOM_METRICS"
ON = {"true", "yes"}
"""Whichever of them the release asks for is checked by the rule vllm-custom-metrics-value."""


ANY = "a/model"
"""The model of the tests of alerts, which no repository has: a model is a directory."""


class Slo(NamedTuple):
    """What users may expect, in milliseconds: until the first token of an answer, and for a request to a model."""

    ttft: int = 2000
    latency: int = 500


class Limit(NamedTuple):
    """How many requests may wait for a model in one server, and the sum that gives it."""

    model: str
    requests: int
    why: str


class Pipeline(NamedTuple):
    """A pipeline, the models that it calls by itself, and all that are called for it, each once."""

    name: str
    steps: tuple[str, ...]
    every: tuple[str, ...]


class Watched(NamedTuple):
    """The models of a server. `streaming` are those whose requests last as long as an answer.

    `reporting` are those for Triton's vLLM backend that report its metrics, `silent` those that do not.
    """

    name: str
    models: tuple[str, ...]
    limits: tuple[Limit, ...]
    pipelines: tuple[Pipeline, ...]
    streaming: tuple[str, ...]
    reporting: tuple[str, ...]
    silent: tuple[str, ...]
    cached: tuple[str, ...]
    gpus: int
    slo: Slo = Slo()

    @property
    def uid(self) -> str:
        """What the identities of its dashboards begin with, which have at most 40 characters."""
        return self.name[:32].rstrip("-")

    @property
    def queue_ms(self) -> int:
        """How long a request may wait in a queue: a quarter of its time, because a pipeline has several queues."""
        return max(1, self.slo.latency // 4)


def watched(found: Repository, name: str, slo: Slo) -> Watched:
    """Return what is watched of a repository; a model whose name is not UTF-8 can have no label, and is left out."""
    models = {each: model for each, model in found.models.items() if _is_text(each)}
    steps = {each: tuple(dict.fromkeys(_called(each, models))) for each in models}
    engines = [each for each, model in models.items() if model.backend == "vllm"]
    reporting = tuple(each for each in engines if _reports(models[each]))
    streaming = {each for each, model in models.items() if _decoupled(model)}
    return Watched(
        name=name,
        models=tuple(models),
        limits=tuple(_limit(model) for model in models.values() if not model.is_ensemble),
        pipelines=tuple(Pipeline(each, steps[each], _all(each, steps)) for each in models if len(steps[each]) > 1),
        streaming=tuple(each for each in models if {each, *_all(each, steps)} & streaming),
        reporting=reporting,
        silent=tuple(each for each in engines if each not in reporting),
        cached=tuple(each for each, model in models.items() if _cached(model)),
        gpus=found.target.gpus,
        slo=slo,
    )


def _reports(model: Model) -> bool:
    """Return whether Triton's vLLM backend reports the metrics of a model's engine, which then needs its statistics."""
    off = any(value.get("disable_log_stats") for _, value in objects(model))
    return model.target.release.has("vllm-metrics") and model.parameter(METRICS).lower() in ON and not off


def _is_text(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _called(name: str, models: Mapping[str, Model]) -> Iterator[str]:
    """Yield the other models of the repository that a model calls by itself."""
    yield from (each for each in calls(models[name]) if each in models and each != name)


def _all(name: str, steps: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the models that a model calls, directly and indirectly, in the order of the first call."""
    found, waiting = dict[str, None](), [*reversed(steps[name])]
    while waiting:
        each = waiting.pop()
        if each != name and each not in found:
            found[each] = None
            waiting += reversed(steps[each])
    return tuple(found)


def _decoupled(model: Model) -> bool:
    policy = model.config.message("model_transaction_policy")
    return model.backend == "vllm" or (policy is not None and policy.flag("decoupled"))


def _cached(model: Model) -> bool:
    cache = model.config.message("response_cache")
    return cache is not None and cache.flag("enable")


def _limit(model: Model) -> Limit:
    instances = copies(model)
    batch, what = max(1, model.max_batch_size), "batch"
    if model.backend == "vllm":
        batch, what = _sequences(model), "max_num_seqs"
    least = f", but at least {LEAST}" if 2 * instances * batch < LEAST else ""
    why = f"2 × {instances} instance{'s' if instances != 1 else ''} × {what} of {batch}{least}"
    return Limit(model.name, max(LEAST, 2 * instances * batch), why)


def _sequences(model: Model) -> int:
    said = [value.get("max_num_seqs") for _, value in objects(model)]
    return max((each for each in said if type(each) is int and each > 0), default=SEQUENCES)
