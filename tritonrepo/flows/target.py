"""What a stack and a record say about the target, for `repository.target`, which combines them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tritonrepo.repository.target import Said, recorded
from tritonrepo.stores import is_remote
from tritonrepo.stores.store import Store
from tritonrepo.sync import record as records
from tritonrepo.sync.record import Record
from tritonrepo.tree import Tree

if TYPE_CHECKING:
    from tritonrepo.spec.stack import Stack

COMPLETES = "auto_complete"
"""The key of a record's target that is true if some configs have to be completed by the server."""


def completes(record: Record) -> bool:
    """Return whether a repository needs a server that completes configs; a hand-written one may."""
    return not record.target or bool(record.target.get(COMPLETES))


def of_stack(stack: Stack, *, complete: bool = True) -> Said:
    """Return what a stack says; a build whose configs are complete is for a server without auto-complete."""
    from tritonrepo.llm.gpus import gpu

    said = stack.target
    return Said(
        said.release,
        said.images,
        said.gpus,
        not complete,
        said.arch,
        backends=said.backends,
        gpu_memory=said.gpu_memory,
        gpu=gpu(said.gpu) if said.gpu is not None else None,
    )


def record_of(store: Store, prefix: str, tree: Tree, where: str) -> Record:
    """Return the record of a build or, in a bucket, of a push; an empty one for a hand-written repository."""
    if not is_remote(where):
        return records.load(tree, where)
    from tritonrepo.sync import revision as revisions  # the only one that needs what a push knows

    revision = revisions.read(store, prefix, where)[0] if prefix else None
    return Record(revision.name, revision.target, {}, revision.local) if revision else Record()


def of_record(record: Record, where: str) -> Said:
    """Return what the record of this repository says."""
    return recorded(record.target, f"{where.rstrip('/')}/{records.NAME}")
