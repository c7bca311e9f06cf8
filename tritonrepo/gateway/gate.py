"""What all routes share: the server that is asked, the limits, what is counted, and whether the end has come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tritonrepo.gateway.counting import Counts
from tritonrepo.gateway.offers import Offers
from tritonrepo.gateway.places import Places
from tritonrepo.server.calls import Calls

ENDING = "the gateway is ending"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """Limits and keys of a gateway.

    `keys`: any of them is accepted, None: nobody needs one. `expose`: names of models, None for all that fit a route.
    `timeout_s` is the maximum time for a response, `drain_s` what running ones have when the gateway ends.
    `input_type` is that of embeddings whose request names none, "" for the model's own default.
    """

    host: str = "127.0.0.1"
    port: int = 0
    keys: frozenset[str] | None = field(default=None, repr=False)
    expose: frozenset[str] | None = None
    concurrency: int = 64
    queue: int = 64
    timeout_s: float = 120.0
    max_tokens: int | None = None
    max_body: int = 4 << 20
    drain_s: float = 30.0
    input_type: str = ""


class Gate:
    """One gateway while it runs."""

    def __init__(self, calls: Calls, options: GatewayOptions, began: int) -> None:
        self.calls, self.options, self.began = calls, options, began
        self.offers = Offers(calls, options.expose)
        self.places = Places(options.concurrency, options.queue)
        self.counts = Counts(
            {
                "in_flight": ("Requests that are being answered.", lambda: self.places.running),
                "queued": ("Requests that wait for a place.", lambda: self.places.waiting),
            }
        )
        self.draining, self.reported_s = False, float("-inf")
        self.idle = threading.Event()
        self.idle.set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count the current task among those that the end of the gateway waits for."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a request is answered in a task
        self._loop = asyncio.get_running_loop()
        self._tasks.add(task)
        self.idle.clear()
        try:
            yield
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self.idle.set()

    def drain(self) -> None:
        """Accept nothing new; for any thread."""
        self.draining = True

    def cut(self) -> None:
        """End what is still running; for any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for task in self._tasks:
            task.cancel(ENDING)

    async def ready(self) -> Mapping[str, bool]:
        """Return whether each exposed model is ready, or whether the server is if all models are exposed."""
        if self.options.expose is None:
            return {"": await self.calls.ready()}
        names = sorted(self.options.expose)
        return dict(zip(names, await asyncio.gather(*map(self.calls.ready, names)), strict=True))
