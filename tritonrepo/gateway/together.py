"""Several works at once, which end together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


async def together(work: Callable[[T], Awaitable[U]], items: Iterable[T], at_once: int) -> list[U]:
    """Return what the work makes of each item, of which a few are worked on at once; the first failure ends all."""
    limit = asyncio.Semaphore(at_once)

    async def one(item: T) -> U:
        async with limit:
            return await work(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
