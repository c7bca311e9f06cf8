"""A generator whose engine is an endpoint with OpenAI's API: its keys, its checks, and NAME as a Python model.

What the model does with them: `generate/steps/endpoint.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.generate import config
from tritonrepo.generate.bls import RETURN, TOLD
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, step
from tritonrepo.generate.own import own
from tritonrepo.parts import prompting
from tritonrepo.parts.talking import MAX_TOKENS
from tritonrepo.spec.declare import VARIABLE, key, places
from tritonrepo.spec.part import Places, Port, below, origin, wrong
from tritonrepo.spec.stack import Config, Microseconds

ENGINE = "openai"
STEPS = ("endpoint", "chat_reading", "chat_request", "chatting", "connections", "events", "refusals")
"""The sources of the model, the first of which is its model.py."""

URL = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#@]*)?")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""The name of a header: RFC 9110, 5.6.2."""

OURS = frozenset(
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "accept", "accept-encoding", "te"]
)
"""Headers that the model sets by itself."""

BODY = {
    "model": "endpoint.model",
    "max_tokens": "sampling.max_tokens",
    "max_completion_tokens": "sampling.max_tokens and endpoint.limit",
    "chat_template_kwargs": "chat_template_kwargs",
    "messages": "",
    "stream": "",
    "stream_options": "endpoint.usage",
    "n": "",
    "tools": "",
    "tool_choice": "",
    "functions": "",
    "function_call": "",
}
"""Fields of a request that `extra` cannot set, and the keys that do."""

