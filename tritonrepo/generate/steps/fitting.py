"""How many texts fit into a prompt, found without reading most of those that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

CHARACTERS = 32
"""How many characters a token of a prompt has at most on average; a text of natural language has about four."""

ESTIMATES = 2
"""How often a number of texts is estimated from what another number costs; then the rest is halved each time."""

T = TypeVar("T")


def within(items: Sequence[T], longest: int, size: Callable[[T], int]) -> list[T]:
    """Return the first items, up to the one with which they have more characters than allowed.

    Each counts for at least one token.
    """
    kept = []
    for item in items:
        if longest < 0:
            break
        kept.append(item)
        longest -= max(size(item), CHARACTERS)
    return kept


def most(texts: Sequence[str], budget: int, cost: Callable[[int], int], length: Callable[[str], int]) -> int:
    """Return with how many of the first texts a prompt costs no more tokens than the budget.

    Their own tokens say about how many; what is around them is known from what a first number of them costs.
    """
    low, high, empty = 0, len(texts) + 1, cost(0) if texts else 0
    near = fitting(texts, budget - empty, length)
    for attempt in range(high):
        if low + 1 >= high:
            break
        near = min(max(near, low + 1), high - 1)
        found = cost(near)
        low, high = (near, high) if found <= budget else (low, near)
        known = attempt < ESTIMATES and found > empty
        near = near * (budget - empty) // (found - empty) if known else (low + high) // 2
    return low


def fitting(texts: Iterable[str], room: int, length: Callable[[str], int]) -> int:
    """Return how many of the first texts have no more tokens together than there is room for."""
    count = 0
    for text in texts:
        room -= length(text) if len(text) <= room * CHARACTERS else len(text)
        if room < 0:
            break
        count += 1
    return count
