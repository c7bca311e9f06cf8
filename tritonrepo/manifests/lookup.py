"""Look-ups among many objects, by what they are called or have, and by namespace."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Lookup(Generic[T]):
    """Things by a key, each with its namespace, which is "" if it is not known."""

    def __init__(self, entries: Iterable[tuple[Hashable, str, T]]) -> None:
        self._every: dict[Hashable, list[T]] = {}
        self._within: dict[tuple[Hashable, str], list[T]] = {}
        for key, namespace, thing in entries:
            self._every.setdefault(key, []).append(thing)
            self._within.setdefault((key, namespace), []).append(thing)

    def get(self, key: Hashable, namespace: str = "") -> Sequence[T]:
        """Return what has a key; with a namespace, only what is in it or may be."""
        if not namespace:
            return self._every.get(key, ())
        return (*self._within.get((key, namespace), ()), *self._within.get((key, ""), ()))
