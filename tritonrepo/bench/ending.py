"""The end of a run from outside, such as by the handler of a signal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Ending:
    """Ends what runs; what was answered until then is its result. `over`: it was ended, and nothing more is to run."""

    def __init__(self) -> None:
        self.over = False
        self._held = 0
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None = None

    async def during(self, work: Awaitable[T]) -> T:
        """Return what the work gives, which `end` cancels."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in one
        self._running = asyncio.get_running_loop(), task
        if self.over:
            task.cancel()
        try:
            return await work
        finally:
            self._running = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the block go on to its end: it makes or writes the result of what was measured."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def end(self) -> bool:
        """End what runs, from any thread and from handlers of signals; return False if the caller has to end it."""
        if self._running is not None and not self.over:
            loop, task = self._running
            loop.call_soon_threadsafe(task.cancel)
        self.over = True
        return self._running is not None or bool(self._held)


async def apart(work: Callable[[], T]) -> T:
    """Return what a function gives that waits, in a thread of its own; a cancelled task does not wait for it.

    For the threads of `asyncio.to_thread`, the end of a loop waits.
    """
    loop = asyncio.get_running_loop()
    given: asyncio.Future[T] = loop.create_future()

    def take(result: T | None, error: BaseException | None) -> None:
        if given.done():  # cancelled
            return
        if error is None:
            given.set_result(result)  # type: ignore[arg-type]  # it is there without an error
        else:
            given.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001  it is raised in the task
            error = raised
        try:
            loop.call_soon_threadsafe(take, result, error)
        except RuntimeError:  # the loop was closed
            return

    threading.Thread(target=run, name="bench-apart", daemon=True).start()
    return await given
