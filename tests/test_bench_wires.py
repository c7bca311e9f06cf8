"""What the clients of a load share over HTTP: connections, how a response is read, and the shorter protocols."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.openai_endpoint import DONE, LAST, Act, Asked, Script, endpoint, event, refusal, reply, stream, words
from tests.openai_endpoint import HEAD as CHUNKS
from tests.tabled import tabled
from tests.test_bench_clients import HELLO, PATHS, ask, asked, target, texts
from tests.test_endpoint import Certificates
from tests.wires import arrive
from tritonrepo.bench.clients import client
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.bench.record import Source
from tritonrepo.bench.target import Protocol
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.server import exchanging
from tritonrepo.server.endpoint import Endpoint, Tls
from tritonrepo.server.eventlines import Events
from tritonrepo.server.responding import Head, Reader, WireError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BODIES: dict[str, tuple[bytes, bytes, bool]] = {
    "chunks": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", True),
    "chunks with extensions and trailers": (
        CHUNKED + b'5;a="b"\r\nhello\r\n00006 \r\n world\r\n0\r\nX: y\r\nZ: a\r\n\r\n',
        b"hello world",
        True,
    ),
    "a chunk that holds line breaks": (
        CHUNKED + b"a\r\n\r\n\r\n5\r\nab\n\r\n0\r\n\r\n",
        b"\r\n\r\n5\r\nab\n",
        True,
    ),
    "a length": (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "no content": (b"HTTP/1.1 204 No\r\n\r\n", b"", True),
    "nothing": (HEAD + b"Content-Length: 0\r\n\r\n", b"", True),
    "interim responses": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
        b"ok",
        True,
    ),
    "a close": (HEAD + b"Connection: Close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "HTTP/1.0 that stays": (b"HTTP/1.0 200\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
}


@tabled(("sent", "content", "kept"), BODIES.values(), ids=BODIES)
def test_a_response_is_the_same_however_it_is_cut(sent: bytes, content: bytes, kept: bool) -> None:  # noqa: FBT001
    for size in range(1, len(sent) + 1):
        reader = Reader()
        found = b"".join(reader.feed(sent[at : at + size]) for at in range(0, len(sent), size))
        assert (found, reader.complete(), reader.wrong, reader.unframed) == (content, True, None, False)
        assert isinstance(reader.head, Head)
        assert reader.head.kept is kept


NOT_HTTP, NOT_CHUNKED = "the response is not HTTP/1.1: ", "the response is not chunked as it says: "
TWICE = HEAD + b"Content-Length: 2\r\n\r\nok"
WRONG: dict[str, tuple[bytes, bytes, str]] = {
    "a tab after the coding": (HEAD + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", b"", 'coding "chunked\t"'),
    "a coding over another": (HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\nx", b"", 'coding "chunked, gzip"'),
    "a length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"",
        NOT_HTTP + "Transfer-Encoding can't be present with Content-Length",
    ),
    "chunks and a length": (
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"",
        NOT_HTTP + "Content-Length can't be present with Transfer-Encoding",
    ),
    "the same length twice": (HEAD + b"Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", b"", NOT_HTTP),
    "a negative length": (HEAD + b"Content-Length: -5\r\n\r\nhello", b"", NOT_HTTP),
    "a length without end": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\nhello", b"", NOT_HTTP),
    "a page without a head": (b"<html>" + b"x" * 70_000, b"", NOT_HTTP),
    "another version": (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"", NOT_HTTP + "its version is 2.0"),
    "a version that nobody knows": (b"HTTP/1.2 200 OK\r\n\r\n", b"", NOT_HTTP),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", b"", NOT_HTTP),
    "a folded header": (HEAD + b"A: b\r\n c\r\n\r\n", b"", NOT_HTTP),
    "a header without a name": (HEAD + b": b\r\n\r\n", b"", NOT_HTTP),
    "a protocol that was not asked for": (b"HTTP/1.1 101 Go\r\n\r\nokok", b"", "switches to another protocol"),
    "a chunk without a size": (CHUNKED + b"2\r\nok\r\n\r\nok", b"ok", NOT_CHUNKED),
    "a chunk with a negative size": (CHUNKED + b"-2\r\nok\r\n", b"", NOT_CHUNKED),
    "a chunk of a size without end": (CHUNKED + b"f" * 17 + b"\r\nok\r\n", b"", NOT_CHUNKED),
    "a chunk that does not end": (CHUNKED + b"2\r\nokok\r\n", b"ok", NOT_CHUNKED),
    "a length after the chunks": (CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n", b"ok", NOT_CHUNKED),
    "headers without end": (HEAD + b"A: b\r\n" * 20_000, b"", "the headers are larger than 64 KiB"),
    "interim responses without end": (
        b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * 9_000,
        b"",
        "the headers are larger than 64 KiB",
    ),
    "headers without end after the chunks": (
        CHUNKED + b"2\r\nok\r\n0\r\n" + b"A: b\r\n" * 20_000,
        b"ok",
        "the headers are larger than 64 KiB",
    ),
}


@tabled(("sent", "content", "why"), WRONG.values(), ids=WRONG)
def test_what_is_no_response_is_refused_however_it_is_cut(sent: bytes, content: bytes, why: str) -> None:
    for size in (1, 2, 7, 500, len(sent)):
        reader = Reader()
        found = b"".join(reader.feed(sent[at : at + size]) for at in range(0, len(sent), size))
        with pytest.raises(WireError) as refused:
            reader.check()
        assert why in str(refused.value)
        assert (found, reader.complete()) == (content, False)


@tabled(("begun", "why"), [(HEAD + b"A: ", "the headers are"), (CHUNKED + b"1;", "what stands beside the chunks is")])
def test_what_has_no_end_is_refused_before_it_is_whole(begun: bytes, why: str) -> None:
    reader = Reader()
    assert reader.feed(begun) == b""
    for _ in range(16):
        reader.check()
        reader.feed(b"x" * 4096)
    assert f"{why} larger than 64 KiB" in str(reader.wrong)


@tabled(("kind", "after"), [(kind, after) for kind in ("Keep-Alive", "Close") for after in (TWICE, b"xx", b"HT")])
def test_what_follows_a_response_is_not_read(kind: str, after: bytes) -> None:
    sent = HEAD + f"Connection: {kind}\r\nContent-Length: 2\r\n\r\nok".encode() + after
    for size in (1, 2, 7, len(sent)):
        reader = Reader()
        found = b"".join(reader.feed(sent[at : at + size]) for at in range(0, len(sent), size))
        assert (found, reader.complete(), reader.wrong) == (b"ok", True, None)
        assert isinstance(reader.head, Head)
        assert reader.head.kept is False


def test_much_that_follows_a_response_does_not_spoil_it() -> None:
    reader = Reader()
    reader.feed(b"HTTP/1.1 204 No\r\n\r\n" + b"x" * 70_000)
    assert (reader.complete(), reader.wrong) == (True, None)


def test_a_reader_goes_with_its_exchange() -> None:
    gc.disable()  # a collection would stop the clients of all streams
    try:
        for sent in (TWICE, b"<html>"):
            reader = Reader()
            reader.feed(sent)
            gone = weakref.ref(reader)
            del reader
            assert gone() is None
    finally:
        gc.enable()


def test_headers_that_are_repeated_are_joined_and_those_of_others_are_left() -> None:
    reader = Reader()
    reader.feed(b"HTTP/1.1 103 Hints\r\nA: 0\r\n\r\n" + CHUNKED[:-2] + b"A:1 \r\na: \xe9\r\n\r\n0\r\nB: 2\r\n\r\n")
    assert isinstance(reader.head, Head)
    assert reader.head.headers == {"content-type": "text/plain", "transfer-encoding": "chunked", "a": "1, \xe9"}


def test_a_missing_library_is_told_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    with endpoint() as where:
        assert run(["bench", f"{where.url}#tiny", "--requests", "1"]) == 2
        assert where.connections == 0
    said = capsys.readouterr().err
    assert "a load over HTTP needs httptools [extra-missing]" in said
    assert "`pip install 'tritonrepo[server]'`" in said


def test_a_response_without_a_length_ends_with_its_connection() -> None:
    reader = Reader()
    assert reader.feed(HEAD + b"\r\nhel") + reader.feed(b"lo") == b"hello"
    assert (reader.complete(), reader.unframed) == (False, True)
    reader.ended()
    assert reader.complete()
    for cut in (b"", HEAD, CHUNKED + b"5\r\nhel", HEAD + b"Content-Length: 9\r\n\r\nhello"):
        reader = Reader()
        reader.feed(cut)
        with pytest.raises(WireError, match="closed"):
            reader.ended()


EVENTS: dict[str, tuple[bytes, list[bytes], bytes | None]] = {
    "two": (b"data: a\n\ndata:b\n\n", [b"a", b"b"], None),
    "other line breaks": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], None),
    "carriage returns": (b"data: a\r\rdata: b\r\r", [b"a", b"b"], None),
    "mixed line breaks": (b"data: a\n\r\ndata: b\r\n\rdata: c\r\r\n\n", [b"a", b"b", b"c"], None),
    "comments and fields": (b": hi\nid: 1\nretry: 5\nevent: x\ndata: a\n\n:\n\n", [b"a"], None),
    "several lines": (b"data: {\ndata: }\n\n", [b"{\n}"], None),
    "no blank line at the end": (b"data: a\n\ndata: [DONE]", [b"a", b"[DONE]"], None),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [b"a"], None),
    "an error": (b"data: a\n\nevent: error\ndata: no\n\ndata: b\n\n", [b"a"], b"no"),
    "an empty one": (b"data\n\ndata:\n\n", [b""], None),
}


@tabled(("sent", "found", "error"), EVENTS.values(), ids=EVENTS)
def test_events_are_the_same_however_they_are_cut(sent: bytes, found: list[bytes], error: bytes | None) -> None:
    for size in range(1, len(sent) + 1):
        events = Events()
        read = [data for at in range(0, len(sent), size) for data in events.feed(sent[at : at + size])]
        assert ([*read, *events.end()], events.error) == (found, error)


def test_a_connection_is_used_again_unless_its_server_has_closed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "KEPT_S", 1000.0)

    def closing(asked: Asked) -> Script:
        return [reply(b"{}"), *([Act.CLOSE] if asked.content == b"bye" else [])]

    async def all_of_them(url: str) -> list[int]:
        wires, opened = exchanging.Wires(Endpoint(url)), []
        for content in (b"hello", b"bye", b"hello", b"hello"):
            async with wires.ask("/", content, {}) as exchange:
                assert (await exchange.whole()).content == b"{}"
            opened.append(wires.opened)
            while content == b"bye" and exchange.wire.usable():  # its end has not arrived
                await asyncio.sleep(0)
        await wires.close()
        return opened

    with endpoint(closing) as where:
        assert asyncio.run(all_of_them(where.url)) == [1, 1, 2, 2]
        assert len(where.asked) == 4


def test_a_connection_that_was_long_unused_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "KEPT_S", -1.0)
    with endpoint() as where:
        assert [record.error for record in asked(target(where.url), HELLO, HELLO)] == [""] * 2
        assert where.connections == 3  # that of the first look as well


class Transport(asyncio.Transport):
    """A transport that notes whether it is to read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = [True]

    def pause_reading(self) -> None:
        """Read no more."""
        self.reads.append(False)

    def resume_reading(self) -> None:
        """Read again."""
        self.reads.append(True)


