"""Pipelines as text: inputs, steps in their order, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tritonrepo.plain import printable
from tritonrepo.report.graph import Pipeline, Port, Step, Tensor


def drawn(pipelines: Iterable[Pipeline]) -> str:
    """Return the text of pipelines, with an empty line between two."""
    return "\n\n".join("\n".join(map(printable, _lines(pipeline))) for pipeline in pipelines)


def _lines(pipeline: Pipeline) -> Iterator[str]:
    yield f"{pipeline.name}{_about(pipeline.steps[0]) if pipeline.alone else ''}"
    yield from (f"  input   {_tensor(tensor)}" for tensor in pipeline.inputs)
    for step in () if pipeline.alone else pipeline.steps:
        yield f"  step    {step.model}{_about(step)}"
        yield from (f"            {port.name} ← {port.tensor}" for port in step.takes)
        yield from (f"            {_given(port)}" for port in step.gives)
    yield from (f"  output  {_tensor(tensor)}" for tensor in pipeline.outputs)


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.type}".rstrip() + (" (optional)" if tensor.optional else "")


def _given(port: Port) -> str:
    return f"{port.name} → {port.tensor} {port.type}".rstrip()


def _about(step: Step) -> str:
    return (f" ({step.about})" if step.about else "") + (f", calls {', '.join(step.calls)}" if step.calls else "")
