"""Waiting until a server serves what a repository says: which versions, with which configs.

The index has a version's state, and the reason if it was refused; a model whose reload is refused stays as it was,
which its config shows (core, model_lifecycle.cc and model_repository_manager.cc; seen from Triton 24.10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span, Stop, failure
from tritonrepo.server.client import Client, ModelState
from tritonrepo.smoke import drift
from tritonrepo.smoke.case import Result
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import of_config, place
from tritonrepo.sync.telling import Tell, Waits

POLL_S = 0.25
READY = "READY"


class Patience(NamedTuple):
    """How long a server may take; the clock and the wait; what reports what is waited for."""

    timeout_s: float
    now: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Tell


Version = tuple[str, str]
"""A model and the number of one of its versions."""


class Wait:
    """A wait for a server until time is up; it reports what the server lacks whenever that changes."""

    def __init__(self, url: str, patience: Patience) -> None:
        self.url, self.patience = url, patience
        self.deadline, self.told = patience.now() + patience.timeout_s, ""

    def goes_on(self, lacking: str) -> bool:
        """Wait a moment and return True; return False if time is up."""
        left_s = self.deadline - self.patience.now()
        if left_s < 0:
            return False
        if lacking != self.told:
            self.patience.tell(Waits(f"waiting for {self.url}: {lacking}", left_s))
            self.told = lacking
        self.patience.sleep(POLL_S)
        return True


class Wanted(NamedTuple):
    """What a server should serve: the models as they are now, and the versions of each that are to stay.

    A version that is refused and does not stay is not waited for: another one replaces it. One that was refused
    `before` is waited for until it was retried twice, because the first retry may have begun before the last write.
    Of models that are `alone`, nothing else may be in memory.
    """

    now: Mapping[str, Expected]
    stays: Mapping[str, Collection[str]]
    before: Collection[Version]
    alone: Collection[str] = ()


def until_served(client: Client, wanted: Wanted, patience: Patience) -> None:
    """Wait until the server serves these models; raise Stop if it refuses a version that stays, or time is up."""
    wait, tried, loading = Wait(client.url, patience), Counter[Version](), set[Version]()
    while True:
        refused: dict[Version, str] = {}
        try:
            index = client.index()
            refused, last = refusals(index), loading
            loading = {(state.name, state.version) for state in index if state.state == "LOADING"}
            tried.update(loading - last)
            gone = next(chain(_leaving(index, wanted), lacking(client, index, _named(wanted, refused))), "")
        except Stop as stop:
            gone = stop.diagnostics[0].message
        bad = [(m, v) for m, v in sorted(refused) if m in wanted.now and v in wanted.stays.get(m, ())]
        if new := [version for version in bad if version not in wanted.before or tried[version] > 1]:
            raise refusal(client.url, new[0], refused[new[0]])
        if not gone:
            return
        if not wait.goes_on(gone):
            raise refusal(client.url, bad[0], refused[bad[0]]) if bad else late(client.url, gone, patience)


def refusal(url: str, version: Version, reason: str) -> Stop:
    """Return the Stop for a version that a server could not load, with the server's reason."""
    message = f"the server refused to load {version[0]} version {version[1]}: {reason}"
    hint = "Fix this, and use the next version number for the new content. The server keeps what it has loaded."
    return failure("server-refused", url, message, hint)


def late(url: str, lacking: str, patience: Patience) -> Stop:
    """Return the Stop for a server that took too long."""
    message = f"after {patience.timeout_s:g} s the server still does not serve this repository: {lacking}"
    return failure("server-late", url, message, "Check that the server polls exactly this URI, and read its log.")


def refusals(index: Sequence[ModelState]) -> dict[Version, str]:
    """Return the versions that a server could not load, with its reasons."""
    return {
        (state.name, state.version): state.reason
        for state in index
        if state.state == "UNAVAILABLE" and state.reason not in {"", "unloaded"}
    }


def _leaving(index: Sequence[ModelState], wanted: Wanted) -> Iterator[str]:
    """Yield which versions are in memory next to one that has to be alone; UNLOADING lasts until they are not."""
    for state in index:
        model = wanted.now.get(state.name) if state.name in wanted.alone else None
        if model and state.version not in {"", *model.versions} and state.state not in {"", "UNAVAILABLE"}:
            yield f"{state.name} version {state.version} is still in memory"


def _named(wanted: Wanted, refused: Collection[Version]) -> dict[str, Expected]:
    """Return the models with the versions that are waited for."""
    models: dict[str, Expected] = {}
    for name, model in wanted.now.items():
        stays = wanted.stays.get(name, ())
        if versions := tuple(v for v in model.versions if v in stays or (name, v) not in refused):
            models[name] = replace(model, versions=versions)
    return models


def lacking(client: Client, index: Sequence[ModelState], models: Mapping[str, Expected]) -> Iterator[str]:
    """Yield what the server does not serve as it is in the repository, one line each."""
    ready: dict[str, list[str]] = {}
    for state in index:
        if state.state == READY and state.name in models:
            ready.setdefault(state.name, []).append(state.version)
    for result in drift.versions(models, ready, Span(client.url)):
        yield from _errors(result)
    for name, model in models.items():
        version = model.versions[-1]
        served = of_config(client.config(name, version), version, place(client, name))
        yield from _errors(drift.config(model, served))


def _errors(result: Result) -> Iterator[str]:
    for found in result.diagnostics:
        if found.severity is Severity.ERROR:
            yield found.message