def test_a_server_waits_while_much_of_what_it_sent_is_not_read() -> None:
    wire, transport = exchanging.Wire(), Transport()
    wire.connection_made(transport)
    arrive(wire, b"x" * exchanging.HELD_BYTES)
    assert transport.reads == [True]
    arrive(wire, b"y")
    assert transport.reads == [True, False]
    arrived = [part.content for part in asyncio.run(wire.arrived())]
    assert b"".join(arrived) == b"x" * exchanging.HELD_BYTES + b"y"
    assert {len(part) for part in arrived} == {exchanging.BUFFER_BYTES, 1}
    assert transport.reads == [True, False, True]
    arrive(wire, b"z")
    assert transport.reads == [True, False, True]


def test_a_response_is_whole_however_often_its_server_had_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "HELD_BYTES", 1)
    content = json.dumps(["x" * 3_000_000]).encode()

    async def whole(url: str) -> bytes:
        wires = exchanging.Wires(Endpoint(url))
        async with wires.ask("/", b"{}", {}) as exchange:
            found = (await exchange.whole()).content
        await wires.close()
        return found

    with endpoint(lambda _: [reply(content)]) as where:
        assert asyncio.run(whole(where.url)) == content


def test_nothing_is_sent_twice() -> None:
    with endpoint(lambda _: [Act.CLOSE]) as where:
        (record,) = asked(target(where.url), HELLO)
        assert record.error == "the server closed the connection without a response"
        assert len(where.asked) == 1


