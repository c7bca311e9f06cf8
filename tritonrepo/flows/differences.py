"""The pipeline of `diff`: two repositories, in directories or buckets, are compared model by model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.flows.published import Published, earlier
from tritonrepo.flows.revisions import addressed
from tritonrepo.flows.workspace import Workspace, remembering
from tritonrepo.stores import is_remote, links, open_store
from tritonrepo.sync import history
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.comparing import Difference, compare, gone
from tritonrepo.sync.place import Place, open_place
from tritonrepo.tree import Tree


class Compared(NamedTuple):
    """Two repositories, as their user named them, and the models that differ between them."""

    old: str
    new: str
    models: tuple[Difference, ...]


def diff(old: Path | str, new: Path | str, work: Workspace, record: str | None = None) -> Compared:
    """Compare two repositories: each a directory, the URI of what is published now, or `URI@N` for a revision.

    `record` is where the record of what is published is, if it is not next to it.
    """
    (one, first), (other, second) = addressed(str(old)), addressed(str(new))
    have = _tree(one, first, work, record)
    want = _tree(other, second, work, record if other == one else None)
    return Compared(_named(one, first), _named(other, second), tuple(compare(have, want)))


def _named(uri: str, number: int | None) -> str:
    return uri if number is None else f"{uri}@{number}"


def _tree(uri: str, number: int | None, work: Workspace, record: str | None) -> Tree:
    """Return the files of a repository with the digests that are known."""
    place = open_place(uri, record, work.links) if record else Place(*open_store(uri, work.links), uri)
    remembering(place.store, work)
    before, tag = revisions.of(place) if place.prefix or place.apart else (None, None)
    have = revisions.known(place.store.scan(place.prefix), before)
    there = Published(place, have, before, tag)
    if number is not None:
        return _restored(there, number)
    if before and before.files:  # without versions that are no longer served, and models of others
        return {path: entry for path, entry in have.items() if path in before.files}
    if not have and not is_remote(uri):
        raise fatal("diff-empty", uri, "the model repository does not exist or is empty", "Check the path.")
    return links.kept(have, uri)


def _restored(there: Published, number: int) -> Tree:
    """Return the files of a revision; of those that no longer exist, what its record says."""
    revision = earlier(there, number)
    found = history.restored(there.place, revision, there.have)
    return {**found.tree, **{path: gone(revision.files[path]) for path in found.missing}}
