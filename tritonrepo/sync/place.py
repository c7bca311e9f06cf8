"""Where a repository is in a store, and where its record is: the lock, the release record, what pushes keep.

It is next to the repository's prefix, or at a place of its own (`--record`), never in the repository, where any
directory is a model to Triton. A bucket's root has no place next to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.stores import Location, located, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tritonrepo.stores.store import Store

ROOT = "push-root"
RULE = "record-place"
BESIDE = ".tritonrepo"
"""What is added to a prefix for the directory next to it."""


def beside(prefix: str, name: str) -> str:
    """Return the path of what belongs to a repository but must not be in it, where any directory is a model."""
    return f"{prefix}{BESIDE}/{name}"


class Apart(NamedTuple):
    """A record that is not next to its repository: the store, the directory of the record in it, and its URI."""

    store: Store
    prefix: str
    uri: str


class Place(NamedTuple):
    """The store, the repository's prefix in it, its URI for messages, and its record if that is somewhere else."""

    store: Store
    prefix: str
    uri: str
    apart: Apart | None = None

    @property
    def record_store(self) -> Store:
        """The store of what is `beside` the repository."""
        return self.apart.store if self.apart else self.store

    @property
    def records(self) -> Place:
        """The place whose `store` is that of the record, for writing what is `beside` the repository."""
        return self._replace(store=self.record_store, uri=self.apart.uri if self.apart else self.uri)

    def beside(self, name: str) -> str:
        """Return the path in `record_store` of what belongs to the repository but must not be in it."""
        if self.apart is None:
            return beside(self.prefix, name)
        return f"{self.apart.prefix}/{name}" if self.apart.prefix else name

    def path(self, path: str) -> str:
        """Return the path in the store of a path in the repository."""
        return f"{self.prefix}/{path}" if self.prefix else path


def open_place(uri: str, record: str | None = None, links: Sequence[Path] = ()) -> Place:
    """Return the place of a repository, whose record is at the URI or path `record` if one is given.

    `links` are directories into which links may lead out of the repository. Nothing is accessed. Raise Stop if a record
    cannot be there.
    """
    store, prefix = open_store(uri, links)
    if record is None:
        if not prefix:
            message = "the URI is a bucket's root, which has no place next to it for the release record"
            hint = f"Use a prefix, such as `{uri.rstrip('/')}/NAME`, or name a place in another bucket, such as"
            raise fatal(ROOT, uri, message, f"{hint} `--record {_other(uri)}`.")
        return Place(store, prefix, uri)
    apart = Apart(*open_store(record), record)
    here, there = located(uri), located(record)
    if prefix and there == here._replace(path=f"{here.path}{BESIDE}"):
        return Place(store, prefix, uri)
    if fault := _unfit(here, there, uri):
        raise fatal(RULE, record, *fault)
    return Place(store, prefix, uri, apart)


def placed(uri: Place | Path | str, links: Sequence[Path] = ()) -> Place:
    """Return a place, or that of a repository whose record is next to it, as `open_place` does."""
    return uri if isinstance(uri, Place) else open_place(str(uri), None, links)


def _other(uri: str) -> str:
    """Return an example of a place for the record of a bucket's root."""
    head, _, bucket = uri.rstrip("/").rpartition("/")
    return f"{head}/OTHER-BUCKET/{bucket}"


def _unfit(here: Location, there: Location, uri: str) -> tuple[str, str] | None:
    if here.service != there.service:
        message = f"the record and the repository {uri} are in different stores, but only the record's is tested"
        hint = "Name a place in the same store, with the same endpoint: conditional writes and clocks must be the same."
        return message, hint
    if there.within(here):
        return f"the record would be in the repository {uri}, where every directory is a model", "Name another bucket."
    if here.within(there):
        return f"the repository {uri} would be among the files of the record", "Name a place next to the repository."
    return None
