"""The text with which a user names a target, taken apart: a model of a server, and the protocol in which it is asked.

Source of the paths: Triton's docs/protocol/extension_generate.md, and https://platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tritonrepo.bench.target import Protocol, Target
from tritonrepo.diagnostics import Stop, closest, fatal, some
from tritonrepo.plain import hidden
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import NO_GRPC, Endpoint
from tritonrepo.server.questions import READY
from tritonrepo.server.recognizing import OURS, recognized
from tritonrepo.server.rpc import Rpc
from tritonrepo.server.secrets import SENSITIVE

FORMS = (
    "`grpc://HOST:8001/MODEL`, `http://HOST:8000/v2/models/MODEL/generate_stream`, "
    "`http://HOST/v1/chat/completions`, or `http://HOST:8000/MODEL`"
)
"""How targets are written, the usual ones."""

ROUTES = {
    "/chat/completions": Protocol.CHAT,
    "/completions": Protocol.COMPLETIONS,
    "/embeddings": Protocol.EMBEDDINGS,
    "/rerank": Protocol.RERANK,
}
"""How the path of an OpenAI endpoint ends."""

SENDABLE = "/%:@!$&'()*+,;=~?"
"""Characters of a path or a query that stay as they are (RFC 3986, 3.3 and 3.4)."""

GENERATE = re.compile(r"(.*)/v2/models/([^/]+)(?:/versions/[0-9]+)?/generate(?:_stream)?")
OTHER_TRITON = re.compile(r"(.*)/v2(?:/.*)?", re.DOTALL)
BASE = "/v1"
GRPC_PORT = 8001
"""Triton's default."""

MOST = 6
"""How many models a message names."""

Endpoints = Callable[[str], Endpoint]


class _Named(NamedTuple):
    """A target's text, with the URL in it; `model` is what follows `#`, or is said for all targets."""

    text: str
    url: str
    own: str
    model: str
    endpoint: Endpoints

    @property
    def path(self) -> str:
        """The path of the URL, with its query."""
        parts = urlsplit(self.url)
        path = quote(parts.path, SENDABLE)
        return f"{path}?{quote(parts.query, SENDABLE)}" if parts.query else path

    def at(self, prefix: str = "") -> Endpoint:
        """Return the endpoint of the host, whose other paths begin with a prefix."""
        parts = urlsplit(self.url)
        return self.endpoint(f"{parts.scheme}://{parts.netloc}{prefix}")

    def wrong(self, message: str, hint: str = "") -> Stop:
        """Return the Stop for a text that names no target."""
        return fatal(
            "bench-target", hidden(self.text.partition("?")[0]), message, hint or f"Use one of the forms {FORMS}."
        )


def targets(texts: Sequence[str], *, model: str | None, endpoint: Endpoints) -> tuple[Target, ...]:
    """Return the targets that texts name; `model` is the one of those that name none.

    Servers are asked only where a text leaves open what they are, or which model is meant. Raise Stop if a text names
    no target.
    """
    return tuple(_target(_named(text.strip(), model or "", endpoint)) for text in texts)


