"""What every place that holds trees can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tritonrepo.tree import File, Tree


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between stores.

    `conditions`: `put` honours if_absent and if_match. `directories`: an empty directory can exist.
    """

    conditions: bool
    directories: bool


class Store(Protocol):
    """A bucket, or the directory that holds a repository. Paths are relative to it, with `/`."""

    @property
    def caps(self) -> Capabilities:
        """What this store can do."""

    def scan(self, prefix: str) -> Tree:
        """Give everything under the prefix, paths counted from it; `__pycache__` is left out. Absent is empty."""

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write a file whole or not at all and give its tag; raise Conflict where a condition does not hold."""

    def delete(self, path: str) -> None:
        """Remove a file; an absent one is no fault."""


class Conflict(Exception):  # noqa: N818  an answer of the store, not an error
    """The condition of a `put` did not hold: somebody else wrote."""
