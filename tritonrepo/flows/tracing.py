"""The steps of a pipeline, called one after the other: what each model got and gave, and how long that took.

The pipeline itself is not called. A tensor goes from step to step as its model returned it, except that a batch axis of
one row is added or taken away where the next model's config has another number of axes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import failure
from tritonrepo.flows.asking import plain
from tritonrepo.report.graph import Pipeline, Port, Step
from tritonrepo.server.client import Client
from tritonrepo.server.questions import Question, axes_of, batches, tensors
from tritonrepo.server.tensors import Request, Tensor, of_values

if TYPE_CHECKING:
    from collections.abc import Iterable

PROTOCOL = {"STRING": "BYTES"}
"""Data type of a config → its name in the protocol, where that differs."""


class Value(NamedTuple):
    """A tensor that a step got or gave: its name in the model and in the pipeline."""

    name: str
    tensor: str
    value: Tensor


class Traced(NamedTuple):
    """A step that was called; `responses`: how many a decoupled model sent, whose texts are joined."""

    step: Step
    ms: float
    got: tuple[Value, ...]
    gave: tuple[Value, ...]
    responses: int = 1


def trace(client: Client, pipeline: Pipeline, asked: Question, text: str) -> Iterator[Traced]:
    """Yield each step as it ends; raise Stop with the server's words if one fails or gets too little."""
    made = {asked.text: of_values(asked.text, "BYTES", [text], [1] * (asked.axes + asked.batch))}
    for name, value in asked.given.items():
        kind = next((each.type.partition("[")[0] for each in pipeline.inputs if each.name == name), "")
        if kind:
            made[name] = of_values(name, PROTOCOL.get(kind, kind), [value], [1])
    for step in pipeline.steps:
        done = _called(client, step, made)
        made |= {value.tensor: value.value for value in done.gave}
        yield done


def _called(client: Client, step: Step, made: Mapping[str, Tensor]) -> Traced:
    config = client.config(step.model, step.version)
    listed = {str(each["name"]): each for each in tensors(config, "input")}
    got, lacking = [], []
    for port in step.takes:
        about = listed.get(port.name, {})
        if port.tensor in made:
            got.append(Value(*port[:2], _fitted(made[port.tensor], port.name, axes_of(about) + batches(config))))
        elif not about.get("optional"):
            lacking.append(port.tensor)
    if lacking:
        message = f'the step "{step.model}" needs the tensor "{lacking[0]}", which nothing has made'
        raise failure(
            "ask-inputs", client.url, message, "Ask the pipeline itself: it may make this tensor in another way."
        )
    begun = time.perf_counter()
    found, responses = _answer(client, step, config, got)
    ms = (time.perf_counter() - begun) * 1000
    return Traced(step, ms, tuple(got), tuple(_given(step.gives, found)), responses)


def _answer(
    client: Client, step: Step, config: Mapping[str, Any], got: list[Value]
) -> tuple[Mapping[str, Tensor], int]:
    policy = config.get("model_transaction_policy")
    if not isinstance(policy, dict) or not policy.get("decoupled"):
        return client.infer(Request(step.model, step.version, tuple(each.value for each in got))), 1
    inputs = {each.name: plain(each.value.values.ravel().tolist()) for each in got}
    events = [*client.stream(step.model, inputs, step.version)]
    found = {}
    for each in tensors(config, "output"):
        values = [event[each["name"]] for event in events if each["name"] in event]
        if values and isinstance(values[0], str):
            found[str(each["name"])] = of_values(each["name"], "BYTES", ["".join(map(str, values))], [1])
    return found, len(events)


def _given(gives: Iterable[Port], found: Mapping[str, Tensor]) -> Iterator[Value]:
    for port in gives:
        if port.name in found:
            yield Value(port.name, port.tensor, found[port.name])


def _fitted(tensor: Tensor, name: str, axes: int) -> Tensor:
    """Return a tensor by its name in the model, with as many axes as that takes if only a batch of one differs."""
    values = tensor.values
    if values.ndim == axes - 1:
        values = values[None]
    elif values.ndim == axes + 1 and len(values) == 1:
        values = values[0]
    return Tensor(name, tensor.datatype, values)
