"""Chains made into pipelines: the ports of their members are joined by name and type."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.spec.part import Part, Parts, Port

QUERY = Port("query", "STRING", (1,))
"""The input of every pipeline."""

SHORTEST = 2
"""Minimum members of a chain: a single model needs no pipeline."""

TOLD = 4
"""Maximum number of chains that a hint names."""


class Member(NamedTuple):
    """A model in a pipeline: which models feed its ports, and the pipeline's tensor for each joined port."""

    name: str
    part: Part[Any]
    makers: Mapping[str, str]
    takes: Mapping[str, str]
    gives: Mapping[str, str]


class Pipeline(NamedTuple):
    """A chain whose ports are joined. The outputs of the last member are those of the pipeline."""

    members: tuple[Member, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


ASKED, ALLOWED = -1, -2
"""Makers of tensors that no member makes: the query, which each request has, and its optional inputs."""


class _Made(NamedTuple):
    """A port that can be read, and the index of the member that gives it, or ASKED or ALLOWED."""

    port: Port
    by: int


def wired(chain: Sequence[tuple[str, Part[Any]]]) -> Pipeline | None:
    """Return the chain of names and parts as a pipeline; None if its ports cannot be joined.

    A port is fed by the last earlier member that gives one of its name; an optional one can be left to the request.
    The query and each member except the last must feed a later one, and no output can have the name of an input.
    """
    made = {QUERY.name: _Made(QUERY, ASKED)}
    feeds: list[dict[str, int]] = []
    for number, (_, part) in enumerate(chain):
        made = {port.name: _Made(port, ALLOWED) for port in part.takes if port.optional} | made
        if not all(port.name in made and _fits(port, made[port.name].port) for port in part.takes):
            return None
        feeds.append({port.name: made[port.name].by for port in part.takes})
        made |= {port.name: _Made(port, number) for port in part.gives}
    needed = {by for own in feeds for by in own.values()}
    if len(chain) < SHORTEST or not needed.issuperset(range(ASKED, len(chain) - 1)):
        return None
    ports = {port.name: port for _, part in chain for port in part.takes if port.optional} | {QUERY.name: QUERY}
    inputs = dict.fromkeys(port for own in feeds for port, by in own.items() if by < 0)
    outputs = sorted(chain[-1][1].gives)
    if any(port.name in inputs for port in outputs):
        return None
    return Pipeline(tuple(_members(chain, feeds, inputs)), tuple(ports[name] for name in inputs), tuple(outputs))


def _fits(port: Port, made: Port) -> bool:
    """Return whether a port can take what is made."""
    dims = zip(port.dims, made.dims, strict=False)
    same = port.data_type == made.data_type and len(port.dims) == len(made.dims)
    return same and all(-1 in {one, other} or one == other for one, other in dims)


def _members(
    chain: Sequence[tuple[str, Part[Any]]], feeds: Sequence[Mapping[str, int]], inputs: Collection[str]
) -> Iterator[Member]:
    """Yield the members; a tensor's name begins with its model's if an input or a later tensor has its port's name."""
    last = {port.name: number for number, (_, part) in enumerate(chain) for port in part.gives}

    def tensor(port: str, by: int) -> str:
        own = by < 0 or (last[port] == by and port not in inputs)
        return port if own else f"{chain[by][0]}_{port}"

    for number, (name, part) in enumerate(chain):
        takes = {port: tensor(port, by) for port, by in feeds[number].items()}
        wanted = {port for own in feeds for port, by in own.items() if by == number}
        wanted |= {port.name for port in part.gives if number == len(chain) - 1}
        gives = {port.name: tensor(port.name, number) for port in part.gives if port.name in wanted}
        makers = {port: chain[by][0] for port, by in feeds[number].items() if by >= 0}
        yield Member(name, part, makers, takes, gives)


def possible(parts: Parts) -> list[str]:
    """Return the chains of different roles that can be joined, the shortest first."""
    found: list[str] = []
    grown: list[tuple[str, ...]] = [(role,) for role in parts]
    while grown and len(found) < TOLD:
        longer = [(*roles, role) for roles in grown for role in parts if role not in roles]
        grown = [roles for roles in longer if wired([(role, parts[role]) for role in roles])]
        found += [" → ".join(roles) for roles in grown]
    return found[:TOLD]
