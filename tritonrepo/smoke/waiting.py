"""Waiting until a server serves what a repository says: which versions, with which configs.

The index gives a version's state, and the reason where it was refused; a model whose reload is refused stays as it was,
so its config tells (core, model_lifecycle.cc and model_repository_manager.cc; seen from Triton 24.10).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span, Stop, failure
from tritonrepo.server.client import Client, ModelState
from tritonrepo.smoke import drift
from tritonrepo.smoke.case import Result
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import of_config, place

POLL_S = 0.25
READY = "READY"


class Patience(NamedTuple):
    """How long a server may take, the clock and the wait; what is waited for is told."""

    timeout_s: float
    now: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Callable[[str], None]


class Refused(NamedTuple):
    """A version that a server could not load, in the server's words."""

    model: str
    version: str
    reason: str


class Wanted(NamedTuple):
    """What a server shall serve: the models as they are now, and the versions of each that are to stay.

    A version that is refused and does not stay is not waited for: another one comes in its place.
    """

    now: Mapping[str, Expected]
    stays: Mapping[str, Collection[str]]


def until_served(client: Client, wanted: Wanted, before: frozenset[Refused], patience: Patience) -> frozenset[Refused]:
    """Come back once the server serves these models, with all versions that it refuses.

    Raise Stop when it refuses a version that stays, or when time is up. What it refused `before` is waited for: it may
    be loaded again.
    """
    deadline, told = patience.now() + patience.timeout_s, ""
    while True:
        try:
            index = client.index()
            refused = frozenset(_refused(index))
            lacking = next(_lacking(client, index, wanted, refused), "")
        except Stop as stop:
            refused, lacking = before, stop.diagnostics[0].message
        for model, version, reason in sorted(refused - before):
            if model in wanted.now and version in wanted.stays.get(model, ()):
                message = f"the server refused {model} version {version}: {reason}"
                hint = "It goes on with what it had. Mend that, and give the new content the next number."
                raise failure("server-refused", client.url, message, hint)
        if not lacking:
            return refused
        if patience.now() > deadline:
            message = f"after {patience.timeout_s:g} s the server does not serve what lies there: {lacking}"
            raise failure("server-late", client.url, message, "Does it poll this very URI? Its log says more.")
        if lacking != told:
            patience.tell(f"waiting for {client.url}: {lacking}")
            told = lacking
        patience.sleep(POLL_S)


def _refused(index: list[ModelState]) -> Iterator[Refused]:
    for state in index:
        if state.state == "UNAVAILABLE" and state.reason not in {"", "unloaded"}:
            yield Refused(state.name, state.version, state.reason)


def _lacking(client: Client, index: list[ModelState], wanted: Wanted, refused: Collection[Refused]) -> Iterator[str]:
    """Give what the server does not serve as the repository has it, one line each."""
    gone = {(one.model, one.version) for one in refused}
    models: dict[str, Expected] = {}
    for name, model in wanted.now.items():
        stays = wanted.stays.get(name, ())
        if versions := tuple(v for v in model.versions if v in stays or (name, v) not in gone):
            models[name] = replace(model, versions=versions)
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
