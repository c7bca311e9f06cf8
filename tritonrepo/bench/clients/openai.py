"""A load on any endpoint with OpenAI's API: chat, completions, embeddings, and rerank as Cohere's, Jina's and vLLM's.

Sources: https://platform.openai.com/docs/api-reference (chat streaming, completions, embeddings), whose last event is
[DONE]; vLLM, vllm/entrypoints/openai/protocol.py, StreamOptions: `continuous_usage_stats` says with each piece how
many tokens the answer has so far; `reasoning_content`, in newer versions `reasoning`, is what a model says before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from tritonrepo.bench.clients.drafting import Draft, RefusedError, Tokenizer, count, counted, recorded
from tritonrepo.bench.clients.http import OK, Asking, worded
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.bench.record import Record
from tritonrepo.bench.target import Protocol, Target

DONE = b"[DONE]"

FORMS: tuple[Mapping[str, Any], ...] = (
    {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    {"stream_options": {"include_usage": True}},
    {},
)
"""What asks for counts of tokens, from the most telling to what every server accepts."""

UNKNOWN = frozenset({"400", "422"})
"""Statuses with which servers refuse a field that they do not know."""

LIMITS = ("max_tokens", "max_completion_tokens")
"""The field for the length of an answer, and its newer name, which OpenAI's reasoning models ask for."""

TEXTS = frozenset({Protocol.CHAT, Protocol.COMPLETIONS})


class OpenAIClient(Asking):
    """A client of one model."""

    def __init__(self, target: Target, sampling: Sampling, timeout_s: float, tokenizer: Tokenizer | None) -> None:
        super().__init__(target)
        self.sampling, self.timeout_s = sampling, timeout_s
        self.tokenizer = tokenizer if target.protocol in TEXTS else None
        self._form, self._proven = 0, False
        self._limit = LIMITS[0]

    @property
    def limits(self) -> bool:
        """See asking.Client."""
        return self.target.protocol in TEXTS

    async def ask(self, prompt: Prompt) -> Record:
        """Return the record of one request; see asking.Client."""
        texts = self.target.protocol in TEXTS
        items = 1 if texts else max(1, len(prompt.documents))
        draft = Draft(streamed=texts, items=items, keeps=self.tokenizer is not None)
        work = self._texts(prompt, draft) if texts else self._values(prompt, draft)
        record = await recorded(work, draft, self.timeout_s, over_http=True)
        return await counted(record, draft, prompt, self.tokenizer)

    async def _texts(self, prompt: Prompt, draft: Draft) -> None:
        """Ask for a text; a server that refuses to count tokens is asked without, which it need be told once."""
        form = self._form
        while True:
            try:
                await self._stream({**self._body(prompt), **FORMS[form]}, draft)
            except RefusedError as error:
                if self._limit == LIMITS[0] and LIMITS[1] in str(error) and error.status in UNKNOWN:
                    self._limit = LIMITS[1]
                    continue
                told = self._proven and form >= self._form
                if told or error.status not in UNKNOWN or form + 1 == len(FORMS):
                    raise
                form = max(form + 1, self._form)
            else:
                self._form, self._proven = form, True
                return

    async def _stream(self, body: Mapping[str, Any], draft: Draft) -> None:
        done = False
        async with aclosing(self.events(body, draft)) as events:
            async for at_s, data in events:
                if data.strip() == DONE:
                    done = True
                elif not done:
                    self._take(at_s, self.parsed(data), draft)
        if not done:
            raise RefusedError("", "the stream ended before [DONE]")
        if draft.silent:
            raise RefusedError("", "the answer has no text")

    def _take(self, at_s: float, found: Mapping[str, Any], draft: Draft) -> None:
        """Take one event."""
        if found.get("error"):
            raise RefusedError(str(OK), worded(found["error"], self.target.endpoint))
        choices = found.get("choices")
        usage = found.get("usage")
        if isinstance(usage, dict):
            draft.total(count(usage.get("completion_tokens")))
            read = count(usage.get("prompt_tokens"))
            draft.prompt_tokens = draft.prompt_tokens if read is None else read
        if not isinstance(choices, list):
            if not isinstance(usage, dict):
                raise RefusedError(str(OK), "an event of the stream is no part of an answer: it has no choices")
            return
        if choices:
            draft.text(at_s, "".join(_said(choice, draft) for choice in choices))

    async def _values(self, prompt: Prompt, draft: Draft) -> None:
        """Ask for vectors, or for the order of documents."""
        at_s, found = await self.whole(self._body(prompt), draft)
        name = "data" if self.target.protocol is Protocol.EMBEDDINGS else "results"
        listed = found.get(name)
        if not isinstance(listed, list) or not listed or len(listed) > draft.items:
            raise RefusedError(str(OK), f"the response does not have one of `{name}` for each of {draft.items} texts")
        if name == "data" and len(listed) != draft.items:
            raise RefusedError(str(OK), f"the response has {len(listed)} vectors for {draft.items} texts")
        usage = found.get("usage")
        if isinstance(usage, dict):
            draft.prompt_tokens = count(usage.get("prompt_tokens", usage.get("total_tokens")))
        draft.answer(at_s)

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        protocol, model = self.target.protocol, {"model": self.target.model}
        if protocol is Protocol.EMBEDDINGS:
            return {**model, "input": [*(prompt.documents or (prompt.text,))], **self.sampling.other}
        if protocol is Protocol.RERANK:
            if not prompt.documents:
                raise RefusedError("", "a reranker needs documents to rank, but the prompt has only a text")
            return {**model, "query": prompt.text, "documents": [*prompt.documents], **self.sampling.other}
        tokens = self.sampling.max_tokens if prompt.answer_tokens is None else prompt.answer_tokens
        given: dict[str, Any] = {"prompt": prompt.text}
        if protocol is Protocol.CHAT:
            given = {"messages": [{"role": "user", "content": prompt.text}]}
        exact = {"ignore_eos": True, "min_tokens": tokens} if self.sampling.exact else {}
        return {**model, **given, self._limit: tokens, "stream": True, **exact, **self.sampling.other}


def _said(choice: object, draft: Draft) -> str:
    """Return the text of a choice: what a model says to itself is part of it, and is there once."""
    if not isinstance(choice, dict):
        return ""
    if isinstance(reason := choice.get("finish_reason"), str):
        draft.finish = reason
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        text = choice.get("text")
        return text if isinstance(text, str) else ""
    content = delta.get("content")
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    return "".join(each for each in (thought, content) if isinstance(each, str))
