"""What a push can fix of what servers do not serve, which versions it keeps, and what it waits for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.smoke.present import Present
from tritonrepo.smoke.waiting import Version, refusal
from tritonrepo.sync.gating import Model, reached


class Change(NamedTuple):
    """What a push does: the models as they should be, those that it writes to, those whose config changes.

    `open` are those that an earlier push left half-done, `there` the versions named before. A change of only the
    version_policy does not count as a change of the config.
    """

    want: Mapping[str, Model]
    touched: Collection[str]
    altered: Collection[str]
    open: Collection[str]
    there: Mapping[str, Collection[str]]

    @property
    def own(self) -> set[str]:
        """The models that must be served at its end."""
        return {*self.touched, *self.open} & self.want.keys()


def dead(presents: Sequence[Present], models: Mapping[str, Collection[str]]) -> set[tuple[str, int]]:
    """Return which of these versions of models no server serves or is about to serve."""
    alive = {version for one in presents for version in one.ready | one.loading}
    return {(name, int(v)) for name, versions in models.items() for v in versions if (name, v) not in alive}


def due(present: Present, change: Change) -> set[str]:
    """Return the models that must be served at the end: the push's own, and those that it may fix."""
    mended = {name for name in present.broken if name in change.want and below(name, change.want) & {*change.touched}}
    return (change.own | mended) - hopeless(present, change).keys()


class Cause(NamedTuple):
    """Why a model cannot be served: the model at fault, and the Stop that says so."""

    model: str
    stop: Stop


def hopeless(present: Present, change: Change) -> dict[str, Cause]:
    """Return the models that cannot be served at the push's end, whatever it writes, and why.

    They have a version that the server refuses, or call one, and the push changes only what is served next to it. A
    version that the server refused once, but that nothing names now, has not been retried since.
    """
    found: dict[str, Cause] = {}
    for name in sorted({*change.own, *present.broken} & change.want.keys()):
        stuck = [
            (model, version)
            for model, version in sorted(_needs(name, change.want), key=lambda one: (one[0] not in change.own, one))
            if (model, version) in present.refused
            and model not in change.altered
            and version in change.there.get(model, ())
        ]
        if stuck:
            found[name] = Cause(stuck[0][0], refusal(present.url, stuck[0], present.refused[stuck[0]]))
        elif name in present.broken and not below(name, change.want) & {*change.touched}:
            message = f"the server does not serve what is in the repository: {present.broken[name]}"
            hint = f"Push a change that fixes {name}."
            found[name] = Cause(name, failure("server-refused", present.url, message, hint))
    return found


def in_the_way(presents: Sequence[Present], change: Change) -> list[Stop]:
    """Return why the push would be in vain or do harm.

    A model that a server did not serve before, because of a model that is not the push's own, is not a reason; nor is
    a new model that some of the servers cannot serve.
    """
    causes = [hopeless(one, change) for one in presents]
    found: dict[str, Stop] = {}
    for name in sorted(change.own):
        vain = all(name in each for each in causes)
        for one, each in zip(presents, causes, strict=True):
            cause = each.get(name)
            ends = name in {model for model, _ in one.ready}
            if cause and (ends or cause.model in change.own or (vain and name not in one.broken)):
                found.setdefault(str(cause.stop), cause.stop)
    return [*found.values()]


def held_up(present: Present, now: Mapping[str, Model], want: Mapping[str, Model]) -> set[str]:
    """Return the models that a server cannot serve as long as a refused version is named next to the new one.

    Seen on 24.10: the new versions of a model are loaded all or none. Other servers may serve the refused version.
    """
    refused = {
        name
        for name, model in now.items()
        for version in model.served
        if (name, str(version)) in present.refused and name in want and version not in want[name].served
    }
    return {name for name in now if below(name, now) & refused} if refused else set()


def below(name: str, models: Mapping[str, Model]) -> set[str]:
    """Return a model and everything that it calls by steps, directly or indirectly."""
    return {model for model, _ in _needs(name, models)}


def _needs(name: str, models: Mapping[str, Model]) -> set[Version]:
    """Return model and version of all that a model needs to be served: its own versions, and what steps call.

    It does not need what a calls.json names: a Python model loads without it.
    """

    def calls(one: Version) -> list[Version]:
        steps = models[one[0]].steps() if one[0] in models else ()
        return [(called, str(number if number > 0 else latest(called))) for called, number in steps]

    def latest(called: str) -> int:
        return max(models[called].served, default=0) if called in models else 0

    return reached([(name, str(version)) for version in models[name].served], calls)
