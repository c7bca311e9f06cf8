"""The clients of a load: what they send, what they note of what arrives, and what counts as an answer."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.openai_endpoint import (
    DONE,
    HEAD,
    HTML,
    LAST,
    Act,
    Asked,
    Script,
    chunk,
    delta,
    endpoint,
    event,
    refusal,
    reply,
    stream,
    words,
)
from tests.tabled import tabled
from tests.timed_endpoint import Schedule, notes, timed
from tritonrepo.bench.clients import client
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.bench.record import Record, Source
from tritonrepo.bench.target import Protocol, Target
from tritonrepo.server import endpoint as server
from tritonrepo.server import exchanging

PATHS = {
    Protocol.CHAT: "/v1/chat/completions",
    Protocol.COMPLETIONS: "/v1/completions",
    Protocol.EMBEDDINGS: "/v1/embeddings",
    Protocol.RERANK: "/v1/rerank",
}
HELLO = Prompt("say hello to all")


def target(url: str, protocol: Protocol = Protocol.CHAT, **more: Any) -> Target:  # noqa: ANN401  Endpoint's fields
    base = url.removesuffix("/v1")
    return Target(url, protocol, server.Endpoint(base, **more), "tiny", PATHS[protocol])


def asked(
    where: Target,
    *prompts: Prompt,
    sampling: Sampling = Sampling(32),  # noqa: B008  a value
    timeout_s: float = 20,
    tokenizer: Callable[[str], int] | None = None,
) -> list[Record]:
    """Return the records of prompts, one after another on one client."""

    async def all_of_them() -> list[Record]:
        async with client(where, sampling, timeout_s, tokenizer) as opened:
            return [await opened.ask(prompt) for prompt in prompts]

    return asyncio.run(all_of_them())


def ask(where: Target, prompt: Prompt = HELLO, **more: Any) -> Record:  # noqa: ANN401  those of `asked`
    (record,) = asked(where, prompt, **more)
    return record


def texts(record: Record) -> list[int]:
    return [piece.characters for piece in record.pieces]


@pytest.fixture(scope="module")
def timed_url() -> Iterator[str]:
    with timed() as url:
        yield url


def of(url: str, wanted: Schedule, **more: Any) -> tuple[Record, list[float]]:  # noqa: ANN401  those of `asked`
    """Return the record of a request with a schedule, and when its endpoint sent the pieces."""
    record = ask(target(url), Prompt(wanted.text()), **more)
    return record, notes(url)[1][wanted.id]


def test_a_stream_is_noted_piece_by_piece_and_not_before_it_was_sent(timed_url: str) -> None:
    record, sent_s = of(timed_url, Schedule(1, pieces=5, first_s=0.02, gap_s=0.01))
    read_s = notes(timed_url)[0][1]
    assert (record.error, record.status, record.finish, record.streamed) == ("", "", "length", True)
    assert [(p.characters, p.tokens) for p in record.pieces] == [(5, 1)] * 5
    assert (record.prompt_tokens, record.answer_tokens, record.source) == (3, 5, Source.SERVER)
    assert (record.empty_before, record.empty) == (1, 2)
    assert record.sent_s < read_s < sent_s[0] <= record.pieces[0].at_s
    assert all(piece.at_s >= at_s for piece, at_s in zip(record.pieces, sent_s, strict=True))
    assert record.pieces[-1].at_s <= record.ended_s
    assert record.latency_s == record.pieces[-1].at_s - record.sent_s


def test_connecting_is_before_the_time_of_a_request(timed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two requests at once needs a connection of its own, which takes a while here."""
    take, ready = exchanging.Wires.take, list[float]()

    async def slow(wires: exchanging.Wires) -> exchanging.Wire:
        await asyncio.sleep(0.05)
        wire = await take(wires)
        ready.append(time.perf_counter())
        return wire

    async def at_once() -> list[Record]:
        async with client(target(timed_url), Sampling(32), 20) as opened:
            prompts = [Prompt(Schedule(number, pieces=2).text()) for number in (61, 62)]
            return await asyncio.gather(*map(opened.ask, prompts))

    monkeypatch.setattr(exchanging.Wires, "take", slow)
    found = asyncio.run(at_once())
    assert [record.error for record in found] == ["", ""]
    assert ready[1] <= min(record.sent_s for record in found)


