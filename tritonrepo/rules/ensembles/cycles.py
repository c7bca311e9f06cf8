"""Ensembles that use themselves: Triton refuses to load them, and crashes if another ensemble uses one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.ensembles.steps import Step, steps, walked
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Finding, graph_rule
from tritonrepo.rules.stages import Stage

Graph = Mapping[str, list[str]]
MOST_SEARCHES = 100
"""Endless searches of one group: the first one crashes the server, the others only show what else to fix."""


class Cycles(NamedTuple):
    """The members of cycles with the server's reason, those from which its search never ends, and all that lead in."""

    reasons: Mapping[str, str]
    endless: frozenset[str]
    leading: frozenset[str]


@graph_rule("ensemble-cycle", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH.after("step-model-refused"))
def cycle(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble cannot use itself, directly or through other ensembles."""
    found = _cycles(model, judging)
    if found is not None and model.name in found.reasons:
        step = _towards(model, found.leading)
        through = "" if step.model == model.name else f' through "{step.model}"'
        yield Finding(
            step.at("model_name"),
            f'ensemble "{model.name}" uses itself{through}',
            hint="Remove one of the steps that form this cycle.",
            reason=found.reasons[model.name],
        )


@graph_rule(
    "ensemble-cycle-crash",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.GRAPH.after("ensemble-cycle"),
    state=State.CRASH,
)
def cycle_crash(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble cannot use another one that is part of a cycle."""
    found = _cycles(model, judging)
    if found is not None and model.name in found.endless:
        step = _towards(model, found.leading)
        yield Finding(
            step.at("model_name"),
            f'ensemble "{step.model}" is part of a cycle, and using it from outside the cycle crashes the server'
            if step.model in found.reasons
            else f'ensemble "{step.model}" uses an ensemble that is part of a cycle, which crashes the server',
            hint=f'Fix ensemble "{step.model}" first.',
            reason="server ended: -11",
        )


def _towards(model: Model, names: Collection[str]) -> Step:
    return next(step for step in steps(model) if step.model in names)


def _cycles(model: Model, judging: Judging) -> Cycles | None:
    """Return the repository's cycles if this model may be part of one or use one."""
    suspects = (judging.verdicts.get(step.model) for step in steps(model) if step.model in judging.models)
    if model.is_ensemble and any(verdict is None or verdict.stage == "graph" for verdict in suspects):
        return cycles(judging)
    return None


@once
def cycles(judging: Judging) -> Cycles:
    """Find all cycles among the ensembles that the server can read."""
    graph = _graph(judging)
    groups = [set(group) for group in _components(graph) if len(group) > 1 or group[0] in graph[group[0]]]
    inside = set().union(*groups)
    reasons: dict[str, str] = {}
    endless: set[str] = set()
    for group in groups:
        searched, lost = _searches(graph, [n for n in group if _complete(judging.models[n], judging)])
        endless |= lost
        reasons |= _unsearched(graph, group - lost) | searched
    callers: dict[str, list[str]] = {}
    for name, callees in graph.items():
        for callee in callees:
            callers.setdefault(callee, []).append(name)
    reached, queue = set(inside), list(inside)
    while queue:
        new = [caller for caller in callers.get(queue.pop(), ()) if caller not in reached]
        reached.update(new)
        queue += new
    endless |= {name for name in reached - inside if _complete(judging.models[name], judging)}
    return Cycles(reasons, frozenset(endless), frozenset(reached))


def _complete(model: Model, judging: Judging) -> bool:
    """Return whether the server searches for a cycle from here: not if the model of a step is missing."""
    return all(judging.polled(step.model) for step in steps(model))


def _graph(judging: Judging) -> Graph:
    """Return the ensembles that each one uses, in the order of the server's walk: see `steps.walked`."""
    ensembles = {name: model for name, model in judging.models.items() if model.is_ensemble}
    return {
        name: [each for each in walked(model) if each in ensembles and judging.polled(each)]
        for name, model in ensembles.items()
        if judging.polled(name)
    }


def _components(graph: Graph) -> Iterator[list[str]]:
    """Yield the strongly connected components, without recursion: Tarjan's algorithm."""
    search = _Search(graph, {}, {}, [], set())
    for root in graph:
        if root not in search.order:
            yield from search.run(root)


@dataclass(slots=True)
class _Search:
    """The state of the search; `low` is the earliest ensemble on the path that each one can reach."""

    graph: Graph
    order: dict[str, int]
    low: dict[str, int]
    path: list[str]
    on_path: set[str]

    def run(self, root: str) -> Iterator[list[str]]:
        """Yield the components that can be reached from a root."""
        work = [self._enter(root)]
        while work:
            name, rest = work[-1]
            callee = next(rest, None)
            if callee is None:
                work.pop()
                if work:
                    above = work[-1][0]
                    self.low[above] = min(self.low[above], self.low[name])
                if self.low[name] == self.order[name]:
                    yield self._leave(name)
            elif callee not in self.order:
                work.append(self._enter(callee))
            elif callee in self.on_path:
                self.low[name] = min(self.low[name], self.order[callee])

    def _enter(self, name: str) -> tuple[str, Iterator[str]]:
        self.order[name] = self.low[name] = len(self.order)
        self.path.append(name)
        self.on_path.add(name)
        return name, iter(self.graph[name])

    def _leave(self, first: str) -> list[str]:
        found = [self.path.pop()]
        while found[-1] != first:
            found.append(self.path.pop())
        self.on_path.difference_update(found)
        return found


def _searches(graph: Graph, starts: Collection[str]) -> tuple[dict[str, str], set[str]]:
    """Return the server's reason for each ensemble of a group, and those from which its search never returns.

    The server starts at each one in order, and gives the same reason to all on the path back to it.
    """
    reasons: dict[str, str] = {}
    endless: set[str] = set()
    for start in sorted(starts, key=os.fsencode):
        if start in reasons:
            continue
        way = _way_back(graph, start) if len(endless) < MOST_SEARCHES else []
        if way:
            reasons |= dict.fromkeys([*way[:-1], start], _reason(start, way[-1]))
        else:
            endless.add(start)
    return reasons, endless


def _unsearched(graph: Graph, group: set[str]) -> dict[str, str]:
    """Return the reasons for those from which the server cannot search, because a model of theirs is missing."""
    callers = {callee: name for name in sorted(group) for callee in graph[name]}
    return {name: _reason(name, callers.get(name, name)) for name in group}


def _reason(start: str, last: str) -> str:
    return f"circular dependency between ensembles: {start} -> ... -> {last} -> {start}"


def _way_back(graph: Graph, start: str) -> list[str]:
    """Return a path from an ensemble back to itself, which is listed only once; empty if another cycle is met first.

    The server looks only for the start, so another cycle keeps it going until its stack is full.
    """
    way, on_way, done = [(start, iter(graph[start]))], {start}, set()
    while way:
        callee = next((name for name in way[-1][1] if name not in done), None)
        if callee == start:
            break
        if callee in on_way:
            return []
        if callee is None:
            done.add(way.pop()[0])
            on_way -= done
        else:
            on_way.add(callee)
            way.append((callee, iter(graph[callee])))
    return [name for name, _ in way]
