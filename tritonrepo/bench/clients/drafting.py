"""The record of a request while its answer arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from tritonrepo.bench.load import Prompt
from tritonrepo.bench.record import Piece, Record, Source
from tritonrepo.server.calls import CallError
from tritonrepo.server.responding import WireError

Tokenizer = Callable[[str], int]

MOST_TOKENS = 1 << 32
"""From here on, a number of tokens is not believed."""

LATE, GRACE_S = "DEADLINE_EXCEEDED", 2.0
"""gRPC's status of a request that took too long, and how long after its deadline the status must be there."""

BROKEN_OFF = frozenset({"abort", "error"})
"""Reasons to finish of an answer that did not come to its end (vLLM, vllm/v1/engine/__init__.py)."""

SHOWN = 200
"""How much of the server's words a record keeps, in characters."""


class RefusedError(Exception):
    """The server refused a request, or failed while it answered: as what, and its words."""

    def __init__(self, status: str, words: str) -> None:
        super().__init__(words)
        self.status = status


class Draft:
    """What is known of a request so far; `keeps`: its text is kept, for who counts its tokens afterwards."""

    def __init__(self, *, streamed: bool, items: int = 1, keeps: bool = False) -> None:
        self.sent_s = time.perf_counter()
        self.ended_s: float | None = None
        self.items = items
        self.tokens: int | None = None
        self.prompt_tokens: int | None = None
        self.finish = ""
        self.unframed = False
        self._streamed, self._keeps = streamed, keeps
        self._pieces: list[Piece] = []
        self._said: list[str] = []
        self._pending: int | None = None
        self._empty = self._empty_before = 0

    @property
    def silent(self) -> bool:
        """Whether nothing has arrived that counts as an answer."""
        return not self._pieces

    def more(self, count: int | None) -> None:
        """Take a number of tokens that the answer has grown by; the next text is theirs."""
        if count is not None:
            self.tokens = (self.tokens or 0) + count
            self._pending = (self._pending or 0) + count

    def total(self, count: int | None) -> None:
        """Take the number of tokens that the answer has so far; the last one said counts."""
        if count is not None:
            grown = count - (self.tokens or 0)
            self.tokens = count
            self._pending = None if grown < 0 else (self._pending or 0) + grown

    def text(self, at_s: float, text: str) -> None:
        """Take a message, with its text or without."""
        if text:
            self._pieces.append(Piece(at_s, len(text), self._pending))
            self._pending = None
            if self._keeps:
                self._said.append(text)
            return
        self._empty += 1
        if not self._pieces:
            self._empty_before += 1

    def answer(self, at_s: float) -> None:
        """Take an answer that is not a text."""
        self._pieces.append(Piece(at_s, 0))

    def record(self, failed: RefusedError | None) -> Record:
        """Return the record; of a request that failed with why, and with what had arrived until then."""
        ended_s = time.perf_counter() if self.ended_s is None else self.ended_s
        return Record(
            number=0,
            sent_s=self.sent_s,
            ended_s=max(ended_s, self._pieces[-1].at_s if self._pieces else self.sent_s),
            pieces=tuple(self._pieces),
            empty_before=self._empty_before,
            empty=self._empty,
            prompt_tokens=self.prompt_tokens,
            answer_tokens=self.tokens,
            source=Source.NOBODY if self.tokens is None and self.prompt_tokens is None else Source.SERVER,
            items=self.items,
            error="" if failed is None else brief(str(failed)) or "it failed without words",
            status="" if failed is None else failed.status,
            finish=self.finish,
            streamed=self._streamed,
        )

    def said(self) -> str:
        """Return the text of the answer."""
        return "".join(self._said)


async def recorded(work: Awaitable[None], draft: Draft, timeout_s: float, *, over_http: bool) -> Record:
    """Return the record of a request once its work is done, whatever the server does; gRPC has its own deadline."""
    failed: RefusedError | None = None
    try:
        async with asyncio.timeout(timeout_s + GRACE_S * (not over_http)):
            await work
        if draft.finish in BROKEN_OFF:
            failed = RefusedError("", f"the server broke off the answer: its reason to finish is {draft.finish}")
    except TimeoutError:
        failed = RefusedError("", _late(timeout_s))
    except WireError as error:
        failed = RefusedError("", str(error))
    except CallError as error:
        words = _late(timeout_s) if error.status == LATE else f"{error.status}: {error.words}"
        failed = RefusedError(error.status, words)
    except RefusedError as error:
        failed = error
    return draft.record(failed)


async def counted(record: Record, draft: Draft, prompt: Prompt, tokenizer: Tokenizer | None) -> Record:
    """Return the record with the tokens that a tokenizer counts, if the server has counted none."""
    if tokenizer is None or not record.ok or record.answer_tokens is not None:
        return record
    said, asked = draft.said(), " ".join([prompt.text, *prompt.documents])
    tokens, read = await asyncio.to_thread(lambda: (tokenizer(said) if said else None, tokenizer(asked)))
    prompt_tokens = read if record.prompt_tokens is None else record.prompt_tokens
    return replace(record, answer_tokens=tokens, prompt_tokens=prompt_tokens, source=Source.TOKENIZER)


def _late(timeout_s: float) -> str:
    return f"the answer was not complete within {timeout_s:g} s"


def count(value: Any) -> int | None:  # noqa: ANN401  JSON
    """Return a number of tokens that a server says; None if it is not one."""
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


def brief(words: str) -> str:
    """Return words on one line, cut."""
    line = " ".join(words.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