@pytest.mark.parametrize(
    ("wanted", "tokens"),
    [
        (Schedule(11, pieces=3, bundle=(3, 1)), [3, 1, 1]),
        (Schedule(12, pieces=3, bundle=(1, 4, 2)), [1, 4, 2]),
        (Schedule(13, pieces=1, bundle=(7,), empty=False), [7]),
        (Schedule(14, pieces=3, bundle=(3, 1), usage="end"), [None, None, None]),
    ],
    ids=["first", "later", "only", "at the end"],
)
def test_a_piece_can_hold_several_tokens(timed_url: str, wanted: Schedule, tokens: list[int | None]) -> None:
    record, sent_s = of(timed_url, wanted)
    assert ([piece.tokens for piece in record.pieces], len(sent_s)) == (tokens, len(tokens))
    assert (record.answer_tokens, record.source) == (wanted.total, Source.SERVER)


@pytest.mark.parametrize(
    ("wanted", "pieces", "why"),
    [
        (Schedule(21, end="error"), 4, "it failed"),
        (Schedule(22, end="cut"), 4, "the connection closed before the end of the response"),
        (Schedule(23, pieces=0, end="done"), 0, "the answer has no text"),
        (Schedule(24, pieces=0, end="error", empty=False), 0, "it failed"),
    ],
    ids=["error", "cut", "nothing", "error at once"],
)
def test_what_is_not_a_whole_answer_is_an_error(timed_url: str, wanted: Schedule, pieces: int, why: str) -> None:
    record, _ = of(timed_url, wanted)
    assert (record.ok, record.error, len(record.pieces)) == (False, why, pieces)


def test_a_stall_ends_with_the_time_of_the_request(timed_url: str) -> None:
    record, _ = of(timed_url, Schedule(31, pieces=2, end="stall"), timeout_s=0.5)
    assert (record.error, len(record.pieces)) == ("the answer was not complete within 0.5 s", 2)


def test_who_counts_tokens_is_the_server_then_the_tokenizer_then_nobody(timed_url: str) -> None:
    silent = Schedule(41, pieces=3, usage="never")
    by_nobody, _ = of(timed_url, silent)
    assert (by_nobody.answer_tokens, by_nobody.prompt_tokens, by_nobody.source) == (None, None, Source.NOBODY)
    by_tokenizer, _ = of(timed_url, silent, tokenizer=len)
    assert (by_tokenizer.answer_tokens, by_tokenizer.source) == (15, Source.TOKENIZER)
    assert by_tokenizer.prompt_tokens == len(silent.text())
    by_server, _ = of(timed_url, Schedule(42, pieces=3, usage="end"), tokenizer=len)
    assert (by_server.answer_tokens, by_server.source) == (3, Source.SERVER)


def test_many_streams_at_once_are_kept_apart(timed_url: str) -> None:
    wanted = [Schedule(100 + n, pieces=3 + n % 4, gap_s=0.002, bundle=(1 + n % 3, 1)) for n in range(48)]

    async def together() -> Sequence[Record]:
        async with client(target(timed_url), Sampling(), 60) as opened:
            first = await asyncio.gather(*(opened.ask(Prompt(each.text())) for each in wanted))
            again = await asyncio.gather(*(opened.ask(Prompt(each.text())) for each in wanted))
            assert opened.connections == 48  # type: ignore[attr-defined]
            return [*first, *again]

    for record, each in zip(asyncio.run(together()), wanted * 2, strict=True):
        assert not record.error
        assert [piece.tokens for piece in record.pieces] == [*map(each.tokens, range(each.pieces))]


