"""Chains to pipelines: the ports of their members, joined by name and type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.spec.part import Part, Parts, Port

QUERY = Port("query", "STRING", (1,))
"""What a pipeline is asked with."""

SHORTEST = 2
"""Members of a chain: a model alone needs no pipeline."""

TOLD = 4
"""So many chains are named where one cannot be joined."""


class Member(NamedTuple):
    """A model in a pipeline: who feeds its ports, and the pipeline's tensors of the ports that are joined."""

    name: str
    part: Part[Any]
    makers: Mapping[str, str]
    takes: Mapping[str, str]
    gives: Mapping[str, str]


class Pipeline(NamedTuple):
    """A chain whose ports are joined. What the last member gives is the answer."""

    members: tuple[Member, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class _Made(NamedTuple):
    """A port that an earlier member gives, and which one; the query is nobody's."""

    port: Port
    by: int


def wired(chain: Sequence[tuple[str, Part[Any]]]) -> Pipeline | None:
    """Return the chain of names and parts as a pipeline; None where its ports cannot be joined.

    A port is fed by the last member before it that gives one of its name; an optional one may be left to the request.
    Each member but the last must feed a later one.
    """
    made = {QUERY.name: _Made(QUERY, -1)}
    feeds: list[dict[str, int]] = []
    inputs = {QUERY.name: QUERY}
    for number, (_, part) in enumerate(chain):
        if any(not _fits(port, made.get(port.name)) for port in part.takes):
            return None
        feeds.append({port.name: made[port.name].by for port in part.takes if port.name in made})
        inputs |= {port.name: port for port in part.takes if port.name not in made}
        made |= {port.name: _Made(port, number) for port in part.gives}
    needed = {by for own in feeds for by in own.values()}
    if len(chain) < SHORTEST or needed < set(range(-1, len(chain) - 1)):
        return None
    outputs = sorted(chain[-1][1].gives)
    return Pipeline(tuple(_members(chain, feeds)), tuple(inputs.values()), tuple(outputs))


def _fits(port: Port, made: _Made | None) -> bool:
    """Whether a port can take what is made, or do without."""
    if made is None:
        return port.optional
    dims = zip(port.dims, made.port.dims, strict=False)
    same = port.data_type == made.port.data_type and len(port.dims) == len(made.port.dims)
    return same and all(-1 in {one, other} or one == other for one, other in dims)


def _members(chain: Sequence[tuple[str, Part[Any]]], feeds: Sequence[Mapping[str, int]]) -> Iterator[Member]:
    """Yield the members; of two that give a port of one name, the earlier one's tensor has its model's name too."""
    last = {port.name: number for number, (_, part) in enumerate(chain) for port in part.gives}

    def tensor(port: str, by: int) -> str:
        return port if by < 0 or last[port] == by else f"{chain[by][0]}_{port}"

    for number, (name, part) in enumerate(chain):
        taken = {port: tensor(port, by) for port, by in feeds[number].items()}
        wanted = {port for own in feeds for port, by in own.items() if by == number}
        given = {
            port.name: tensor(port.name, number)
            for port in part.gives
            if port.name in wanted or number == len(chain) - 1
        }
        open_ = {port.name: port.name for port in part.takes if port.name not in taken}
        makers = {port: chain[by][0] for port, by in feeds[number].items() if by >= 0}
        yield Member(name, part, makers, open_ | taken, given)


def possible(parts: Parts) -> list[str]:
    """Return the chains of different roles that can be joined, the shortest first."""
    found: list[str] = []
    grown: list[tuple[str, ...]] = [(role,) for role in parts]
    while grown and len(found) < TOLD:
        longer = [(*roles, role) for roles in grown for role in parts if role not in roles]
        grown = [roles for roles in longer if wired([(role, parts[role]) for role in roles])]
        found += [" → ".join(roles) for roles in grown]
    return found[:TOLD]