def _named(text: str, model: str, endpoint: Endpoints) -> _Named:
    url, _, own = text.partition("#")
    url = url if "://" in url else f"http://{url}"
    named = _Named(text, url, unquote(own), unquote(own) or model, endpoint)
    try:
        parts = urlsplit(url)
        missing = not (parts.hostname or "").encode("idna") or parts.port == 0
    except ValueError:  # a port that is not a number, or a host that cannot be one
        raise named.wrong("this is not the URL of a server") from None
    if parts.scheme not in {"http", "https", "grpc", "grpcs"}:
        raise named.wrong(f'unknown scheme "{parts.scheme}"')
    if missing or re.search(r"[\0- \x7f]", text):
        raise named.wrong("this is not the URL of a server")
    if any(SENSITIVE.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        message = "the URL has a secret in its query, which results would show"
        raise named.wrong(message, "Pass it with `--header-env NAME=VARIABLE`.")
    if hidden(url) != url:
        message = "user and password in the URL of a server are not supported"
        raise named.wrong(message, "Pass them with `--header-env authorization=VARIABLE`.")
    return named


def _target(named: _Named) -> Target:
    parts = urlsplit(named.url)
    path = quote(parts.path.rstrip("/"), SENDABLE)
    if parts.scheme.startswith("grpc"):
        return _grpc(named, path)
    if found := GENERATE.fullmatch(path):
        model = unquote(found[2])
        if named.own and named.own != model:
            raise named.wrong(f'the URL names the model "{model}", but "{named.own}" follows #')
        return Target(named.text, Protocol.GENERATE, named.at(found[1]), model, path)
    if OTHER_TRITON.fullmatch(path) and not path.endswith(tuple(ROUTES)):
        message = "this path of Triton's is not one that a load can be sent to"
        raise named.wrong(message, "Use `…/v2/models/MODEL/generate_stream`, or `grpc://HOST:8001/MODEL`.")
    return _served(named, path) or _recognized(named, path)


def _served(named: _Named, path: str) -> Target | None:
    """Return the target of a path of OpenAI's API, None for another one."""
    for end, protocol in ROUTES.items():
        if path.endswith(end):
            return _openai(named, path.removesuffix(end), named.path, protocol)
    if f"{BASE}/" in path:
        raise named.wrong("this path of OpenAI's API is not one that a load can be sent to")
    return _openai(named, path, f"{path}/chat/completions", Protocol.CHAT) if path.endswith(BASE) else None


def _grpc(named: _Named, path: str) -> Target:
    parts = urlsplit(named.url)
    model = unquote(path.strip("/")) or named.model
    if not model:
        raise named.wrong("the model is missing", "Use the form `grpc://HOST:8001/MODEL`, or set `--model`.")
    if "/" in model:
        raise named.wrong(f'"{model}" cannot be the name of a model', "Use the form `grpc://HOST:8001/MODEL`.")
    secure = "s" if parts.scheme == "grpcs" else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port or GRPC_PORT
    http = named.endpoint(f"http{secure}://{host}:{max(1, port - 1)}")  # Triton's ports follow one another
    if http.grpc:
        raise named.wrong("--grpc is for targets over HTTP, and this one says where gRPC is", "Remove `--grpc`.")
    return Target(named.text, Protocol.GRPC, replace(http, grpc=f"{parts.scheme}://{host}:{port}"), model)


def _openai(named: _Named, prefix: str, path: str, protocol: Protocol) -> Target:
    endpoint = named.at()
    model = named.model or _only(named, Client(endpoint), f"{prefix}/models")
    return Target(named.text, protocol, endpoint, model, path)


def _only(named: _Named, client: Client, path: str) -> str:
    """Return the model of a server that serves one; raise Stop if it serves several, or does not say."""
    models = _models(client, path)
    if len(models) == 1:
        return models[0]
    choose = "Choose the model with `--model NAME`, or add `#NAME` to the URL."
    if not models:
        raise named.wrong(f"the model is missing, and the server does not list its models at {path}", choose)
    raise named.wrong(f"the model is missing, and the server has several: {some(models, MOST)}", choose)


def _models(client: Client, path: str) -> list[str]:
    """Return the models that an endpoint with OpenAI's API lists; nothing if it lists none."""
    listed = client.told(path).get("data")
    found = [each.get("id") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [each for each in found if isinstance(each, str) and each]


def _recognized(named: _Named, path: str) -> Target:
    """Return the target of a URL that says only where a server is, and perhaps which model."""
    endpoint = named.at()
    client = Client(endpoint)
    model = unquote(path.strip("/")) or named.model
    about = client.told("/v2")
    if OURS in str(about.get("extensions")):
        return _triton(named, client, model)
    models = _models(client, f"{BASE}/models")
    if models:
        chosen = model or _only(named, client, f"{BASE}/models")
        if chosen not in models:
            raise named.wrong(f'the server does not list the model "{chosen}"', closest(chosen, models))
        return Target(named.text, Protocol.CHAT, endpoint, chosen, f"{BASE}/chat/completions")
    what = recognized(client) or "not known"
    raise named.wrong(f"this is neither a Triton server nor an endpoint with OpenAI's API: it is {what}")


def _triton(named: _Named, client: Client, model: str) -> Target:
    states = client.index()
    ready = sorted({state.name for state in states if state.state == READY})
    if not model and len(ready) != 1:
        served = f"the server serves several: {some(ready, MOST)}" if ready else "the server serves no models"
        raise named.wrong(f"the model is missing, and {served}", "Use the form `http://HOST:8000/MODEL`.")
    chosen = model or ready[0]
    if chosen not in {state.name for state in states}:
        names = sorted({state.name for state in states})
        message = f'the server does not have the model "{chosen}"'
        raise fatal("ask-model", client.url, message, closest(chosen, names) if names else "The server has no models.")
    if _speaks_grpc(client.endpoint):
        return Target(named.text, Protocol.GRPC, client.endpoint, chosen)
    return Target(
        named.text, Protocol.GENERATE, client.endpoint, chosen, f"/v2/models/{quote(chosen, safe='')}/generate_stream"
    )


def _speaks_grpc(endpoint: Endpoint) -> bool:
    """Return whether a Triton server answers over gRPC, and tritonclient is installed."""
    if endpoint.grpc == NO_GRPC:
        return False
    try:
        with Rpc(endpoint) as rpc:
            rpc.check()
    except Stop:
        return False
    return True
