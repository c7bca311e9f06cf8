"""The end of a run from outside, such as by the handler of a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Ending:
    """Ends what runs; what was answered until then is its result."""

    def __init__(self) -> None:
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None = None

    async def during(self, work: Awaitable[T]) -> T:
        """Return what the work gives, which `end` cancels."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in one
        self._running = asyncio.get_running_loop(), task
        try:
            return await work
        finally:
            self._running = None

    def end(self) -> bool:
        """End what runs, from any thread and from handlers of signals; return False if nothing runs."""
        if self._running is None:
            return False
        loop, task = self._running
        loop.call_soon_threadsafe(task.cancel)
        return True
