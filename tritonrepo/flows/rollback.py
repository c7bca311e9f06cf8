"""The pipeline of `rollback`: a push whose source is an earlier revision, read from the bucket's own objects."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Severity, Span, failure
from tritonrepo.flows.prepared import NOTHING, Accepted, Push
from tritonrepo.flows.published import earlier, interrupted, published
from tritonrepo.flows.push import NO_SERVERS, Servers, planned
from tritonrepo.flows.target import of_record
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sync import history, staying
from tritonrepo.sync.history import Begun
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.wording import some


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
        verb = "is" if len(found.missing) == 1 else "are"
        message = f"revision {revision.number} cannot be restored: {some(found.missing)} {verb} gone"
        raise failure("revision-incomplete", at, message, "Go back to another revision, or push its files again.")
    record = Record(revision.name, revision.target, local=revision.local, switch=revision.switch)
    server = repository.target(record=of_record(record, at))
    want, notes = staying.beside(found.tree, there.have, at, server)
    push = Push(Plan(()), record, server, want, there.have, there.before, there.tag, there.place, accepted, work)
    if number is None:
        notes = (*_continued(interrupted(there), at), *notes)
    push = planned(push._replace(back=revision, notes=notes), servers)
    return push._replace(notes=(*push.notes, *_left(push)))


def _continued(begun: Begun | None, uri: str) -> Iterator[Diagnostic]:
    """Yield why this revision was chosen, if the last push or rollback was interrupted."""
    if begun:
        message = f"a push after revision {begun.after} was interrupted, so that revision is restored"
        if begun.back:
            message = f"a rollback to revision {begun.back} was interrupted, and this one continues it"
        hint = f"To restore another revision, name it: `{shlex.join(['tritonrepo', 'rollback', uri])} N`."
        yield Diagnostic("rollback-interrupted", Severity.WARNING, Span(uri), message, hint)


def _left(push: Push) -> Iterator[Diagnostic]:
    """Yield the models that later revisions brought: nothing is removed, so servers continue to serve them."""
    published = {path.partition("/")[0] for path in push.before.contents} if push.before else set[str]()
    number = push.back.number if push.back else 0
    for name in push.plan.foreign:
        if name in published:
            message = f"the model is not in revision {number}, and servers continue to serve it"
            hint = "Remove it with `tritonrepo prune` once no client uses it."
            yield Diagnostic("rollback-left", Severity.WARNING, Span(f"{push.place.uri}/{name}"), message, hint)
