"""A load on models of Triton, over gRPC and the generate extension: what they are asked, and what is noted of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests import openai_endpoint as http
from tests.gateways import EMBEDDER, RERANKER, VLLM, Asked, Fail, Outputs, Scripted, serving
from tests.tabled import tabled
from tests.test_ask import config
from tritonrepo.bench.clients import client
from tritonrepo.bench.clients.triton import way
from tritonrepo.bench.load import Load, Prompt, Sampling
from tritonrepo.bench.prompts import listed
from tritonrepo.bench.record import Record, Source
from tritonrepo.bench.targets import targets
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.bench import BenchOptions, bench
from tritonrepo.server.endpoint import Endpoint

pytest.importorskip("tritonclient.grpc")

DECOUPLED = {"model_transaction_policy": {"decoupled": True}}
GENERATOR = {**VLLM, **DECOUPLED}
RAG = {**config("query?,messages?,sampling_parameters?,BOOL stream?", "answer,sources"), **DECOUPLED}
SEARCH = config("query", "ids,FP32 scores,passages")
HELLO = Prompt("say hello to all")


def records(
    text: str,
    *prompts: Prompt,
    sampling: Sampling = Sampling(32),  # noqa: B008  a value
    timeout_s: float = 20,
    tokenizer: Callable[[str], int] | None = None,
) -> list[Record]:
    """Return the records of prompts at a target, one after another on one client."""
    (target,) = targets([text], model=None, endpoint=Endpoint)

    async def all_of_them() -> list[Record]:
        async with client(target, sampling, timeout_s, tokenizer) as opened:
            return [await opened.ask(prompt) for prompt in prompts]

    return asyncio.run(all_of_them())


def speak(asked: Asked) -> Iterator[Outputs]:
    """Answer with a word for each of the prompt, of which the second has no text and the third several tokens."""
    for place, word in enumerate(asked.inputs["text_input"][0].split()):
        counts = {"num_input_tokens": [4], "num_output_tokens": [1 + (place == 2)]}
        yield {"text_output": ["" if place == 1 else word], "finish_reason": ["None"], **counts}
    yield {"text_output": [""], "finish_reason": ["length"], "num_input_tokens": [4], "num_output_tokens": [0]}


def rag(_: Asked) -> Iterator[Outputs]:
    yield {"sources": ["[]"]}
    whole = "grüße".encode()
    yield from ({"answer": [whole[at : at + 3]]} for at in range(0, len(whole), 3))


def late(_: Asked) -> Iterator[Outputs]:
    yield {"text_output": ["so"], "num_output_tokens": [1]}
    raise Fail("INTERNAL", "CUDA out of memory")


def stuck(asked: Asked) -> Iterator[Outputs]:
    yield {"text_output": ["so"], "num_output_tokens": [1]}
    asked.left.wait(20)


def embed(asked: Asked) -> Iterator[Outputs]:
    texts = asked.inputs["text"]
    rows = [[1.0, 2.0, 3.0]] * (1 if texts[0] == "too few" else len(texts))
    yield {"embedding": rows, "num_input_tokens": [[len(text)] for text in texts]}


def rank(asked: Asked) -> Iterator[Outputs]:
    count = len(asked.inputs["passages"])
    yield {"ids": asked.inputs["ids"], "scores": [0.5] * count, "num_input_tokens": [9]}


MODELS: Mapping[str, tuple[Mapping[str, Any], Callable[[Asked], Iterable[Outputs]]]] = {
    "gen": (GENERATOR, speak),
    "late": (GENERATOR, late),
    "stuck": (GENERATOR, stuck),
    "refuses": (GENERATOR, lambda _: (_ for _ in ()).throw(Fail("", "the queue is full"))),
    "silent": (GENERATOR, lambda _: [{"text_output": [""]}]),
    "rag": (RAG, rag),
    "emb": (EMBEDDER, embed),
    "one": (config("text", "FP32[3] embedding"), embed),
    "rer": (RERANKER, rank),
    "search": (SEARCH, lambda _: [{"ids": ["a"], "scores": [0.5], "passages": ["x"]}]),
    "words": (config("PROMPT", "OUT"), lambda asked: [{"OUT": asked.inputs["PROMPT"]}]),
    "nothing": (SEARCH, lambda _: [{}]),
    "vision": (config("FP32 x", "y"), lambda _: []),
}


@pytest.fixture(scope="module")
def triton() -> Iterator[tuple[Scripted, str]]:
    """A scripted server, and the URL to which the name of a model is added."""
    scripted = Scripted(MODELS)
    with serving(scripted) as port:
        yield scripted, f"grpc://127.0.0.1:{port}"


Triton = tuple[Scripted, str]


def test_a_generator_counts_the_tokens_of_each_response(triton: Triton) -> None:
    scripted, url = triton
    (record,) = records(f"{url}/gen", HELLO, sampling=Sampling(7, exact=True, other={"temperature": 0}))
    assert [(piece.characters, piece.tokens) for piece in record.pieces] == [(3, 1), (2, 3), (3, 1)]
    assert (record.answer_tokens, record.prompt_tokens, record.source) == (5, 4, Source.SERVER)
    assert (record.empty_before, record.empty, record.finish, record.error) == (0, 2, "length", "")
    assert record.streamed
    asked = scripted.asked[-1]
    parameters = json.loads(asked.inputs["sampling_parameters"][0])
    assert parameters == {"max_tokens": 7, "min_tokens": 7, "ignore_eos": True, "temperature": 0}
    flags = ("stream", "return_finish_reason", "return_num_input_tokens", "return_num_output_tokens")
    assert {name: asked.inputs[name] for name in flags} == {name: [True] for name in flags}


LIMITED = {"gen": (7, True), "words": (None, False), "emb": (None, False), "rag": (7, True)}


@pytest.mark.parametrize(("model", "limit"), LIMITED.items(), ids=LIMITED)
def test_a_limit_is_only_of_models_that_can_be_told(triton: Triton, model: str, limit: tuple[int | None, bool]) -> None:
    (target,) = targets([f"{triton[1]}/{model}"], model=None, endpoint=Endpoint)
    told = Sampling(7, exact=limit[1])
    options = BenchOptions(Load(requests=2), told, lambda _: listed([HELLO], "one"), metrics="none")
    (done,) = bench([target], options)
    prompts = done.result.prompts
    assert (prompts.max_tokens, prompts.exact) == limit
    assert done.result.generates == (prompts.max_tokens is not None)
    assert not done.result.figures.errors


def test_a_prompt_can_have_its_own_length(triton: Triton) -> None:
    scripted, url = triton
    records(f"{url}/gen", HELLO._replace(answer_tokens=3), sampling=Sampling(7, exact=True))
    parameters = json.loads(scripted.asked[-1].inputs["sampling_parameters"][0])
    assert parameters == {"max_tokens": 3, "min_tokens": 3, "ignore_eos": True}


def test_a_pipeline_sends_its_sources_before_the_answer(triton: Triton) -> None:
    (record,) = records(f"{triton[1]}/rag", HELLO, tokenizer=len)
    assert (record.empty_before, record.empty) == (1, 1)
    assert sum(piece.characters for piece in record.pieces) == 5  # characters that responses cut in two count once
    assert (record.answer_tokens, record.prompt_tokens, record.source) == (5, 16, Source.TOKENIZER)


VALUES: dict[str, tuple[str, Prompt, tuple[int, int | None, bool, str]]] = {
    "a text": ("emb", HELLO, (1, 16, False, "")),
    "several texts": ("emb", Prompt("", ("a b", "c")), (2, 4, False, "")),
    "several at a model without a batch": (
        "one",
        Prompt("", ("a", "b")),
        (1, None, False, 'the model "one" takes one text per request'),
    ),
    "fewer vectors than texts": (
        "emb",
        Prompt("", ("too few", "b")),
        (2, None, False, "the response does not have one vector for each of 2 texts"),
    ),
    "documents": ("rer", Prompt("which?", ("a", "b", "c")), (3, 9, False, "")),
    "no documents": (
        "rer",
        HELLO,
        (1, None, False, "a reranker needs documents to rank, but the prompt has only a text"),
    ),
    "a search": ("search", HELLO, (1, None, False, "")),
    "a text for a text": ("words", HELLO, (1, None, False, "")),
    "no outputs": ("nothing", HELLO, (1, None, False, "the response has no outputs")),
}


@pytest.mark.parametrize(("model", "prompt", "found"), VALUES.values(), ids=VALUES)
def test_models_without_a_stream_answer_once(
    triton: Triton, model: str, prompt: Prompt, found: tuple[int, int | None, bool, str]
) -> None:
    (record,) = records(f"{triton[1]}/{model}", prompt)
    items = max(record.items, 1)
    assert (items if record.ok else found[0], record.prompt_tokens, record.streamed, record.error) == found
    assert record.ttft_s is None
    assert len(record.pieces) == record.ok


FAILURES = {
    "an error after the first response": ("late", 20, 1, "INTERNAL", "INTERNAL: CUDA out of memory"),
    "an error in a message": ("refuses", 20, 0, "UNKNOWN", "UNKNOWN: the queue is full"),
    "no text": ("silent", 20, 0, "", "the answer has no text"),
    "a stream that does not end": ("stuck", 0.5, 1, "DEADLINE_EXCEEDED", "the answer was not complete within 0.5 s"),
}


@pytest.mark.parametrize(("model", "timeout_s", "pieces", "status", "error"), FAILURES.values(), ids=FAILURES)
def test_what_is_not_a_whole_answer_is_an_error(
    triton: Triton, model: str, timeout_s: float, pieces: int, status: str, error: str
) -> None:
    (record,) = records(f"{triton[1]}/{model}", HELLO, timeout_s=timeout_s)
    assert (len(record.pieces), record.status, record.error) == (pieces, status, error)
    assert record.answer_tokens in {None, 1}


def test_a_server_that_ends_is_an_error_of_each_request() -> None:
    scripted = Scripted(MODELS)

    async def before_and_after() -> Sequence[Record]:
        with serving(scripted) as port:
            (target,) = targets([f"grpc://127.0.0.1:{port}/gen"], model=None, endpoint=Endpoint)
            opened = await client(target, Sampling(), 10).__aenter__()
            first = await opened.ask(HELLO)
        found = [first, await opened.ask(HELLO)]
        await opened.__aexit__(None, None, None)
        return found

    first, second = asyncio.run(before_and_after())
    assert (first.error, second.status) == ("", "UNAVAILABLE")


def test_more_requests_than_a_connection_carries_open_another(triton: Triton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.bench.clients.triton_grpc.STREAMS", 4)
    (target,) = targets([f"{triton[1]}/gen"], model=None, endpoint=Endpoint)

    async def together() -> tuple[int, list[str]]:
        async with client(target, Sampling(), 20) as opened:
            found = await asyncio.gather(*(opened.ask(HELLO) for _ in range(10)))
            found += await asyncio.gather(*(opened.ask(HELLO) for _ in range(10)))
            return opened.connections, [record.error for record in found]  # type: ignore[attr-defined]

    assert asyncio.run(together()) == (3, [""] * 20)


REFUSED: dict[str, tuple[str, Sampling, str, str]] = {
    "a model that is not there": ("gne", Sampling(), "ask-model", 'the server does not have the model "gne"'),
    "no text": ("vision", Sampling(), "ask-inputs", 'the model "vision" takes no text: its inputs are x'),
    "no length": (
        "words",
        Sampling(exact=True),
        "ask-inputs",
        'the model "words" has no input sampling_parameters, so that the length of its answers cannot be set',
    ),
}


@pytest.mark.parametrize(("model", "sampling", "rule", "message"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_cannot_be_asked_is_told_before_the_load(
    triton: Triton, model: str, sampling: Sampling, rule: str, message: str
) -> None:
    with pytest.raises(Stop) as stopped:
        records(f"{triton[1]}/{model}", HELLO, sampling=sampling)
    (found,) = stopped.value.diagnostics
    assert (found.rule, found.message) == (rule, message)


def test_a_model_that_does_not_serve_is_told_with_its_reason() -> None:
    scripted = Scripted(MODELS)
    scripted.away.add("gen")
    with serving(scripted) as port, pytest.raises(Stop) as stopped:
        records(f"grpc://127.0.0.1:{port}/gen", HELLO)
    (found,) = stopped.value.diagnostics
    assert (found.rule, found.message.partition(":")[0]) == ("ask-model", 'the server does not serve the model "gen"')


def test_an_address_that_nobody_serves_is_told_before_the_load() -> None:
    with pytest.raises(Stop) as stopped:
        records("grpc://127.0.0.1:9/gen", HELLO)
    assert stopped.value.diagnostics[0].rule == "server-unreachable"


@contextmanager
def generating(served: Mapping[str, Any], script: Callable[[http.Asked], http.Script]) -> Iterator[http.Endpoint]:
    """Run a server of the generate extension whose model `m` has this config."""

    def answer(asked: http.Asked) -> http.Script:
        if asked.path.endswith("/index"):
            return [http.reply(json.dumps([{"name": "m", "version": "1", "state": "READY"}]).encode())]
        if asked.path.endswith("/config"):
            return [http.reply(json.dumps(served).encode())]
        return script(asked)

    with http.endpoint(answer) as here:
        here.url = here.url.removesuffix("/v1")
        yield here


def spoken(*pieces: Mapping[str, Any], end: Sequence[bytes | http.Act] = (http.LAST,)) -> http.Script:
    return [http.HEAD, *map(http.event, pieces), *end]


WORD = {"model_name": "m", "text_output": "hi", "num_output_tokens": 2, "num_input_tokens": 4}
STREAMS: dict[str, tuple[http.Script, tuple[int, int | None, str]]] = {
    "an answer": (spoken(WORD, {**WORD, "text_output": [" ", "you"]}), (2, 4, "")),
    "no counts": (spoken({"text_output": "hi"}), (1, None, "")),
    "counts that are none": (spoken({"text_output": "hi", "num_output_tokens": True}), (1, None, "")),
    "an error under status 200": (spoken(WORD, {"error": "CUDA out of memory"}), (1, 2, "CUDA out of memory")),
    "an error of a status": (
        [http.reply(b'{"error":"in ensemble, bad input"}', 400)],
        (0, None, "HTTP 400: in ensemble, bad input"),
    ),
    "an error of a stream": (
        [http.reply(b'data: {"error":"no"}\n\n', 400, http.EVENTS)],
        (0, None, "HTTP 400: no"),
    ),
    "a cut": (spoken(WORD, end=(http.Act.CLOSE,)), (1, 2, "the connection closed before the end of the response")),
    "an end that only the connection marks": (
        [b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {"text_output": "hi"}\n\n', http.Act.CLOSE],
        (1, None, "the end of the stream cannot be told from a cut, since only the end of the connection marks it"),
    ),
    "no text": (spoken({"text_output": ""}, {"text_output": None}), (0, None, "the answer has no text")),
}


@tabled(("script", "found"), STREAMS.values(), ids=STREAMS)
def test_a_stream_of_the_generate_extension(script: http.Script, found: tuple[int, int | None, str]) -> None:
    with generating(GENERATOR, lambda _: script) as here:
        (record,) = records(f"{here.url}/v2/models/m/generate_stream", HELLO)
    assert (len(record.pieces), record.answer_tokens, record.error) == found


def test_the_reason_to_finish_of_the_generate_extension_is_the_last_that_is_one() -> None:
    said = ("None", "length", "None", "")
    script = spoken(*({"text_output": "hi", "finish_reason": reason} for reason in said))
    with generating(GENERATOR, lambda _: script) as here:
        (record,) = records(f"{here.url}/v2/models/m/generate_stream", HELLO)
    assert (record.finish, record.error) == ("length", "")


def test_what_the_generate_extension_is_asked() -> None:
    with generating(GENERATOR, lambda _: spoken(WORD)) as here:
        records(f"{here.url}/v2/models/m/generate_stream", HELLO, sampling=Sampling(5))
        assert here.asked[-1].path == "/v2/models/m/generate_stream"
        counts = ("return_finish_reason", "return_num_input_tokens", "return_num_output_tokens")
        assert here.asked[-1].body == {
            "text_input": HELLO.text,
            "stream": True,
            "sampling_parameters": '{"max_tokens": 5}',
            **dict.fromkeys(counts, True),
        }
    with generating(GENERATOR, lambda _: [http.reply(json.dumps(WORD).encode())]) as here:
        (record,) = records(f"{here.url}/v2/models/m/generate", HELLO)
        assert here.asked[-1].body["stream"] is False
    assert (record.streamed, record.ttft_s, record.answer_tokens, record.error) == (False, None, 2, "")


ONCE: dict[str, tuple[Mapping[str, Any], Prompt, dict[str, Any], object, str]] = {
    "an embedder": (EMBEDDER, HELLO, {"text": HELLO.text}, {"embedding": [0.5, 1], "num_input_tokens": 4}, ""),
    "a reranker": (
        RERANKER,
        Prompt("q", ("a", "b")),
        {"query": "q", "passages": ["a", "b"], "ids": ["0", "1"]},
        {"scores": [1, 0], "ids": ["1", "0"]},
        "",
    ),
    "no vector": (
        EMBEDDER,
        HELLO,
        {"text": HELLO.text},
        {"embedding": []},
        "the response does not have one vector for each of 1 texts",
    ),
    "no scores": (
        RERANKER,
        Prompt("q", ("a",)),
        {"query": "q", "passages": "a", "ids": "0"},
        {"scores": []},
        "the response has no scores for 1 documents",
    ),
    "an error": (SEARCH, HELLO, {"query": HELLO.text}, {"error": "no index"}, "no index"),
    "not JSON": (SEARCH, HELLO, {"query": HELLO.text}, None, "the response is not a JSON object: null"),
}


@tabled(("served", "prompt", "body", "said", "error"), ONCE.values(), ids=ONCE)
def test_one_response_of_the_generate_extension(
    served: Mapping[str, Any], prompt: Prompt, body: dict[str, Any], said: object, error: str
) -> None:
    with generating(served, lambda _: [http.reply(json.dumps(said).encode())]) as here:
        (record,) = records(f"{here.url}/v2/models/m/generate", prompt)
        assert here.asked[-1].body == body
    assert (record.error, record.items) == (error, max(1, len(prompt.documents)))
    assert len(record.pieces) == record.ok


def test_a_config_that_is_no_shape_asks_for_what_it_can() -> None:
    odd = {"input": [{"name": "q", "data_type": "TYPE_STRING", "dims": "x"}], "output": 3, "max_batch_size": "y"}
    found = way("u", "m", odd, Sampling(), stream=True)
    assert (found.text, found.answer, found.streams, found.batch) == ("q", "", False, False)
