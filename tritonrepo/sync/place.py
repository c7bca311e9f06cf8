"""Where a repository lies in a store, and what lies beside it: the lock and the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tritonrepo.stores.store import Store


class Place(NamedTuple):
    """The store and the repository's prefix in it; its URI, for messages."""

    store: Store
    prefix: str
    uri: str

    def beside(self, name: str) -> str:
        """Give the path of what belongs to the repository and must not lie in it: any directory there is a model."""
        return f"{self.prefix}.tritonrepo/{name}"

    def path(self, path: str) -> str:
        """Give the path in the store of a path in the repository."""
        return f"{self.prefix}/{path}"
