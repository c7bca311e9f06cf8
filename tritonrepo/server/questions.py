"""How a text is sent to a served model: which input takes it and which output answers, by the served config.

Names of inputs and outputs: `query` and `answer` are those of our pipelines, `text_input` and `text_output` those of
the vLLM backend (vllm_backend, src/model.py, auto_complete_config) and of TensorRT-LLM's ensemble.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import closest, failure, fatal, some
from tritonrepo.server.client import Client
from tritonrepo.spec.forms import SOURCES
from tritonrepo.spec.wiring import QUERY

ANSWER = "answer"
"""Output of a pipeline that answers questions."""

FOUND = ("ids", "scores", "passages")
"""Outputs of a pipeline that searches."""

TEXTS = (QUERY.name, "text_input")
"""Inputs that take the text if a model has several of strings."""

ANSWERS = (ANSWER, "text_output")
"""Outputs that are the answer if a model has several of strings."""

STREAM = "stream"
"""The input of our pipelines and of the vLLM backend that asks for an answer in pieces."""

READY = "READY"


class Question(NamedTuple):
    """How a model is asked: the input for the text, and what else it is given.

    `answer` is the output whose text is the answer; "" if the model has none. `searches`: it returns passages. `batch`
    and `axes` are those of the input: the generate extension sends one axis, and the batch.
    """

    model: str
    text: str = QUERY.name
    answer: str = ANSWER
    given: Mapping[str, Any] = {STREAM: True}
    searches: bool = False
    batch: bool = False
    axes: int = 1


class AskOptions(NamedTuple):
    """What a user says about it: the input for the text, the output that answers, values of other inputs."""

    input: str = ""
    output: str = ""
    given: Mapping[str, Any] = {}


AS_SERVED = AskOptions()
"""What the served config says counts."""


def question_to(client: Client, model: str, wanted: AskOptions = AS_SERVED) -> Question:
    """Return how a served model is asked; raise Stop if the server does not serve it, or if it takes no text."""
    return of_config(client.url, model, served(client, model), wanted)


def served(client: Client, model: str) -> dict[str, Any]:
    """Return the served config of a model; raise Stop with the server's reason if it is not served."""
    states = client.index()
    own = [state for state in states if state.name == model]
    if not own:
        names = sorted({state.name for state in states})
        hint = closest(model, names) if names else "The server has no models."
        raise fatal("ask-model", client.url, f'the server does not have the model "{model}"', hint)
    if not any(state.state == READY for state in own):
        reason = next((state.reason for state in own if state.reason), "it was never loaded")
        message = f'the server does not serve the model "{model}": {reason}'
        raise failure("ask-model", client.url, message, "Fix what the server says, and load the model again.")
    return client.config(model)


def of_config(url: str, model: str, config: Mapping[str, Any], wanted: AskOptions = AS_SERVED) -> Question:
    """Return how a model with this config is asked; raise Stop if it takes no text, or needs more than a text."""
    inputs, outputs = ([*tensors(config, kind)] for kind in ("input", "output"))
    text = _chosen(url, model, "input", wanted.input, inputs)
    given = dict(wanted.given)
    if any(each["name"] == STREAM and each.get("data_type") == "TYPE_BOOL" for each in inputs):
        given.setdefault(STREAM, True)
    lacking = [each["name"] for each in inputs if not each.get("optional") and each["name"] not in {text, *given}]
    if lacking:
        message = f'the model "{model}" needs more than a text: {some(lacking, 4)}'
        raise fatal("ask-inputs", url, message, f"Set each of them, as in `--set {lacking[0]}=VALUE`.")
    names = {str(each["name"]) for each in outputs}
    searches = names.issuperset(FOUND) and ANSWER not in names and not wanted.output
    answer = "" if searches else _chosen(url, model, "output", wanted.output, outputs)
    axes = next(axes_of(each) for each in inputs if each["name"] == text)
    return Question(model, text, answer, given, searches, batches(config), axes)


def batches(config: Mapping[str, Any]) -> bool:
    """Return whether a model with this config takes a batch as the first axis."""
    size = config.get("max_batch_size")
    return isinstance(size, int) and size > 0


def axes_of(tensor: Mapping[str, Any]) -> int:
    """Return how many axes a tensor of a config has, without the batch."""
    dims = tensor.get("dims")
    return len(dims) if isinstance(dims, list) and dims else 1


def tensors(config: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the inputs or outputs of a config that have a name."""
    listed = config.get(kind)
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield each


def _chosen(url: str, model: str, kind: str, wanted: str, listed: list[Mapping[str, Any]]) -> str:
    """Return the input that takes the text, or the output that answers, "" if no output is a text."""
    names = [str(each["name"]) for each in listed if each.get("data_type") == "TYPE_STRING"]
    if wanted and wanted not in names:
        message = f'the model "{model}" has no {kind} "{wanted}" of strings'
        raise fatal("ask-inputs", url, message, closest(wanted, names) if names else "")
    others = {*names} - {SOURCES.name}
    needed = [each["name"] for each in listed if each["name"] in names and not each.get("optional")]
    usual = TEXTS if kind == "input" else ANSWERS
    for one in ([wanted], [each for each in usual if each in names][:1], needed, [*others]):
        if len(one) == 1 and one[0]:
            return str(one[0])
    if kind == "output":
        return ""
    if names:
        message = f'the model "{model}" has several inputs of strings: {some(names, 6)}'
        raise fatal("ask-inputs", url, message, "Choose the one for the text with `--input NAME`.")
    takes = some([str(each["name"]) for each in listed], 4) or "nothing"
    message = f'the model "{model}" takes no text: its inputs are {takes}'
    raise fatal("ask-inputs", url, message, "Ask a model that has an input of type STRING.")


def value(text: str) -> Any:  # noqa: ANN401  JSON
    """Return the value of an input as it was typed: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
