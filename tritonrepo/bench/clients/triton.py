"""How a load asks a model that Triton serves: what it is given, and which outputs answer, by its served config.

Names of tensors: those of our parts, and of the vLLM backend (vllm_backend, src/model.py, auto_complete_config), which
also counts tokens, of each response those since the one before (src/utils/request.py, GenerateRequest).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.bench.clients.drafting import RefusedError
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.diagnostics import fatal
from tritonrepo.server.offering import Kind, Offer, of_json, vector
from tritonrepo.server.questions import STREAM, batches, of_config, tensors

COUNTED = ("return_finish_reason", "return_num_input_tokens", "return_num_output_tokens")
"""Inputs of the vLLM backend since 24.12 that make it say why an answer ends, and count tokens."""

ECHO = "exclude_input_in_output"
"""The input of the vLLM backend that leaves the prompt out of an answer."""

CONTROL = "sampling_parameters"

READ, MADE, REASON = "num_input_tokens", "num_output_tokens", "finish_reason"


class Value(NamedTuple):
    """An input of a request: its data type in the protocol's words, its values, and its shape."""

    name: str
    datatype: str
    values: tuple[Any, ...]
    shape: tuple[int, ...]


class Way(NamedTuple):
    """How a model is asked.

    `text` is the input for the text, `answer` the output with the answer's text, "" if the model has none. `kind` is
    None for a model of no known kind. `fixed`: the values that every request has. `axes` are the axes of an input,
    without the batch. `decoupled`: any number of responses can come, and `streams`: those of a text.
    """

    model: str
    text: str
    answer: str
    kind: Kind | None = None
    fixed: Mapping[str, Any] = {}
    batch: bool = False
    axes: Mapping[str, int] = {}
    streams: bool = False
    decoupled: bool = False
    vector: str = ""

    @property
    def limits(self) -> bool:
        """Whether the model can be told how long an answer may be."""
        return CONTROL in self.fixed

    def items(self, prompt: Prompt) -> int:
        """Return how many texts are embedded, or documents ranked, 1 for others."""
        return max(1, len(prompt.documents)) if self.kind in {Kind.EMBEDS, Kind.RERANKS} else 1

    def values(self, prompt: Prompt) -> tuple[Value, ...]:
        """Return the inputs of a request; raise RefusedError if the model cannot be asked with this prompt."""
        if self.kind is Kind.EMBEDS:
            texts = prompt.documents or (prompt.text,)
            own = (1,) * self.axes.get(self.text, 1)
            if len(texts) > 1 and not self.batch:
                raise RefusedError("", f'the model "{self.model}" takes one text per request')
            return (Value(self.text, "BYTES", sendable(texts), (len(texts), *own) if self.batch else own),)
        given = [self._one(self.text, "BYTES", self._worded(prompt))]
        if self.kind is Kind.RERANKS:
            if not prompt.documents:
                raise RefusedError("", "a reranker needs documents to rank, but the prompt has only a text")
            count, row = len(prompt.documents), (1,) if self.batch else ()
            given.append(Value("passages", "BYTES", sendable(prompt.documents), (*row, count)))
            given.append(Value("ids", "BYTES", tuple(map(str, range(count))), (*row, count)))
        for name, value in self.fixed.items():
            kind = "BOOL" if isinstance(value, bool) else "BYTES"
            given.append(self._one(name, kind, self._limited(value, prompt) if name == CONTROL else value))
        return tuple(given)

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """Return the inputs as the generate extension takes them."""
        given = self.values(prompt)
        if self.kind is Kind.EMBEDS and len(given[0].values) > 1:
            raise RefusedError("", "the generate extension takes one text per request; gRPC takes several")
        return {each.name: each.values[0] if len(each.values) == 1 else list(each.values) for each in given}

    def _one(self, name: str, datatype: str, value: object) -> Value:
        row = (1,) if self.batch else ()
        return Value(name, datatype, (value,), (*row, *(1,) * self.axes.get(name, 1)))

    def _worded(self, prompt: Prompt) -> str:
        if self.text == "messages":
            return json.dumps([{"role": "user", "content": prompt.text}], ensure_ascii=False)
        return sendable((prompt.text,))[0]

    def _limited(self, value: Mapping[str, Any], prompt: Prompt) -> str:
        if prompt.answer_tokens is None:
            return json.dumps(value)
        least = {"min_tokens": prompt.answer_tokens} if "min_tokens" in value else {}
        return json.dumps({**value, "max_tokens": prompt.answer_tokens, **least})


def sendable(texts: Sequence[str]) -> tuple[str, ...]:
    """Return texts that UTF-8 can hold: JSON can escape half a character."""
    return tuple(text.encode("utf-8", "replace").decode() for text in texts)


def controls(sampling: Sampling) -> dict[str, Any]:
    """Return the parameters by vLLM's names (vllm/sampling_params.py)."""
    exact = {"ignore_eos": True, "min_tokens": sampling.max_tokens} if sampling.exact else {}
    return {"max_tokens": sampling.max_tokens, **exact, **sampling.other}


def way(url: str, model: str, config: Mapping[str, Any], sampling: Sampling, *, stream: bool) -> Way:
    """Return how a model with this config is asked; raise Stop if it takes no text, or not what the sampling says.

    `stream`: the answer is to come in pieces if the model can send them.
    """
    offer = of_json(model, config)
    if offer is None:
        asked = of_config(url, model, config)
        found = Way(model, asked.text, asked.answer, None, _told(config, {}, sampling, stream=stream))
    else:
        found = _known(offer, config, sampling, stream=stream)
    axes = {str(each["name"]): len(each.get("dims") or [1]) for each in tensors(config, "input")}
    policy = config.get("model_transaction_policy")
    decoupled = isinstance(policy, dict) and policy.get("decoupled") is True
    streams = stream and decoupled and bool(found.answer)
    made = found._replace(batch=batches(config), axes=axes, streams=streams, decoupled=decoupled)
    if made.answer and not made.limits and (sampling.exact or sampling.other):
        message = f'the model "{model}" has no input {CONTROL}, so that the length of its answers cannot be set'
        raise fatal("ask-inputs", url, message, "Leave out what sets it, or ask the generator itself.")
    return made


def _known(offer: Offer, config: Mapping[str, Any], sampling: Sampling, *, stream: bool) -> Way:
    if offer.kind is Kind.EMBEDS:
        needed = next(name for name, each in offer.inputs.items() if not each.optional)
        return Way(offer.name, needed, "", offer.kind, vector=vector(offer.outputs) or "")
    if offer.kind is Kind.RERANKS:
        return Way(offer.name, "query", "", offer.kind)
    if offer.kind is Kind.ANSWERS:
        text, answer = "query" if "query" in offer.inputs else "messages", "answer"
        fixed = _told(config, {}, sampling, stream=stream)
    else:
        text, answer = "text_input", "text_output"
        fixed = _told(config, {ECHO: True}, sampling, stream=stream)
    return Way(offer.name, text, answer, offer.kind, fixed)


def _told(config: Mapping[str, Any], more: Mapping[str, Any], sampling: Sampling, *, stream: bool) -> dict[str, Any]:
    """Return the values of the inputs that say how an answer is made, as far as the model has them."""
    kinds = {str(each["name"]): each.get("data_type") for each in tensors(config, "input")}
    flags = {STREAM: stream, **dict.fromkeys(COUNTED, True), **more}
    found: dict[str, Any] = {name: value for name, value in flags.items() if kinds.get(name) == "TYPE_BOOL"}
    if kinds.get(CONTROL) == "TYPE_STRING":
        found[CONTROL] = controls(sampling)
    return found
