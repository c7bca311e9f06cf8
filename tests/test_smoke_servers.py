"""Two servers behind one URL: seen by their own counts, which only one server can have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.speaking import Asked, Said, plain, speaking
from tests.tabled import tabled
from tritonrepo.diagnostics import Span
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.smoke.case import Result
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.identity import MORE, checked

Counts = tuple[int, int, int]


def counted(counts: Counts, *, words: bool = False) -> dict[str, Any]:
    """Return statistics; gRPC's JSON has words for numbers, and leaves out what is zero."""
    requests, ns, last = (str(n) if words else n for n in counts)
    return {"model_stats": [{"inference_stats": {"success": {"count": requests, "ns": ns}}, "last_inference": last}]}


class Rpc:
    address = "h:1"

    def __init__(self, counts: Counts, version: str) -> None:
        self.counts, self.version = counts, version

    def statistics(self, *_: str) -> dict[str, Any]:
        return counted(self.counts, words=True)

    def about(self) -> dict[str, Any]:
        return {"name": "triton", "version": self.version}


def judged(http: Sequence[Counts], grpc: Counts, version: str = "2") -> list[Result]:
    """Return what is found if HTTP's looks are these, again and again."""
    looks = [*http] * (4 + MORE)

    def say(asked: Asked) -> Said:
        if asked.path == "/v2":
            return plain({"name": "triton", "version": "2"})
        return plain(counted(looks.pop(0)))

    rpc: Any = Rpc(grpc, version)
    with speaking(say) as server:
        return [*checked(Connection(Client(Endpoint(server.url, 30)), rpc), "m", "1", Span("x"))]


ONE, OTHER, LATER = (5, 500, 50), (9, 300, 40), (6, 600, 60)
SEEN: dict[str, tuple[Sequence[Counts], Counts, str, list[tuple[str, str]]]] = {
    "one server": ([ONE], ONE, "2", []),
    "one that others ask, too": ([ONE, ONE, LATER, LATER, LATER, LATER, LATER, LATER, LATER, LATER], LATER, "2", []),
    "another for gRPC": (
        [ONE], OTHER, "2",
        [("failed", "HTTP and gRPC reach different servers: they report 5 requests over HTTP, 9 over gRPC")],
    ),
    "as many requests, but other ones": (
        [ONE], (5, 501, 50), "2",
        [("failed", "HTTP and gRPC reach different servers: they report 5 requests over HTTP, 5 over gRPC")],
    ),
    "equal ones behind a load balancer": (
        [ONE, OTHER], ONE, "2",
        [("warning", "requests over HTTP reach several servers, or the server was restarted: its counts went back")],
    ),
    "unequal ones behind a load balancer": (
        [ONE, OTHER], ONE, "3",
        [("failed", "requests over HTTP reach several servers, or the server was restarted: its counts went back")],
    ),
}  # fmt: skip


@tabled(("http", "grpc", "version", "outcomes"), SEEN.values(), ids=SEEN)
def test_another_server_is_seen_by_its_counts(
    http: Sequence[Counts], grpc: Counts, version: str, outcomes: list[tuple[str, str]]
) -> None:
    found = judged(http, grpc, version)
    assert [(each.outcome, each.diagnostics[0].message) for each in found] == [
        (outcome, f"version 1: {message}") for outcome, message in outcomes
    ]
    for each in found:
        assert f"gRPC: h:1, triton {version}" in each.diagnostics[0].hint


@tabled("said", [plain({}), plain([]), plain({"model_stats": [{}]}), plain({}, 404), Said(b"[" * 9999)])
def test_what_counts_nothing_says_nothing(said: Said) -> None:
    rpc: Any = Rpc(ONE, "2")
    with speaking(lambda _: said) as server:
        connection = Connection(Client(Endpoint(server.url, 30)), rpc)
        assert [*checked(connection, "m", "1", Span("x"))] == []
        assert [*checked(Connection(connection.http, None), "m", "1", Span("x"))] == []
