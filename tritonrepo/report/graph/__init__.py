"""Pipelines as plain values, which are drawn as text, as Mermaid or as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Tensor(NamedTuple):
    """A tensor of a pipeline: its name, and its type, such as STRING[1]; "" if it is not known."""

    name: str
    type: str = ""
    optional: bool = False


class Port(NamedTuple):
    """An input or output of a step's model, and the pipeline's tensor that it reads or writes."""

    name: str
    tensor: str
    type: str = ""


class Step(NamedTuple):
    """A call of a model: its version, "" for the newest; its backend, "" if it is not known; what it calls itself."""

    model: str
    version: str
    backend: str
    takes: tuple[Port, ...]
    gives: tuple[Port, ...]
    calls: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Its backend and version."""
        return ", ".join(filter(None, [self.backend, f"version {self.version}" if self.version else ""]))


class Pipeline(NamedTuple):
    """An ensemble, or a model that no ensemble calls: then its only step is the model itself."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    alone: bool = False


START, END = -1, -2
"""Places of an edge's ends besides steps: the inputs and the outputs of the pipeline."""


class Edge(NamedTuple):
    """A tensor on its way from a step (or START) to a step (or END), by their positions, and the ports at both ends."""

    source: int
    out: int
    target: int
    into: int
    tensor: str
    type: str


def edges(pipeline: Pipeline) -> Iterator[Edge]:
    """Yield what connects the steps; a tensor that nothing writes has no edge."""
    made = {tensor.name: (START, number, tensor.type) for number, tensor in enumerate(pipeline.inputs)}
    for place, step in enumerate(pipeline.steps):
        made |= {port.tensor: (place, number, port.type) for number, port in enumerate(step.gives)}
    for place, step in enumerate(pipeline.steps):
        yield from _into(place, enumerate(port.tensor for port in step.takes), made)
    yield from _into(END, enumerate(tensor.name for tensor in pipeline.outputs), made)


def _into(place: int, tensors: Iterable[tuple[int, str]], made: Mapping[str, tuple[int, int, str]]) -> Iterator[Edge]:
    for number, tensor in tensors:
        if tensor in made:
            source, out, kind = made[tensor]
            yield Edge(source, out, place, number, tensor, kind)
