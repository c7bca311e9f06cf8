"""What ONNX Runtime says about an open graph, as far as that is certain, and what the backend completes from it.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::AutoCompleteConfig, AutoCompleteMaxBatch, AutoCompleteIO;
src/onnxruntime_utils.cc, InputOutputInitializerInfos; the same text from r24.01 to r26.06.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.onnxfile import Header, Tensor
from tritonrepo.repository.graphs import Graph, graphs
from tritonrepo.repository.model import Model
from tritonrepo.repository.once import once
from tritonrepo.tree import File

VARIABLE = -1
DEFAULT_MAX_BATCH_SIZE = 4
"""The core's default for the backend's setting default-max-batch-size (core, src/backend_manager.cc)."""


class Value(NamedTuple):
    """An input or output: its type without TYPE_, None if Triton has no such type; its dims, None if not known.

    `sure` is False if ONNX Runtime may infer sizes of variable dims. An input of unknown rank has rank 0 in a session.
    """

    data_type: str | None
    dims: tuple[int, ...] | None
    sure: bool = True

    @property
    def batches(self) -> bool | None:
        """Whether the first dim is variable; None if that is not known."""
        return None if self.dims is None else self.dims[:1] == (VARIABLE,)


class Session(NamedTuple):
    """The graph of a served version in its session, each tensor by name in alphabetical order.

    `overridable` are the initializers that requests may override. `batches`: whether the first dim of every input and
    output is variable; None if that is not known. `max_batch_size` and the lists that are `filled` are as completed:
    None if it is not known. `refused`: whether the backend refuses to complete them.
    """

    graph: Graph
    file: File
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    overridable: Mapping[str, Value]
    max_batch_size: int | None
    filled: frozenset[str]
    shapes: Mapping[str, str]
    refused: bool = False

    @property
    def batches(self) -> bool | None:
        """Whether the model batches; None if that is not known."""
        found = [value.batches for value in (*self.inputs.values(), *self.outputs.values())]
        return False if False in found else None if None in found else True

    def output(self, name: str) -> Value:
        """Return an output, with the shape of the input that it keeps, if that is certain."""
        value = self.outputs[name]
        if value.sure:
            return value
        kept = self.inputs.get(self.shapes.get(name, name))
        if kept is None or kept.dims is None or (not kept.dims and value.dims):
            return value
        return value._replace(dims=merged(value.dims, kept.dims), sure=True)


def merged(written: tuple[int, ...] | None, inferred: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return a shape as ONNX Runtime merges what the file says and what it infers; None if they disagree."""
    if written is None:
        return inferred
    pairs = list(zip(written, inferred, strict=False))
    if len(written) != len(inferred) or any(a != b and VARIABLE not in {a, b} for a, b in pairs):
        return None
    return tuple(max(pair) for pair in pairs)


@once
def sessions(model: Model) -> Sequence[Session]:
    """Return the session of each served version whose graph can be read and has only tensors."""
    return tuple(_sessions(model))


def _sessions(model: Model) -> Iterable[Session]:
    for graph in graphs(model):
        header = graph.header
        if header is None or graph.file is None or any(tensor.kind != "tensor" for tensor in _tensors(header)):
            continue
        inputs = {tensor.name: Value(tensor.data_type, tensor.dims or ()) for tensor in _sorted(header.inputs)}
        outputs = {tensor.name: _output(tensor) for tensor in _sorted(header.outputs)}
        free = _sorted(header.overridable)
        overridable = {tensor.name: Value(tensor.data_type, tensor.dims or ()) for tensor in free}
        found = Session(
            graph, graph.file, inputs, outputs, overridable, model.max_batch_size, frozenset(), header.shapes
        )
        if None in [value.dims for value in outputs.values()]:
            kept = {name: found.output(name) if value.dims is None else value for name, value in outputs.items()}
            found = found._replace(outputs=kept)
        yield completed(model, found) if model.target.auto_complete else found


def _tensors(header: Header) -> tuple[Tensor, ...]:
    return (*header.inputs, *header.outputs, *header.overridable)


def _sorted(tensors: Iterable[Tensor]) -> list[Tensor]:
    return sorted(tensors, key=lambda tensor: tensor.name.encode("utf-8", "surrogateescape"))


def _output(tensor: Tensor) -> Value:
    return Value(tensor.data_type, tensor.dims, sure=tensor.dims is not None and VARIABLE not in tensor.dims)


def unlisted(model: Model) -> frozenset[str]:
    """Return which lists the backend fills, "input" and "output": none if both have entries.

    A batch_input counts as an input.
    """
    listed = {kind for kind in ("input", "output") if model.config.messages(kind)}
    if "input" in listed or model.config.messages("batch_input"):
        listed.add("input")
    return frozenset({"input", "output"} - listed)


def completed(model: Model, session: Session) -> Session:
    """Return the session with the max_batch_size that the model gets, and which lists the backend fills."""
    filled = unlisted(model)
    if not filled:
        return session
    size: int | None = model.max_batch_size
    if session.batches is False:
        return session._replace(filled=filled, refused=size != 0)
    if size == 0:
        size = DEFAULT_MAX_BATCH_SIZE if session.batches else None
    return session._replace(max_batch_size=size, filled=filled)
