"""The pipeline of `rollback`: a push whose source is an earlier revision, read from the bucket's own objects."""

from __future__ import annotations

from tritonrepo import repository
from tritonrepo.diagnostics import failure
from tritonrepo.flows.prepared import NOTHING, Accepted, Push
from tritonrepo.flows.published import earlier, published
from tritonrepo.flows.push import NO_SERVERS, Servers, planned
from tritonrepo.flows.target import of_record
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sync import history
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.record import Record

NAMED = 3
"""How many of the missing files a message names."""


def plan_rollback(
    uri: Place | str,
    number: int | None,
    work: Workspace,
    servers: Servers = NO_SERVERS,
    accepted: Accepted = NOTHING,
) -> Push:
    """Compare the bucket with an earlier revision, by default the one before, query the servers, and write nothing.

    `apply_push` carries it out: the revision that it publishes has a new number. Raise Stop if the revision does not
    exist, or is no longer complete.
    """
    there = published(uri)
    at = there.place.uri
    revision = earlier(there, number)
    found = history.restored(there.place, revision, there.have)
    if found.missing:
        named, more = ", ".join(found.missing[:NAMED]), len(found.missing) - NAMED
        message = f"revision {revision.number} cannot be restored: {named}{f' and {more} more' if more > 0 else ''}"
        message += f" {'is' if len(found.missing) == 1 else 'are'} gone"
        raise failure("revision-incomplete", at, message, "Go back to another revision, or push its files again.")
    made = revision.made
    origin = {"local": revision.local, "switch": revision.switch}
    record = Record(revision.name, revision.target, stack=made.get("stack", ""), **origin)
    server = repository.target(record=of_record(record, at))
    push = Push(Plan(()), record, server, found.tree, there.have, there.before, there.tag, there.place, accepted, work)
    return planned(push._replace(again=revision.number, commit=made.get("commit", "")), servers)
