"""Fixes that make the config of an ONNX model say what its graph says; none if the served versions differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tritonrepo.diagnostics import Fix
from tritonrepo.pbtxt import Enum, Field, Message, Scalar
from tritonrepo.pbtxt.editor import Edit, change, delete_items, insert
from tritonrepo.pbtxt.items import number, places
from tritonrepo.pbtxt.printer import Value as Written
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.sessions import VARIABLE, Session, Value, sessions
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.mending import edited
from tritonrepo.rules.onnx.compared import Pair
from tritonrepo.rules.onnx.mismatch import Difference, own


@once
def alike(model: Model) -> bool:
    """Whether the graphs of all served versions have the same inputs and outputs, so that one config fits all."""
    found = [(each.inputs, each.outputs, each.overridable) for each in sessions(model)]
    return len(found) == len(model.served) and all(each == found[0] for each in found)


def typed(pair: Pair) -> Fix | None:
    """Return the fix that gives a listed tensor the type that it has in the graph."""
    value = pair.tensor.fields["data_type"].value
    to = Enum(f"TYPE_{pair.value.data_type}")
    return _edited(pair.model, [change(value, pair.tensor.node.kind.fields["data_type"], to)], safe=False)


def shaped(*found: Difference) -> Fix | None:
    """Return the fix that gives listed tensors the dims that they have in the graph; None if one has a reshape.

    It is safe if only the batch that Triton adds goes, or if a variable dim becomes fixed or the reverse.
    """
    if any(differs.pair.tensor.reshape is not None for differs in found):
        return None
    edits: list[Edit] = []
    for differs in found:
        node, (dims, *shape) = differs.pair.tensor.node, _dims(_wanted(differs), differs.pair.session)
        edits += number(node, "dims", dims)
        edits += [insert(node, "reshape", {"shape": each}) for each in shape]
    return _edited(found[0].pair.model, edits, safe=all(map(_plain, found)))


def _plain(differs: Difference) -> bool:
    """Whether nothing that the config says of a tensor is contradicted."""
    written, filled = list(own(differs.pair.tensor)), differs.pair.session.filled
    batched = bool(differs.pair.session.max_batch_size)
    again = batched and written == [VARIABLE, *_wanted(differs)[1:]]
    return differs.sure and not filled and (differs.exactness or again)


def _wanted(differs: Difference) -> Sequence[int]:
    """Return the graph's shape, in which an input may fix what is variable."""
    graph, batched = differs.graph, bool(differs.pair.session.max_batch_size)
    written = next((dims for dims in (differs.config, own(differs.pair.tensor)) if len(dims) == len(graph)), None)
    if differs.pair.tensor.kind == "output" or written is None:
        return graph
    fixed = [b if a == VARIABLE and b > 0 else a for a, b in zip(graph, written, strict=True)]
    return [*graph[:batched], *fixed[batched:]]


def _dims(graph: Sequence[int], session: Session) -> list[list[int]]:
    """Return the dims of a shape of the graph, and the shape of the reshape that they need, if any."""
    batched = bool(session.max_batch_size) and tuple(graph[:1]) == (VARIABLE,)
    dims = [*graph[batched:]]
    return [dims] if dims else [[1], []] if batched else [[1]]


def added(model: Model, session: Session, names: Iterable[str], *, safe: bool) -> Fix | None:
    """Return the fix that lists inputs of the graph, and all of its outputs if none is listed and none is completed."""
    inputs = {name: session.inputs[name] for name in names}
    outputs: Mapping[str, Value] = {}
    batched = bool(session.max_batch_size)
    if not model.config.messages("output") and "output" not in session.filled:
        outputs = {name: session.output(name) for name in session.outputs}
    unknown = any(value.data_type is None or value.dims is None for value in (*inputs.values(), *outputs.values()))
    if unknown:
        return None
    edits = [
        insert(model.config, kind, [_entry(name, value, session) for name, value in values.items()])
        for kind, values in (("input", inputs), ("output", outputs))
        if values
    ]
    sure = all(value.sure or VARIABLE not in (value.dims or ())[batched:] for value in outputs.values())
    return _edited(model, edits, safe=safe and sure)


def _entry(name: str, value: Value, session: Session) -> dict[str, Written]:
    dims, *shape = _dims(value.dims or (), session)
    entry: dict[str, Written] = {"name": name, "data_type": Enum(f"TYPE_{value.data_type}"), "dims": dims}
    if shape:
        entry["reshape"] = {"shape": shape[0]}
    return entry


def renamed(model: Model, tensor: ListedTensor, to: str) -> Fix | None:
    """Return the fix that gives a listed tensor another name; it is safe if only the case of letters changes."""
    field = tensor.fields.get("name")
    value = field.value if field is not None else None
    if not isinstance(value, Scalar):
        return None
    edit = change(value, tensor.node.kind.fields["name"], to)
    return _edited(model, [edit], safe=tensor.name.casefold() == to.casefold())


def unlisted(model: Model, tensor: ListedTensor) -> Fix | None:
    """Return the fix that removes a listed tensor."""
    field, place = _places(model)[tensor.node]
    return _edited(model, delete_items(field, {place}), safe=False)


@once
def _places(model: Model) -> Mapping[Message, tuple[Field, int]]:
    """Return where each input is written."""
    found = places(model.config, "input")
    return {node: (field, place) for field, place, node in found if isinstance(node, Message)}


def _edited(model: Model, edits: Iterable[Edit], *, safe: bool) -> Fix | None:
    return edited(model, *edits, safe=safe) if alike(model) else None
