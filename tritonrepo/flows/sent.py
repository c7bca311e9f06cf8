"""What a push sends: the files of a directory as they are now, checked as their server checks them."""

from __future__ import annotations

import time
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Severity, Stop, fatal
from tritonrepo.flows.doubts import by_hand
from tritonrepo.flows.target import of_record
from tritonrepo.flows.workspace import Workspace, remembering
from tritonrepo.repository import Target
from tritonrepo.sources.clean import accepted
from tritonrepo.stores import open_store
from tritonrepo.sync import record as records
from tritonrepo.sync.pinning import pinned
from tritonrepo.sync.record import Record
from tritonrepo.sync.sealed import seal
from tritonrepo.tree import Entry, Tree

RULE = "push-source"


class Sent(NamedTuple):
    """The files, the record of the build that wrote them, the server that they are for, and warnings about them."""

    tree: Tree
    record: Record
    server: Target
    warnings: tuple[Diagnostic, ...]


def sent(directory: str, work: Workspace, *, pin: bool) -> Sent:
    """Return what a directory holds; raise Stop if its server would refuse a model, which must never reach a bucket.

    With `pin`, each config that names no versions names those that it serves.
    """
    source, top = open_store(directory, work.links)
    remembering(source, work)
    began = time.time_ns()
    tree = _sealed(dict(source.scan(top)), directory)
    record = records.load(tree, directory)
    server = repository.target(record=of_record(record, directory))
    _checked(tree, server, directory, work, began)
    edited = (by_hand(_under(directory, path), "is sent as it is") for path in records.edited(tree, record))
    return Sent(pinned(tree, server) if pin else tree, record, server, tuple(edited))


def _sealed(tree: dict[str, Entry], directory: str) -> Tree:
    try:
        return seal(tree)
    except OSError as error:
        message = f"{error.filename} cannot be read: {error.strerror}"
        hint = "If a build is writing to the directory, push again once it has finished."
        raise fatal(RULE, directory, message, hint) from None


def _checked(tree: Tree, server: Target, directory: str, work: Workspace, began_ns: int) -> None:
    if not tree:
        message = "the model repository does not exist or is empty"
        raise fatal(RULE, directory, message, "Create it with `tritonrepo build`.")
    with accepted(work.cache.root if work.remember else None, tree, server, (directory, began_ns)) as known:
        if work.rehash or not known:
            _judged(tree, server, directory)


def _judged(tree: Tree, server: Target, directory: str) -> None:
    from tritonrepo.rules import judge  # not needed for a repository that has not changed

    found = judge(repository.read(tree, server)).diagnostics
    errors = [each.renamed(lambda path: _under(directory, path)) for each in found if each.severity is Severity.ERROR]
    if errors:
        raise Stop(errors)


def _under(directory: str, path: str) -> str:
    return f"{directory.rstrip('/')}/{path}"
