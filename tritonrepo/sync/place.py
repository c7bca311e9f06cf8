"""Where a repository lies in a store, and what lies beside it: the lock, the record, a probe of the store."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.stores.store import Conflict, Unconditional, Write
from tritonrepo.tree import of_text

if TYPE_CHECKING:
    from tritonrepo.stores.store import Send, Store

PROBE_S = 30


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


def keeps_conditions(place: Place) -> bool:
    """Whether the store refuses writes whose condition does not hold.

    Some do not know conditions and say so, others answer 200 and write. Each way by which a push writes is tried, on an
    object of its own that is removed again.
    """
    path = place.beside(f"probe-{secrets.token_hex(8)}")
    store, file = place.store, of_text("Whether this store honours conditions.\n")
    other = "0" * 32
    try:
        with suppress(Conflict):  # nobody else knows this name: the reply to a first try was lost
            store.put(path, file, if_absent=True)
        tried: list[Send] = [
            lambda: store.put(path, file, if_absent=True),
            lambda: store.put(path, file, if_match=other),
            store.ticket(Write(path, file, if_absent=True), PROBE_S),
            store.ticket(Write(path, file, if_match=other), PROBE_S),
        ]
        return all(_refused(send) for send in tried)
    except Unconditional:
        return False
    finally:
        store.delete(path)


def _refused(send: Send) -> bool:
    try:
        send()
    except Conflict:
        return True
    return False
