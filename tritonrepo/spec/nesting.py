"""Pipelines in chains: the models of a pipeline take the place of its name.

A server has one config per model, so a pipeline that called another one could not be pushed without mixing two
releases; one that calls only models is switched with one write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from itertools import chain, islice

from tritonrepo.spec.stack import Stack

LONGEST = 100
"""Maximum members of a chain that are kept; a few lines of nested chains can double it repeatedly."""


def flat(stack: Stack) -> Mapping[str, tuple[str, ...]]:
    """Return the models of each pipeline in their order, with nested pipelines expanded.

    Pipelines in or above a cycle have none; a step's model is the one of the stack file that adds it.
    """
    built = stack.built()
    inner = {name: tuple(_pipelines(stack, name)) for name in stack.ensembles}
    found: dict[str, tuple[str, ...]] = {}
    for name in _inner_first(inner):
        ensemble = stack.ensembles[name]
        members = ((found[m] if m in inner[name] else (m,)) for m in ensemble.chain)
        called = dict.fromkeys(built[step.model] for step in ensemble.steps if step.model in built)
        found[name] = tuple(islice(chain.from_iterable([*members, called]), LONGEST))
    return found


def circle(stack: Stack, name: str) -> bool:
    """Return whether a pipeline's chain leads back to it."""
    seen: set[str] = set()
    todo = [*_pipelines(stack, name)]
    while todo:
        member = todo.pop()
        if member not in seen:
            seen.add(member)
            todo += _pipelines(stack, member)
    return name in seen


def _pipelines(stack: Stack, name: str) -> Iterator[str]:
    return (m for m in stack.ensembles[name].chain if m in stack.ensembles and m not in stack.models)


def _inner_first(inner: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield each pipeline after those that it chains, except cycles and what is above them."""
    sorter = TopologicalSorter(inner)
    with suppress(CycleError):  # the sorter still yields what is outside of the cycle
        sorter.prepare()
    while ready := sorter.get_ready():
        yield from ready
        sorter.done(*ready)
