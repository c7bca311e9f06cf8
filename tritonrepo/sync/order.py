"""The order in which pipelines switch, so that none is seen half in one revision and half in the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from tritonrepo.sync.gating import Model, reached


def turns(moving: Iterable[str], had: Mapping[str, Model], wanted: Mapping[str, Model]) -> dict[str, int]:
    """Return the turn of each model that moves at the switch, counted from 0; usually all have the first.

    A pipeline that will call another waits for it; one that no longer calls another moves before it. For a pipeline
    that calls another before and after the push, no order helps (`sync.mixing` says whether that does harm).
    """
    names, then = sorted(moving), {**had, **wanted}
    waits: dict[str, set[str]] = {name: set() for name in names}
    for name in names:
        before, after = _below(name, had), _below(name, then)
        waits[name] |= (after - before) & waits.keys()
        for other in (before - after) & waits.keys():
            waits[other].add(name)
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


def _below(name: str, models: Mapping[str, Model]) -> set[str]:
    """Return the models that a model's served versions call, directly or indirectly, without the model itself."""

    def calls(caller: str) -> set[str]:
        model = models.get(caller)
        return {called for called, _ in model.called(*model.served)} if model and model.served else set()

    return reached([name], calls) - {name}
