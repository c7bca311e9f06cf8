"""How a model is asked for an answer, and the pieces of it as they arrive: texts, sources, counts of tokens."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from tritonrepo.gateway.citing import Source, sources
from tritonrepo.gateway.gate import Gate
from tritonrepo.gateway.problem import wrong
from tritonrepo.gateway.talking import Turn
from tritonrepo.server.calls import Context
from tritonrepo.server.offering import Kind, Offer
from tritonrepo.server.tensors import Request, Tensor, of_values

COUNTED = ("return_finish_reason", "return_num_input_tokens", "return_num_output_tokens")
"""Inputs of the vLLM backend since 24.12 that make it say why an answer ends, and count tokens."""

REASONS = frozenset({"stop", "length", "content_filter"})


class Piece(NamedTuple):
    """What one response adds to an answer."""

    text: str = ""
    sources: list[Source] | None = None
    reason: str = ""
    prompt_tokens: int | None = None
    tokens: int | None = None


class Usage:
    """The tokens of an answer, as far as the model counts them."""

    def __init__(self) -> None:
        self.prompt: int | None = None
        self.completion: int | None = None
        self.reason = "stop"

    def add(self, piece: Piece) -> None:
        """Add what one response says: the prompt as a whole, and the tokens since the response before."""
        self.prompt = piece.prompt_tokens if piece.prompt_tokens is not None else self.prompt
        if piece.tokens is not None:
            self.completion = (self.completion or 0) + piece.tokens
        self.reason = piece.reason or self.reason

    def body(self) -> dict[str, int] | None:
        """Return it in OpenAI's form; None unless both counts are known."""
        if self.prompt is None or self.completion is None:
            return None
        total = self.prompt + self.completion
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": total}


def text(offer: Offer, name: str, value: str) -> Tensor:
    """Return an input with one text."""
    return of_values(name, "BYTES", [value], offer.shape(name))


def flag(offer: Offer, name: str) -> Tensor:
    """Return an input that is switched on."""
    return of_values(name, "BOOL", [True], offer.shape(name))


async def chatting(gate: Gate, offer: Offer, turns: list[Turn], sampling: dict[str, Any], about: Context) -> Request:
    """Return the request for the answer to a conversation."""
    if "messages" in offer.inputs:
        given = [text(offer, "messages", json.dumps(turns, ensure_ascii=False))]
        return Request(offer.name, "", (*given, *controls(offer, sampling)))
    if offer.kind is Kind.ANSWERS:
        return Request(offer.name, "", (text(offer, "query", turns[-1]["content"]), *controls(offer, sampling)))
    prompt, chosen = await _rendered(gate, offer, turns, sampling, about)
    return prompting(offer, prompt, chosen)


def prompting(offer: Offer, prompt: str, sampling: dict[str, Any]) -> Request:
    """Return the request for the text that follows a prompt."""
    return Request(offer.name, "", (text(offer, "text_input", prompt), *controls(offer, sampling)))


def controls(offer: Offer, sampling: dict[str, Any]) -> list[Tensor]:
    """Return the inputs that say how an answer is made."""
    if sampling and "sampling_parameters" not in offer.inputs:
        name = next(iter(sampling))
        raise wrong(f"the model `{offer.name}` takes no sampling parameters; remove `{name}`", name)
    found = [flag(offer, name) for name in ("stream", *COUNTED) if name in offer.inputs]
    return [*found, text(offer, "sampling_parameters", json.dumps(sampling))] if sampling else found


async def _rendered(
    gate: Gate, offer: Offer, turns: list[Turn], sampling: dict[str, Any], about: Context
) -> tuple[str, dict[str, Any]]:
    """Return the prompt that a generator's own step makes of a conversation, and its sampling parameters."""
    given = [of_values("messages", "BYTES", [json.dumps(turns, ensure_ascii=False)], [1])]
    given.append(of_values("passages", "BYTES", [], [0]))
    if sampling:
        given.append(of_values("sampling_parameters", "BYTES", [json.dumps(sampling)], [1]))
    made = await gate.calls.infer(Request(offer.prompt, "", (*given,)), about)
    told = json.loads(first(made["sampling_parameters"])) if "sampling_parameters" in made else sampling
    return first(made["prompt"]), told


def first(tensor: Tensor) -> str:
    """Return the first text of an output."""
    values = tensor.values.ravel()
    return bytes(values[0]).decode("utf-8", "replace") if values.size else ""


async def pieces(gate: Gate, offer: Offer, request: Request, about: Context) -> AsyncGenerator[Piece]:
    """Yield the answer as it arrives; closing it ends the request in Triton."""
    named = "answer" if offer.kind is Kind.ANSWERS else "text_output"
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    async with aclosing(gate.calls.stream(request, about)) as responses:
        async for outputs in responses:
            raw = b"".join(map(bytes, outputs[named].values.ravel())) if named in outputs else b""
            told = sources(first(outputs["sources"])) if "sources" in outputs else None
            reason = first(outputs["finish_reason"]) if "finish_reason" in outputs else ""
            counts = (count(outputs, name) for name in ("num_input_tokens", "num_output_tokens"))
            yield Piece(decoder.decode(raw), told, reason if reason in REASONS else "", *counts)
    if rest := decoder.decode(b"", final=True):
        yield Piece(rest)


def count(outputs: dict[str, Tensor], name: str) -> int | None:
    """Return a number of tokens that a response says, None if it says none."""
    return int(outputs[name].values.sum()) if name in outputs else None


def read(gate: Gate, model: str, counts: Sequence[int | None]) -> dict[str, int] | None:
    """Count the tokens that a model has read and return them in OpenAI's form; None unless all are known."""
    known = [each for each in counts if each is not None]
    if len(known) != len(counts) or not known:
        return None
    gate.counts.token(model, "prompt", sum(known))
    return {"prompt_tokens": sum(known), "total_tokens": sum(known)}
