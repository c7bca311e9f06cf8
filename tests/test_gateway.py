"""The gateway: what clients are sent, what Triton is asked, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from tests.gateways import (
    EMBEDDER,
    PLAIN,
    PROMPT,
    RAG,
    RAW,
    RERANKER,
    SOURCES,
    VLLM,
    Asked,
    Fail,
    Front,
    Outputs,
    Said,
    Scripted,
    fronted,
    serving,
)
from tests.test_ask import config
from tritonrepo.gateway.counting import Counts
from tritonrepo.gateway.fields import CONTROLS, NEUTRAL, Fields
from tritonrepo.gateway.problem import Problem
from tritonrepo.server.calls import Calls
from tritonrepo.server.endpoint import Endpoint

pytest.importorskip("uvicorn")

CHAT, COMPLETIONS, EMBEDDINGS, RERANK = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"


def said(asked: Asked) -> str:
    """Return the last text of a conversation."""
    return str(json.loads(asked.inputs["messages"][0])[-1]["content"])


def rag(asked: Asked) -> Iterator[Outputs]:
    """Answer with sources; "STATUS: words" is an error before the first text, and after it with "late " before it."""
    text = said(asked)
    if text == "no sources":
        yield {"sources": ["["]}
    status, colon, words = text.removeprefix("late ").partition(": ")
    yield {"sources": [json.dumps(SOURCES)]}
    if text.startswith("late "):
        yield {"answer": ["so far "]}
    if colon:
        raise Fail(status, words)
    if text == "endless":
        while not asked.left.wait(0.01):
            yield {"answer": ["word "]}
    elif text != "nothing":
        whole = "grüße 🙂".encode()
        yield from ({"answer": [whole[at : at + 3]]} for at in range(0, len(whole), 3))


def generator(asked: Asked) -> Iterator[Outputs]:
    words = asked.inputs["text_input"][0].split()
    for number, word in enumerate(words):
        reason = "length" if word == words[-1] else "None"
        counts = {"num_input_tokens": [len(words)], "num_output_tokens": [1 + number % 2]}
        yield {"text_output": [f"{word} "], "finish_reason": [reason], **counts}


def prompt(asked: Asked) -> Iterator[Outputs]:
    chosen = {"max_tokens": 9, **json.loads(asked.inputs.get("sampling_parameters", ["{}"])[0])}
    yield {"prompt": [f"<user> {said(asked)}"], "sampling_parameters": [json.dumps(chosen)]}


def embedder(asked: Asked) -> Iterator[Outputs]:
    kinds = asked.inputs.get("input_type", [""] * len(asked.inputs["text"]))
    yield {
        "embedding": [
            [float("nan") if text == "nan" else float(len(text)), 0.5, {"": 0.0, "query": 1.0, "passage": 2.0}[kind]]
            for text, kind in zip(asked.inputs["text"], kinds, strict=True)
        ],
        **({} if asked.model == "one" else {"num_input_tokens": [[len(text)] for text in asked.inputs["text"]]}),
    }


def reranker(asked: Asked) -> Iterator[Outputs]:
    """Return the two best; the score of a document is its length."""
    rows = sorted(zip(asked.inputs["passages"], asked.inputs["ids"], strict=True), key=lambda row: -len(row[0]))[:2]
    scores = [float("inf") if text == "inf" else float(len(text)) for text, _ in rows]
    tokens = [sum(map(len, asked.inputs["passages"]))]
    yield {
        "passages": [row[0] for row in rows],
        "ids": [row[1] for row in rows],
        "scores": scores,
        "num_input_tokens": tokens,
    }


def echo(asked: Asked) -> Iterator[Outputs]:
    yield {"text_output": asked.inputs["text_input"]}


MODELS = {
    "rag": (RAG, rag),
    "plain": (PLAIN, lambda asked: [{"answer": asked.inputs["query"]}]),
    "gen": (VLLM, generator),
    "gen_prompt": (PROMPT, prompt),
    "raw": (RAW, echo),
    "emb": (EMBEDDER, embedder),
    "one": (config("text", "FP32[3] embedding"), embedder),
    "rer": (RERANKER, reranker),
    "other": (config("NEW x", "FP32 y"), echo),
}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with fronted(Scripted(MODELS), max_tokens=100) as opened:
        yield opened


def chat(front: Front, text: str, model: str = "rag", **body: object) -> Said:
    return front.post(CHAT, model=model, messages=[{"role": "user", "content": text}], **body)


def test_an_answer_has_openais_form_with_the_sources_as_citations(front: Front) -> None:
    whole = chat(front, "hello").json
    (choice,) = whole["choices"]
    assert (whole["object"], whole["model"], whole["usage"]) == ("chat.completion", "rag", None)
    assert whole["id"].startswith("chatcmpl-")
    annotation = {"start_index": 0, "end_index": 7, "title": "First", "url": "https://example.com/a"}
    told = {"role": "assistant", "content": "grüße 🙂", "refusal": None}
    told |= {"annotations": [{"type": "url_citation", "url_citation": annotation}]}  # type: ignore[dict-item]
    assert choice == {"index": 0, "finish_reason": "stop", "logprobs": None, "message": told}
    first, second = whole["citations"]["results"]
    assert whole["citations"]["total_results"] == 2
    about = {"document_id": "a", "document_name": "First", "document_type": "text", "content": "one", "score": 0.75}
    assert first == {**about, "metadata": {"p": 1, "url": "https://example.com/a"}}
    assert second == {
        **about,
        "document_id": "b",
        "document_name": "b",
        "content": "two",
        "score": None,
        "metadata": {},
    }


def test_a_streamed_answer_is_the_same_in_chunks(front: Front) -> None:
    whole, streamed = chat(front, "hello").json, chat(front, "hello", stream=True)
    assert streamed.head["content-type"] == "text/event-stream; charset=utf-8"
    chunks = streamed.events
    assert len({(each["id"], each["object"], each["model"], each["created"]) for each in chunks}) == 1
    choices = [each["choices"][0] for each in chunks]
    assert "".join(each["delta"].get("content", "") for each in choices) == "grüße 🙂"
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[0]["citations"] == whole["citations"]
    assert choices[-1]["delta"]["annotations"] == whole["choices"][0]["message"]["annotations"]
    assert [each["finish_reason"] for each in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert "usage" not in chunks[0]
    *others, last = chat(front, "hello", stream=True, stream_options={"include_usage": True}).events
    assert {each["usage"] for each in others} == {None}
    assert (last["choices"], last["usage"]) == ([], None)
    role, end = chat(front, "nothing", stream=True).events
    assert (role["choices"][0]["delta"]["role"], end["choices"][0]["finish_reason"]) == ("assistant", "stop")


def test_a_generator_reads_what_its_prompt_step_makes_and_counts_tokens(front: Front) -> None:
    whole = chat(front, "a b", "gen", stop=["x"], max_completion_tokens=7).json
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "<user> a b ", "refusal": None}
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    rendered, asked = front.triton.asked[-2:]
    assert rendered.inputs["passages"] == []
    assert json.loads(asked.inputs["sampling_parameters"][0]) == {"max_tokens": 7, "stop": ["x"]}
    flags = ("stream", "return_finish_reason", "return_num_input_tokens", "return_num_output_tokens")
    assert [asked.inputs[flag] for flag in flags] == [[True]] * 4
    *_, last = chat(front, "a b", "gen", stream=True, stream_options={"include_usage": True}).events
    assert last["usage"] == whole["usage"]
    text = front.post(COMPLETIONS, model="gen", prompt=["a b"], temperature=0).json
    assert (text["object"], text["choices"][0]["text"]) == ("text_completion", "a b ")
    chunks = front.post(COMPLETIONS, model="raw", prompt="a b", stream=True).events
    assert [each["choices"][0]["text"] for each in chunks] == ["a b", ""]
    tokens = 'tritonrepo_gateway_tokens_total{model="gen",kind="completion"} '
    assert int(front.send("GET", "/metrics").body.decode().split(tokens)[1].split()[0]) >= 8


def test_a_conversation_and_its_head_are_passed_on(front: Front) -> None:
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "x"},
        {"role": "user", "content": "why\ud800"},
    ]
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    said = front.send(
        "POST",
        CHAT,
        {"model": "rag", "messages": turns, "seed": 7},
        traceparent=trace,
        x_request_id="r-1",
        tracestate="a=b",
    )
    assert (said.status, said.head["x-request-id"]) == (200, "r-1")
    asked = front.triton.asked[-1]
    assert [(each["role"], each["content"]) for each in json.loads(asked.inputs["messages"][0])] == [
        ("system", "Be brief."),
        ("assistant", "a\nb"),
        ("user", "why?"),
    ]
    assert json.loads(asked.inputs["sampling_parameters"][0]) == {"seed": 7}
    assert asked.id == "r-1"
    assert {"traceparent": trace, "tracestate": "a=b", "x-request-id": "r-1"}.items() <= asked.metadata.items()
    body = {"model": "plain", "messages": turns}
    said = front.send("POST", CHAT, body, traceparent="00-zz", x_request_id="a b")
    assert said.json["choices"][0]["message"]["content"] == "why?"  # it takes no conversation
    asked = front.triton.asked[-1]
    assert "traceparent" not in asked.metadata
    assert asked.id == said.head["x-request-id"] != "a b"


ERRORS: Mapping[str, tuple[int, str, str, str | None]] = {
    "INVALID_ARGUMENT: bad shape": (400, "bad shape", "invalid_request_error", "invalid_value"),
    "OUT_OF_RANGE: far": (400, "far", "invalid_request_error", "invalid_value"),
    "NOT_FOUND: gone": (404, "the model `rag` does not exist", "invalid_request_error", "model_not_found"),
    ": Request for unknown model: 'rag' is not found": (404, "`rag`", "invalid_request_error", "model_not_found"),
    "RESOURCE_EXHAUSTED: full": (429, "full", "rate_limit_error", "resource_exhausted"),
    "UNAVAILABLE: Exceeds maximum queue size": (503, "Exceeds", "server_error", "unavailable"),
    "UNAVAILABLE: failed to connect to all addresses: 10.0.0.1:8001": (
        503,
        "Triton cannot be",
        "server_error",
        "unavailable",
    ),
    "DEADLINE_EXCEEDED: late": (504, "late", "server_error", "deadline_exceeded"),
    "UNAUTHENTICATED: who": (502, "who", "server_error", "unauthenticated"),
    "INTERNAL: boom": (500, "boom", "server_error", "internal"),
    "INTERNAL: in ensemble 'rag', Stub process 'x_0_0' is not healthy.": (503, "Stub", "server_error", "internal"),
    "INTERNAL: step g_prompt: max_tokens must be an integer from 1 to 9, not 0": (
        *(400, "step g_prompt: max_tokens must", "invalid_request_error", "invalid_value"),
    ),
    "INTERNAL: step g: Error generating stream: The prompt (9) is longer than the maximum model length": (
        *(400, "step g: Error", "invalid_request_error", "context_length_exceeded"),
    ),
    "no sources": (502, "the sources of the answer cannot be read", "server_error", "data_loss"),
}


def test_an_error_of_triton_has_its_status_before_the_first_text_and_is_an_event_after_it(front: Front) -> None:
    for text, (status, words, kind, code) in ERRORS.items():
        for streams in (False, True):
            got = chat(front, text, stream=streams)
            error = got.json["error"]
            assert (got.status, error["type"], error["code"]) == (status, kind, code), text
            assert words in error["message"]
            assert "10.0.0.1" not in error["message"]
            assert ("retry-after" in got.head) == (status in {429, 503})
            assert "www-authenticate" not in got.head
    got = chat(front, "late INTERNAL: boom", stream=True)
    *_, text, last = got.events
    assert (got.status, text["choices"][0]["delta"]["content"]) == (200, "so far ")
    assert last == {"error": {"message": "boom", "type": "server_error", "param": None, "code": "internal"}}
    assert chat(front, "late INTERNAL: boom").status == 500


HI = {"model": "rag", "messages": [{"role": "user", "content": "hi"}]}
REFUSED: Mapping[str, tuple[str, Mapping[str, Any], str, str | None]] = {
    "an unknown field": (CHAT, {**HI, "temprature": 1}, "did you mean `temperature`?", "temprature"),
    "several answers": (CHAT, {**HI, "n": 2}, "`n` is not supported here", "n"),
    "a true one": (CHAT, {**HI, "n": True}, "`n` is not supported here", "n"),
    "tools": (CHAT, {**HI, "tools": [{}]}, "`tools` is not supported here", "tools"),
    "a schema": (CHAT, {**HI, "response_format": {"type": "json_object"}}, "`response_format` is", "response_format"),
    "no model": (CHAT, {"messages": HI["messages"]}, "`model` is missing", "model"),
    "a number as model": (CHAT, {**HI, "model": 3}, "`model` must be a string, not 3", "model"),
    "a wrong route": (CHAT, {**HI, "model": "emb"}, "does not answer chat requests, only embeddings", "model"),
    "a raw generator": (CHAT, {**HI, "model": "raw"}, "only completions", "model"),
    "no messages": (CHAT, {"model": "rag"}, "`messages` must be a list", "messages"),
    "an empty list": (CHAT, {"model": "rag", "messages": []}, "at least one message", "messages"),
    "a tool's turn": (CHAT, {"model": "rag", "messages": [{"role": "tool"}]}, "not tool", "messages[0].role"),
    "no question": (
        *(CHAT, {"model": "rag", "messages": [{"role": "assistant", "content": "a"}]}),
        *("must end with a message of the user", "messages[0].role"),
    ),
    "an image": (
        *(CHAT, {"model": "rag", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        *("must be a part of type text, not image_url", "messages[0].content[0]"),
    ),
    "a blank question": (
        *(CHAT, {"model": "rag", "messages": [{"role": "user", "content": " "}]}),
        *("the last message is empty", "messages[0].content"),
    ),
    "too many tokens": (
        CHAT,
        {**HI, "max_tokens": 101},
        "`max_tokens` must be at most 100 here, not 101",
        "max_tokens",
    ),
    "no tokens": (CHAT, {**HI, "max_tokens": 0}, "must be an integer from 1", "max_tokens"),
    "two limits": (CHAT, {**HI, "max_tokens": 1, "max_completion_tokens": 2}, "differ", "max_completion_tokens"),
    "a hot one": (CHAT, {**HI, "temperature": "hot"}, "must be a number from 0 to 100, not hot", "temperature"),
    "no share": (CHAT, {**HI, "top_p": 0}, "must be a number above 0 and at most 1, not 0", "top_p"),
    "an empty stop": (CHAT, {**HI, "stop": [""]}, "`stop` must be a string or a list of strings", "stop"),
    "many stops": (CHAT, {**HI, "stop": ["a"] * 17}, "`stop` must have at most 16 strings, not 17", "stop"),
    "options alone": (CHAT, {**HI, "stream_options": {}}, "`stream_options` needs `stream`", "stream_options"),
    "odd options": (CHAT, {**HI, "stream": True, "stream_options": {"x": 1}}, "unknown field `x`", "x"),
    "a stream of 1": (CHAT, {**HI, "stream": 1}, "`stream` must be true or false, not 1", "stream"),
    "no controls": (CHAT, {**HI, "model": "plain", "seed": 1}, "takes no sampling parameters; remove `seed`", "seed"),
    "tokens": (COMPLETIONS, {"model": "gen", "prompt": [1, 2]}, "`prompt` must be one string", "prompt"),
    "a pipeline": (COMPLETIONS, {"model": "rag", "prompt": "a"}, "only chat", "model"),
    "an echo": (COMPLETIONS, {"model": "gen", "prompt": "a", "echo": True}, "`echo` is not supported", "echo"),
    "token lists": (EMBEDDINGS, {"model": "emb", "input": [[1]]}, "lists of tokens are not supported", "input"),
    "no input": (EMBEDDINGS, {"model": "emb", "input": []}, "`input` must be a string or a list", "input"),
    "many inputs": (EMBEDDINGS, {"model": "emb", "input": ["a"] * 2049}, "at most 2048 texts, not 2049", "input"),
    "a short vector": (
        *(EMBEDDINGS, {"model": "emb", "input": "a", "dimensions": 2}, "has 3 dimensions", "dimensions"),
    ),
    "a format": (
        EMBEDDINGS,
        {"model": "emb", "input": "a", "encoding_format": "x"},
        '"float" or "base64"',
        "encoding_format",
    ),
    "a cut start": (EMBEDDINGS, {"model": "emb", "input": "a", "truncate": "START"}, "must be END", "truncate"),
    "no types": (
        EMBEDDINGS,
        {"model": "one", "input": "a", "input_type": "query"},
        "takes no input type",
        "input_type",
    ),
    "two types": (
        *(EMBEDDINGS, {"model": "emb-query", "input": "a", "input_type": "passage"}),
        *("`input_type` is passage, but the model's suffix is -query", "input_type"),
    ),
    "no documents": (RERANK, {"model": "rer", "query": "a", "documents": []}, "at least one document", "documents"),
    "a number": (RERANK, {"model": "rer", "query": "a", "documents": ["a", 1]}, "not 1", "documents[1]"),
    "no query": (RERANK, {"model": "rer", "documents": ["a"]}, "`query` is missing", "query"),
    "none of them": (RERANK, {"model": "rer", "query": "a", "documents": ["a"], "top_n": 0}, "from 1", "top_n"),
}


def test_what_cannot_be_honored_is_refused_before_triton_is_asked(front: Front) -> None:
    before = len(front.triton.asked)
    for name, (path, body, words, param) in REFUSED.items():
        status, message, at = front.send("POST", path, body).error
        assert (status, at) == (400, param), name
        assert words in message, name
        before += name == "a short vector"  # which only the vector shows
    assert len(front.triton.asked) == before
    status, message, at = front.post(CHAT, **{**HI, "model": "reg"}).error
    assert (status, at) == (404, "model")
    assert 'Did you mean "rag"?' in message
    harmless: dict[str, object] = dict.fromkeys([*NEUTRAL, "anything"])
    for name in ("metadata", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"):
        harmless[name] = "x"
    harmless |= {"service_tier": "auto", "store": True, "user": "me"}
    harmless |= {name: values[0] for name, values in NEUTRAL.items() if values}
    assert front.post(CHAT, **HI, **harmless).status == 200


def test_vectors_come_as_numbers_or_base64_in_batches_of_the_models_size(front: Front) -> None:
    before = len(front.triton.asked)
    whole = front.post(EMBEDDINGS, model="emb", input=["a", "bb", "ccc"]).json
    assert [each["embedding"] for each in whole["data"]] == [[1.0, 0.5, 0.0], [2.0, 0.5, 0.0], [3.0, 0.5, 0.0]]
    assert [(each["index"], each["object"]) for each in whole["data"]] == [(n, "embedding") for n in range(3)]
    usage = {"prompt_tokens": 6, "total_tokens": 6}  # of both batches
    assert (whole["object"], whole["model"], whole["usage"]) == ("list", "emb", usage)
    assert 'tokens_total{model="emb",kind="prompt"} 6' in front.send("GET", "/metrics").body.decode()
    assert sorted(len(asked.inputs["text"]) for asked in front.triton.asked[before:]) == [1, 2]
    assert front.post(EMBEDDINGS, model="one", input="a").json["usage"] is None  # which does not say
    coded = front.post(EMBEDDINGS, model="emb-passage", input="nan", encoding_format="base64", dimensions=3).json
    numbers = struct.unpack("<3f", base64.b64decode(coded["data"][0]["embedding"]))
    assert (coded["model"], str(numbers)) == ("emb", "(nan, 0.5, 2.0)")
    said = front.post(EMBEDDINGS, model="emb", input="nan").error
    assert said == (502, "the vector has values that are not finite numbers", None)
    for model, more, kind in (("emb", {"input_type": "query"}, 1.0), ("emb-query", {}, 1.0), ("one", {}, 0.0)):
        vector = front.post(EMBEDDINGS, model=model, input=["a"], **more).json["data"][0]["embedding"]
        assert vector == [1.0, 0.5, kind]


def test_the_gateway_can_have_another_input_type_than_the_embedder() -> None:
    with fronted(Scripted(MODELS), input_type="passage") as front:
        for model, more, kind in (("emb", {}, 2.0), ("emb", {"input_type": "query"}, 1.0), ("one", {}, 0.0)):
            vector = front.post(EMBEDDINGS, model=model, input="a", **more).json["data"][0]["embedding"]
            assert vector == [1.0, 0.5, kind]


def test_all_documents_are_ranked_though_the_model_returns_only_its_best(front: Front) -> None:
    documents = ["a", {"text": "ccc"}, "bb", "a", "dddd"]
    whole = front.post(RERANK, model="rer", query="q", documents=documents).json
    order = [(each["index"], each["relevance_score"], each["document"]["text"]) for each in whole["results"]]
    assert order == [(4, 4.0, "dddd"), (1, 3.0, "ccc"), (2, 2.0, "bb"), (0, 1.0, "a"), (3, 1.0, "a")]
    assert whole["usage"] == {"prompt_tokens": 11, "total_tokens": 11}  # each document once
    before = len(front.triton.asked)
    for path in (RERANK, "/v2/rerank", "/rerank"):
        best = front.post(path, model="rer", query="q", documents=documents, top_n=2, return_documents=False).json
        assert best["results"] == [{"index": 4, "relevance_score": 4.0}, {"index": 1, "relevance_score": 3.0}]
    assert len(front.triton.asked) == before + 3  # the two best are in the first response
    (odd,) = front.post(RERANK, model="rer", query="q", documents=["inf"]).json["results"]
    assert odd["relevance_score"] is None


def test_models_are_listed_by_what_they_answer(front: Front) -> None:
    listed = front.send("GET", "/v1/models").json
    found = {each["id"]: each["routes"] for each in listed["data"]}
    assert found == {
        "emb": ["embeddings"],
        "gen": ["chat", "completions"],
        "one": ["embeddings"],
        "plain": ["chat"],
        "rag": ["chat"],
        "raw": ["completions"],
        "rer": ["rerank"],
    }
    (one,) = (each for each in listed["data"] if each["id"] == "rag")
    assert front.send("GET", "/v1/models/rag").json == one
    assert (one["object"], one["owned_by"]) == ("model", "triton")
    assert front.send("GET", "/v1/models/other").error[0] == 404
    assert front.send("GET", "/v1/nothing").error == (404, "GET /v1/nothing is not served here", None)
    assert front.send("GET", CHAT).error[0] == 405


def test_metrics_have_prometheus_text_format() -> None:
    counts = Counts({"in_flight": ("Requests that are being answered.", lambda: 3)})
    counts.request("chat", 'a"b\\c\n', 200)
    counts.token("m", "prompt", 4)
    counts.gone("chat", "m")
    for seconds in (0.01, 0.011, 200.0):
        counts.first.add(seconds, model="m")
    lines = counts.text().splitlines()
    assert [line for line in lines if not line.startswith("#") and "_bucket" not in line] == [
        "tritonrepo_gateway_in_flight 3",
        'tritonrepo_gateway_requests_total{route="chat",model="a\\"b\\\\c\\n",status="200"} 1',
        'tritonrepo_gateway_disconnects_total{route="chat",model="m"} 1',
        'tritonrepo_gateway_tokens_total{model="m",kind="prompt"} 4',
        'tritonrepo_gateway_time_to_first_token_seconds_sum{model="m"} 200.021',
        'tritonrepo_gateway_time_to_first_token_seconds_count{model="m"} 3',
    ]
    buckets = [line.rpartition("le=")[2] for line in lines if "_bucket" in line]
    assert buckets[:3] == ['"0.005"} 0', '"0.01"} 1', '"0.025"} 2']
    assert buckets[-2:] == ['"120"} 2', '"+Inf"} 3']
    assert lines[0] == "# HELP tritonrepo_gateway_in_flight Requests that are being answered."
    assert lines[1] == "# TYPE tritonrepo_gateway_in_flight gauge"


BOUNDS: Mapping[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "temperature": ((0, 0.5, 100), (-0.1, 101, True)),
    "top_p": ((0.01, 1), (0, 1.1)),
    "frequency_penalty": ((-2, 2), (-2.1, 2.1)),
    "presence_penalty": ((-2, 2), (-2.1, 2.1)),
    "seed": ((-(1 << 63), 0, (1 << 63) - 1), (-(1 << 63) - 1, 1 << 63, 1.5, False)),
    "top_k": ((-1, 1 << 31), (-2, 1.0)),
    "min_p": ((0, 1), (-0.1, 1.1)),
    "repetition_penalty": ((0.1, 100), (0, 101)),
    "min_tokens": ((0, 1 << 31), (-1, 0.5)),
    "max_tokens": ((1, 1 << 31), (0, (1 << 31) + 1)),
    "max_completion_tokens": ((1, 1 << 31), (0, "1")),
    "stop": (("a", ["a"] * 16, []), ("", [""], [1], {}, ["a"] * 17)),
}


def test_sampling_parameters_have_their_bounds() -> None:
    for name, (good, bad) in BOUNDS.items():
        for value in good:
            told = Fields({name: value}, CONTROLS).sampling(None)
            wanted = {"max_completion_tokens": "max_tokens"}.get(name, name)
            assert told == ({wanted: [value] if value == "a" else value} if value != [] else {}), name
        for value in bad:
            with pytest.raises(Problem, match=f"`{name}` must "):
                Fields({name: value}, CONTROLS).sampling(None)


def test_bodies_that_are_no_json_object_are_refused(front: Front) -> None:
    bodies: Iterable[tuple[bytes, int, str]] = (
        (b"{", 400, "the body is not JSON"),
        (b"\xff", 400, "the body is not JSON"),
        (b"", 400, "the body is not JSON"),
        (b"[" * 100_000, 400, "the body nests too deeply"),
        (b'{"temperature": NaN}', 400, "NaN is not a number of JSON"),
        (b"1" * 5000, 400, "the body has a number that is too long"),
        (b"[]", 400, "the body must be a JSON object"),
        (b" " * (4 << 20) + b" ", 413, "the body is longer than 4194304 bytes"),
    )
    for body, status, words in bodies:
        got, message, _ = front.send("POST", CHAT, body).error
        assert (got, words in message) == (status, True), message
    assert front.send("POST", CHAT, b"{}", content_encoding="gzip").status == 415
    assert front.send("POST", CHAT, b"{}", content_length="9" * 18).status == 413


def test_the_official_client_raises_its_own_errors(front: Front) -> None:
    import openai

    classes: Mapping[str, type[openai.APIStatusError]] = {
        "INVALID_ARGUMENT: x": openai.BadRequestError,
        "NOT_FOUND: x": openai.NotFoundError,
        "RESOURCE_EXHAUSTED: x": openai.RateLimitError,
        "UNAVAILABLE: x": openai.InternalServerError,
    }
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
        ask: Any = partial(client.chat.completions.create, model="rag")
        for text, kind in classes.items():
            with pytest.raises(kind):
                ask(messages=[{"role": "user", "content": text}], stream=True)
        with pytest.raises(openai.APIError, match="boom"):
            [*ask(messages=[{"role": "user", "content": "late INTERNAL: boom"}], stream=True)]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("other")
        assert client.models.retrieve("rag").id == "rag"
        assert client.embeddings.create(model="one", input="ab").usage is None
        # base64, which it asks for by itself
        assert client.embeddings.create(model="emb", input="ab").data[0].embedding == [2.0, 0.5, 0.0]


def test_calls_to_a_name_go_to_its_addresses_in_turn() -> None:
    """As those of a headless Service, which has an address for each pod."""
    pair = (Scripted(MODELS), Scripted(MODELS))

    async def ask(*ports: int) -> None:
        calls = Calls(Endpoint("http://unused:1", grpc="unused:1"))
        calls.address = f"ipv4:{','.join(f'127.0.0.1:{port}' for port in ports)}"
        async with calls:
            for _ in range(500):  # the second connection stands a little later than the first
                await calls.index()
                if min(each.listed for each in pair) > 2:
                    break

    with serving(pair[0]) as first, serving(pair[1]) as second:
        asyncio.run(ask(first, second))
    assert min(each.listed for each in pair) > 2
