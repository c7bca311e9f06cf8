"""Several works at once, which end together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def together(works: Iterable[Awaitable[T]], at_once: int) -> list[T]:
    """Return the results of works of which a few run at once; the first failure ends all of them."""
    limit = asyncio.Semaphore(at_once)

    async def one(work: Awaitable[T]) -> T:
        async with limit:
            return await work

    tasks = [asyncio.ensure_future(one(work)) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
