"""A pipeline as a Python model that calls the others by itself, each in the version that its calls.json pins.

It returns the sources of an answer, then the answer, which no ensemble can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tritonrepo.generate import chained, config, ports
from tritonrepo.generate.chained import Call
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, step
from tritonrepo.generate.own import own
from tritonrepo.pbtxt.printer import Message
from tritonrepo.spec import forms
from tritonrepo.spec.part import Port, origin
from tritonrepo.spec.stack import Ensemble
from tritonrepo.spec.wiring import QUERY, Pipeline

THREADS = 256
"""How many requests a pipeline answers at the same time; others wait for one to end.

A thread of Python that waits takes about 50 KiB, so that all of them take less than an embedder does.
"""

MESSAGES = "messages"
"""The input with a conversation, whose last question takes the place of the query."""

RETURN = "return_"
"""What the name of an output is put after for the input that asks for it."""

TOLD = {
    "finish_reason": Port("finish_reason", "STRING", (-1,)),
    "num_input_tokens": Port("num_input_tokens", "UINT32", (1,)),
    "num_output_tokens": Port("num_output_tokens", "UINT32", (-1,)),
}
"""What the vLLM backend says of an answer if it is asked. Source: vllm_backend, src/model.py, auto_complete_config."""

USED = "used"
"""The output of a prompt step with the number of passages that its prompt has."""


def add(draft: Draft, name: str, ensemble: Ensemble, pipeline: Pipeline, outputs: Iterable[str]) -> None:
    """Add the model of a pipeline whose last member answers with a stream and reads what the sources are made from."""
    pipeline, calls, told = _told(draft, pipeline, [*chained.calls(pipeline)])
    given = {port.name: port for port in pipeline.outputs} | {forms.SOURCES.name: forms.SOURCES}
    sources, calls = _sources(draft, pipeline, calls) if forms.SOURCES.name in outputs else ({}, calls)
    settings = {"steps": [*_steps(draft, pipeline, calls)], "sources": sources, "threads": THREADS}
    content = {
        "model.py": step("pipeline"),
        "conversation.py": step("conversation"),
        "calls.json": json_file({call.model: draft.pinned(call.model) for call in calls}),
        "settings.json": json_file(settings),
    }
    chain = ensemble.places.get("chain")
    draft.configure(
        name,
        config.config(
            name,
            "python",
            draft.number(name, content),
            0,
            Ports(tuple(_inputs(pipeline)), (*(given[output] for output in outputs), *told)),
            instance_group=config.on_cpu(),
            model_transaction_policy={"decoupled": True},
        ),
        origin(ensemble.places, input=chain, output=ensemble.places.get("outputs", chain)),
        own(ensemble.places, ensemble.config),
    )


def _told(draft: Draft, pipeline: Pipeline, calls: list[Call]) -> tuple[Pipeline, list[Call], list[Port]]:
    """Return a pipeline with the inputs that ask the last model why its answer ends, and for tokens; and its outputs.

    An early release's vLLM backend has none of them, and neither has the last model of another kind.
    """
    last = calls[-1]
    takes, gives = (_axes(draft.configs[last.model], kind) for kind in ("input", "output"))
    used = {tensor for call in calls for tensor in (*call.inputs.values(), *call.outputs.values())}
    told = [each for each in TOLD.values() if f"{RETURN}{each.name}" in takes and each.name in gives]
    told = [each for each in told if not {each.name, f"{RETURN}{each.name}"} & used]
    asked = tuple(Port(f"{RETURN}{each.name}", "BOOL", (1,), optional=True) for each in told)
    call = last._replace(
        inputs={**last.inputs, **{port.name: port.name for port in asked}},
        outputs={**last.outputs, **{port.name: port.name for port in told}},
    )
    return pipeline._replace(inputs=(*pipeline.inputs, *asked)), [*calls[:-1], call], told


def _inputs(pipeline: Pipeline) -> Iterable[Port]:
    """Yield the inputs; a conversation can stand for the query."""
    talks = any(port.name == MESSAGES for port in pipeline.inputs)
    return (port._replace(optional=True) if talks and port.name == QUERY.name else port for port in pipeline.inputs)


def _sources(draft: Draft, pipeline: Pipeline, calls: list[Call]) -> tuple[dict[str, str], list[Call]]:
    """Return the tensors that the sources are made from, and the calls with the one that counts them."""
    last = pipeline.members[-1]
    wanted = ("passages", forms.METADATA.name, *(port.name for port in forms.LISTED))
    sources = {port: last.takes[port] for port in wanted if port in last.takes}
    taken = {tensor for call in calls for tensor in (*call.inputs.values(), *call.outputs.values())}
    for place, call in enumerate(calls):
        steps = call.model in {f"{last.name}{step.ending}" for step in last.part.steps}
        if steps and any(output.get("name") == USED for output in ports.listed(draft.configs[call.model], "output")):
            sources[USED] = next(each for each in (USED, f"{call.model}_{USED}") if each not in taken)
            calls = [*calls]
            calls[place] = call._replace(outputs={**call.outputs, USED: sources[USED]})
    return sources, calls


def _steps(draft: Draft, pipeline: Pipeline, calls: Iterable[Call]) -> Iterable[Message]:
    """Yield the calls as settings.json has them.

    A tensor has the axes that its model returns, and a model that batches takes one more than it lists. An input that
    the vLLM backend of an early release does not have is left out.
    """
    axes = {port.name: len(port.dims) for port in pipeline.inputs}
    for call in calls:
        takes, gives = (_axes(draft.configs[call.model], kind) for kind in ("input", "output"))
        inputs = {name: tensor for name, tensor in call.inputs.items() if name in takes}
        lacks = {name: takes[name] - axes[tensor] for name, tensor in inputs.items()}
        axes |= {tensor: gives[name] for name, tensor in call.outputs.items()}
        yield {
            "model": call.model,
            "inputs": inputs,
            "outputs": dict(call.outputs),
            "axes": {name: more for name, more in lacks.items() if more},
        }


def _axes(message: Message, kind: str) -> Mapping[str, int]:
    """Return how many axes each tensor of a model has."""
    batch = int(ports.max_batch_size(message) > 0)
    tensors: list[Mapping[str, Any]] = ports.listed(message, kind)
    return {str(tensor["name"]): len(tensor["dims"]) + batch for tensor in tensors}