def test_the_time_to_connect_is_not_part_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[float] = []
    take = exchanging.Wires.take

    async def late(wires: exchanging.Wires) -> exchanging.Wire:
        found = await take(wires)
        connected.append(time.perf_counter())
        return found

    monkeypatch.setattr(exchanging.Wires, "take", late)
    with endpoint() as where:
        (record,) = asked(target(where.url), HELLO)
    assert connected[-1] <= record.sent_s <= record.pieces[0].at_s


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def context(certificates: Certificates) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates.place / "server.pem", certificates.place / "server.key")
    return made


def test_a_request_goes_over_tls_with_its_headers(certificates: Certificates, context: ssl.SSLContext) -> None:
    def deny(asked: Asked) -> Script:
        if HELLO.text in asked.text:
            return stream(*words("a b"))
        return [refusal(401, f"the token {asked.head['authorization']} has expired")]

    headers, shown = {"authorization": "Bearer s3cret-token"}, {"authorization": "Bearer $TOKEN"}
    tls = Tls(ca=certificates.place / "ca.pem")
    with endpoint(deny, context) as where:
        secured = target(where.url, tls=tls, headers=headers, variables=shown)
        good, denied = asked(secured, HELLO, Prompt("x"))
        sent = where.asked[0].head
    assert (good.error, texts(good)) == ("", [2, 1])
    assert (sent["authorization"], sent["accept-encoding"]) == ("Bearer s3cret-token", "identity")
    assert denied.error == "HTTP 401: the token Bearer $TOKEN has expired"


