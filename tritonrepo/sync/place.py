"""Where a repository is in a store, and what is next to it: the lock and the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tritonrepo.stores.store import Store


def beside(prefix: str, name: str) -> str:
    """Return the path of what belongs to a repository but must not be in it, where any directory is a model."""
    return f"{prefix}.tritonrepo/{name}"


class Place(NamedTuple):
    """The store, the repository's prefix in it, and its URI for messages."""

    store: Store
    prefix: str
    uri: str

    def beside(self, name: str) -> str:
        """Return the path of a file next to the repository."""
        return beside(self.prefix, name)

    def path(self, path: str) -> str:
        """Return the path in the store of a path in the repository."""
        return f"{self.prefix}/{path}"
