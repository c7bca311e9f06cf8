"""What a bucket holds of a repository: its files, and the record of the last push."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.stores.store import Tag
from tritonrepo.sync import binding, history
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.history import Begun
from tritonrepo.sync.place import Place, placed
from tritonrepo.sync.revision import Revision
from tritonrepo.tree import Tree


class Published(NamedTuple):
    """Where a repository is published, what is there, with the digests that are known, and the record of its revision.

    Without a record, `before` and its `tag` are None.
    """

    place: Place
    have: Tree
    before: Revision | None
    tag: Tag | None


def published(uri: Place | Path | str) -> Published:
    """Return what is at a place or URI; raise Stop if nothing can be published there, or its record is another one."""
    place = placed(uri)
    before, tag = revisions.of(place)
    have = revisions.known(place.store.scan(place.prefix), before)
    binding.check(place, have, before)
    return Published(place, have, before, tag)


def interrupted(there: Published) -> Begun | None:
    """Return what began after the last finished push or rollback, and was not finished; None if nothing was begun."""
    begun = history.begun(there.place) if there.before and there.before.number else None
    return begun if begun and there.before and begun.after == there.before.number else None


def earlier(there: Published, number: int | None) -> Revision:
    """Return the record of this revision, or of the one to go back to if none is named.

    That is the one before the last. After an interrupted push, whatever it has changed, it is the last one; after an
    interrupted rollback, the one that it was to restore. Raise Stop if it does not exist.
    """
    place, _, before, _ = there
    last = before.number if before else 0
    if before and number == last:
        return before
    if number is not None:
        return history.read(place, number)
    if before and (begun := interrupted(there)):
        return history.read(place, begun.back) if begun.back not in {0, last} else before
    numbers = [each for each in history.numbers(place) if each < last]
    if not numbers:
        message = "no earlier revision exists to go back to"
        hint = "Only what pushes of this version of tritonrepo have replaced can be restored."
        raise fatal("revision-unknown", place.uri, message, hint)
    return history.read(place, numbers[-1])