def unreachable(url: str, **more: Any) -> str:  # noqa: ANN401  Endpoint's fields
    with pytest.raises(Stop) as stopped:
        asked(target(url, **more), HELLO)
    (found,) = stopped.value.diagnostics
    assert found.rule == "server-unreachable"
    return found.message


def test_a_server_that_cannot_be_reached_is_told_before_the_load(
    certificates: Certificates, context: ssl.SSLContext
) -> None:
    assert unreachable("http://127.0.0.1:9/v1") == "the server cannot be reached: nothing listens on port 9"
    with endpoint(tls=context) as where:
        assert "not signed by an authority" in unreachable(where.url)
        assert not ask(target(where.url, tls=Tls(ca=certificates.place / "ca.pem")), sampling=Sampling(4)).error


def test_a_server_that_ends_is_an_error_of_each_request() -> None:
    async def before_and_after(url: str, end: Callable[[], None]) -> list[str]:
        async with client(target(url), Sampling(4), 10) as opened:
            first = await opened.ask(HELLO)
            end()
            return [first.error, (await opened.ask(HELLO)).error]

    with ExitStack() as running:
        url = running.enter_context(endpoint()).url
        first, second = asyncio.run(before_and_after(url, running.close))
    assert first == ""
    assert second.startswith("the server cannot be reached: ")


