"""The order in which pipelines switch, so that none is seen half in one revision and half in the next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from tritonrepo.sync.gating import Model, reached


def turns(
    moving: Iterable[str], had: Mapping[str, Model], wanted: Mapping[str, Model], replaced: Collection[str] = ()
) -> dict[str, int]:
    """Return the turn of each model that moves at the switch, counted from 0; usually all have the first.

    A pipeline that will call another waits for it; one that no longer calls another moves before it. For a pipeline
    that calls another before and after the push, no order helps (`sync.mixing` says whether that does harm).

    A `replaced` model and the pipelines that call it, which fail without it, move together; whatever has nothing to do
    with it waits until it serves, and so does not move if servers refuse it.
    """
    names, then = sorted(moving), {**had, **wanted}
    waits: dict[str, set[str]] = {name: set() for name in names}
    for name in names:
        before, after = below(name, had), below(name, then)
        waits[name] |= (after - before) & waits.keys()
        for other in (before - after) & waits.keys():
            waits[other].add(name)
    _around(waits, {name: below(name, had) | below(name, then) for name in names}, {*replaced} & waits.keys())
    sorter = TopologicalSorter(waits)
    found: dict[str, int] = {}
    try:
        sorter.prepare()
    except CycleError:
        return dict.fromkeys(names, 0)
    while sorter.is_active():
        ready = sorter.get_ready()
        found |= dict.fromkeys(ready, max(found.values(), default=-1) + 1)
        sorter.done(*ready)
    return found


def _around(waits: dict[str, set[str]], calls: Mapping[str, Collection[str]], replaced: Collection[str]) -> None:
    """Let callers of replaced models move with these, and others after them, unless these call them."""
    for one in replaced:
        for name in waits.keys() - replaced:
            if one in calls[name]:
                waits[name].discard(one)
                waits[one].discard(name)
            elif name not in calls[one] and not {*replaced} & {*calls[name]}:
                waits[name].add(one)


def below(name: str, models: Mapping[str, Model]) -> set[str]:
    """Return the models that a model's served versions call, directly or indirectly, without the model itself."""

    def calls(caller: str) -> set[str]:
        model = models.get(caller)
        return {called for called, _ in model.called(*model.served)} if model and model.served else set()

    return reached([name], calls) - {name}
