"""Whether HTTP and gRPC reach one server: both must report the same counts of requests, which grow with each.

Source: Triton's docs/protocol/extension_statistics.md: counts and times in nanoseconds since a version was loaded, so
that no two servers that have answered anything report the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import quote

from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.server.statistics import counted
from tritonrepo.smoke.case import Check, Flaw, Result, found
from tritonrepo.smoke.connection import Connection

LOOKS = 2
"""How often HTTP is asked before gRPC, and after it: behind a load balancer, another server may answer each time."""


MORE = 6
"""How often HTTP is asked again if gRPC reports something else: is one of them another server, or are both several?"""

HINT = "Check `--grpc`, and whether a load balancer distributes the requests over several servers."


class Mark(NamedTuple):
    """What a server has counted for a version: requests, the time that they took, and when the last one came."""

    requests: int
    ns: int
    last: int


def checked(connection: Connection, model: str, version: str, at: Span) -> Iterator[Result]:
    """Yield a result if the requests to a version reach more than one server; nothing if that is not known.

    Equal servers behind a load balancer are a warning: each answer holds for one of them.
    """
    looks = [_http(connection, model, version) for _ in range(LOOKS)]
    between = _grpc(connection, model, version)
    looks += [_http(connection, model, version) for _ in range(LOOKS)]
    if between is None or None in looks:
        return
    fits = _fits(between, looks[LOOKS - 1], looks[LOOKS])
    if not fits:
        looks += [_http(connection, model, version) for _ in range(MORE)]
    known = [mark for mark in looks if mark is not None]
    spread = any(_goes_back(one, other) for one, other in pairwise(known))
    if fits and not spread:
        return
    here, there = _about(connection, grpc=False), _about(connection, grpc=True)
    same = spread and here == there == _about(connection, grpc=False)
    message = "requests over HTTP reach several servers, or the server was restarted: its counts went back"
    if not spread:
        counts = f"{known[LOOKS].requests} requests over HTTP, {between.requests} over gRPC"
        message = f"HTTP and gRPC reach different servers: they report {counts}"
    endpoint, rpc = connection.http.endpoint, connection.rpc
    places = [HINT, f"HTTP: {endpoint.whole_url}{here}", f"gRPC: {rpc.address if rpc else ''}{there}"]
    flaw = Flaw(f"version {version}: {message}", "\n".join(places))
    severity = Severity.WARNING if same else Severity.ERROR
    diagnostic = found(Check.AGREEMENT, severity, at, flaw, model)
    yield Result(model, version, Check.AGREEMENT, "server", diagnostics=(diagnostic,))


def _goes_back(one: Mark, later: Mark) -> bool:
    return any(b < a for a, b in zip(one, later, strict=True))


def _fits(mark: Mark, before: Mark | None, after: Mark | None) -> bool:
    """Return whether a mark was made between two others; if nothing came in between, it is the same."""
    if before is None or after is None:
        return True
    return all(a <= b <= c for a, b, c in zip(before, mark, after, strict=True))


def _about(connection: Connection, *, grpc: bool) -> str:
    """Return the name and version that a server gives itself, to be put after its address."""
    try:
        about = connection.rpc.about() if grpc and connection.rpc is not None else connection.http.about()
    except Stop:
        return ""
    said = f"{about.get('name', '')} {about.get('version', '')}".strip()
    return f", {said}" if said else ""


def _http(connection: Connection, model: str, version: str) -> Mark | None:
    try:
        _, text = connection.http.peek(f"/v2/models/{quote(model, safe='')}/versions/{version}/stats")
        return _mark(json.loads(text))
    except (Stop, ValueError, RecursionError):
        return None


def _grpc(connection: Connection, model: str, version: str) -> Mark | None:
    try:
        return None if connection.rpc is None else _mark(connection.rpc.statistics(model, version))
    except (Stop, ValueError):
        return None


def _mark(answer: Any) -> Mark:  # noqa: ANN401  JSON
    """Return the mark of an answer; raise ValueError for one that is not statistics."""
    try:
        (one,) = map(counted, answer["model_stats"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(error) from None
    succeeded, failed = one.spent["success"], one.spent["fail"]
    return Mark(succeeded.times + failed.times, succeeded.ns + failed.ns, one.last_ms)
