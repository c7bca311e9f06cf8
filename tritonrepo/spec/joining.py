"""Which tensor of a chain feeds which port: by name, and for the ports of own models also by type."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tritonrepo.spec.part import Part, Port

ASKED, ALLOWED = -1, -2
"""Makers of tensors that no member makes: inputs that each request has, and optional ones."""

NAMED = 6
"""Maximum number of tensors that a message names."""


class Made(NamedTuple):
    """A port that can be read, and the index of the member that gives it, or ASKED or ALLOWED."""

    port: Port
    by: int


class Gap(NamedTuple):
    """What keeps a chain from being joined: message and hint.

    `open` means that one of several tensors was chosen, so that the pipeline is one of those that can be meant.
    """

    message: str
    hint: str
    open: bool = False


@dataclass(slots=True)
class Joining:
    """The chain of a pipeline in progress: its members' names, what can be read, what feeds each port, what is wrong.

    Begins with the inputs that each request has. `needed` is what is read by more than spare ports.
    """

    pipeline: str
    made: list[Made]
    names: list[str] = field(default_factory=list)
    feeds: list[dict[str, Made]] = field(default_factory=list)
    needed: set[Made | None] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)

    def add(self, name: str, part: Part[Any], later: Collection[str]) -> None:
        """Join the ports of the next member; `later` are the names that later members and the outputs ask for."""
        self.made = [*self.made, *self._left_to_request(part)]
        outputs = [made for made in self.made if made.by >= 0]
        own = {port.name: _named(port, self.made if port.optional else outputs) for port in part.takes}
        used = {made for feeds in self.feeds for made in feeds.values()} | {*filter(None, own.values())}
        unused = [made for made in outputs if made not in used and not made.port.by_name] if part.free else []
        busy = {made.by for made in outputs if made in used or made.port.name in later}
        starved = [made for made in unused if made.by not in busy]  # nothing reads its maker, or will by its name
        fitting: dict[Port, list[Made]] = {}
        for port in part.takes:
            if own[port.name] is None and not any(fits(port, made.port) for made in starved):
                own[port.name] = _named(port, self.made)  # an input of the pipeline
            if own[port.name] is None and not _is_spare(port):
                fitting[port] = [made for made in unused if fits(port, made.port)]
        self.gaps += filter(None, (self._gap(name, port, fitting) for port in fitting))
        by_type = {port.name: found[0] for port, found in fitting.items() if found}
        joined = {port: made for port, made in own.items() if made is not None} | by_type
        self.feeds.append({port: made for port, made in joined.items() if port not in _apart(part, joined)})
        self.needed |= {self.feeds[-1].get(port.name) for port in part.takes if not _is_spare(port)}
        self.made = [*self.made, *(Made(port, len(self.names)) for port in part.gives)]
        self.names.append(name)

    def _left_to_request(self, part: Part[Any]) -> Iterator[Made]:
        """Yield the optional ports that no tensor so far feeds, unless an input of another type has the name."""
        inputs = {made.port.name for made in self.made if made.by < 0}
        for port in part.takes:
            left = port.optional and not _is_spare(port) and port.name not in inputs
            if left and _named(port, self.made) is None:
                yield Made(port, ALLOWED)

    def _gap(self, name: str, port: Port, fitting: Mapping[Port, Sequence[Made]]) -> Gap | None:
        """Return what is wrong with what feeds a port that no tensor feeds by its name; None if only one fits it."""
        needs, found = f'input {shown(port.name, port)} of "{name}"', fitting[port]
        rivals = [] if found[1:] else [other for other, made in fitting.items() if made == found]
        told = self._told(found or self.made, "or" if found else "and")
        hint = f'Rename the tensor that it reads to "{port.name}", or use steps instead of chain.'
        if not found:
            return Gap(f'the chain of "{self.pipeline}" has nothing for {needs}, only {told}', hint)
        if found[1:]:
            return Gap(f'the chain of "{self.pipeline}" is ambiguous: {needs} can read {told}', hint, open=True)
        if rivals[1:] and port == rivals[0]:
            inputs = _listed([f'"{each.name}"' for each in rivals])
            message = f'the chain of "{self.pipeline}" is ambiguous: {told} can feed {inputs} of "{name}"'
            return Gap(message, "Rename it to one of them, or use steps instead of chain.", open=True)
        return None

    def unused(self, asked: Iterable[Port], outputs: Collection[Made]) -> Iterator[Gap]:
        """Yield the inputs and members that feed neither a member nor an output of the pipeline."""
        used = {made for own in self.feeds for made in own.values()} | {*outputs}
        for port in asked:
            if Made(port, ASKED) not in self.needed | {*outputs}:
                message = f'the chain of "{self.pipeline}" does not read its input "{port.name}"'
                yield Gap(message, "Start it with a model that reads it.")
        for number, name in enumerate(self.names):
            if not any(made.by == number for made in used):
                gives = self._told([made for made in self.made if made.by == number])
                hint = f'Remove "{name}" from the chain, or list one of its outputs in outputs.'
                message = f'the chain of "{self.pipeline}" does not use "{name}": nothing reads {gives}'
                yield Gap(message, hint)

    def _told(self, made: Sequence[Made], word: str = "and") -> str:
        """Return tensors as a message names them."""
        named = (
            shown(f"{self.names[each.by]}.{each.port.name}", each.port)
            if each.by >= 0
            else f"the input {shown(each.port.name, each.port)}"
            for each in made[:NAMED]
        )
        return _listed([*named, *([f"{len(made) - NAMED} more"] if made[NAMED:] else [])], word)


def _apart(part: Part[Any], joined: Mapping[str, Made]) -> set[str]:
    """Return the ports that another model would feed than the list with which they belong together."""
    pairs = ((port.name, port.beside) for port in part.takes if port.beside and port.name in joined)
    return {name for name, beside in pairs if beside not in joined or joined[name].by != joined[beside].by}


def _is_spare(port: Port) -> bool:
    """Return whether a port is fed only with what a chain has anyway."""
    return port.optional and port.by_name


def _named(port: Port, made: Sequence[Made]) -> Made | None:
    """Return the last tensor with the name of a port that fits it."""
    return next((each for each in reversed(made) if each.port.name == port.name and fits(port, each.port)), None)


def fits(port: Port, made: Port) -> bool:
    """Return whether a port can take what is made.

    Types are the same, and so are the dims, either as they are listed or with the batch in front (core,
    src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorConsistency); -1 is any size.
    """
    if port.data_type != made.data_type:
        return False
    return _same(port.dims, made.dims) or _same(_full(port), _full(made))


def _full(port: Port) -> tuple[int, ...]:
    return (-1, *port.dims) if port.batches else port.dims


def _same(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one == other or (
        len(one) == len(other) and all(-1 in {a, b} or a == b for a, b in zip(one, other, strict=True))
    )


def shown(name: str, port: Port) -> str:
    """Return a name with the type of its port, as messages have it."""
    return f'"{name}" ({port.data_type} [{", ".join(map(str, port.dims))}])'


def _listed(names: Sequence[str], word: str = "and") -> str:
    """Return names as a list in a sentence."""
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:]))) or "no tensors"
