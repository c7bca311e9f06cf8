"""One look at a running server: what it says of itself and its models, what it has counted, what its metrics say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Stop
from tritonrepo.server import metrics
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import NO_METRICS, Endpoint
from tritonrepo.server.metrics import Scrape
from tritonrepo.server.statistics import Counted

READY = "READY"

CLOSED = {"server-denied", "server-refused"}
"""How what a server restricts or lacks is reported."""

AT_ONCE = 8
"""How many configs are fetched at the same time."""

Version = tuple[str, str]
"""A model and its version, as the server writes them."""


class Group(NamedTuple):
    """An instance group of a served config: `instances` of them, of KIND_GPU on each of the GPUs."""

    kind: str
    instances: int
    gpus: tuple[int, ...]


class Loaded(NamedTuple):
    """What the config says of how a model runs; the groups of an ensemble are empty."""

    backend: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What was there at a moment of the monotonic clock; without metrics, `unread` says why.

    `closed`: what the server does not let us see of its models, with its words.
    """

    at: float
    about: Mapping[str, Any]
    live: bool
    ready: bool
    index: Sequence[ModelState]
    counted: Mapping[Version, Counted]
    loaded: Mapping[Version, Loaded]
    metrics: Scrape | None
    unread: str = ""
    closed: tuple[str, ...] = ()


def look(server: Endpoint, before: Look | None = None) -> Look:
    """Look at a server; raise Stop if it does not answer as Triton does. Configs that an earlier look read are kept."""
    client = Client(server)
    about, live, ready = client.about(), client.live(), client.ready()
    index, counted, closed = _models(client)
    known = before.loaded if before else {}
    ready_now = [(state.name, state.version) for state in index if state.state == READY]
    loaded = {version: known[version] for version in ready_now if version in known}
    loaded |= _configs(client, [version for version in ready_now if version not in known])
    scrape, unread = scraped(server)
    return Look(time.monotonic(), about, live, ready, index, counted, loaded, scrape, unread, closed)


def _models(client: Client) -> tuple[list[ModelState], dict[Version, Counted], tuple[str, ...]]:
    """Return the index and the counts; servers in production may restrict either (`--http-restricted-api`).

    Without the index, what is counted is what is loaded. Raise Stop if neither is open.
    """
    closed: list[str] = []
    safe = client.endpoint.without_secrets
    try:
        counted = client.statistics()
    except Stop as stop:
        counted = {}
        closed.append(f"counts and times: {_restricted(stop)}")
    try:
        index = [state._replace(reason=safe(state.reason)) for state in client.index()]
    except Stop as stop:
        why = _restricted(stop)
        if closed:
            raise
        index = [ModelState(*version, READY) for version in counted]
        closed.append(f"models that are not loaded: {why}")
    return index, counted, tuple(closed)


def _restricted(stop: Stop) -> str:
    """Return the words with which a server keeps a part of its protocol closed; raise the Stop if it is another one."""
    if stop.diagnostics[0].rule not in CLOSED:
        raise stop
    return stop.diagnostics[0].message


def scraped(server: Endpoint) -> tuple[Scrape | None, str]:
    """Return the server's metrics, or None and why there are none; raise Stop if they were asked for by their URL."""
    if server.metrics == NO_METRICS:
        return None, "metrics were not asked for"
    try:
        return metrics.scrape(server), ""
    except Stop as stop:
        if server.metrics is not None:
            raise
        return None, metrics.reason(stop)


def _configs(client: Client, versions: Iterable[Version]) -> dict[Version, Loaded]:
    """Return how versions run; what was unloaded in between is left out."""

    def fetched(version: Version) -> Loaded | None:
        try:
            return of_config(client.config(*version))
        except (Stop, KeyError, TypeError, ValueError, AttributeError):
            return None

    versions = list(versions)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = zip(versions, pool.map(fetched, versions), strict=True)
        return {version: loaded for version, loaded in found if loaded is not None}


def of_config(config: Mapping[str, Any]) -> Loaded:
    """Return how a model runs, from the JSON form of its config."""
    groups = (
        Group(str(group.get("kind", "KIND_AUTO")), int(group.get("count", 1)), tuple(map(int, group.get("gpus", ()))))
        for group in config.get("instance_group", ())
    )
    backend = str(config.get("backend") or config.get("platform", ""))
    return Loaded(backend, () if backend == "ensemble" else tuple(groups))
