"""What a push can mend of what servers do not serve, which versions it keeps, and what it waits for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.smoke.present import Present
from tritonrepo.smoke.waiting import Version, refusal
from tritonrepo.sync.gating import Model, reached


class Change(NamedTuple):
    """What a push does: the models as they shall be, those that it writes to, those of which the config changes.

    `open` are those that an earlier push left half-done, `there` what is named before. A version_policy alone is no
    change of a config here.
    """

    want: Mapping[str, Model]
    touched: Collection[str]
    altered: Collection[str]
    open: Collection[str]
    there: Mapping[str, Collection[str]]

    @property
    def own(self) -> set[str]:
        """Return the models that must serve at its end."""
        return {*self.touched, *self.open} & self.want.keys()


def dead(presents: Sequence[Present], models: Mapping[str, Collection[str]]) -> set[tuple[str, int]]:
    """Return which of these versions of models no server serves, nor is about to."""
    alive = {version for one in presents for version in one.ready | one.loading}
    return {(name, int(v)) for name, versions in models.items() for v in versions if (name, v) not in alive}


def due(present: Present, change: Change) -> set[str]:
    """Return the models that must be served at the end: the push's own, and those that it may revive."""
    mended = {name for name in present.broken if name in change.want and below(name, change.want) & {*change.touched}}
    return (change.own | mended) - hopeless(present, change).keys()


class Cause(NamedTuple):
    """Why a model cannot serve: the model at fault, and what to say."""

    model: str
    stop: Stop


def hopeless(present: Present, change: Change) -> dict[str, Cause]:
    """Return the models that cannot serve at the push's end, whatever it writes, and why.

    They are of a version that the server refuses, or call one, and nothing changes of that but who serves beside it.
    What it refused once, and nothing names now, it has not tried since.
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
            message = f"the server does not serve what lies there: {present.broken[name]}"
            hint = "Fix it with a push that changes it."
            found[name] = Cause(name, failure("server-refused", present.url, message, hint))
    return found


def in_the_way(presents: Sequence[Present], change: Change) -> list[Stop]:
    """Return why the push would be in vain, or do harm.

    What did not serve before on a server, for the fault of a model that is not this push's own, is no reason; nor is
    what is new and has no chance on some of them.
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
    """Return the models that a server cannot serve as long as a version that it refused is named beside the new one.

    Seen on 24.10: of the new versions of a model all are loaded or none. Other servers may serve that version.
    """
    refused = {
        name
        for name, model in now.items()
        for version in model.served
        if (name, str(version)) in present.refused and name in want and version not in want[name].served
    }
    return {name for name in now if below(name, now) & refused} if refused else set()


def below(name: str, models: Mapping[str, Model]) -> set[str]:
    """Return a model, and all that it calls by its steps, and they call."""
    return {model for model, _ in _needs(name, models)}


def _needs(name: str, models: Mapping[str, Model]) -> set[Version]:
    """Return model and version of all that must serve for a model to serve: its own versions, and what steps call.

    What a calls.json names need not: a Python model loads without it.
    """

    def calls(one: Version) -> list[Version]:
        steps = models[one[0]].steps() if one[0] in models else ()
        return [(called, str(number if number > 0 else latest(called))) for called, number in steps]

    def latest(called: str) -> int:
        return max(models[called].served, default=0) if called in models else 0

    return reached([(name, str(version)) for version in models[name].served], calls)
