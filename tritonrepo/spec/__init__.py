"""The stack file, parsed from text to nodes with positions, then to a frozen Stack; and its lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tritonrepo.spec.check import check
from tritonrepo.spec.compose import interpolate, merged
from tritonrepo.spec.extends import Opened, files, nowhere
from tritonrepo.spec.load import load
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.nodes import Keys
from tritonrepo.spec.part import Parts
from tritonrepo.spec.stack import Stack


def read(
    texts: Sequence[tuple[str, bytes]], variables: Mapping[str, str], parts: Parts, opened: Opened = nowhere
) -> Stack:
    """Return the Stack of stack files, given as (path, content); later ones override earlier ones. Chains are flat.

    `parts` are the roles that its models can have; `opened` reads the files that `extends` names.

    Raises Stop with every problem and its place.
    """
    tops = files(texts, variables, opened)
    named = next(top.at for top in tops if top.at.path == texts[0][0])
    node = interpolate(merged(tops, named), variables)
    assert isinstance(node, Keys)  # noqa: S101  what is interpolated keeps its form
    return of_node(node, parts)


def of_node(node: Keys, parts: Parts) -> Stack:
    """Return the Stack of a node without variables; raise Stop with every problem and its place."""
    stack = load(node, parts)
    check(stack)
    chains = flat(stack)
    flattened = {name: e if e.steps else replace(e, chain=chains[name]) for name, e in stack.ensembles.items()}
    return replace(stack, ensembles=flattened)
