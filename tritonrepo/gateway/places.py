"""How many requests run at once, and how many may wait for one of them to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from tritonrepo.gateway.problem import Problem


class Places:
    """A limit of requests that run, and of those that wait."""

    def __init__(self, running: int, waiting: int) -> None:
        self.most, self.most_waiting = running, waiting
        self.running = self.waiting = 0
        self._free = asyncio.Semaphore(running)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a place, as soon as one is free; raise Problem if too many wait already."""
        if self._free.locked() and self.waiting >= self.most_waiting:
            message = f"{self.most} requests are running and {self.waiting} are waiting; try again later"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, message, code="rate_limit_exceeded")
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
