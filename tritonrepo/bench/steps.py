"""The time of a request by step: what Triton counted meanwhile for the model that was asked, and those that it calls.

Sources: Triton's docs/protocol/extension_statistics.md; docs/user_guide/architecture.md, "Ensemble Models"; of the
metrics with the same counts, docs/user_guide/metrics.md. A config names the steps of an ensemble, but not the models
that a Python model calls: those are told by their counts alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tritonrepo.bench.result import Step
from tritonrepo.diagnostics import Stop, some
from tritonrepo.server.metrics import Scrape
from tritonrepo.server.statistics import NONE, Counted, Spent

MOST, SHOWN = 200, 4
"""How many models a pipeline may have, and how many names are listed."""

PATIENCE_S = 10.0
"""How long configs are asked for."""

Version = tuple[str, str]
Counts = Mapping[Version, Counted]


class Configs(Protocol):
    """Who knows the configs of models."""

    def config(self, model: str) -> dict[str, Any]:
        """Return the config that a model is served with; raise Stop if it is not known."""


class Member(NamedTuple):
    """A model of a pipeline: who calls it, "" for the pipeline itself, and what its config says of it."""

    model: str
    within: str = ""
    backend: str = ""
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """Steps, the pipeline first; `missing` and `notes` as those of Observed. `models`: all that belong to it."""

    steps: tuple[Step, ...]
    models: tuple[str, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def members(target: str, server: Configs) -> tuple[Member, ...]:
    """Return a model and the steps of ensembles in it, at any depth, each once and after the model that calls it.

    A model without a config is only a name.
    """
    found: dict[str, Member] = {}
    waiting, end = [(target, "")], time.monotonic() + PATIENCE_S
    while waiting and len(found) < MOST:
        model, within = waiting.pop(0)
        if model in found:
            continue
        found[model], steps = _member(model, within, server) if time.monotonic() < end else (Member(model, within), [])
        waiting = [*((step, model) for step in steps), *waiting]
    return tuple(found.values())


def _member(model: str, within: str, server: Configs) -> tuple[Member, list[str]]:
    try:
        config = server.config(model)
        backend = str(config.get("backend") or config.get("platform", ""))
        streams = bool(config.get("model_transaction_policy", {}).get("decoupled"))
        steps = [str(step["model_name"]) for step in config.get("ensemble_scheduling", {}).get("step", ())]
    except (Stop, KeyError, TypeError, ValueError, AttributeError):
        return Member(model, within), []
    return Member(model, within, backend, streams), steps


def of_metrics(scrape: Scrape) -> dict[Version, Counted]:
    """Return the counts of statistics from the metrics, which have the same sums in microseconds."""
    found = {}
    requests, failed = (_whole(scrape, each) for each in ("requests_succeeded", "requests_failed"))
    sums = {
        "success": _whole(scrape, "request_duration"),
        "queue": _whole(scrape, "queue_duration"),
        **{part: _whole(scrape, f"{part}_duration") for part in ("compute_input", "compute_infer", "compute_output")},
        "cache_hit": _whole(scrape, "cache_hit_duration"),
        "cache_miss": _whole(scrape, "cache_miss_duration"),
    }
    hits, misses = (_whole(scrape, each) for each in ("cache_hits", "cache_misses"))
    rows, runs = (_whole(scrape, each) for each in ("inferences", "executions"))
    for version, times in requests.items():
        of = dict.fromkeys(sums, times) | {"cache_hit": hits.get(version, 0), "cache_miss": misses.get(version, 0)}
        spent = {part: Spent(of[part], said.get(version, 0) * 1000) for part, said in sums.items()}
        spent["fail"] = Spent(failed.get(version, 0), 0)
        found[version] = Counted(rows.get(version, 0), runs.get(version, 0), spent, {})
    return found


def _whole(scrape: Scrape, meaning: str) -> dict[Version, int]:
    values = scrape.values(meaning, "model", "version") or {}
    return {(model, version): int(value) for (model, version), value in values.items()}


def split(pipeline: Sequence[Member], before: Counts, now: Counts) -> Split:
    """Return the steps of a pipeline, whose first member is the model that was asked."""
    grown, missing = dict[Version, Counted](), list[str]()
    for (model, version), counted in sorted(now.items()):
        later = counted.since(before.get((model, version), NONE))
        if later is None:
            missing.append(f"{_called(model, version)} was loaded again during the run: its counts began again")
        elif later.requests or later.failed:
            grown[model, version] = later
    named = {member.model: member for member in pipeline}
    missing += [
        f"{_called(*version)} is no longer loaded: its counts are lost"
        for version in sorted(before.keys() - now.keys())
        if version[0] in named
    ]
    others = sorted({model for model, _ in grown} - named.keys(), key=lambda model: (-_requests(grown, model), model))
    inner, notes = _called_by(pipeline, grown, others)
    every = _ordered(pipeline, inner)
    steps = tuple(
        step for member in every for version, counted in grown.items() if version[0] == member.model
        for step in [_step(member, version, counted)]
    )  # fmt: skip
    if not any(step.model == pipeline[0].model for step in steps) and not missing:
        missing.append(f"the server counted no request to {pipeline[0].model}")
    models = tuple(dict.fromkeys(member.model for member in every))
    return Split(steps, models, tuple(missing), (*notes, *_streaming(steps)))


def _called_by(
    pipeline: Sequence[Member], grown: Mapping[Version, Counted], others: Sequence[str]
) -> tuple[list[Member], list[str]]:
    """Return the models that Python models of the pipeline may have called, and what is to be said of them."""
    if not others:
        return [], []
    told = some([f"{model} ({_requests(grown, model):,})" for model in others], SHOWN)
    callers = [member.model for member in pipeline if member.backend in {"python", ""}]
    if not callers:
        return [], [f"other models were asked meanwhile, and slow this one down: {told}"]
    within = callers[0] if len(callers) == 1 else pipeline[0].model
    who = some(callers, SHOWN)
    note = f"counted as called by {who}, since configs do not name what a Python model calls: {told}"
    return [Member(model, within) for model in others[:MOST]], [note]


def _ordered(pipeline: Sequence[Member], inner: Sequence[Member]) -> list[Member]:
    """Return the members of a pipeline, and after the only Python model, those that it calls."""
    within = inner[0].within if inner else ""
    at = next((number for number, member in enumerate(pipeline, 1) if member.model == within), len(pipeline))
    at = len(pipeline) if at == 1 else at
    return [*pipeline[:at], *inner, *pipeline[at:]]


def _requests(grown: Mapping[Version, Counted], model: str) -> int:
    return sum(counted.requests + counted.failed for (name, _), counted in grown.items() if name == model)


def _step(member: Member, version: Version, counted: Counted) -> Step:
    spent, requests = counted.spent, counted.requests
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    queue, put, infer, got = (spent[part].ns / requests / 1e6 if requests else 0.0 for part in parts)
    runs = counted.executions if member.backend != "ensemble" else 0
    batch = counted.inferences / runs if runs else None
    return Step(
        member.model,
        version[1],
        requests,
        counted.failed,
        queue,
        put,
        infer,
        got,
        batch,
        counted.mean_ms("success"),
        member.within,
        member.streams,
        runs or None,
    )


def _streaming(steps: Sequence[Step]) -> Iterator[str]:
    models = [step.model for step in steps if step.streams]
    if models:
        yield f"Triton's time of a decoupled model may end before its answer does: {some(models, SHOWN)}"


def _called(model: str, version: str) -> str:
    return f"{model} version {version}"
