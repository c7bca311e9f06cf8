"""The stack file, parsed from text to nodes with positions, then to a frozen Stack; and its lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce

from tritonrepo.diagnostics import Faults, Span
from tritonrepo.spec.check import check
from tritonrepo.spec.compose import interpolate, merge
from tritonrepo.spec.load import load
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.nodes import Keys, Node, parse
from tritonrepo.spec.part import Parts
from tritonrepo.spec.stack import Stack

NONE = Keys(Span(""), {})


def read(texts: Sequence[tuple[str, bytes]], variables: Mapping[str, str], parts: Parts) -> Stack:
    """Return the Stack of stack files, given as (path, content); later ones override earlier ones. Chains are flat.

    `parts` are the roles that its models can have.

    Raises Stop with every problem and its place.
    """
    faults = Faults()
    nodes: list[Node] = [faults.tried(partial(parse, content, path), NONE) for path, content in texts]
    faults.stop()
    stack = load(interpolate(reduce(merge, nodes), variables), parts)
    check(stack)
    chains = flat(stack)
    flattened = {name: e if e.steps else replace(e, chain=chains[name]) for name, e in stack.ensembles.items()}
    return replace(stack, ensembles=flattened)
