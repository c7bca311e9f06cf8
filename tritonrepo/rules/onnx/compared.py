"""A config's inputs and outputs next to those of the graph, for each served version, and how findings show both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from tritonrepo.diagnostics import some
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.sessions import VARIABLE, Session, Value, sessions
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.registry import Finding

Dims = Sequence[int]
FEW, MOST = 4, 500
"""Up to this many entries are shown in a hint, and so many names are compared with a misspelt one."""


class Pair(NamedTuple):
    """A listed tensor and what the graph of a version has under its name."""

    model: Model
    session: Session
    tensor: ListedTensor
    value: Value

    @property
    def name(self) -> str:
        """The tensor as messages name it: `input "IN"`."""
        return f'{self.tensor.kind} "{self.tensor.name}"'

    @property
    def graph(self) -> str:
        """The graph as messages name it."""
        return graph_of(self.model, self.session)

    @property
    def prefix(self) -> str:
        """The first words of most of the server's texts."""
        return f"unable to load model '{self.model.name}', "


def graph_of(model: Model, session: Session) -> str:
    """Return the graph as messages name it, with its version if several are served."""
    return f"the graph of version {session.graph.version}" if len(model.served) > 1 else "the graph"


@once
def pairs(model: Model) -> Sequence[Pair]:
    """Return the listed tensors that the graphs have, by version; requests may override some initializers as inputs."""
    return tuple(_pairs(model))


def _pairs(model: Model) -> Iterator[Pair]:
    for session in sessions(model):
        sides = {"input": {**session.overridable, **session.inputs}, "output": session.outputs}
        for tensor in model.tensors:
            value = sides[tensor.kind].get(tensor.name)
            if value is not None:
                yield Pair(model, session, tensor, value)


def found(model: Model, check: Callable[[Pair], Finding | None], *kinds: str) -> Iterator[Finding]:
    """Yield what a check finds, at most once for each listed tensor, in its turn in the server's walk."""
    seen = set[int]()
    for pair in pairs(model):
        if pair.tensor.kind not in kinds or pair.tensor.item in seen:
            continue
        finding = check(pair)
        if finding is not None:
            seen.add(pair.tensor.item)
            yield finding._replace(item=pair.tensor.item)


def place(tensor: ListedTensor, field: str) -> Placed:
    """Return the place of a field's value, or that of the tensor if it is not written."""
    written = tensor.fields.get(field)
    return tensor.node if written is None or not written.values else written.values[0]


def size_of(model: Model) -> Placed | None:
    """Return the place of max_batch_size; None if it is not written."""
    written = model.config.get("max_batch_size")
    return written.values[0] if written is not None and written.values else None


def shape(dims: Dims) -> str:
    """Return a shape as the server prints it: [-1,4]."""
    return f"[{','.join(map(str, dims))}]"


def configured(dims: Dims, *, batching: bool) -> str:
    """Return the fields that describe a shape of the graph; the batch is not part of them."""
    batched = batching and tuple(dims[:1]) == (VARIABLE,)
    own = dims[1:] if batched else dims
    if own:
        return f"dims: [ {', '.join(map(str, own))} ]"
    return "dims: [ 1 ] reshape { shape: [ ] }" if batched else "dims: [ 1 ]"


def to_add(values: Mapping[str, Value], *, batching: bool) -> str:
    """Return a hint with the entries of a config for inputs of the graph."""
    entries = []
    for name, value in islice(values.items(), FEW):
        dims = configured(value.dims or (), batching=batching)
        entries.append(f'`input {{ name: "{name}" data_type: TYPE_{value.data_type} {dims} }}`')
    more = f", and {len(values) - FEW:,} more" if len(values) > FEW else ""
    return f"Add {', '.join(entries)}{more}."


def listing(names: Sequence[str]) -> str:
    """Return names for a message, the first few of many."""
    return some(names, FEW)