HTTPTOOLS = re.compile(r"(?<=is not HTTP/1\.1: ).+|(?<=is not chunked as it says: ).+")
"""Its own words."""

NOT_HTTP, NOT_CHUNKED = "the response is not HTTP/1.1: …", "the response is not chunked as it says: …"
CLOSED = "the server closed the connection without a response"
HALF = [HEAD, event(delta(content="so")), event(delta(content=" far"))]
PIECES: dict[str, tuple[Script, str, str, int]] = {
    "an error without a status of its own": (
        stream(*words("a b"), end=(event({"error": {"message": "out of memory"}}), event(DONE), LAST)),
        "out of memory",
        "200",
        2,
    ),
    "an error as a text": (stream(end=(event({"error": "no"}), LAST)), "no", "200", 0),
    "an event of the type error": (
        [*HALF, chunk(b'event: error\ndata: {"message": "late"}\n\n'), LAST],
        'failed while it answered: {"message": "late"}',
        "200",
        2,
    ),
    "no [DONE]": ([*HALF, LAST], "the stream ended before [DONE]", "", 2),
    "a close in a chunk": (
        [*HALF, b"ff\r\ndata: {", Act.CLOSE],
        "the connection closed before the end of the response",
        "",
        2,
    ),
    "a close in the headers": ([b"HTTP/1.1 200 OK\r\nA: b", Act.CLOSE], CLOSED, "", 0),
    "a close at once": ([Act.CLOSE], CLOSED, "", 0),
    "what is not JSON": (
        [*HALF, event("{broken"), event(DONE), LAST],
        "the response is not JSON: {broken",
        "200",
        2,
    ),
    "a list": (
        stream(
            event([1]),
        ),
        "the response is not a JSON object: [1]",
        "200",
        0,
    ),
    "no choices": (
        stream(event({"object": "chat.completion"})),
        "an event of the stream is no part of an answer: it has no choices",
        "200",
        0,
    ),
    "an aborted answer": (
        stream(*words("a b"), end=(event(delta("abort")), event(DONE), LAST)),
        "the server broke off the answer: its reason to finish is abort",
        "",
        2,
    ),
    "HTML": (
        [reply(b"<h1>Hi</h1>", 200, HTML)],
        'the response is not a stream of events: its type is "text/html"',
        "200",
        0,
    ),
    "a whole answer": (
        [reply(b'{"choices": []}')],
        'the response is not a stream of events: its type is "application/json"',
        "200",
        0,
    ),
    "an error as JSON": ([reply(b'{"error": {"message": "busy"}}')], "busy", "200", 0),
    "gzip": (
        [reply(b"\x1f\x8b", 200, "text/event-stream", Content_Encoding="gzip")],
        'the response is compressed ("gzip"), which was not asked for',
        "200",
        0,
    ),
    "a redirect": (
        [reply(b"", 307, Location="http://127.0.0.1:9/v1")],
        "HTTP 307: the server redirects to http://127.0.0.1:9/v1",
        "307",
        0,
    ),
    "a redirect with credentials": (
        [reply(b"", 302, Location="https://me:secret@127.0.0.1:9/v1")],
        "HTTP 302: the server redirects to https://***@127.0.0.1:9/v1",
        "302",
        0,
    ),
    "too many requests": ([refusal(429, "slow  down\nplease")], "HTTP 429: slow down please", "429", 0),
    "a refusal in FastAPI's form": ([reply(b'{"detail": "nope"}', 503)], "HTTP 503: nope", "503", 0),
    "a refusal as HTML": ([reply(b"<h1>Bad gateway</h1>", 502, HTML)], "HTTP 502: <h1>Bad gateway</h1>", "502", 0),
    "an empty refusal": ([reply(b"", 500)], "HTTP 500: an empty response", "500", 0),
    "no HTTP": ([b"220 mail.example.com ESMTP\r\n", Act.HANG], NOT_HTTP, "", 0),
    "HTTP/2": ([b"\0\0\x12\4\0\0\0\0\0", Act.HANG], NOT_HTTP, "", 0),
    "another protocol": (
        [b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", Act.HANG],
        "the server switches to another protocol, which was not asked for",
        "",
        0,
    ),
    "a chunk without a size": (
        [*HALF, b"zz\r\n", Act.HANG],
        NOT_CHUNKED,
        "",
        2,
    ),
    "a chunk that is longer than it says": (
        [*HALF, b"1\r\nab\r\n", Act.HANG],
        NOT_CHUNKED,
        "",
        2,
    ),
    "an endless line before a chunk": (
        [*HALF, b"1;" + b"x" * 600_000, Act.HANG],
        "what stands beside the chunks is larger than 64 KiB",
        "",
        2,
    ),
    "endless headers": (
        [b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, Act.HANG],
        "the headers are larger than 64 KiB",
        "",
        0,
    ),
    "two lengths": (
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Act.HANG],
        NOT_HTTP,
        "",
        0,
    ),
    "another coding": (
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Act.HANG],
        'the response has the transfer encoding "gzip, chunked", which was not asked for',
        "",
        0,
    ),
    "a deep value": (stream(event("[" * 100_000)), "the response is not JSON: " + "[" * 175, "200", 0),
    "an endless event": (
        [HEAD, *[chunk(b"data: " + b"x" * (1 << 20))] * 17, Act.HANG],
        "an event is larger than 16 MiB",
        "",
        0,
    ),
}


