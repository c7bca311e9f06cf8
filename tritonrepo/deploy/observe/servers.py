"""The servers of a stack: Triton, vLLM and NIM, each with the names of its metrics, its port and its rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.deploy.observe import engine_alerts, server_alerts, triton_alerts
from tritonrepo.deploy.observe.alert import Alert, Group
from tritonrepo.deploy.observe.exposed import Exposed, quoted
from tritonrepo.deploy.observe.watched import Watched


class System(StrEnum):
    """A kind of server."""

    TRITON = "triton"
    VLLM = "vllm"
    NIM = "nim"


class Kind(NamedTuple):
    """What a kind of server is called, where its metrics are, and who exposes them, by the catalogue's names."""

    says: str
    prefix: str
    exposers: tuple[str, ...]
    ports: tuple[str, ...]
    number: int
    path: str = "/metrics"


KINDS = {
    System.TRITON: Kind("Triton", "Triton", ("triton",), ("metrics",), 8002),
    System.VLLM: Kind("vLLM", "Vllm", ("vllm",), ("http",), 8000),
    System.NIM: Kind("NIM", "Nim", ("nim", "vllm"), ("http", "api"), 8000, "/v1/metrics"),
}
"""NIM 1.x has names of its own; 2.x is vLLM behind a proxy, so it is asked by both. The operator calls its port api
(k8s-nim-operator, api/apps/v1alpha1/common_types.go, DefaultNamedPortAPI)."""

BACKEND = "vllm_backend"


class Server(NamedTuple):
    """A server: its job in Prometheus, and its metrics. `backend` are those of Triton's vLLM backend, if it has any.

    `urls` are where metrics were read, and `called` where those of the endpoints are that generators call.
    """

    system: System
    job: str
    metrics: Exposed
    backend: Exposed | None = None
    urls: tuple[str, ...] = ()
    called: tuple[str, ...] = ()

    @property
    def whole(self) -> Server:
        """The same server as if nothing of it had been read."""
        backend = replace(self.backend, seen=None) if self.backend is not None else None
        return self._replace(metrics=replace(self.metrics, seen=None), backend=backend)

    @property
    def kind(self) -> Kind:
        """What is known of servers of its kind."""
        return KINDS[self.system]


def groups(server: Server, seen: Watched) -> Iterator[Group]:
    """Yield the rules of a server."""
    on, kind = server.metrics, server.kind
    of = f"{{stack={quoted(seen.name)}}}"
    if server.system is System.TRITON:
        records = tuple(triton_alerts.records(on, seen))
        yield Group("triton", "triton", records, tuple(triton_alerts.alerts(on, seen, of)))
        if server.backend is not None:
            yield from _engine("triton-vllm", "triton", server.backend, KINDS[System.VLLM].prefix, seen)
        return
    up = server_alerts.down(on, kind.prefix)
    yield from _engine(server.system, server.system, on, kind.prefix, seen, up)


def _engine(name: str, server: str, on: Exposed, prefix: str, seen: Watched, *more: Alert) -> Iterator[Group]:
    def made(on: Exposed) -> tuple[Alert, ...]:
        return tuple(engine_alerts.alerts(on, prefix, seen.slo))

    alerts = made(on)
    newest = {alert.name: alert.fires for alert in alerts}
    older = tuple(alert for alert in made(on.oldest) if alert.fires != newest[alert.name])
    if alerts or more:
        yield Group(name, server, (), (*alerts, *more), older)
