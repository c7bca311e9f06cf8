"""Endpoints with OpenAI's API that the generators of a repository call: where they are, and what has their keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tritonrepo.repository import Model, Repository
from tritonrepo.rules.backends.arguments import LARGEST_JSON
from tritonrepo.server.hosts import loopback

SETTINGS = "settings.json"
OURS = {"url", "model", "api_key", "headers", "timeouts"}
"""Keys that the settings of such a generator have, and those of no other step."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Called(NamedTuple):
    """An endpoint: the model that calls it, its host and port, and the names of variables that the model reads.

    `address` is its URL without a path.
    """

    name: str
    host: str
    port: int
    variables: tuple[str, ...]
    address: str


def service(host: str) -> str:
    """Return the name of the Service that a host of a cluster is, "" for any other host."""
    first, _, rest = host.partition(".")
    inside = not rest or rest.endswith((".svc", ".svc.cluster.local")) or rest.count(".") == 0
    return first if inside and first.isascii() and not first.replace("-", "").isdigit() and not loopback(host) else ""


def near(host: str) -> bool:
    """Whether a host is a Service, this machine or an address of a private network, and not a service of others."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return bool(service(host)) or loopback(host)


def endpoints(found: Repository) -> tuple[Called, ...]:
    """Return the endpoints that served versions call, in order."""
    return tuple(
        called
        for model in found.models.values()
        if model.backend == "python"
        for version in model.served
        for called in _called(model, f"{model.directory_of(version)}/{SETTINGS}")
    )


def variables(found: Repository, named: Iterable[str]) -> dict[str, str]:
    """Return the variables that models read and what for: those with keys of endpoints, and those that are named."""
    senders: dict[str, list[str]] = {}
    for called in endpoints(found):
        for name in called.variables:
            why = f"{called.name} sends it to the endpoint that it calls: {called.host}."
            senders.setdefault(name, []).append(why)
    keys = {name: " ".join(sentences) for name, sentences in senders.items()}
    return keys | {name: "Read by a model." for name in named if name not in keys}


def _called(model: Model, path: str) -> Iterator[Called]:
    file = model.file(path)
    if file is None or file.size > LARGEST_JSON:
        return
    try:
        settings = json.loads(file.content())
        url = urlsplit(settings["url"]) if isinstance(settings, dict) and settings.keys() >= OURS else None
        port = url.port if url else None
    except (ValueError, RecursionError, AttributeError, TypeError):
        return
    if url and url.hostname and url.scheme in {"http", "https"}:
        port = port or (443 if url.scheme == "https" else 80)
        address = f"{url.scheme}://{f'[{url.hostname}]' if ':' in url.hostname else url.hostname}:{port}"
        yield Called(model.name, url.hostname, port, _variables(settings), address)


def _variables(settings: Mapping[str, Any]) -> tuple[str, ...]:
    headers = settings["headers"] if isinstance(settings["headers"], dict) else {}
    named = [settings["api_key"], *headers.values()]
    return tuple(dict.fromkeys(each for each in named if isinstance(each, str) and VARIABLE.fullmatch(each)))
