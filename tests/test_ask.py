"""`ask`: any model that takes a text, by its served config, from any server; what goes wrong, and how it ends."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from tests.speaking import Asked, Said, arrays, index, inferred, plain, speaking
from tests.tabled import tabled
from tests.test_json import NOWHERE, checked
from tests.test_plain import EVIL
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.plain import escaped
from tritonrepo.server.questions import AskOptions, Question, of_config, value

Config = Mapping[str, Any]


def config(inputs: str, outputs: str, **more: object) -> Config:
    """Return a config; `text` is a tensor of strings, `BOOL x?` an optional one, and `STRING[1;1] x` has two axes."""

    def tensor(said: str) -> Config:
        kind, _, name = said.strip().rpartition(" ")
        kind, _, dims = (kind or "STRING").partition("[")
        axes = [int(dim) for dim in (dims.rstrip("]") or "1").split(";")]
        return {"name": name.rstrip("?"), "data_type": f"TYPE_{kind}", "dims": axes, "optional": name.endswith("?")}

    listed = [[tensor(each) for each in said.split(",") if each] for said in (inputs, outputs)]
    return {"input": listed[0], "output": listed[1], **more}


RAG = config("query,BOOL stream?", "answer,sources")
SEARCH = config("query", "ids,FP32 scores,passages")
VLLM = config("text_input,sampling_parameters?,BOOL stream?", "text_output")
WIDE = config("STRING[1;1] text", "a", max_batch_size=4)
ODD = {"input": [{"name": "q", "data_type": "TYPE_STRING", "dims": "x"}], "output": 3, "max_batch_size": "y"}
QUIET = {"stream": False}
WAYS: dict[str, tuple[Config, AskOptions, Question]] = {
    "a pipeline with sources": (config("query?,messages?,BOOL stream?", "answer,sources"), AskOptions(), Question("m")),
    "a pipeline without": (config("query", "answer"), AskOptions(), Question("m", given={})),
    "a search": (SEARCH, AskOptions(), Question("m", "query", "", {}, searches=True)),
    "an output of a search": (SEARCH, AskOptions("", "ids"), Question("m", "query", "ids", {})),
    "vLLM": (VLLM, AskOptions(), Question("m", "text_input", "text_output")),
    "no stream": (VLLM, AskOptions(given=QUIET), Question("m", "text_input", "text_output", QUIET)),
    "a stream of another type": (config("query,FP32 stream?", "answer"), AskOptions(), Question("m", given={})),
    "one input by any name": (config("PROMPT", "OUT"), AskOptions(), Question("m", "PROMPT", "OUT", {})),
    "one that must be given": (config("PROMPT,SYSTEM?", "OUT"), AskOptions(), Question("m", "PROMPT", "OUT", {})),
    "one that is chosen": (
        config("A,B", "OUT"),
        AskOptions("B", "", {"A": "x"}),
        Question("m", "B", "OUT", {"A": "x"}),
    ),
    "vectors": (config("text", "FP32 embedding"), AskOptions(), Question("m", "text", "", {})),
    "several texts": (config("text", "a,b"), AskOptions(), Question("m", "text", "", {})),
    "what is no shape": (ODD, AskOptions(), Question("m", "q", "", {})),
    "more axes": (WIDE, AskOptions(), Question("m", "text", "a", {}, batch=True, axes=2)),
}


@tabled(("served", "wanted", "question"), WAYS.values(), ids=WAYS)
def test_the_served_config_says_how_a_model_is_asked(served: Config, wanted: AskOptions, question: Question) -> None:
    assert of_config("u", "m", served, wanted) == question


NO_WAYS: dict[str, tuple[Config, AskOptions, str, str]] = {
    "no text": (config("FP32 x", "y"), AskOptions(), 'the model "m" takes no text: its inputs are x', "Ask a model"),
    "no input": ({}, AskOptions(), 'the model "m" takes no text: its inputs are nothing', "Ask a model"),
    "several texts": (
        config("A,B", "y"),
        AskOptions(),
        'the model "m" has several inputs of strings: A, B',
        "--input NAME",
    ),
    "more than a text": (
        config("text_input,INT32 max_tokens", "y"),
        AskOptions(),
        'the model "m" needs more than a text: max_tokens',
        "--set max_tokens=VALUE",
    ),
    "another input": (
        config("A", "y"),
        AskOptions("AA"),
        'the model "m" has no input "AA" of strings',
        'Did you mean "A"?',
    ),
    "another output": (config("A", "y,FP32 z"), AskOptions("", "z"), 'the model "m" has no output "z" of strings', "y"),
    "what is no list": ({"input": 3}, AskOptions(), 'the model "m" takes no text: its inputs are nothing', ""),
    "what is no tensor": ({"input": [3, {}, {"name": 7}]}, AskOptions(), 'the model "m" takes no text: its inputs', ""),
}


@tabled(("served", "wanted", "message", "hint"), NO_WAYS.values(), ids=NO_WAYS)
def test_a_model_that_a_text_is_not_enough_for_is_told(
    served: Config, wanted: AskOptions, message: str, hint: str
) -> None:
    with pytest.raises(Stop) as caught:
        of_config("u", "m", served, wanted)
    (told,) = caught.value.diagnostics
    assert (told.rule, told.severity) == ("ask-inputs", "fatal")
    assert told.message.startswith(message)
    assert hint in told.hint


def test_a_value_is_json_or_a_text() -> None:
    assert [value(each) for each in ("1", "[true]", '"x"', "x y", "[" * 100_000)][:4] == [1, [True], "x", "x y"]


def events(*said: Config) -> bytes:
    return b"".join(
        b"data: %b\n\n" % json.dumps({"model_name": "m", "model_version": "1", **each}).encode() for each in said
    )


def serving(served: Config, stream: Said) -> Callable[[Asked], Said]:
    """A server with one model of this config, and another that did not load."""

    def answer(asked: Asked) -> Said:
        if asked.path.endswith("/index"):
            return index([("m", "1", "READY", ""), ("bad", "1", "UNAVAILABLE", "no such file"), ("new", "", "", "")])
        return plain(served) if asked.path.endswith("/config") else stream

    return answer


SOURCES = {
    "sources": json.dumps([{"id": "a", "title": "T", "url": "https://x.example/", "score": 0.5, "text": "body"}])
}
WRITTEN = f"{escaped(EVIL.replace(chr(13), ''))}\n"
FOUND = {"ids": ["a", "b"], "scores": [0.5, 0.25], "passages": ["one", "two"], "metadata": ['{"title": "One"}', "{}"]}
LINE = "[1] T  0.500  https://x.example/\n"
HALF = Said(events({"answer": "a"}), head={"Content-Length": "999"})
BROKEN = Said(events({"answer": "a"}, {"error": "out of memory"}))
SAYS: dict[str, tuple[Config, Said, int, str, str]] = {
    "sources, then the answer": (RAG, Said(events(SOURCES, {"answer": "a"}, {"answer": "b"})), 0, "ab\n", LINE),
    "all at once": (RAG, Said(events({**SOURCES, "answer": ["a", "b"]})), 0, "ab\n", LINE),
    "a search": (SEARCH, Said(events(FOUND)), 0, "[1] One  0.500  one…\n[2] b  0.250  two…\n", ""),
    "vectors": (config("t", "FP32 v"), Said(events({"v": [1.5, 2]})), 0, '{"v": [1.5, 2]}\n', ""),
    "nothing": (RAG, Said(b""), 1, "\n", '"m" finished without an answer [ask-empty]'),
    "a search that finds nothing": (SEARCH, Said(events({k: [] for k in FOUND})), 1, "", "[ask-empty]"),
    "a search of unequal lists": (SEARCH, Said(events({**FOUND, "ids": ["a"]})), 1, "", "results cannot be read"),
    "an error in the stream": (RAG, BROKEN, 1, "a\n", "m: out of memory [server-refused]"),
    "half a stream": (RAG, HALF, 1, "a\n", "the connection closed before the end of the response"),
    "no JSON": (RAG, Said(b"<html>"), 1, "", "the response is not JSON: <html>"),
    "a refusal": (RAG, Said(b'{"error": "busy"}', 503), 1, "", "busy [server-refused]"),
    "escapes": (RAG, Said(events({"answer": EVIL})), 0, WRITTEN, ""),
}


@pytest.mark.parametrize(("served", "stream", "code", "out", "err"), SAYS.values(), ids=SAYS)
def test_the_answer_is_on_stdout_and_all_else_on_stderr(
    capsys: pytest.CaptureFixture[str], served: Config, stream: Said, code: int, out: str, err: str
) -> None:
    with speaking(serving(served, stream)) as here:
        assert run(["ask", here.url, "m", "why?"]) == code
        said = capsys.readouterr()
        assert run(["ask", here.url, "m", "why?", "--format", "json"]) == code
    document = checked("ask", capsys.readouterr().out)
    assert said.err == err if not code else err in said.err
    assert bool(document["diagnostics"]) == bool(code)
    assert said.out == out
    if served is RAG and out != WRITTEN:
        assert document["answer"] == out.rstrip("\n")


def test_what_is_sent_is_what_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("wéiter?\n".encode()), "latin-1"))
    with speaking(serving(RAG, Said(events({"answer": "x"})))) as here:
        assert run(["ask", here.url, "m", "-", "--set", "k=3", "--set", "s=a=b"]) == 0
    assert [asked.path for asked in here.asked] == [
        "/v2/repository/index",
        "/v2/models/m/config",
        "/v2/models/m/generate_stream",
    ]
    assert json.loads(here.asked[-1].body) == {"query": "wéiter?", "stream": True, "k": 3, "s": "a=b"}
    assert capsys.readouterr().out == "x\n"


def test_a_server_behind_a_gateway_gets_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    with speaking(serving(RAG, Said(events({"answer": "x"})))) as here:
        assert run(["ask", here.url, "m", "x", "--token-env", "TOKEN"]) == 0
    assert {asked.head["authorization"] for asked in here.asked} == {"Bearer secret"}


def test_an_input_of_several_axes_is_sent_as_a_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(serving(WIDE, inferred(a=np.array([[b"tw\xc3\xb6"]], object)))) as here:
        assert run(["ask", here.url, "m", "why?"]) == 0
    assert arrays(here.asked[-1])["text"].tolist() == [[[b"why?"]]]
    assert capsys.readouterr().out == "twö\n"


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "another model": (["mm", "x"], 2, 'the server does not have the model "mm" [ask-model]\n  Did you mean "m"?'),
    "one that did not load": (["bad", "x"], 1, 'the server does not serve the model "bad": no such file [ask-model]'),
    "one that was never loaded": (["new", "x"], 1, 'does not serve the model "new": it was never loaded [ask-model]'),
    "an empty text": (["m", " "], 2, "the text is empty or not UTF-8"),
    "bytes that are no text": (["m", "a\udcff"], 2, "the text is empty or not UTF-8"),
    "a value without a name": (["m", "x", "--set", "=3"], 2, '--set needs NAME=VALUE, not "=3"'),
    "a name without a value": (["m", "x", "--set", "k"], 2, '--set needs NAME=VALUE, not "k"'),
}


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_is_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    with speaking(serving(RAG, Said(events({"answer": "x"})))) as here:
        assert run(["ask", here.url, *arguments]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err


def test_no_server_is_unusable_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", NOWHERE, "m", "x"]) == 2
    assert capsys.readouterr().out == ""


def until(over: threading.Event) -> Iterator[bytes]:
    over.wait()
    yield b""


def test_a_stream_that_does_not_end_in_time_is_late(capsys: pytest.CaptureFixture[str]) -> None:
    over = threading.Event()
    unending = Said(events({"answer": "a"}), head={"Content-Length": "999"}, more=until(over))
    with speaking(serving(RAG, unending)) as here:
        code = run(["ask", here.url, "m", "x", "--timeout", "0.2"])
        over.set()
    assert (code, capsys.readouterr()) == (
        1,
        ("a\n", f"{here.url}: error: the response was not complete within 0.2 s [server-late]\n"),
    )