def test_completions_are_asked_with_a_prompt() -> None:
    def complete(asked: Asked) -> Script:
        assert (asked.path, asked.body["prompt"]) == ("/v1/completions", HELLO.text)
        pieces = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("", "a", " b")]
        usage = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
        return [CHUNKS, *map(event, pieces), event(usage), event(DONE), LAST]

    with endpoint(complete) as where:
        record = ask(target(where.url, Protocol.COMPLETIONS), sampling=Sampling(9, exact=True, other={"top_p": 1}))
        body = where.bodies()[0]
    assert (record.error, texts(record), record.answer_tokens, record.prompt_tokens) == ("", [1, 2], 2, 4)
    assert record.empty_before == 1
    limits = {"max_tokens": 9, "min_tokens": 9, "ignore_eos": True, "top_p": 1}
    assert {name: body[name] for name in limits} == limits


def test_the_newer_name_of_the_limit_is_used_where_a_server_asks_for_it() -> None:
    def strict(asked: Asked) -> Script:
        if "max_tokens" in asked.body:
            return [refusal(400, "Unsupported parameter: use 'max_completion_tokens' instead.")]
        return stream(*words("a b"))

    with endpoint(strict) as where:
        assert [record.error for record in asked(target(where.url), HELLO, HELLO)] == [""] * 2
        assert ["max_tokens" in body for body in where.bodies()] == [True, False, False]


def vectors(count: int, **more: object) -> dict[str, object]:
    return {"data": [{"index": n, "embedding": [0.5]} for n in range(count)], **more}


ONCE: dict[str, tuple[Protocol, Prompt, object, tuple[int, int | None, str]]] = {
    "a text": (Protocol.EMBEDDINGS, HELLO, vectors(1, usage={"prompt_tokens": 4}), (1, 4, "")),
    "several texts": (Protocol.EMBEDDINGS, Prompt("", ("a", "b")), vectors(2, usage={"total_tokens": 9}), (2, 9, "")),
    "no counts": (Protocol.EMBEDDINGS, HELLO, vectors(1, usage=None), (1, None, "")),
    "too few vectors": (
        Protocol.EMBEDDINGS,
        Prompt("", ("a", "b")),
        vectors(1),
        (2, None, "the response has 1 vectors for 2 texts"),
    ),
    "no vectors": (
        Protocol.EMBEDDINGS,
        HELLO,
        {"data": []},
        (1, None, "the response does not have one of `data` for each of 1 texts"),
    ),
    "an error": (Protocol.EMBEDDINGS, HELLO, {"error": {"message": "busy"}}, (1, None, "busy")),
    "a list": (Protocol.EMBEDDINGS, HELLO, [], (1, None, "the response is not a JSON object: []")),
    "documents": (
        Protocol.RERANK,
        Prompt("q", ("a", "b", "c")),
        {"results": [{"index": 1}, {"index": 0}], "usage": {"total_tokens": 7}},
        (3, 7, ""),
    ),
    "more results than documents": (
        Protocol.RERANK,
        Prompt("q", ("a",)),
        {"results": [1, 2]},
        (1, None, "the response does not have one of `results` for each of 1 texts"),
    ),
}


@tabled(("protocol", "prompt", "said", "found"), ONCE.values(), ids=ONCE)
def test_vectors_and_ranks_come_in_one_response(
    protocol: Protocol, prompt: Prompt, said: object, found: tuple[int, int | None, str]
) -> None:
    with endpoint(lambda _: [reply(json.dumps(said).encode())]) as where:
        record = ask(target(where.url, protocol), prompt, tokenizer=len)
        paths = [asked.path for asked in where.asked]
    assert (record.items, record.prompt_tokens, record.error) == found
    assert (record.streamed, record.ttft_s, len(record.pieces)) == (False, None, int(record.ok))
    assert record.source is (Source.NOBODY if record.prompt_tokens is None else Source.SERVER)
    assert paths == [PATHS[protocol]]


def test_a_reranker_is_not_asked_without_documents() -> None:
    with endpoint(lambda _: [reply(b'{"results": [{"index": 0}]}')]) as where:
        none, one = asked(target(where.url, Protocol.RERANK), HELLO, Prompt("q", ("a",)))
        assert none.error == "a reranker needs documents to rank, but the prompt has only a text"
        assert (one.error, len(where.asked)) == ("", 1)
