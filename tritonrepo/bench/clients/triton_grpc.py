"""A load on a model over Triton's gRPC protocol."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Self

from tritonrepo.bench.clients.drafting import Draft, RefusedError, Tokenizer, count, counted, recorded
from tritonrepo.bench.clients.triton import MADE, READ, REASON, Way, way
from tritonrepo.bench.ending import apart
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.bench.record import Record
from tritonrepo.bench.target import Target
from tritonrepo.diagnostics import Stop, closest, failure, fatal
from tritonrepo.server import glance
from tritonrepo.server.calls import CallError, Calls, Context
from tritonrepo.server.offering import Kind
from tritonrepo.server.rpc import Rpc
from tritonrepo.server.streaming import message
from tritonrepo.server.tensors import Request, of_values

STREAMS = 100
"""How many requests share a connection: servers and proxies should allow at least as many (RFC 9113, 6.5.2)."""

UNKNOWN = "NOT_FOUND"


class GrpcClient:
    """A client of one model; further requests than a connection may carry open another one."""

    def __init__(self, target: Target, sampling: Sampling, timeout_s: float, tokenizer: Tokenizer | None) -> None:
        self.target, self.sampling, self.timeout_s, self.tokenizer = target, sampling, timeout_s, tokenizer
        self._way = Way(target.model, "", "")
        self._lines: list[list[Any]] = []
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        endpoint = self.target.endpoint
        await apart(lambda: _reached(Rpc(endpoint)))
        try:
            async with self._free() as calls:
                config = await self._config(calls)
            self._way = way(f"grpc://{endpoint.grpc_address()}", self.target.model, config, self.sampling, stream=True)
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._lines)

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
        record = await recorded(self._ask(prompt, draft), draft, self.timeout_s, over_http=False)
        return await counted(record, draft, prompt, self.tokenizer if asked.answer else None)

    async def _ask(self, prompt: Prompt, draft: Draft) -> None:
        given = [of_values(each.name, each.datatype, each.values, each.shape) for each in self._way.values(prompt)]
        request = Request(self._way.model, "", tuple(given))
        about = Context(timeout_s=self.timeout_s)
        async with self._free() as calls:
            if self._way.answer or self._way.decoupled:
                made = message(request)
                draft.sent_s = time.perf_counter()
                await self._follow(calls, made, about, draft)
            else:
                made = message(request, streams=False)
                draft.sent_s = time.perf_counter()
                response = await calls.message(made, about)
                draft.ended_s = time.perf_counter()
                self._single(response, draft)

    async def _follow(self, calls: Calls, made: Any, about: Context, draft: Draft) -> None:  # noqa: ANN401  no types
        """Read the responses of a stream."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        answer = self._way.answer
        async with aclosing(calls.messages(made, about)) as responses:
            async for response in responses:
                draft.ended_s = at_s = time.perf_counter()
                if not response.outputs:  # only the final flag
                    continue
                if not answer:
                    self._single(response, draft)
                    continue
                found = glance.contents(response)
                draft.prompt_tokens = _first(count(glance.number(found, READ)), draft.prompt_tokens)
                draft.more(count(glance.number(found, MADE)))
                reason = glance.text(found, REASON).decode("utf-8", "replace")
                draft.finish = reason if reason not in {"", "None"} else draft.finish
                draft.text(at_s, decoder.decode(glance.text(found, answer)))
        if draft.silent:
            raise RefusedError("", "the answer has no text" if answer else "the response has no outputs")

    def _single(self, response: Any, draft: Draft) -> None:  # noqa: ANN401  no types
        """Read a response of a model that does not answer with a text."""
        found = glance.contents(response)
        if not found:
            raise RefusedError("", "the response has no outputs")
        if self._way.kind is Kind.EMBEDS:
            rows = found[self._way.vector][0].shape if self._way.vector in found else ()
            if not rows or (self._way.batch and rows[0] != draft.items):
                raise RefusedError("", f"the response does not have one vector for each of {draft.items} texts")
        if self._way.kind is Kind.RERANKS and not found.get("scores", (None, b""))[1]:
            raise RefusedError("", f"the response has no scores for {draft.items} documents")
        draft.prompt_tokens = count(glance.number(found, READ))
        draft.answer(draft.ended_s or draft.sent_s)

    @asynccontextmanager
    async def _free(self) -> AsyncIterator[Calls]:
        """Yield a connection that can carry another request."""
        line = next((line for line in self._lines if line[1] < STREAMS), None)
        if line is None:
            calls = await self._open.enter_async_context(Calls(self.target.endpoint, own=True))
            line = [calls, 0]
            self._lines.append(line)
            line[1] += 1
            await calls.ready()  # connecting is not part of a request
        else:
            line[1] += 1
        try:
            yield line[0]
        finally:
            line[1] -= 1

    async def _config(self, calls: Calls) -> dict[str, Any]:
        model, at = self.target.model, f"grpc://{calls.address}"
        try:
            return await calls.config_json(model)
        except CallError as error:
            raise await _unserved(calls, model, at, error) from None


async def _unserved(calls: Calls, model: str, at: str, error: CallError) -> Stop:
    """Return the Stop for a model whose config the server does not give."""
    try:
        states = await calls.index()
    except CallError:
        return failure("server-refused", at, f"{error.status}: {error.words}")
    own = [state for state in states if state.name == model]
    if own:
        reason = next((state.reason for state in own if state.reason), error.words)
        message = f'the server does not serve the model "{model}": {reason}'
        return failure("ask-model", at, message, "Fix what the server says, and load the model again.")
    names = sorted({state.name for state in states})
    hint = closest(model, names) if names else "The server has no models."
    return fatal("ask-model", at, f'the server does not have the model "{model}"', hint)


def _reached(rpc: Rpc) -> None:
    """Raise Stop unless a server responds; where gRPC is, the target says, and no option."""
    try:
        with rpc:
            rpc.check()
    except Stop as stop:
        raise Stop(replace(each, hint=_in_target(each.hint)) for each in stop.diagnostics) from None


def _in_target(hint: str) -> str:
    """Return a hint whose sentences on `--grpc` are about the target."""
    said = re.split(r"(?<=[.]) (?=[A-Z])", hint)
    if not any("--grpc" in each for each in said):
        return hint
    scheme = "grpcs" if "grpcs://" in hint else "grpc"
    use = f"Use gRPC's port in the target, by default 8001: `{scheme}://HOST:8001/MODEL`."
    return " ".join([*(each for each in said if "--grpc" not in each), use])


def _first(value: int | None, default: int | None) -> int | None:
    return default if value is None else value
