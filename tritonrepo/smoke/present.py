"""What a server makes of a repository before a push changes it: what is served, what is not, and why.

Seen from Triton 24.10: a polling server retries at each poll what it refused, and the index says LOADING meanwhile; a
pipeline that calls what is not served is unloaded, and only its name is in the index; a reload that fails is only in
the log, and the model keeps its older config.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client, ModelState
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.waiting import READY, Patience, Version, Wait, lacking, late, refusals

SIGHT_S = 30
"""How long a server that reports nothing about a model may take to see it: two polls of Triton's default of 15 s."""


class There(NamedTuple):
    """A repository as it is now: its models; what they call; which are waited for; whose configs will change."""

    models: Mapping[str, Expected]
    pins: Mapping[str, Mapping[str, int]]
    awaited: Collection[str]
    altered: Collection[str]


class Present(NamedTuple):
    """What one server does with a repository: versions that are served, may yet be, or were refused, with the reason.

    `broken` is model → why it is not served as it is in the repository.
    """

    url: str
    ready: frozenset[Version]
    loading: frozenset[Version]
    refused: Mapping[Version, str]
    broken: Mapping[str, str]


class _Kind(Enum):
    """How far a server is with a model. An ODD state may be temporary or permanent: nothing shows which."""

    SERVES = auto()
    BROKEN = auto()
    LOADING = auto()
    LATE = auto()
    ODD = auto()


class _State(NamedTuple):
    kind: _Kind
    why: str = ""


def present(client: Client, there: There, patience: Patience) -> Present:
    """Return what the server does with the repository, once nothing of it is in progress.

    Raise Stop if time is up and something that is waited for is still in progress.
    """
    wait, sights = Wait(client.url, patience), _Sights(client, there, patience)
    while True:
        silent = ""
        try:
            sights.look(client.index())
        except Stop as stop:
            silent = stop.diagnostics[0].message
        under_way = silent or next(iter(sights.under_way().values()), "")
        if not under_way:
            return sights.present()
        if not wait.goes_on(under_way):
            if silent:
                raise late(client.url, silent, patience)
            return sights.at_last()


class _Sights:
    """What was observed of a server, one look after the other."""

    def __init__(self, client: Client, there: There, patience: Patience) -> None:
        self.client, self.there, self.patience = client, there, patience
        self.index: Sequence[ModelState] = ()
        self.refused: dict[Version, str] = {}
        self.since: dict[str, float] = {}
        self.states: dict[str, _State] = {}

    def look(self, index: list[ModelState]) -> None:
        """Record the current index; what was refused once counts as refused until it is served, despite retries."""
        self.index = index
        self.refused |= refusals(index)
        self.refused = {version: why for version, why in self.refused.items() if version not in self._in(READY)}
        self.states = {}
        for name in self.there.models:
            state = self._state(name)
            if state.kind is not _Kind.ODD:
                self.since.pop(name, None)

    def under_way(self) -> dict[str, str]:
        """Return the models that may become served without a push, with what they lack."""
        return {
            name: state.why
            for name, state in self.states.items()
            if state.kind is _Kind.LOADING
            or (name in self.there.awaited and state.kind not in {_Kind.SERVES, _Kind.BROKEN})
        }

    def present(self) -> Present:
        """Return what the last look saw."""
        broken = {name: state.why for name, state in self.states.items() if state.kind is _Kind.BROKEN}
        loading = self._in("LOADING") - self.refused.keys()
        return Present(self.client.url, self._in(READY), loading, self.refused, broken)

    def at_last(self) -> Present:
        """Return the same when time is up: what remains unexplained is broken."""
        for name, why in self.under_way().items():
            if name in self.there.awaited and self.states[name].kind is not _Kind.ODD:
                raise late(self.client.url, why, self.patience)
        for name in self.under_way():
            if name in self.there.awaited:
                self.states[name] = self.states[name]._replace(kind=_Kind.BROKEN)
        return self.present()

    def _in(self, state: str) -> frozenset[Version]:
        return frozenset((one.name, one.version) for one in self.index if one.state == state)

    def _state(self, name: str) -> _State:
        if name not in self.states:
            self.states[name] = _State(_Kind.BROKEN, f"{name} calls itself")
            self.states[name] = self._judged(name, self.there.models[name])
        return self.states[name]

    def _judged(self, name: str, model: Expected) -> _State:
        named = [(name, version) for version in model.versions]
        if refused := [version for version in named if version in self.refused]:
            return _State(_Kind.BROKEN, f"{name} version {refused[0][1]} does not load: {self.refused[refused[0]]}")
        if self._in("LOADING") & {*named}:
            return _State(_Kind.LOADING, f"{name} is loading")
        if name not in {one.name for one in self.index}:
            return _State(_Kind.LATE, f"{name}: the server does not serve this model, but the repository has it")
        ready = {version for version in self._in(READY) if version[0] == name}
        return self._loaded(name, exact=ready == {*named}) if ready else self._unloaded(name)

    def _loaded(self, name: str, *, exact: bool) -> _State:
        """Compare what is loaded with the repository; `exact`: the versions are the same."""
        if name not in self.there.awaited:
            return _State(_Kind.SERVES)
        why = next(lacking(self.client, self.index, {name: self.there.models[name]}), "")
        if why and exact and name in self.there.altered:
            return self._odd(name, f"{name} still has an older config: {why.removeprefix(f'{name}: ')}")
        return _State(_Kind.LATE, why) if why else _State(_Kind.SERVES)

    def _unloaded(self, name: str) -> _State:
        """Return why a model that the index only names is not loaded: because of what it calls, or of itself."""
        for called, number in self.there.pins.get(name, {}).items():
            ready = {version for model, version in self._in(READY) if model == called}
            if str(number) in ready or (number <= 0 and ready):
                continue
            state = self._state(called) if called in self.there.models else _State(_Kind.BROKEN)
            if state.kind not in {_Kind.SERVES, _Kind.BROKEN}:
                return _State(state.kind if state.kind is _Kind.LOADING else _Kind.LATE, f"{name} waits for {called}")
            shown = f"{called} version {number}" if number > 0 else called
            return _State(_Kind.BROKEN, f"{name} calls {shown}, which is not served")
        return self._odd(name, f"{name} is not loaded; the server's log says why")

    def _odd(self, name: str, why: str) -> _State:
        now = self.patience.now()
        seen = now - self.since.setdefault(name, now) >= SIGHT_S
        return _State(_Kind.BROKEN if seen else _Kind.ODD, why)
