"""Chains made into pipelines: the ports of their members are joined by name, those of own models also by type."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.spec.joining import ASKED, Gap, Joining, Made
from tritonrepo.spec.part import Part, Parts, Port

QUERY = Port("query", "STRING", (1,))
"""The input of every pipeline that starts with a role."""

SHORTEST = 2
"""Minimum members of a chain: a single model needs no pipeline."""

TOLD = 4
"""Maximum number of chains that a hint names."""

Chain = Sequence[tuple[str, Part[Any]]]


class Member(NamedTuple):
    """A model in a pipeline: which models feed its ports, and the pipeline's tensor for each joined port.

    `inner` has the tensors between its own steps.
    """

    name: str
    part: Part[Any]
    makers: Mapping[str, str]
    takes: Mapping[str, str]
    gives: Mapping[str, str]
    inner: Mapping[str, str]


class Pipeline(NamedTuple):
    """A chain whose ports are joined, unless there are gaps. By default, its outputs are those of the last member."""

    members: tuple[Member, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    gaps: tuple[Gap, ...]


def wired(
    chain: Chain, asked: Iterable[Port] = (QUERY,), outputs: Collection[str] | None = None, name: str = ""
) -> Pipeline:
    """Return the chain of names and parts as a pipeline, with everything that keeps its ports from being joined.

    A port is fed by the last earlier member that gives a fitting one of its name, or by an input of the pipeline with
    its name; one of an own model otherwise by the only unused one that fits, which comes before the input if its model
    would feed nothing without it. An optional one can be left to the request. `asked` are the inputs that each request
    has. Each of them and each member except the last must be used, and no output can have the name of an input.
    """
    asked = tuple(asked)
    joining = Joining(name, [Made(port, ASKED) for port in asked])
    for number, (member, part) in enumerate(chain):
        later = {port.name for _, other in chain[number + 1 :] for port in other.takes}
        joining.add(member, part, later | {*(outputs or ())})
    returned, inputs = _returned(chain, joining.made, outputs), tuple(_inputs(chain, joining.feeds))
    gaps = [*joining.gaps, *joining.unused(asked, returned)]
    if len(chain) < SHORTEST:
        message = f'the chain of "{name}" has fewer than two models'
        gaps.append(Gap(message, "Add a model to the chain."))
    for twice in {port.name for port in inputs} & {made.port.name for made in returned}:
        message = f'the chain of "{name}" has both an input and an output "{twice}"'
        gaps.append(Gap(message, "Rename one of them in its model, or use steps instead of chain."))
    members = _members(chain, joining.feeds, _tensors(chain, joining.feeds, returned))
    return Pipeline(tuple(members), inputs, tuple(made.port for made in returned), tuple(gaps))


def _returned(chain: Chain, made: Iterable[Made], outputs: Collection[str] | None) -> list[Made]:
    """Return what a pipeline returns, the last one of each name, if it has own models also from before the last."""
    last = len(chain) - 1
    earliest = 0 if outputs is not None and any(part.free for _, part in chain) else max(last, 0)
    given = {each.port.name: each for each in made if each.by >= earliest}
    return sorted(each for name, each in given.items() if outputs is None or name in outputs)


def _inputs(chain: Chain, feeds: Sequence[Mapping[str, Made]]) -> Iterator[Port]:
    """Yield the inputs of a pipeline; one that is optional to each member that reads it is optional."""
    read = [
        (port, own[port.name])
        for (_, part), own in zip(chain, feeds, strict=True)
        for port in part.takes
        if port.name in own
    ]
    for made in dict.fromkeys(made for _, made in read if made.by < 0):
        optional = made.port.optional and all(port.optional for port, other in read if other == made)
        yield made.port._replace(optional=optional)


def _tensors(chain: Chain, feeds: Iterable[Mapping[str, Made]], returned: Sequence[Made]) -> dict[Made, str]:
    """Return the pipeline's tensors that are used, each with its name: that of its port, or with its model's in front.

    Of several with one name, an input or output of the pipeline has it, otherwise the last.
    """
    used = dict.fromkeys(made for own in feeds for made in own.values()) | dict.fromkeys(returned)
    names = {made: made.port.name for made in used if made.by < 0 or made in returned}
    last = {port.name: number for number, (_, part) in enumerate(chain) for port in part.gives}
    for made in used:
        if made not in names:
            name, port = chain[made.by][0], made.port.name
            names[made] = _free(name, port, names.values(), plain=last[port] == made.by)
    return names


def _free(model: str, tensor: str, taken: Collection[str], *, plain: bool = True) -> str:
    """Return a name for a model's tensor that no other has: its own if it may be, else one that begins with both."""
    own, full = ([tensor] if plain else []), f"{model}_{tensor}"
    candidates = itertools.chain(own, [full], (f"{full}_{number}" for number in itertools.count(2)))
    return next(name for name in candidates if name not in taken)


def _members(chain: Chain, feeds: Sequence[Mapping[str, Made]], tensors: Mapping[Made, str]) -> Iterator[Member]:
    taken = {*tensors.values()}
    for number, (name, part) in enumerate(chain):
        takes = {port: tensors[made] for port, made in feeds[number].items()}
        gives = {made.port.name: tensor for made, tensor in tensors.items() if made.by == number}
        makers = {port: chain[made.by][0] for port, made in feeds[number].items() if made.by >= 0}
        ports = {port.name for port in (*part.takes, *part.gives)}
        between = dict.fromkeys(port for step in part.steps for port in (*step.inputs.values(), *step.outputs.values()))
        inner = {port: _free(name, port, taken) for port in between if port not in ports}
        taken |= {*inner.values()}
        yield Member(name, part, makers, takes, gives, inner)


def possible(parts: Parts) -> list[str]:
    """Return the chains of different roles that can be joined, the shortest first."""
    found: list[str] = []
    grown: list[tuple[str, ...]] = [(role,) for role in parts]
    while grown and len(found) < TOLD:
        longer = [(*roles, role) for roles in grown for role in parts if role not in roles]
        grown = [roles for roles in longer if not wired([(role, parts[role]) for role in roles]).gaps]
        found += [" → ".join(roles) for roles in grown]
    return found[:TOLD]
