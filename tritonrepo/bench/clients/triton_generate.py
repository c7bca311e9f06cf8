"""A load on a model over Triton's generate extension.

Source: Triton's docs/protocol/extension_generate.md; an error after the first response comes as an event with `error`
under status 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Self

from tritonrepo.bench.clients.drafting import Draft, RefusedError, Tokenizer, count, counted, recorded
from tritonrepo.bench.clients.http import OK, Asking, worded
from tritonrepo.bench.clients.triton import MADE, READ, REASON, Way, way
from tritonrepo.bench.ending import apart
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.bench.record import Record
from tritonrepo.bench.target import Target
from tritonrepo.server.client import Client
from tritonrepo.server.offering import Kind
from tritonrepo.server.questions import served

STREAM = "/generate_stream"
"""How the path of a stream ends."""

UNFRAMED = "the end of the stream cannot be told from a cut, since only the end of the connection marks it"


class GenerateClient(Asking):
    """A client of one model."""

    def __init__(self, target: Target, sampling: Sampling, timeout_s: float, tokenizer: Tokenizer | None) -> None:
        super().__init__(target)
        self.sampling, self.timeout_s, self.tokenizer = sampling, timeout_s, tokenizer
        self._stream = target.path.endswith(STREAM)
        self._way = Way(target.model, "", "")

    async def __aenter__(self) -> Self:
        client = Client(self.target.endpoint)
        config = await apart(lambda: served(client, self.target.model))
        self._way = way(client.url, self.target.model, config, self.sampling, stream=self._stream)
        return await super().__aenter__()

    @property
    def limits(self) -> bool:
        """See asking.Client."""
        return self._way.limits

    async def ask(self, prompt: Prompt) -> Record:
        """Return the record of one request; see asking.Client."""
        asked = self._way
        draft = Draft(
            streamed=asked.streams, items=asked.items(prompt), keeps=bool(asked.answer and self.tokenizer is not None)
        )
        record = await recorded(self._ask(prompt, draft), draft, self.timeout_s, over_http=True)
        return await counted(record, draft, prompt, self.tokenizer if asked.answer else None)

    async def _ask(self, prompt: Prompt, draft: Draft) -> None:
        body = self._way.body(prompt)
        if not self._stream:
            at_s, found = await self.whole(body, draft)
            self._take(at_s, found, draft)
        else:
            async with aclosing(self.events(body, draft)) as events:
                async for at_s, data in events:
                    self._take(at_s, self.parsed(data), draft)
            if draft.unframed:
                raise RefusedError("", UNFRAMED)
        if draft.silent:
            raise RefusedError("", "the answer has no text" if self._way.answer else "the response has no outputs")

    def _take(self, at_s: float, found: Mapping[str, Any], draft: Draft) -> None:
        """Take one response."""
        if "error" in found:
            raise RefusedError(str(OK), worded(found["error"], self.target.endpoint))
        read = _sum(found.get(READ))
        draft.prompt_tokens = draft.prompt_tokens if read is None else read
        if not self._way.answer:
            self._fits(found, draft)
            draft.answer(at_s)
            return
        draft.more(_sum(found.get(MADE)))
        reason = _text(found.get(REASON))
        draft.finish = reason if reason not in {"", "None"} else draft.finish
        draft.text(at_s, _text(found.get(self._way.answer)))

    def _fits(self, found: Mapping[str, Any], draft: Draft) -> None:
        """Raise RefusedError unless a response is that of an embedder or a reranker, if the model is one."""
        if self._way.kind is Kind.EMBEDS and not found.get(self._way.vector):
            raise RefusedError("", f"the response does not have one vector for each of {draft.items} texts")
        if self._way.kind is Kind.RERANKS and found.get("scores") in (None, []):
            raise RefusedError("", f"the response has no scores for {draft.items} documents")


def _sum(value: object) -> int | None:
    """Return a number of tokens, which is a list of them for several texts."""
    numbers = [count(each) for each in (value if isinstance(value, list) else [value])]
    known = [each for each in numbers if each is not None]
    return sum(known) if known and len(known) == len(numbers) else None


def _text(value: object) -> str:
    """Return the text of an output, whose values are one text after another."""
    values = value if isinstance(value, list) else [value]
    return "".join(each for each in values if isinstance(each, str))
