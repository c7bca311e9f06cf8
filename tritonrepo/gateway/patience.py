"""Connections that send no whole head of a request are closed: uvicorn waits for one as long as a client likes."""

from __future__ import annotations

from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: TID253  only `serving` imports this module, late

HEAD_S = 20.0
"""How long the head of a request may take, from the connection or from the end of the response before."""


class Impatient(H11Protocol):
    """A connection that is closed if nothing is asked on it."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._idle_s = self.loop.time()
        self._waiting = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._waiting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._idle_s = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        cycle: Any = self.cycle
        idle = cycle is None or cycle.response_complete
        left_s = self._idle_s + HEAD_S - self.loop.time()
        if idle and left_s <= 0:
            self.transport.close()
        else:
            self._waiting = self.loop.call_later(max(left_s, 1.0) if idle else HEAD_S, self._look)
