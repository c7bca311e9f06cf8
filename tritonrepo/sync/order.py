"""Which pipelines move one after the other, so that none is seen half in one revision and half in the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from tritonrepo.sync.gating import Model, reached


def turns(moving: Iterable[str], had: Mapping[str, Model], wanted: Mapping[str, Model]) -> dict[str, int]:
    """Return each of the models that move at the switch its turn, counted from 0; most often all have the first.

    A pipeline that will call another waits for it; one that calls another no more goes before it. What calls the other
    before and after has no turn that helps (`sync.mixing` says whether that does harm).
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
    """Return the models that the served versions of one call, and theirs; what calls itself is not among them."""

    def calls(caller: str) -> set[str]:
        model = models.get(caller)
        return {called for called, _ in model.called(*model.served)} if model and model.served else set()

    return reached([name], calls) - {name}
