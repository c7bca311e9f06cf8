"""How a server fares, from one look at it or two: what it serves, what it counted, and whether anything is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.releases import RELEASES
from tritonrepo.server.client import ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.look import READY, Loaded, Look, Version
from tritonrepo.server.metrics import Scrape
from tritonrepo.server.statistics import Counted
from tritonrepo.server.tokens import Tokens, tokens

CANCELED = "CANCELED"
"""Reason of failures that a client chose."""


class Gpu(NamedTuple):
    """What the metrics say of a GPU; None for what they do not. `executions`: of models, since they were loaded."""

    uuid: str
    used: float | None
    total: float | None
    utilization: float | None
    watts: float | None
    executions: float | None


class Machine(NamedTuple):
    """What the metrics say of the machine: memory in bytes, and how busy the CPUs are, from 0 to 1."""

    used: float | None
    total: float | None
    utilization: float | None


class Fare(NamedTuple):
    """A version in the index: its state, how it runs, what was counted since it was loaded, and since the last look.

    `loaded` and `counted` are None for what is not loaded, `later` without an earlier look and after a new start, and
    `pending` without metrics. `reasons`: the failures by reason since it was loaded, as far as metrics tell them.
    `recent`: the same since the last look, if there was one. `tokens`: those of a language model, likewise.
    """

    state: ModelState
    loaded: Loaded | None
    counted: Counted | None
    later: Counted | None
    pending: float | None
    reasons: Mapping[str, float]
    recent: Mapping[str, float]
    tokens: Tokens | None = None


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What a server serves; `seconds` since the last look, 0 if there was none. `unread`: why there are no metrics.

    `closed`: what the server does not let us see of its models, with its words.
    """

    url: str
    name: str
    version: str
    releases: tuple[str, ...]
    extensions: tuple[str, ...]
    live: bool
    ready: bool
    seconds: float
    models: tuple[Fare, ...]
    gpus: tuple[Gpu, ...]
    machine: Machine | None
    unread: str
    closed: tuple[str, ...]
    found: tuple[Diagnostic, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong that needs somebody."""
        return not any(diagnostic.severity is Severity.ERROR for diagnostic in self.found)


def between(server: Endpoint, before: Look | None, now: Look) -> ServerStatus:
    """Return the status from one look or two."""
    safe = server.without_secrets  # a gateway may repeat them
    name, version = (safe(str(now.about.get(key, ""))) for key in ("name", "version"))
    releases = tuple(name for name, release in RELEASES.items() if release.server_version == version)
    extensions = now.about.get("extensions")
    models = tuple(_fares(before, now))
    return ServerStatus(
        server.whole_url,
        name,
        version,
        releases,
        tuple(safe(str(each)) for each in extensions) if isinstance(extensions, list) else (),
        now.live,
        now.ready,
        now.at - before.at if before else 0,
        models,
        tuple(_gpus(now)),
        _machine(now),
        now.unread,
        now.closed,
        tuple(_judged(server.whole_url, now, models)),
    )


def _fares(before: Look | None, now: Look) -> Iterator[Fare]:
    pending = _by_version(now, "requests_pending")
    spoken = tokens(before.metrics if before else None, now.metrics)
    reasons, before_that = _reasons(now.metrics), _reasons(before.metrics if before else None)
    for state in sorted(now.index, key=lambda state: (state.name, state.version.zfill(20))):
        key = (state.name, state.version)
        counted = now.counted.get(key)
        earlier = before.counted.get(key) if before else None
        later = counted.since(earlier) if counted and earlier else None
        why, old = reasons.get(key, {}), before_that.get(key, {})
        recent = {reason: more for reason, count in why.items() if (more := count - old.get(reason, 0)) > 0}
        loaded = now.loaded.get(key)
        yield Fare(state, loaded, counted, later, pending.get(key), why, recent, spoken.get(key))


def _reasons(scrape: Scrape | None) -> dict[Version, dict[str, float]]:
    """Return how many requests to each version failed, by reason."""
    found: dict[Version, dict[str, float]] = {}
    failures = scrape.values("requests_failed", "model", "version", "reason") if scrape else None
    for (name, version, reason), count in (failures or {}).items():
        if count:
            found.setdefault((name, version), {})[reason] = count
    return found


def _by_version(now: Look, meaning: str) -> Mapping[tuple[str, ...], float]:
    return (now.metrics.values(meaning, "model", "version") if now.metrics else None) or {}


def _gpus(now: Look) -> Iterator[Gpu]:
    """Yield the GPUs that the metrics name, of their own or as those of a model."""
    if now.metrics is None:
        return
    meanings = ("gpu_memory_used", "gpu_memory_total", "gpu_utilization", "gpu_power_usage", "executions")
    found = [now.metrics.values(meaning, "gpu") or {} for meaning in meanings]
    for (uuid,) in sorted({key for values in found for key in values}):
        if uuid:
            yield Gpu(uuid, *(values.get((uuid,)) for values in found))


def _machine(now: Look) -> Machine | None:
    if now.metrics is None:
        return None
    return Machine(*map(now.metrics.value, ("cpu_memory_used", "cpu_memory_total", "cpu_utilization")))


def _judged(url: str, now: Look, models: tuple[Fare, ...]) -> Iterator[Diagnostic]:
    """Yield what is wrong. A version that was unloaded on purpose, and a model that nobody asked to load, are not."""
    at, explained = Span(url), False
    for fare in models:
        state = fare.state
        idle = not state.version or state.reason == "unloaded" or state.state == "UNLOADING"
        if state.state != READY and not idle:
            explained = True
            loading = state.state == "LOADING"
            severity = Severity.WARNING if loading else Severity.ERROR
            why = f": {state.reason}" if state.reason else ""
            message = f"{state.name} version {state.version} is {state.state}{why}"
            hint = "Wait until it is loaded." if loading else "Fix the model, and load it again."
            yield Diagnostic("server-model-unavailable", severity, at, message, hint, model=state.name)
        yield from _failures(at, fare)
    if not ((now.ready and now.live) or explained):
        message = f"the server reports that it is not {'ready' if now.live else 'live'}"
        yield Diagnostic("server-not-ready", Severity.ERROR, at, message, "Check its log.")


def _failures(at: Span, fare: Fare) -> Iterator[Diagnostic]:
    """Yield what failed since the last look, or without one, since the model was loaded."""
    counted = fare.later or fare.counted
    if counted is None or not counted.failed:
        return
    reasons = dict(fare.recent if fare.later else fare.reasons)
    failed = counted.failed - int(reasons.pop(CANCELED, 0))
    if failed <= 0:
        return
    every = not counted.requests
    of = "all" if every else f"{failed:,} of {counted.requests + counted.failed:,}"
    told = ", ".join(f"{reason or 'unknown'}: {count:,.0f}" for reason, count in sorted(reasons.items()))
    since = "since the last look" if fare.later else "since it was loaded"
    why = f" ({told})" if told else ""
    message = f"{fare.state.name} version {fare.state.version}: {of} requests failed {since}{why}"
    severity = Severity.ERROR if every else Severity.WARNING
    hint = f"Run `tritonrepo smoke {at} --only {fare.state.name}`, which shows what the model responds."
    yield Diagnostic("status-failures", severity, at, message, hint, model=fare.state.name)
