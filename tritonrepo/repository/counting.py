"""Telling how many models of many are done, now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Told = Callable[[int, int], None]
"""Called with how many of all models are done, and with the number of all."""


def untold(_done: int, _total: int) -> None:
    """Do nothing: nobody is told."""


def told_each(items: Iterable[T], total: int, told: Told, more: Callable[[], int] = lambda: 0) -> Iterator[T]:
    """Yield the items, and tell after each hundredth of all how many are done, with those that `more` says."""
    part = max(1, total // 100)
    for number, item in enumerate(items, 1):
        yield item
        if not number % part:
            told(number + more(), total)
