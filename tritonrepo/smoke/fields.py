"""Reading JSON that anyone may have written: each value is what it must be, or its place is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T", str, int, bool, list[Any], dict[str, Any])

WORDS = {str: "a string", int: "a whole number", bool: "true or false", list: "a list", dict: "a map"}
SHOWN = 60


class Wrong(ValueError):  # noqa: N818  what is wrong with a file
    """What is wrong with a value, with its place in the file."""


class Node(NamedTuple):
    """A map of the file, and its place, as in `cases[3].requests[0]`."""

    at: str
    values: Mapping[str, Any]

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """Return a value of this type; raise Wrong for another one, or if it is missing and has no default."""
        at = f"{self.at}.{key}" if self.at else key
        value = self.values.get(key, default)
        if value is None:
            raise Wrong(f"{at} is missing")
        # JSON has no number that is a bool, but Python does
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Wrong(f"{at} must be {WORDS[kind]}, not {shown(value)}")
        return value

    def maps(self, key: str, most: int) -> Iterator[Node]:
        """Yield the maps of a list, which has at most this many."""
        at = f"{self.at}.{key}" if self.at else key
        values: list[Any] = self.get(key, list)
        if len(values) > most:
            raise Wrong(f"{at} has {len(values):,} items; at most {most:,} are read")
        for number, value in enumerate(values):
            if not isinstance(value, dict):
                raise Wrong(f"{at}[{number}] must be a map, not {shown(value)}")
            yield Node(f"{at}[{number}]", value)

    def wrong(self, key: str, must: str) -> Wrong:
        """Return what is wrong with a value that has the right type."""
        return Wrong(f"{self.at}.{key} must be {must}, not {shown(self.values.get(key))}")


def shown(value: object) -> str:
    """Return a value as a message quotes it."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
