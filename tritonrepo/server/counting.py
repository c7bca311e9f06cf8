"""What a Triton server says of itself and has counted, over the protocol in which it is asked anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tritonrepo.diagnostics import failure
from tritonrepo.server import statistics
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.rpc import Rpc
from tritonrepo.server.statistics import Counted


class Counting(Protocol):
    """A server that says what it counted; every method raises Stop if it does not."""

    def about(self) -> dict[str, Any]:
        """Return its metadata: name, version, extensions."""

    def config(self, model: str) -> dict[str, Any]:
        """Return the config that a model is served with, as the JSON form of ModelConfig."""

    def statistics(self) -> dict[tuple[str, str], Counted]:
        """Return model and version → what was counted since it was loaded."""


class _OverGrpc:
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def about(self) -> dict[str, Any]:
        return self._rpc.about()

    def config(self, model: str) -> dict[str, Any]:
        return self._rpc.config(model)

    def statistics(self) -> dict[tuple[str, str], Counted]:
        try:
            return statistics.read(self._rpc.statistics("", ""))
        except (KeyError, TypeError, ValueError) as error:
            raise failure("server-answer", self._rpc.address, f"the response is not statistics: {error!r}") from None


@contextmanager
def counting(server: Endpoint, *, grpc: bool) -> Iterator[Counting]:
    """Yield a server that can be asked; raise Stop if its address is not valid."""
    if not grpc:
        yield Client(server)
        return
    with Rpc(server) as rpc:
        yield _OverGrpc(rpc)
