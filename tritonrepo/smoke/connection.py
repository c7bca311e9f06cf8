"""One server over both protocols, as a smoke test uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client
from tritonrepo.server.rpc import Rpc

GLANCE_S = 5.0
"""How long a server that may be gone has to show that it is alive."""

SHORTEST_S = 0.001
"""The least time for a request: zero would mean none of it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One server, over each protocol that is used."""

    http: Client
    rpc: Rpc | None

    def lives(self) -> bool:
        """Return whether the server responds at all."""
        try:
            timeout_s = min(GLANCE_S, self.http.endpoint.timeout_s)
            return Client(replace(self.http.endpoint, timeout_s=timeout_s, whole_s=None)).live()
        except Stop:
            return False

    def within(self, seconds: float) -> Connection:
        """Return the same with responses that are complete within this time, if that is less than they may take."""
        endpoint = self.http.endpoint
        whole_s = endpoint.timeout_s if endpoint.whole_s is None else endpoint.whole_s
        if seconds >= whole_s:
            return self
        seconds = max(seconds, SHORTEST_S)
        if self.rpc is not None:
            self.rpc.whole_s = seconds  # which is never more than before
        return replace(self, http=Client(replace(endpoint, timeout_s=seconds, whole_s=seconds)))

    @contextmanager
    def another(self) -> Iterator[Connection]:
        """Yield a connection for another thread: one of gRPC has at most one stream at a time."""
        if self.rpc is None:
            yield self
            return
        with Rpc(self.http.endpoint) as rpc:
            yield replace(self, rpc=rpc)
