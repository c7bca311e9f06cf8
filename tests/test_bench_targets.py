"""How a target of a load is named, and what its server is asked where the name leaves something open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gateways import VLLM, Scripted, serving
from tests.speaking import Asked, Said, Speaking, index, plain, speaking
from tests.tabled import tabled
from tritonrepo.bench.target import Protocol, Target
from tritonrepo.bench.targets import targets
from tritonrepo.diagnostics import Stop
from tritonrepo.server.endpoint import Endpoint

CHAT, GENERATE, GRPC = Protocol.CHAT, Protocol.GENERATE, Protocol.GRPC


def named(text: str, model: str | None = None, **more: Any) -> Target:  # noqa: ANN401  Endpoint's fields
    (found,) = targets([text], model=model, endpoint=lambda url: Endpoint(url, **more))
    return found


def refused(text: str, model: str | None = None) -> tuple[str, str, str]:
    """Return the name, the message and the hint of what is wrong with a target."""
    with pytest.raises(Stop) as stopped:
        named(text, model)
    (found,) = stopped.value.diagnostics
    return found.rule, found.message, found.hint


GENERATED = "/v2/models/rag/generate_stream"
WAYS: dict[str, tuple[str, tuple[Protocol, str, str, str]]] = {
    "a stream of Triton": (f"http://h:8000{GENERATED}", (GENERATE, "http://h:8000", "rag", GENERATED)),
    "without a scheme": (f"h:8000{GENERATED}", (GENERATE, "http://h:8000", "rag", GENERATED)),
    "one response": ("https://h/v2/models/rag/generate", (GENERATE, "https://h", "rag", "/v2/models/rag/generate")),
    "a version": (
        "http://h/v2/models/rag/versions/3/generate",
        (GENERATE, "http://h", "rag", "/v2/models/rag/versions/3/generate"),
    ),
    "a proxy before it": (
        f"http://h/triton{GENERATED}/",
        (GENERATE, "http://h/triton", "rag", f"/triton{GENERATED}"),
    ),
    "an escaped model": (
        "http://h/v2/models/a%20b/generate",
        (GENERATE, "http://h", "a b", "/v2/models/a%20b/generate"),
    ),
    "other letters": ("http://h/v2/models/é/generate", (GENERATE, "http://h", "é", "/v2/models/%C3%A9/generate")),
    "chat": ("http://h/v1/chat/completions", (CHAT, "http://h", "given", "/v1/chat/completions")),
    "completions": ("http://h/v1/completions", (Protocol.COMPLETIONS, "http://h", "given", "/v1/completions")),
    "embeddings": ("http://h/v1/embeddings", (Protocol.EMBEDDINGS, "http://h", "given", "/v1/embeddings")),
    "rerank": ("http://h/v2/rerank", (Protocol.RERANK, "http://h", "given", "/v2/rerank")),
    "the base": ("http://h:9000/v1/", (CHAT, "http://h:9000", "given", "/v1/chat/completions")),
    "the base behind a proxy": ("https://h/llm/v1", (CHAT, "https://h", "given", "/llm/v1/chat/completions")),
    "a model of its own": ("http://h/v1#org/m:1", (CHAT, "http://h", "org/m:1", "/v1/chat/completions")),
    "a query": (
        "https://h/openai/deployments/d/chat/completions?api-version=2024-06-01",
        (CHAT, "https://h", "given", "/openai/deployments/d/chat/completions?api-version=2024-06-01"),
    ),
    "IPv6": ("http://[::1]:8000/v1", (CHAT, "http://[::1]:8000", "given", "/v1/chat/completions")),
}


@tabled(("text", "found"), WAYS.values(), ids=WAYS)
def test_a_url_says_the_protocol_and_the_path(text: str, found: tuple[Protocol, str, str, str]) -> None:
    target = named(text, "given")
    assert (target.protocol, target.endpoint.url, target.model, target.path) == found
    assert target.text == text


GRPCS = {
    "with all": ("grpc://h:9001/rag", None, ("http://h:9000", "grpc://h:9001", "rag")),
    "with TLS": ("grpcs://h:9001/rag", None, ("https://h:9000", "grpcs://h:9001", "rag")),
    "the default port": ("grpc://h/rag", None, ("http://h:8000", "grpc://h:8001", "rag")),
    "a model for all": ("grpc://[::1]:8001", "rag", ("http://[::1]:8000", "grpc://[::1]:8001", "rag")),
    "a model after #": ("grpc://h:8001#rag", None, ("http://h:8000", "grpc://h:8001", "rag")),
}


@tabled(("text", "model", "found"), GRPCS.values(), ids=GRPCS)
def test_grpc_stands_beside_the_http_port_before_it(text: str, model: str | None, found: tuple[str, str, str]) -> None:
    target = named(text, model)
    assert (target.endpoint.url, target.endpoint.grpc, target.model) == found
    assert (target.protocol, target.path) == (GRPC, "")


FORM = "Use one of the forms `grpc://HOST:8001/MODEL`"
NO_WAYS = {
    "nothing": ("", None, "this is not the URL of a server", FORM),
    "a space": ("http://h /v1", None, "this is not the URL of a server", FORM),
    "a port that is none": ("http://h:port/v1", None, "this is not the URL of a server", FORM),
    "port 0": ("http://h:0/v1", None, "this is not the URL of a server", FORM),
    "a host that is none": ("http://a..b/v1", None, "this is not the URL of a server", FORM),
    "a host that is too long": (f"http://{'a' * 64}/v1", None, "this is not the URL of a server", FORM),
    "another scheme": ("ws://h/v1", None, 'unknown scheme "ws"', FORM),
    "a password": (
        "https://me:secret@h/v1",
        "m",
        "user and password in the URL of a server are not supported",
        "Pass them with `--header-env authorization=VARIABLE`.",
    ),
    "a key": (
        "https://h/v1/chat/completions?api_key=s3cret",
        "m",
        "the URL has a secret in its query, which results would show",
        "Pass it with `--header-env NAME=VARIABLE`.",
    ),
    "infer": (
        "http://h/v2/models/m/infer",
        None,
        "this path of Triton's is not one that a load can be sent to",
        "Use `…/v2/models/MODEL/generate_stream`, or `grpc://HOST:8001/MODEL`.",
    ),
    "models": ("http://h/v1/models", "m", "this path of OpenAI's API is not one that a load can be sent to", FORM),
    "two models": (
        f"http://h{GENERATED}#other",
        None,
        'the URL names the model "rag", but "other" follows #',
        FORM,
    ),
    "gRPC without a model": (
        "grpc://h:8001",
        None,
        "the model is missing",
        "Use the form `grpc://HOST:8001/MODEL`, or set `--model`.",
    ),
    "gRPC with a path": (
        "grpc://h:8001/v2/models",
        None,
        '"v2/models" cannot be the name of a model',
        "Use the form `grpc://HOST:8001/MODEL`.",
    ),
}


@tabled(("text", "model", "message", "hint"), NO_WAYS.values(), ids=NO_WAYS)
def test_what_names_no_target_is_told_with_what_does(text: str, model: str | None, message: str, hint: str) -> None:
    rule, said, then = refused(text, model)
    assert (rule, said) == ("bench-target", message)
    assert then.startswith(hint)


def test_no_message_repeats_a_secret() -> None:
    with pytest.raises(Stop) as stopped:
        named("https://h/v1/chat/completions?api_key=s3cret", "m")
    assert "s3cret" not in str(stopped.value)
    with pytest.raises(Stop) as stopped:
        named("https://me:s3cret@h/v1", "m")
    assert "s3cret" not in str(stopped.value)


TRITON = {"name": "triton", "version": "2.51.0", "extensions": ["model_repository", "generate"]}
SERVES = [("rag", "1", "READY", ""), ("broken", "1", "UNAVAILABLE", "no"), ("search", "1", "READY", "")]


@contextmanager
def answering(answers: Mapping[str, object]) -> Iterator[Speaking]:
    """Run a server with an answer for each path, and 404 for others."""

    def answer(asked: Asked) -> Said:
        if asked.path not in answers:
            return plain({"error": "not found"}, 404)
        said = answers[asked.path]
        return said if isinstance(said, Said) else plain(said)

    with speaking(answer) as here:
        yield here


def listed(*names: object) -> dict[str, object]:
    return {"object": "list", "data": [{"id": name} for name in names]}


def test_the_one_model_that_an_endpoint_lists_is_meant() -> None:
    with answering({"/v1/models": listed("org/tiny"), "/llm/v1/models": listed("other")}) as here:
        assert named(f"{here.url}/v1").model == "org/tiny"
        assert named(f"{here.url}/v1/embeddings")[1:] == (
            Protocol.EMBEDDINGS,
            Endpoint(here.url),
            "org/tiny",
            "/v1/embeddings",
        )
        assert named(f"{here.url}/llm/v1").model == "other"
        assert named(here.url)[1:] == (CHAT, Endpoint(here.url), "org/tiny", "/v1/chat/completions")
        assert named(f"{here.url}/org/tiny").model == "org/tiny"


MANY = ("a", "b", "c")
CHOOSE = "Choose the model with `--model NAME`, or add `#NAME` to the URL."
UNLISTED = {
    "several": (listed(*MANY), "/v1", "the model is missing, and the server has several: a, b, c", CHOOSE),
    "none": (listed(), "/v1", "the model is missing, and the server does not list its models at /v1/models", CHOOSE),
    "no list": ([1], "/v1", "the model is missing, and the server does not list its models at /v1/models", CHOOSE),
    "names that are none": (
        {"data": [1, {"id": 7}, {"id": ""}, {}]},
        "/v1/completions",
        "the model is missing, and the server does not list its models at /v1/models",
        CHOOSE,
    ),
    "HTML": (
        Said(b"<h1>Hi</h1>"),
        "/v1",
        "the model is missing, and the server does not list its models at /v1/models",
        CHOOSE,
    ),
    "another model": (listed(*MANY), "/d", 'the server does not list the model "d"', "Use one of: a, b, c."),
    "several, unnamed": (listed(*MANY), "", "the model is missing, and the server has several: a, b, c", CHOOSE),
}


@tabled(("models", "path", "message", "hint"), UNLISTED.values(), ids=UNLISTED)
def test_a_model_that_is_not_clear_has_to_be_chosen(models: object, path: str, message: str, hint: str) -> None:
    with answering({"/v1/models": models}) as here:
        assert refused(f"{here.url}{path}") == ("bench-target", message, hint)


def test_a_bare_address_of_triton_is_asked_over_grpc_if_that_answers() -> None:
    with answering({"/v2": TRITON, "/v2/repository/index": index(SERVES)}) as here:
        with serving(Scripted({"rag": (VLLM, lambda _: [])})) as port:
            target = named(f"{here.url}/rag", grpc=f"127.0.0.1:{port}")
            assert (target.protocol, target.model, target.path) == (GRPC, "rag", "")
        target = named(f"{here.url}/rag", grpc=f"127.0.0.1:{port}")
        assert (target.protocol, target.model, target.path) == (GENERATE, "rag", GENERATED)
        target = named(f"{here.url}/rag", grpc="none")
        assert target[1:] == (GENERATE, Endpoint(here.url, grpc="none"), "rag", GENERATED)


def test_a_bare_address_of_triton_needs_a_model_of_it() -> None:
    hint = "Use the form `http://HOST:8000/MODEL`."
    with answering({"/v2": TRITON, "/v2/repository/index": index(SERVES)}) as here:
        message = "the model is missing, and the server serves several: rag, search"
        assert refused(here.url) == ("bench-target", message, hint)
        rule, said, then = refused(f"{here.url}/rga")
        assert (rule, said) == ("ask-model", 'the server does not have the model "rga"')
        assert '"rag"' in then
    with answering({"/v2": TRITON, "/v2/repository/index": index(SERVES[:2])}) as here:
        assert named(here.url, grpc="none").model == "rag"
    with answering({"/v2": TRITON, "/v2/repository/index": index([])}) as here:
        assert refused(here.url) == ("bench-target", "the model is missing, and the server serves no models", hint)


def test_what_is_neither_is_told() -> None:
    with answering({"/metrics": Said(b"# HELP nv_x\nnv_inference_count 1\n")}) as here:
        rule, said, _ = refused(here.url)
        assert rule == "bench-target"
        assert said.endswith("it is the metrics port of a Triton server")


def test_a_server_that_is_away_is_told() -> None:
    rule, said, _ = refused("http://127.0.0.1:9/v1")
    assert (rule, said) == ("server-unreachable", "the server cannot be reached: nothing listens on port 9")