@tabled(("script", "error", "status", "pieces"), PIECES.values(), ids=PIECES)
def test_a_response_that_is_not_an_answer_is_an_error(script: Script, error: str, status: str, pieces: int) -> None:
    with endpoint(lambda _: script) as where:
        record = ask(target(where.url))
    said = HTTPTOOLS.sub("…", record.error)
    assert (said[:180], record.status) == (error[:180], status)
    assert (record.ok, len(record.pieces)) == (False, pieces)


def test_a_response_is_whole_whatever_follows_it_and_its_connection_is_not_used_again() -> None:
    with endpoint(lambda asked: [*stream(*words(asked.text)), b"\r\nHTTP/1.1 200 OK\r\n\r\n"]) as where:
        records = asked(target(where.url), HELLO, HELLO)
    assert [(record.error, texts(record)) for record in records] == [("", [4, 6, 3, 3])] * 2
    assert where.connections == 2


def forms(asked: Asked) -> Script:
    """Answer as a server that refuses a field."""
    refused = {"strict": "stream_options", "plain": "continuous_usage_stats"}[asked.body["model"]]
    if refused in json.dumps(asked.body):
        return [refusal(400, f"Unrecognized request argument supplied: {refused}")]
    usage = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 9}}
    counts = [event(usage)] if "stream_options" in asked.body else []
    return stream(*words("a b"), end=(event(delta("stop")), *counts, event(DONE), LAST))


@tabled(
    ("model", "asked_for", "tokens"),
    [
        ("plain", [{"include_usage": True, "continuous_usage_stats": True}, *[{"include_usage": True}] * 3], 9),
        (
            "strict",
            [{"include_usage": True, "continuous_usage_stats": True}, {"include_usage": True}, None, None],
            None,
        ),
    ],
    ids=["without the newer field", "without counts"],
)
def test_a_server_that_refuses_to_count_is_asked_without(
    model: str, asked_for: list[object], tokens: int | None
) -> None:
    with endpoint(forms) as where:
        records = asked(target(where.url)._replace(model=model), HELLO, HELLO, *[HELLO] * (model == "plain"))
        bodies = where.bodies()
    assert [body.get("stream_options") for body in bodies] == asked_for
    assert [(record.error, record.answer_tokens) for record in records] == [("", tokens)] * len(records)


