"""How long connections are kept: one that sends no whole head is closed, which uvicorn would wait for without end."""

from __future__ import annotations

from asyncio import Transport
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: TID253  only `serving` imports this module, late

HEAD_S = 20.0
"""How long the head of a request may take, from the connection or from its first byte."""

KEEP_S = 75
"""How long a connection is kept after a response.

A client or proxy must be the one that closes it, or it sends a request on a connection that is being closed: nginx
keeps one for 60 s (ngx_http_upstream_module, keepalive_timeout), as AWS's load balancers do, and uvicorn only for 5.
"""


class Impatient(H11Protocol):
    """A connection that is closed if nothing is asked on it."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._head_s: float | None = self.loop.time()
        self._waiting = self.loop.call_later(HEAD_S, self._look)

    def data_received(self, data: bytes) -> None:
        """Begin to wait for the rest of the head, if this is where it begins."""
        if self._idle() and self._head_s is None:
            self._head_s = self.loop.time()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._waiting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Leave the wait for the next request to uvicorn, unless the rest of this one is still to come."""
        self._head_s = self.loop.time() if self.conn.their_state is h11.SEND_BODY else None
        super().on_response_complete()

    def _idle(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or bool(cycle.response_complete)

    def _look(self) -> None:
        left_s = HEAD_S if self._head_s is None else self._head_s + HEAD_S - self.loop.time()
        if self._idle() and left_s <= 0:
            self.transport.close()
        else:
            self._waiting = self.loop.call_later(left_s if self._idle() else HEAD_S, self._look)
