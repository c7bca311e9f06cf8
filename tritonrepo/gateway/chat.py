"""/v1/chat/completions and /v1/completions: an answer as a stream of chunks, or whole.

Source of the forms: https://platform.openai.com/docs/api-reference/chat and /completions, and the official client's
types/chat/chat_completion_chunk.py; of `citations`: NVIDIA's RAG Blueprint.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from tritonrepo.gateway.answering import Piece, Usage, chatting, pieces, prompting
from tritonrepo.gateway.citing import Source, annotated, citations
from tritonrepo.gateway.fields import CONTROLS, Fields, sendable
from tritonrepo.gateway.gate import Gate
from tritonrepo.gateway.problem import wrong
from tritonrepo.gateway.talking import conversation
from tritonrepo.gateway.telling import Asked, Out

CHAT = frozenset({"model", "messages", "stream", "stream_options", *CONTROLS})
COMPLETION = frozenset({"model", "prompt", "stream", "stream_options", *CONTROLS})

OPTIONS = frozenset({"include_usage", "include_obfuscation"})
"""What `stream_options` may have; padding against eavesdroppers is not added, which is allowed."""

Body = dict[str, Any]


class Form(NamedTuple):
    """How an answer is written: the names that differ between the two routes."""

    id: str
    whole: str
    chunk: str
    chat: bool


CHATS = Form("chatcmpl-", "chat.completion", "chat.completion.chunk", chat=True)
COMPLETES = Form("cmpl-", "text_completion", "text_completion", chat=False)


async def chat(gate: Gate, asked: Asked, out: Out) -> None:
    """Answer a conversation."""
    fields = Fields(asked.body, CHAT)
    turns = conversation(fields.values.get("messages"))
    sampling, usage = fields.sampling(gate.options.max_tokens), _wants_usage(fields)
    offer = await gate.offers.get(fields.text("model"), "chat")
    asked.model = offer.name
    about = asked.context(gate.options.timeout_s)
    request = await chatting(gate, offer, turns, sampling, about)
    async with aclosing(pieces(gate, offer, request, about)) as answer:
        await _Answer(gate, asked, CHATS, answer).send(out, streams=fields.flag("stream"), usage=usage)


async def complete(gate: Gate, asked: Asked, out: Out) -> None:
    """Continue a text."""
    fields = Fields(asked.body, COMPLETION)
    prompt = _prompt(fields)
    sampling, usage = fields.sampling(gate.options.max_tokens), _wants_usage(fields)
    offer = await gate.offers.get(fields.text("model"), "completions")
    asked.model = offer.name
    about = asked.context(gate.options.timeout_s)
    async with aclosing(pieces(gate, offer, prompting(offer, prompt, sampling), about)) as answer:
        await _Answer(gate, asked, COMPLETES, answer).send(out, streams=fields.flag("stream"), usage=usage)


def _prompt(fields: Fields) -> str:
    prompt = fields.values.get("prompt")
    listed = prompt if isinstance(prompt, list) else [prompt]
    if len(listed) != 1 or not isinstance(listed[0], str) or not listed[0]:
        raise wrong("`prompt` must be one string that is not empty; lists of tokens are not supported", "prompt")
    return sendable(listed[0])


def _wants_usage(fields: Fields) -> bool:
    if "stream_options" not in fields.values:
        return False
    if not fields.flag("stream"):
        raise wrong("`stream_options` needs `stream`", "stream_options")
    options = Fields(fields.of("stream_options", dict, "an object"), OPTIONS)
    return options.flag("include_usage")


class _Answer:
    """An answer that is being sent."""

    def __init__(self, gate: Gate, asked: Asked, form: Form, answer: AsyncGenerator[Piece]) -> None:
        self.gate, self.asked, self.form, self.answer = gate, asked, form, answer
        self.head = {"id": f"{form.id}{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
        self.usage, self.length = Usage(), 0
        self.found: list[Source] | None = None

    async def send(self, out: Out, *, streams: bool, usage: bool) -> None:
        """Send all of it."""
        if streams:
            await self._chunks(out, usage=usage)
        else:
            await out.json(await self._whole())
        for kind, count in (("prompt", self.usage.prompt), ("completion", self.usage.completion)):
            if count is not None:
                self.gate.counts.token(self.asked.model, kind, count)

    async def _texts(self) -> AsyncGenerator[str]:
        """Yield the texts that are not empty; the sources are known before the first of them."""
        async for piece in self.answer:
            self.usage.add(piece)
            self.found = piece.sources if piece.sources is not None else self.found
            if piece.text:
                if not self.length:
                    self.gate.counts.first.add(time.monotonic() - self.asked.began_s, model=self.asked.model)
                self.length += len(piece.text)
                yield piece.text

    async def _whole(self) -> Body:
        text = "".join([each async for each in self._texts()])
        choice: Body = {"index": 0, "finish_reason": self.usage.reason, "logprobs": None}
        if self.form.chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None, **self._annotated()}
        else:
            choice["text"] = text
        body = {**self.head, "object": self.form.whole, "choices": [choice], "usage": self.usage.body()}
        return body | self._cited()

    async def _chunks(self, out: Out, *, usage: bool) -> None:
        """Send chunks; the first one waits for the first text, so that an error before it has its true status."""
        more: Body = {"usage": None} if usage else {}
        began = False
        async with aclosing(self._texts()) as texts:
            async for text in texts:
                if not began:
                    await self._begin(out, more)
                    began = True
                await out.event(self._chunk({"content": text}, None) | more)
        if not began:
            await self._begin(out, more)
        await out.event(self._chunk(self._annotated(), self.usage.reason) | more)
        if usage:
            last = {**self.head, "object": self.form.chunk, "choices": [], "usage": self.usage.body()}
            await out.event(last)
        await out.done()

    async def _begin(self, out: Out, more: Body) -> None:
        """Send the chunk that names the role, with the citations."""
        if self.form.chat:
            await out.event(self._chunk({"role": "assistant", "content": ""}, None) | self._cited() | more)

    def _chunk(self, delta: Body, reason: str | None) -> Body:
        told: Body = {"delta": delta} if self.form.chat else {"text": delta.get("content", "")}
        choice = {"index": 0, **told, "finish_reason": reason, "logprobs": None}
        return {**self.head, "object": self.form.chunk, "choices": [choice]}

    def _cited(self) -> Body:
        return {} if self.found is None else {"citations": citations(self.found)}

    def _annotated(self) -> Body:
        return {} if self.found is None else {"annotations": annotated(self.found, self.length)}