NEVER = {
    "n": "the answer is one text",
    "logprobs": "the answer is only text",
    "prompt_logprobs": "the answer is only text",
    "detokenize": "the answer is only text",
    "lora_name": "an adapter is a model of the endpoint: name it in endpoint.model",
    "guided_decoding": "set response_format in endpoint.extra",
    "extra_args": "set each argument in endpoint.extra",
}
"""Sampling parameters of vLLM's engine that a chat completion does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A secret, which only the server's environment has."""

    env: str = key(
        "environment variable of the server that has the value",
        example="LLM_API_KEY",
        schema={"anyOf": [{"pattern": f"^{NAME.pattern}$"}, VARIABLE]},
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the parts of an answer can take."""

    connect: Microseconds = key("until a connection stands", Microseconds(5_000_000), example="2s")
    first: Microseconds = key(
        "until the first word, with the time in the endpoint's queue and all further tries",
        Microseconds(120_000_000),
        example="60s",
    )
    between: Microseconds = key("from one piece of an answer to the next", Microseconds(60_000_000), example="30s")
    total: Microseconds = key("until the end of the answer", Microseconds(600_000_000), example="300s")
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint with OpenAI's API, such as a vLLM server or a NIM."""

    url: str = key(
        "address up to `/v1`, without `/chat/completions`",
        example="http://llm:8000/v1",
        schema={"anyOf": [{"pattern": r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"}, VARIABLE]},
    )
    model: str = key(
        "name of the model at the endpoint", example="meta-llama/Llama-3.1-8B-Instruct", schema={"pattern": r"\S"}
    )
    api_key: Variable | None = key(
        "key that is sent as `Authorization: Bearer`; default: none", None, example="{env: LLM_API_KEY}"
    )
    headers: Mapping[str, Variable] = key(
        "further headers, each from an environment variable of the server", {}, example="{X-Project: {env: PROJECT}}"
    )
    timeouts: Timeouts = key("how long the parts of an answer can take", Timeouts(), example="{first: 60s}")
    retries: int = key(
        "how often a request is sent again if the endpoint cannot be reached or answers `408`, `429`, `502` or `503`; "
        "never after the first word",
        2,
        minimum=0,
        example="0",
    )
    connections: int = key("requests that are in flight at a time; others wait in Triton", 256, minimum=1, example="64")
    check: Literal["auto", "always", "never"] = key(
        "what the model does when it is loaded: `auto` asks for the endpoint's models and fails if the key is refused "
        "or the model is missing; `always` also fails if the endpoint is not up; `never` does not ask",
        "auto",
        example="always",
    )
    usage: bool = key(
        "whether the endpoint is asked for the numbers of tokens, by `stream_options`, for a client that wants them; "
        "`false` for one that refuses this field",
        default=True,
        example="false",
    )
    limit: Literal["max_tokens", "max_completion_tokens"] = key(
        "name under which the limit of the answer is sent", "max_tokens", example="max_completion_tokens"
    )
    extra: Mapping[str, Any] = key(
        "further fields of each request, such as sampling parameters that only vLLM has; a request's "
        "sampling_parameters can override them",
        {},
        example="{top_k: 20, min_p: 0.05}",
        schema={"propertyNames": {"not": {"enum": [*BODY]}}},
    )
    places: Places = places()


def check(model: Any) -> Iterator[Diagnostic]:  # noqa: ANN401  the part's keys
    """Yield what is wrong with a generator of this engine."""
    at: Places = model.places
    for name in filter(at.__contains__, ("local", "lora")):
        why = "which the endpoint runs itself" if name == "local" else "which are models of the endpoint"
        hint = "Remove it." if name == "local" else "Remove it, and name the adapter in endpoint.model."
        yield wrong(at, name, f'engine "{ENGINE}" has no {name}, {why}', hint)
    for name in filter(model.sampling.__contains__, NEVER):
        message = f'sampling parameter "{name}" cannot be sent to an endpoint: {NEVER[name]}'
        yield wrong(at, f"sampling.{name}", message, f"Remove {name} from sampling.")
    if model.endpoint is None:
        yield wrong(at, "engine", f'engine "{ENGINE}" needs an endpoint', "Add `endpoint: {url: URL, model: MODEL}`.")
        return
    yield from _addressed(model.endpoint)
    yield from _secret(model.endpoint)
    yield from _sent(model.endpoint, model.sampling)
    if model.source is None and model.tokenizer is None:
        yield from _unknown(model)


def _addressed(endpoint: Endpoint) -> Iterator[Diagnostic]:
    at, url = endpoint.places, endpoint.url
    example = "Write an address such as `http://llm:8000/v1`."
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if "@" in parts.netloc:
        message = "the url of an endpoint cannot have a user or a password, which everybody could read"
        yield wrong(at, "url", message, "Use `api_key: {env: NAME}`.")
    elif not URL.fullmatch(url) or not (url.isascii() and url.isprintable()) or not parts.hostname or port == 0:
        yield wrong(at, "url", f'the url of an endpoint must be an http or https address, not "{url}"', example)
    elif parts.path.rstrip("/").endswith(("/completions", "/models")):
        message = "the url of an endpoint ends before the name of a method"
        yield wrong(
            at, "url", message, f"Write `{url[: url.rindex('/v1') + 3] if '/v1' in url else 'http://HOST/v1'}`."
        )
    if not endpoint.model.strip():
        yield wrong(at, "model", "the model of an endpoint is empty", "Use a name that `GET /v1/models` lists.")
    for name in ("connect", "first", "between", "total"):
        if not getattr(endpoint.timeouts, name):
            yield wrong(endpoint.timeouts.places, name, f'"{name}" must be more than 0', "Set it to a time such as 5s.")


def _secret(endpoint: Endpoint) -> Iterator[Diagnostic]:
    """Yield the names of variables and headers that cannot be."""
    given = {"Authorization": endpoint.api_key} if endpoint.api_key else {}
    for variable in (*given.values(), *endpoint.headers.values()):
        if not NAME.fullmatch(variable.env):
            message = f'"{variable.env}" cannot be the name of an environment variable'
            yield wrong(variable.places, "env", message, "Use letters, digits and _, such as LLM_API_KEY.")
    names = [*given]
    for name in endpoint.headers:
        at = {"": endpoint.places.get(f"headers.{name}", endpoint.places["headers"])}
        if not HEADER.fullmatch(name):
            yield wrong(at, "", f'"{name}" cannot be the name of a header', "Use letters, digits and -.")
        elif name.lower() in OURS:
            yield wrong(at, "", f'header "{name}" is set for each request', "Remove it.")
        elif name.lower() in map(str.lower, names):
            yield wrong(at, "", f'header "{name}" is set twice', "Remove one of the two.")
        names.append(name)


def _sent(endpoint: Endpoint, sampling: Mapping[str, Any]) -> Iterator[Diagnostic]:
    at = endpoint.places
    for name in endpoint.extra:
        if name in BODY:
            hint = f"Set {BODY[name]}." if BODY[name] else f"Remove {name} from extra."
            yield wrong(at, f"extra.{name}", f'extra cannot set "{name}"', hint)
        elif name in sampling:
            message = f'"{name}" is in sampling and in extra'
            yield wrong(at, f"extra.{name}", message, "Remove one of the two.")


def _unknown(model: Any) -> Iterator[Diagnostic]:  # noqa: ANN401  the part's keys
    """Yield what is lacking if no file of the model is at hand."""
    window, answers = model.args.get("max_model_len"), model.sampling.get("max_tokens", MAX_TOKENS)
    if "max_model_len" not in model.args or window == -1:
        message = "nothing says how many tokens the endpoint's model reads"
        hint = "Set max_model_len in args, or source or tokenizer to the model's files."
        yield wrong(model.places, "args.max_model_len" if window else "endpoint", message, hint)
    elif isinstance(window, int) and isinstance(answers, int) and answers >= window > 0:
        message = f"an answer may take {answers} tokens, but prompt and answer together must fit in {window}"
        hint = "Set max_tokens in sampling to a much smaller number, or raise max_model_len in args."
        yield wrong(model.places, "sampling" if "sampling" in model.places else "args", message, hint)


def settings(endpoint: Endpoint, sampling: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the model; secrets are in them by the names of their variables."""
    times = endpoint.timeouts
    return {
        "url": endpoint.url.rstrip("/"),
        "model": endpoint.model,
        "api_key": endpoint.api_key.env if endpoint.api_key else None,
        "headers": {name: variable.env for name, variable in endpoint.headers.items()},
        "timeouts": {name: getattr(times, name) / 1_000_000 for name in ("connect", "first", "between", "total")},
        "retries": endpoint.retries,
        "connections": endpoint.connections,
        "check": endpoint.check,
        "usage": endpoint.usage,
        "limit": endpoint.limit,
        "extra": {**endpoint.extra, **({"chat_template_kwargs": dict(variables)} if variables else {})},
        "sampling": {"max_tokens": MAX_TOKENS, **sampling},
    }


def add(name: str, model: Any, draft: Draft) -> None:  # noqa: ANN401  the part's keys
    """Add the model, which has the tensors of the vLLM backend that a pipeline uses."""
    main, *modules = STEPS
    content = {
        "model.py": step(main),
        **{f"{module}.py": step(module) for module in modules},
        "settings.json": json_file(settings(model.endpoint, model.sampling, model.chat_template_kwargs)),
    }
    asked = (Port(f"{RETURN}{name}", "BOOL", (1,), optional=True) for name in TOLD)
    takes = (Port("text_input", "STRING", (1,)), *prompting.CONTROLS, *asked)
    fields: Config = model.config
    draft.configure(
        name,
        config.config(
            name,
            "python",
            draft.number(name, content),
            0,
            Ports(takes, (Port("text_output", "STRING", (-1,)), *TOLD.values())),
            instance_group=config.on_cpu(),
            model_transaction_policy={"decoupled": True},
        ),
        origin(model.places),
        own(model.places, fields),
    )
    draft.explain(name, "settings.json", {**below(model.places, "endpoint"), **model.endpoint.places})