def test_a_bad_request_is_not_sent_again_once_the_server_has_answered() -> None:
    def once(asked: Asked) -> Script:
        return stream(*words("a")) if asked.text == HELLO.text else [refusal(400, "too long")]

    with endpoint(once) as where:
        first, second = asked(target(where.url), HELLO, Prompt("x"))
        assert (first.error, second.error, len(where.bodies())) == ("", "HTTP 400: too long", 2)
    with endpoint(once) as where:
        (refused,) = asked(target(where.url), Prompt("x"))
        assert (refused.error, refused.status, len(where.bodies())) == ("HTTP 400: too long", "400", 3)


PIECE: dict[str, tuple[list[object], list[tuple[int, int | None]], int | None]] = {
    "what a model says to itself": ([{"reasoning_content": "ab"}, {"content": "c"}], [(2, None), (1, None)], None),
    "its newer name": ([{"reasoning": "ab"}, {"content": "c"}], [(2, None), (1, None)], None),
    "both names": ([{"reasoning": "ab", "reasoning_content": "ab"}], [(2, None)], None),
    "the end of it with the answer": ([{"reasoning": "ab", "content": "c"}], [(3, None)], None),
    "no text": ([{"content": None}, {"content": ["x"]}, {"content": "c"}, {}], [(1, None)], None),
    "characters, not bytes": ([{"content": "grüße 🙂"}], [(7, None)], None),
}


@tabled(("deltas", "pieces", "tokens"), PIECE.values(), ids=PIECE)
def test_the_text_of_a_piece_counts_once(
    deltas: list[dict[str, Any]], pieces: list[tuple[int, int | None]], tokens: int | None
) -> None:
    with endpoint(lambda _: stream(*(event(delta(**each)) for each in deltas))) as where:
        record = ask(target(where.url))
    assert [(piece.characters, piece.tokens) for piece in record.pieces] == pieces
    assert (record.error, record.answer_tokens, record.source) == ("", tokens, Source.NOBODY)


COUNTS: dict[str, tuple[list[object], list[int | None], int | None]] = {
    "so far": ([1, 3, 4], [1, 2, 1], 4),
    "a text": (["1", "2", "3"], [None] * 3, None),
    "below zero": ([-1, -2, -3], [None] * 3, None),
    "true": ([True, True, True], [None] * 3, None),
    "a fraction": ([1.0, 2.0, 3.5], [None] * 3, None),
    "beyond reason": ([1 << 40, 1 << 60, 10**30], [None] * 3, None),
    "not a number": ([float("nan"), float("inf"), None], [None] * 3, None),
    "fewer": ([3, 1, 2], [3, None, 1], 2),
    "only the last": ([None, None, 7], [None, None, 7], 7),
}


@tabled(("counts", "pieces", "tokens"), COUNTS.values(), ids=COUNTS)
def test_a_count_that_is_not_a_number_of_tokens_is_none(
    counts: list[object], pieces: list[int | None], tokens: int | None
) -> None:
    events = [event({**delta(content="x"), "usage": {"completion_tokens": each}}) for each in counts]
    with endpoint(lambda _: stream(*events)) as where:
        record = ask(target(where.url))
    assert ([piece.tokens for piece in record.pieces], record.answer_tokens) == (pieces, tokens)
    assert (record.error, record.prompt_tokens) == ("", None)


def test_tokens_without_a_text_belong_to_the_next_piece() -> None:
    steps = [("", 1), ("", 2), ("ab", 3), ("c", 4), ("", 5)]
    events = [event({**delta(content=text), "usage": {"completion_tokens": n}}) for text, n in steps]
    with endpoint(lambda _: stream(*events)) as where:
        record = ask(target(where.url))
    assert [(piece.characters, piece.tokens) for piece in record.pieces] == [(2, 3), (1, 1)]
    assert (record.answer_tokens, record.empty_before, record.empty) == (5, 3, 5)
