"""The step that asks an endpoint with OpenAI's API, as plain Python; the endpoint is a scripted one."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import triton_python_backend_utils as pb_utils

from tests import openai_endpoint as said
from tests.openai_endpoint import DONE, HEAD, LAST, MODEL, Act, Endpoint, delta, endpoint, event, refusal, reply, stream
from tests.tensors import request, written
from tests.terminating import terminated
from tests.test_endpoint import Certificates
from tritonrepo.generate.steps import chat_request, chatting, connections, refusals
from tritonrepo.generate.steps.chat_reading import Reading
from tritonrepo.generate.steps.endpoint import TritonPythonModel
from tritonrepo.generate.steps.events import LONGEST, Events
from tritonrepo.generate.steps.refusals import Fault

KEY = "sk-very-secret"
TIMES = {"connect": 5.0, "first": 30.0, "between": 30.0, "total": 60.0}
SETTINGS: dict[str, Any] = {
    "model": MODEL,
    "api_key": None,
    "headers": {},
    "timeouts": TIMES,
    "retries": 2,
    "connections": 8,
    "check": "auto",
    "usage": True,
    "limit": "max_tokens",
    "extra": {},
    "sampling": {"max_tokens": 50},
}
CODES = {number: name for name, number in vars(pb_utils.TritonError).items() if isinstance(number, int)}


@contextmanager
def model(place: Path, here: Endpoint | str, **changes: object) -> Iterator[TritonPythonModel]:
    url = here if isinstance(here, str) else here.url
    step = TritonPythonModel()
    step.initialize(written(place, {"settings.json": {**SETTINGS, "url": url, **changes}}))
    try:
        yield step
    finally:
        step.finalize()
        assert not any(thread.is_alive() for thread in step.threads)


def asked(step: TritonPythonModel, text: str, **more: str | bool) -> pb_utils.InferenceRequest:
    sent = request(text_input=text, **more)
    step.execute([sent])
    return sent


def answer(sent: pb_utils.InferenceRequest) -> list[str]:
    """Return the texts of the responses, the last of them the error if there is one; only the last one is final."""
    assert sent.sender.ended.wait(30)
    *flags, last = [flag for _, flag in sent.sender.sent]
    assert (set(flags) <= {0}, last) == (True, pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    responses = [response for response, _ in sent.sender.sent if response is not None]
    texts = [r.output_tensors()[0].as_numpy()[0].decode() for r in responses if not r.has_error()]
    errors = [r.error() for r in responses if r.has_error()]
    return texts + [f"{CODES[error.code()]}: {error.message()}" for error in errors]


def told(step: TritonPythonModel, text: str, here: Endpoint, **more: str | bool) -> str:
    """Return the only response to a request, without the address of the endpoint."""
    (found,) = answer(asked(step, text, exclude_input_in_output=True, **more))
    return found.replace(f"endpoint {here.url} ", "")


def test_an_answer_comes_word_by_word_or_whole_in_the_contract_of_vllms_backend(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "Zwölf €."}]
    with endpoint() as here, model(tmp_path, here, extra={"top_k": 3}, sampling={"max_tokens": 9, "seed": 1}) as step:
        assert answer(asked(step, json.dumps(turns), stream=True)) == ["Zwölf ", "€."]
        assert answer(asked(step, "one two three", sampling_parameters='{"max_tokens": 2}')) == [
            "one two threeone two "
        ]
        assert (
            told(step, "a b", here, sampling_parameters='{"top_k": 4, "n": 1, "stop": null, "ignore_eos": true}')
            == "a b"
        )
        assert "cannot be false" in answer(asked(step, "a", stream=True, exclude_input_in_output=False))[0]
        assert told(step, '[{"role": "tool", "content": 1}]', here) == '[{"role": "tool", "content": 1}]'
        by_parameters = pb_utils.InferenceRequest(
            inputs=request(text_input="a b c").inputs(), parameters={"max_tokens": 1, "priority": 3, "top_k": 5}
        )
        step.execute([by_parameters])
        assert answer(by_parameters) == ["a b ca "]
        bodies = here.bodies()
    assert (bodies[-1]["top_k"], "priority" in bodies[-1]) == (5, False)
    base = {"model": MODEL, "stream": True, "seed": 1}
    assert bodies[0] == {**base, "top_k": 3, "messages": turns, "max_tokens": 9}
    user = {"role": "user", "content": "one two three"}
    assert bodies[1] == {**base, "top_k": 3, "messages": [user], "max_tokens": 2}
    assert bodies[2]["top_k"] == 4
    assert {"n", "stop", "ignore_eos"}.isdisjoint(bodies[2])
    assert here.connections == 1
    assert [each.path for each in here.asked[:2]] == ["/v1/models", "/v1/chat/completions"]


ROWS: dict[str, tuple[said.Script, str]] = {
    "error in the stream": (
        stream(event({"error": {"message": "engine died", "code": 500}}), end=(event(DONE), LAST)),
        "INTERNAL: failed while it answered: engine died",
    ),
    "error of the request in the stream": (
        stream(event({"error": {"message": "too long", "code": 400}})),
        "INVALID_ARG: failed while it answered: too long",
    ),
    "end without a reason": (
        stream(*said.words("half an"), end=(event(DONE), LAST)),
        "INTERNAL: ended its answer after 7 characters without a finish_reason",
    ),
    "end before the first word": (
        stream(end=(LAST,)),
        "INTERNAL: ended its answer before the first word without a finish_reason",
    ),
    "cut": (
        [*stream(*said.words("half an"), end=()), Act.CLOSE],
        "INTERNAL: closed the connection in the middle of an answer",
    ),
    "cut in a chunk": (
        [HEAD, b"ff\r\ndata: {", Act.CLOSE],
        "INTERNAL: closed the connection in the middle of an answer",
    ),
    "closed": ([Act.CLOSE], "INTERNAL: closed the connection without an answer"),
    "filter": (
        stream(event(delta("content_filter"))),
        "INTERNAL: did not finish: its content filter stopped the answer",
    ),
    "tools": (
        stream(event(delta(tool_calls=[{"index": 0}])), event(delta("tool_calls"))),
        "INTERNAL: did not finish: the model called a tool in place of an answer",
    ),
    "thoughts only": (
        stream(event(delta(reasoning_content="Hm.")), end=(event(delta("length")), event(DONE), LAST)),
        "INVALID_ARG: reached the limit of tokens while its model reasoned, before the first word",
    ),
    "cut in a character": (
        [HEAD, said.chunk(b'data: {"choices": [{"delta": {"content": "\xe2\x82'), Act.CLOSE],
        "INTERNAL: closed the connection in the middle of an answer",
    ),
    "TLS": ([b"\x15\x03\x03\x00\x02\x02\x46", Act.CLOSE], "INTERNAL: answers over TLS: set url to an https address"),
    "abort": (stream(event(delta("abort"))), "INTERNAL: did not finish: it aborted the answer"),
    "400": (
        [refusal(400, "at most 9\x1b[31m tokens\u202e\n")],
        "INVALID_ARG: answered 400 Said: at most 9 [31m tokens",
    ),
    "401": (
        [refusal(401, f"Incorrect API key provided: {KEY}.")],
        "INTERNAL: answered 401 Said: Incorrect API key provided: ***.",
    ),
    "404": ([refusal(404, "no such model")], "NOT_FOUND: answered 404 Said: no such model"),
    "500": ([reply(b"oops " * 500, 500, said.HTML)], f"INTERNAL: answered 500 Said: {('oops ' * 80).strip()}…"),
    "413": (
        [reply(b"<html>\r\n<head><title>413 Too Large</title></head>", 413, said.HTML)],
        'INVALID_ARG: answered 413 Said: a page with the title "413 Too Large"',
    ),
    "422": (
        [reply(b'{"detail": [{"loc": ["body", "max_tokens"], "msg": "too many"}, {"msg": "odd"}, 1]}', 422)],
        "INVALID_ARG: answered 422 Said: body.max_tokens: too many; odd; 1",
    ),
    "detail": ([reply(b'{"detail": {"message": "full"}}', 500)], "INTERNAL: answered 500 Said: full"),
    "later": ([refusal(429, "slow down", Retry_After="3600")], "UNAVAILABLE: answered 429 Said: slow down"),
    "later, by date": (
        [refusal(503, "asleep", Retry_After="Wed, 21 Oct 2095 07:28:00 GMT")],
        "UNAVAILABLE: answered 503 Said: asleep",
    ),
    "key in a long title": (
        [reply(f"<title>{'x' * 390}{KEY}</title>".encode(), 403, said.HTML)],
        f'INTERNAL: answered 403 Said: a page with the title "{"x" * 377}…',
    ),
    "408": ([reply(b"", 408)], "UNAVAILABLE: answered 408 Said"),
    "502 of a proxy": (
        [reply(b"<!DOCTYPE html><TITLE lang=en>\nh | 502:\x1b\nBad </TITLE>", 502, said.HTML)],
        'UNAVAILABLE: answered 502 Said: a page with the title "h | 502: Bad"',
    ),
    "504 of a proxy": (
        [reply(b" <title> </title>", 504, said.HTML)],
        "UNAVAILABLE: answered 504 Said: a page without a title",
    ),
    "503": ([refusal(503, "full")], "UNAVAILABLE: answered 503 Said: full"),
    "wrong JSON": (stream(event("{'content': 1}")), "INTERNAL: sent an event that is not JSON: {'content': 1}"),
    "no object": (stream(event("7")), "INTERNAL: sent an event that is not a JSON object: 7"),
    "another object": (stream(event("{}")), "INTERNAL: sent an event that is no piece of a chat completion: {}"),
    "JSON in place of a stream": (
        [reply(b'{"choices": []}')],
        'INTERNAL: answered with application/json in place of a stream of events: {"choices": []}',
    ),
    "error under 200": (
        [reply(b'{"error": "no"}')],
        "INTERNAL: answered with application/json in place of a stream of events: no",
    ),
    "not HTTP": (
        [b"SSH-2.0-OpenSSH_9.6\r\n", Act.HANG],
        "INTERNAL: does not answer in HTTP, but with 'SSH-2.0-OpenSSH_9.6'",
    ),
    "endless line": (
        [b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 17), Act.HANG],
        "INTERNAL: does not answer in HTTP: its first line or a header has more than 65,536 bytes",
    ),
    "endless headers": (
        [b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300, Act.HANG],
        "INTERNAL: answered with more than 200 headers",
    ),
    "endless event": (
        [HEAD, *[said.chunk(b"x" * 65536)] * 17, Act.HANG],
        "INTERNAL: sent an event of more than 1,048,576 bytes",
    ),
    "wrong chunk": ([HEAD, b"-1\r\n", Act.HANG], "INTERNAL: sent a chunk without its size: '-1'"),
    "gzip": (
        [reply(b"\x1f\x8b", kind=said.EVENTS, Content_Encoding="gzip")],
        "INTERNAL: answered with the content encoding gzip, which it was not asked for",
    ),
    "redirect": (
        [reply(b"", 307, Location="http://other/v1")],
        "INTERNAL: redirects to http://other/v1, which is not followed: set url to the address that answers",
    ),
}
"""What an endpoint does, and the one error that it is told by."""

EURO = b'data: {"choices": [{"delta": {"content": "5 \xe2\x82\xac"}, "finish_reason": "length"}]}\n\ndata: [DONE]\n\n'
USAGE = event({"choices": [], "usage": {"total_tokens": 3}})
STOP = event(delta("stop"))
THOUGHT = (event(delta(reasoning="Hm.")), event(delta(reasoning_content="Hm.", content=None)))
GOOD: dict[str, tuple[said.Script, str]] = {
    "a byte at a time": ([HEAD, *(said.chunk(EURO[at : at + 1]) for at in range(len(EURO))), LAST], "5 €"),
    "no UTF-8": ([HEAD, said.chunk(EURO.replace(b"\xac", b"")), LAST], "5 \ufffd"),
    "usage": (stream(*THOUGHT, *said.words("yes"), USAGE, end=(STOP, USAGE, event(DONE), LAST)), "yes"),
    "late error": (stream(*said.words("yes"), end=(STOP, event({"error": "late"}), LAST)), "yes"),
    "closed before the end": ([*stream(*said.words("yes"), end=(STOP,)), Act.CLOSE], "yes"),
    "interim": ([b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", *stream(*said.words("yes"))], "yes"),
    "kept and closed": ([*stream(*said.words("yes")), Act.CLOSE], "yes"),
    "refused": (stream(event(delta(refusal="I cannot."))), "I cannot."),
    "nothing to say": (stream(*THOUGHT), ""),
}
"""What an endpoint does, and the answer that comes of it."""


def test_every_fault_is_one_clear_error_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    monkeypatch.setattr(chatting, "AGAIN_S", 0.0)
    scripts = {name: script for name, (script, _) in [*ROWS.items(), *GOOD.items()]}

    def scripted(each: said.Asked) -> said.Script:
        return said.talk(each) if each.method == "GET" else scripts.get(each.text, said.talk(each))

    with endpoint(scripted) as here, model(tmp_path, here, api_key="THE_KEY", connections=64) as step:
        begun = {name: asked(step, name, exclude_input_in_output=True) for name in scripts}
        assert told(step, "still here", here) == "still here"
        found = {name: answer(sent) for name, sent in begun.items()}
        assert told(step, "and after", here) == "and after"
        assert {each.head["authorization"] for each in here.asked} == {f"Bearer {KEY}"}
    for name, (_, expected) in ROWS.items():
        code, _, message = expected.partition(": ")
        assert found[name] == [f"{code}: endpoint {here.url} {message}"], name
    assert {name: found[name] for name in GOOD} == {name: [text] for name, (_, text) in GOOD.items()}
    assert KEY not in "".join([*pb_utils.lines, *capfd.readouterr()])


async def raising(error: Exception, *_: object, **__: object) -> None:
    raise error


def test_an_address_can_be_of_ipv6() -> None:
    here = chatting.Endpoint({**SETTINGS, "url": "http://[::1]:9/v1"}, {})
    assert (here.server.host, here.server.port, here.headers["Host"], here.path) == ("::1", 9, "[::1]:9", "/v1")


def test_a_request_is_sent_again_only_before_the_first_word_and_only_for_what_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chatting, "AGAIN_S", 0.0)
    tries: dict[str, list[said.Script]] = {
        "busy": [[refusal(429, "busy")], [refusal(503, "full", Retry_After="0")]],
        "a proxy": [[reply(b"", 408)], [reply(b"<p>", 502, said.HTML)]],
        "always": [[refusal(503, "full")]] * 9,
        "broken": [[refusal(500, "broken")]],
        "begun": [stream(*said.words("one"), end=(event({"error": {"message": "gone", "code": 503}}),))],
    }

    def scripted(each: said.Asked) -> said.Script:
        return tries[each.text].pop(0) if each.method == "POST" and tries.get(each.text) else said.talk(each)

    with endpoint(scripted) as here, model(tmp_path, here) as step:
        assert told(step, "busy", here) == "busy"
        assert told(step, "a proxy", here) == "a proxy"
        assert told(step, "always", here) == "UNAVAILABLE: answered 503 Said: full"
        assert told(step, "broken", here) == "INTERNAL: answered 500 Said: broken"
        assert answer(asked(step, "begun", stream=True))[1].endswith("failed while it answered: gone")
        assert [len([b for b in here.bodies() if b["messages"][0]["content"] == name]) for name in tries] == [
            3,
            3,
            3,
            1,
            1,
        ]
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    for url, message in {here.url: "Connection refused", "http://nowhere/v1": "Name or service not known"}.items():
        with model(tmp_path, url, check="never") as step:
            monkeypatch.setattr(step.loop, "getaddrinfo", partial(raising, unknown))
            expected = f"UNAVAILABLE: endpoint {url} cannot be reached: {message}"
            assert answer(asked(step, "nobody listens", stream=True)) == [expected]
    assert connections.why(ConnectionResetError()) == "the connection was closed"
    assert chatting.retry_after("7") == 7
    assert chatting.retry_after("\xb2") == 0
    assert chatting.retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == chatting.retry_after("soon") == 0
    assert chatting.retry_after("Wed, 21 Oct 2095 07:28:00 GMT") > chatting.LATER_S
    assert chatting.pause(Fault("", 0, 11), 0) is None


def test_each_part_of_an_answer_has_its_own_limit_of_time(tmp_path: Path) -> None:
    ping = [said.chunk(b": ping\n\n")]
    hang: dict[str, tuple[said.Script, str, dict[str, float]]] = {
        "head": ([Act.HANG], "sent no text within 0.05 s", {"first": 0.05}),
        "pings": ([*stream(*ping, end=()), Act.HANG], "sent no text within 0.05 s", {"first": 0.05}),
        "gap": (
            [*stream(*said.words("one two"), *ping, end=()), Act.HANG],
            "sent nothing for 0.05 s in the middle of an answer",
            {"between": 0.05},
        ),
        "whole": ([HEAD, Act.HANG], "did not finish its answer within 0.05 s", {"total": 0.05}),
    }
    with endpoint(lambda each: hang[each.text][0] if each.method == "POST" else said.talk(each)) as here:
        for name, (_, message, times) in hang.items():
            with model(tmp_path, here, timeouts=TIMES | times) as step:
                assert told(step, name, here) == f"UNAVAILABLE: {message}", name
                assert here.left.acquire(timeout=30)


def test_comments_do_not_prolong_the_time_to_the_next_piece() -> None:
    async def waited() -> None:
        now = asyncio.get_running_loop().time()
        reading = Reading()
        reading.begun, reading.at = True, now - TIMES["between"]
        await chatting.Limits(TIMES, now).keep(asyncio.Event().wait(), reading)

    with pytest.raises(Fault, match="sent nothing for 30 s in the middle of an answer"):
        asyncio.run(asyncio.wait_for(waited(), 20))


def test_a_client_that_leaves_closes_the_connection_also_of_a_request_that_waits(tmp_path: Path) -> None:
    arrived = threading.Semaphore(0)

    def scripted(each: said.Asked) -> said.Script:
        if each.method == "GET" or each.text == "next":
            return said.talk(each)
        arrived.release()
        return [*stream(*said.words("one"), end=()), Act.HANG]

    with endpoint(scripted) as here, model(tmp_path, here, connections=1) as step:
        first, waiting = asked(step, "first", stream=True), asked(step, "waiting", stream=True)
        assert arrived.acquire(timeout=30)
        for sent in (waiting, first):
            sent.sender.cancelled = True
            assert answer(sent)[-1] == "CANCELLED: the request was cancelled"
        assert here.left.acquire(timeout=30)
        assert told(step, "next", here) == "next"
        assert [body["messages"][0]["content"] for body in here.bodies()] == ["first", "next"]


def test_what_follows_a_complete_answer_does_not_matter_and_a_connection_in_doubt_is_not_kept(tmp_path: Path) -> None:
    rows: dict[str, tuple[said.Script, int]] = {
        "usage": (GOOD["usage"][0], 1),
        "late error": (GOOD["late error"][0], 1),
        "more": (stream(*said.words("yes"), end=(STOP, event(DONE), LAST + reply(b""))), 2),
        "cut": (GOOD["closed before the end"][0], 3),
        "no length": (
            [
                HEAD.replace(b"Transfer-Encoding: chunked", b"X: y"),
                b"data: "
                + json.dumps({"choices": [{"delta": {"content": "yes"}, "finish_reason": "stop"}]}).encode()
                + b"\r\n\r\n",
                Act.CLOSE,
            ],
            4,
        ),
        "interim": (GOOD["interim"][0], 5),
        "kept": (GOOD["kept and closed"][0], 5),
        "after it": (stream(*said.words("yes")), 6),
    }

    def scripted(each: said.Asked) -> said.Script:
        return rows[each.text][0] if each.method == "POST" else said.talk(each)

    with endpoint(scripted) as here, model(tmp_path, here) as step:
        for name, (_, connections) in rows.items():
            assert told(step, name, here) == "yes", name
            assert here.connections == connections, name


def saying(script: said.Script, _: said.Asked) -> said.Script:
    return script


def test_a_load_fails_for_what_waiting_does_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    rows: list[tuple[said.Script, str, bool, bool]] = [
        ([said.listed("other", "a\x1bb")], 'has no model "tiny"; its models: "other", "a b"', True, True),
        (
            [refusal(401, f"wrong key {KEY}")],
            "answered 401 when it was asked for its models: wrong key ***",
            True,
            True,
        ),
        ([refusal(503, "starting")], "answered 503 when it was asked for its models: starting", False, True),
        ([refusal(404, "")], "answered 404 when it was asked for its models", False, True),
        ([reply(b"[]")], "answered with something else than a list when it was asked for its models", False, True),
        ([said.listed(MODEL)], "", False, False),
    ]
    for script, message, auto, always in rows:
        with endpoint() as here:
            here.answer = partial(saying, script)
            for check, fails in (("auto", auto), ("always", always), ("never", False)):
                pb_utils.lines.clear()
                if fails:
                    with pytest.raises(Fault) as error, model(tmp_path, here, check=check, api_key="THE_KEY"):
                        pass
                    assert str(error.value).startswith(f"endpoint {here.url} {message}")
                else:
                    before = len(here.asked)
                    with model(tmp_path, here, check=check, api_key="THE_KEY"):
                        logged = "".join(pb_utils.lines)
                    assert (len(here.asked) == before) == (check == "never")
                    assert message in logged if check == "auto" else not logged
    monkeypatch.setenv("THE_KEY", "line\nline")
    for variable, message in (("THE_KEY", "has characters that a header cannot have"), ("NOT_SET", "is not set")):
        with (
            pytest.raises(ValueError, match=f"variable {variable}.*{message}"),
            model(tmp_path, "http://h/v1", api_key=variable),
        ):
            pass


def test_events_are_read_however_the_network_splits_them() -> None:
    text = (
        "\ufeffdata: a€\r\n\r\n: comment\ndata:b\rdata:  c\n\nid: 7\n\ndata\n\nevent: x\rdata: d\r\r\ndata: never ended"
    )
    raw = text.encode()
    for size in (1, 2, 3, 7, len(raw)):
        events = Events()
        found = [data for at in range(0, len(raw), size) for data in events.feed(raw[at : at + size])]
        assert found == ["a€", "b\n c", "", "d"], size
    with pytest.raises(Fault, match="more than"):
        Events().feed(b"data: " + b"x" * LONGEST)
    many = Events()
    with pytest.raises(Fault, match="more than"):
        deque((many.feed(b"data:" + b"x" * 999 + b"\n") for _ in range(LONGEST)), 0)


REFUSED: list[tuple[str, str]] = [
    ("{", "sampling_parameters is not valid JSON"),
    ("[" * 100_000, "sampling_parameters nests too deeply"),
    ("[1]", "sampling_parameters must be a JSON object"),
    ('{"max_tokens": 0}', "max_tokens must be an integer of at least 1, not 0"),
    ('{"max_tokens": true}', "max_tokens must be an integer of at least 1, not True"),
    ('{"top_k": 4}', '"top_k" is not sent to the endpoint: the stack file can name it in endpoint.extra'),
    ('{"n": 2}', '"n" is not sent to the endpoint: the answer is one text'),
    ('{"lora_name": "x"}', '"lora_name" is not sent to the endpoint: an adapter is an endpoint\'s model of its own'),
]


def test_parameters_that_the_stack_does_not_name_are_refused() -> None:
    for given, message in REFUSED:
        with pytest.raises(ValueError) as error:  # noqa: PT011  the message is compared
            chat_request.sampling(given, {"max_tokens": 5}, ())
        assert message in str(error.value), given
    assert chat_request.sampling("", {"max_tokens": 5}, ()) == {"max_tokens": 5}
    settings = {"model": "m", "extra": {}, "usage": True, "limit": "max_completion_tokens"}
    sent = json.loads(chat_request.body(settings, [], {"max_tokens": 5, "seed": 1}, counted=False))
    assert sent == {"model": "m", "messages": [], "stream": True, "seed": 1, "max_completion_tokens": 5}


WANTED = {"return_finish_reason": True, "return_num_input_tokens": True, "return_num_output_tokens": True}
COUNTED = {"finish_reason": "length", "num_input_tokens": 3, "num_output_tokens": 2}


def outputs(sent: pb_utils.InferenceRequest) -> list[dict[str, object]]:
    """Return the outputs of all responses."""
    assert sent.sender.ended.wait(30)
    given = (response for response, _ in sent.sender.sent if response is not None)
    return [
        {
            tensor.name(): value.decode() if isinstance(value := tensor.as_numpy()[0], bytes) else value
            for tensor in each
        }
        for each in (response.output_tensors() for response in given)
    ]


def test_tokens_are_counted_and_the_end_is_explained_to_who_asks(tmp_path: Path) -> None:
    short: dict[str, str | bool] = {"sampling_parameters": '{"max_tokens": 2}', "exclude_input_in_output": True}
    with endpoint() as here, model(tmp_path, here) as step:
        assert outputs(asked(step, "a b c", **short, **WANTED)) == [{"text_output": "a b ", **COUNTED}]
        pieces: list[dict[str, object]] = [{"text_output": "a "}, {"text_output": "b "}]
        assert outputs(asked(step, "a b c", stream=True, **short, **WANTED)) == [
            *pieces,
            {"text_output": "", **COUNTED},
        ]
        assert outputs(asked(step, "a b c", **short, return_finish_reason=True)) == [
            {"text_output": "a b ", "finish_reason": "length"}
        ]
        assert outputs(asked(step, "a b c", stream=True, **short)) == pieces
        asking = [body.get("stream_options") for body in here.bodies()]
    assert asking == [{"include_usage": True}, {"include_usage": True}, None, None]
    with endpoint() as here, model(tmp_path, here, usage=False) as step:
        told = outputs(asked(step, "a", **short, **WANTED))
        assert (told, "stream_options" in here.bodies()[0]) == ([{"text_output": "a", "finish_reason": "stop"}], False)


def test_numbers_of_tokens_are_those_that_are_numbers() -> None:
    rows: dict[str, tuple[object, dict[str, int]]] = {
        "both": (
            {"prompt_tokens": 0, "completion_tokens": 4294967295},
            {"num_input_tokens": 0, "num_output_tokens": 4294967295},
        ),
        "one": ({"prompt_tokens": 7}, {"num_input_tokens": 7}),
        "odd": ({"prompt_tokens": True, "completion_tokens": "3"}, {}),
        "too large": ({"prompt_tokens": 4294967296, "completion_tokens": -1}, {}),
        "none": (None, {}),
        "a list": ([1], {}),
    }
    for name, (usage, expected) in rows.items():
        reading = Reading()
        reading.read(json.dumps({"choices": [], "usage": usage}))
        assert reading.told() == expected, name
    grows = Reading()
    for number in (1, 2):
        grows.read(json.dumps({"choices": [], "usage": {"completion_tokens": number}}))
    grows.read(json.dumps({"choices": [], "usage": None}))
    assert grows.told() == {"num_output_tokens": 2}


def test_a_reading_never_fails_otherwise_whatever_an_endpoint_says() -> None:
    values: list[object] = [
        None,
        1,
        "x",
        [],
        {},
        [None],
        [{"delta": 1}],
        [{"delta": {"content": 1}, "finish_reason": {}}],
    ]
    for value in values:
        for event_ in ({"choices": value}, {"error": value, "choices": []}, {"choices": [{"delta": value}]}, value):
            reading = Reading()
            try:
                reading.read(json.dumps(event_))
                reading.end()
            except Fault as fault:
                assert str(fault)
    reading, fed = Reading(), json.dumps(delta(content="x" * (1 << 20)))
    with pytest.raises(Fault, match="an answer of more than"):
        deque((reading.read(fed) for _ in range(20)), 0)


def test_each_status_has_its_code() -> None:
    expected = {"INVALID_ARG": (400, 413, 422), "NOT_FOUND": (404,), "UNAVAILABLE": (408, 429, 502, 503, 504)}
    rows = {status: name for name, statuses in expected.items() for status in statuses}
    for status in range(300, 600):
        assert CODES[refusals.code(status)] == rows.get(status, "INTERNAL"), status


def test_certificates_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Certificates(tmp_path)
    pair = (tmp_path / "server.pem", tmp_path / "server.key")
    with endpoint() as here, terminated(int(here.url[17:-3]), *pair, ["http/1.1"]) as port:
        url = f"https://127.0.0.1:{port}/v1"
        with model(tmp_path, url, retries=0) as step:
            assert "has a certificate that is not trusted: " in answer(asked(step, "a"))[0]
            assert "not trusted" in "".join(pb_utils.lines)
        assert not here.asked
        monkeypatch.setenv("SSL_CERT_FILE", str(made.tls.ca))
        with model(tmp_path, url) as step:
            assert answer(asked(step, "a b", stream=True)) == ["a ", "b"]
