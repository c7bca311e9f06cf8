"""The pipeline of `unlock`: the lock that a killed push left behind is taken over as the next push would, and ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import failure
from tritonrepo.flows.push import USUAL, signed
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores.store import Unconditional
from tritonrepo.sync import lock
from tritonrepo.sync.holder import Held, described
from tritonrepo.sync.lock import NAME, PREPARED
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place, placed
from tritonrepo.tree import amount, files

LARGEST_BYTES = 64 << 10
"""A lock has a few hundred bytes; a larger object is not read."""


class Lock(NamedTuple):
    """What is at a prefix: who holds the lock, None if nobody does, and the number of writes that are left prepared.

    The holder is empty if the object is not the lock of a push; `size` is its size in bytes.
    """

    place: Place
    holder: Mapping[str, str] | None
    prepared: int
    size: int
    work: Workspace

    def __bool__(self) -> bool:
        """Whether there is anything to remove."""
        return self.holder is not None or self.prepared > 0

    @property
    def described(self) -> str:
        """Who holds the lock, on which machine, and since when."""
        return "nobody holds the lock" if self.holder is None else described(self.holder)


def plan_unlock(uri: Place | str, work: Workspace) -> Lock:
    """Look who holds the lock of a repository, without changing anything."""
    place = placed(uri)
    beside = files(place.record_store.scan(place.beside("").removesuffix("/")))
    left = sum(path.startswith(f"{PREPARED}/") for path in beside)
    there = beside.get(NAME)
    if there is None:
        return Lock(place, None, left, 0, work)
    found = lock.find(place) if there.size <= LARGEST_BYTES else ({}, "")
    return Lock(place, found[0] if found else None, left, there.size, work)


def apply_unlock(found: Lock, pace: Pace = USUAL, *, force: bool = False) -> None:
    """Remove the lock of a push that no longer runs, and the writes that it had prepared.

    A lock from another machine is watched first; the process of one from this machine is looked up. Raise Stop if the
    push runs, unless `force` is set: it then loses its lock, and writes nothing after its next confirmation.
    """
    if not found:
        return
    place = found.place
    at = f"{place.uri}: {place.beside(NAME)}"
    if found.size > LARGEST_BYTES and not force:
        message = f"the lock has {amount(found.size)}, so no push wrote it"
        raise failure("unlock-foreign", at, message, "Find out what it is. With --force, it is removed.")
    try:
        with lock.held(place, signed(), pace, found.work.tell, force=force):
            pass
    except Held as held:
        message = f"{described(held.holder)}, and the push still runs"
        hint = "Wait until it has finished. With --force, the push stops before it writes a config."
        raise failure("unlock-running", place.uri, message, hint) from None
    except Unconditional:
        message = "the store ignores conditional writes, so a lock there protects nothing"
        raise failure("push-unconditional", at, message, "Remove the object with the store's own tools.") from None
