"""The pipeline of `push`: two stores become a plan, which is carried out, and the revision is recorded."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo import __version__
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, closest, failure, fatal
from tritonrepo.flows.prepared import NOTHING, Accepted, Push
from tritonrepo.flows.published import published
from tritonrepo.flows.sent import sent
from tritonrepo.flows.workspace import Workspace, remembering
from tritonrepo.repository.target import unknown
from tritonrepo.sources.commit import commit
from tritonrepo.stores.directory import awake
from tritonrepo.stores.store import Fetched, Tag, Unconditional, Write
from tritonrepo.sync import binding, history, replacing
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.apply import apply
from tritonrepo.sync.lock import Hold, held
from tritonrepo.sync.mixing import admit
from tritonrepo.sync.pace import Pace, astray
from tritonrepo.sync.place import Place, placed
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.push import plan
from tritonrepo.sync.revision import Objects, Revision
from tritonrepo.sync.telling import Interrupted, Tell, interruptible
from tritonrepo.sync.writing import Writer, both
from tritonrepo.tree import Tree, files

if TYPE_CHECKING:
    from tritonrepo.server.endpoint import Endpoint

ORIGIN = ("commit", "stack")
"""What a record says of where a revision came from; that of a rollback came from where the restored one did."""

SETTLE_S = 30.0
DRAIN_S = 5.0
LEFTOVERS = (
    "Grant s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts and s3:AbortMultipartUpload, or add a lifecycle"
    " rule to the bucket that aborts incomplete uploads."
)


class Servers(NamedTuple):
    """Servers that read what is pushed, and the maximum wait for each to load what a phase wrote."""

    endpoints: Sequence[Endpoint] = ()
    timeout_s: float = 600.0


NO_SERVERS = Servers()


def plan_push(  # noqa: PLR0913  what is chosen for a push
    directory: Path | str,
    uri: Path | str | Place,
    work: Workspace,
    servers: Servers = NO_SERVERS,
    accepted: Accepted = NOTHING,
    *,
    pin: bool = False,
) -> Push:
    """Check what is to be pushed, compare it with the bucket, query the servers, and write nothing.

    `accepted` is what may happen to requests for a while. With `pin`, configs that name no versions name those that
    they serve. Versions that no server serves are not kept. A repository at a bucket's root needs the place of its
    record (`open_place`). Raise Stop if the repository must not be pushed.
    """
    return planned(_compared(str(directory), placed(uri), work, accepted, pin=pin), servers)


def planned(push: Push, servers: Servers) -> Push:
    """Return the push with its plan, after querying the servers; raise Stop if something is in the way."""
    push = _planned(push, unseen=bool(servers.endpoints))
    if not servers.endpoints:
        return push
    from tritonrepo.flows.watching import look  # most pushes name no servers
    from tritonrepo.smoke.waiting import Patience

    patience = Patience(servers.timeout_s, time.monotonic, time.sleep, push.work.tell)
    seen = look(servers.endpoints, push, patience)
    push = push._replace(seen=seen)
    return _planned(push) if seen.dead or push.plan.conflicts else push


def _compared(directory: str, at: Place, work: Workspace, accepted: Accepted, *, pin: bool) -> Push:
    remembering(at.store, work)
    there, here = both(lambda: published(at), lambda: sent(directory, work, pin=pin))
    (place, have, before, tag), (want, record, server, warnings) = there, here
    if before and before.name != record.name:
        message = f"the prefix holds {_called(before.name)}, but this is {_called(record.name)}"
        path = place.beside(revisions.NAME)
        hint = f"Push each to a separate prefix. To replace what is there, delete {path} first."
        raise failure("push-other-stack", place.uri, message, hint)
    push = Push(Plan(()), record, server, want, have, before, tag, place, accepted, work)
    return push._replace(notes=(*unknown(server, Span(directory)), *warnings), commit=commit(directory))


def _planned(push: Push, *, unseen: bool = False) -> Push:
    """Return the push with its plan, which keeps no version that no server serves.

    Raise Stop if something is in the way; if the servers are still `unseen`, downtime is not: they may serve nothing of
    the model, so that a push which repairs it needs no permission.
    """
    want, have, before, uri = push.want, push.have, push.before, push.place.uri
    # servers may still be loading what they name; models of others are not built upon
    ours = {path.partition("/")[0] for path in (*want, *(before.files if before else ()))}
    resumed = bool(revisions.unfinished(have, before) & ours)
    released = revisions.versions(before) if before and resumed else None
    dead = push.seen.dead if push.seen else ()
    given = before.contents if before and before.name else {}  # those of hand-written repositories are not counted
    made = plan(
        want,
        have,
        uri,
        resumed=resumed,
        released=released,
        dead=dead,
        given=given,
        server=push.server,
        switches=push.record.switch,
    )
    made = _admitted(made, push.accepted, {**have, **want})
    if conflicts := [each for each in made.conflicts if not unseen or each.rule != replacing.RULE]:
        raise Stop(binding.advised(push.place, conflicts))
    if made and made.served and not push.place.store.caps.sees_changes:
        message = "a polling server does not notice changes in this store to a model that it has already loaded"
        hint = "Push to a prefix that no server reads yet, then start servers on that prefix."
        raise failure("push-unseen", uri, message, hint)
    notes = (*made.notes, *history.unkept(made, before, uri))
    return push._replace(plan=replace(made, notes=notes, what="rollback" if push.back else "push"))


def _admitted(made: Plan, accepted: Accepted, tree: Tree) -> Plan:
    """Return the plan with what the user accepts; raise Stop if a name is not that of a model of the tree."""
    there = sorted({path.split("/")[0] for path in tree if "/" in path})
    for name in {*accepted.mixed} - {*there}:
        raise fatal("push-allow-mixed", name, f'unknown model "{name}" in --allow-mixed', closest(name, there))
    for name in {*accepted.downtime} - {*there}:
        raise fatal("push-allow-downtime", name, f'unknown model "{name}" in --allow-downtime', closest(name, there))
    return admit(admit(made, accepted.mixed), accepted.downtime, replacing.RULE)


def _called(name: str) -> str:
    return f'the stack "{name}"' if name else "a repository without a stack"


def _user() -> str:
    """Return who pushes; a container's user may have only a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def paced(settle_s: float | None = None) -> Pace:
    """Return the usual pace, or one that pauses this long between phases and after a server serves one."""
    settle_s, drain_s = (SETTLE_S, DRAIN_S) if settle_s is None else (settle_s, settle_s)
    return Pace(settle_s, awake, time.sleep, drain_s)


USUAL = paced()


def apply_push(push: Push, pace: Pace = USUAL, *, no_lock: bool = False) -> Revision:
    """Carry out the plan, and return the revision that it records.

    Each phase waits until the servers serve it. A push that changes nothing writes nothing, takes no lock, and returns
    the present revision.
    """
    record, tell = push.record, push.work.tell
    origin = push.back.made if push.back else {"commit": push.commit, "stack": record.stack}
    made = {**signed(), **{name: origin[name] for name in ORIGIN if origin.get(name)}}
    if push.back:
        made["rollback"] = str(push.back.number)
    bound = binding.named(push.place)
    revision = Revision(record.name, record.target, record.local, {}, made, repository=bound, switch=record.switch)
    if push.before and not push.plan and _is_recorded(push, push.before):
        return push.before
    if push.seen:
        from tritonrepo.flows.watching import watch

        pace = pace._replace(watch=watch(push.seen, push))
    with nullcontext() if no_lock else locked(push.place, made, pace, tell) as hold:
        writer = Writer(push.place, hold, conditions=not no_lock)
        binding.unhidden(push.place)
        seen = current(push.place, push.have, push.tag, push.plan.what)
        binding.bind(writer, push.have)
        history.keep(writer, seen, push.before, push.plan, push.have)
        history.begin(writer, push.before, made)
        revision = _published(push, revision, writer, pace, tell)
        if hold:
            _tidied(push)
    return revision


def signed() -> dict[str, str]:
    """Return who changes a repository, with what, and when."""
    return {"by": _user(), "tool": f"tritonrepo {__version__}", "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}


@contextmanager
def locked(place: Place, who: Mapping[str, str], pace: Pace, tell: Tell) -> Iterator[Hold]:
    """Hold the lock; raise Stop if the store does not enforce it."""
    message = "the store ignores conditional writes, so it cannot prevent two concurrent pushes"
    hint = "Make sure that nobody else pushes to this prefix, then add --no-lock."
    refusal = failure("push-unconditional", place.uri, message, hint)
    try:
        with held(place, who, pace, tell) as hold:
            if not hold.proven():
                raise refusal
            yield hold
    except Unconditional:
        raise refusal from None


def current(place: Place, have: Tree, tag: Tag | None, what: str) -> Fetched | None:
    """Return the record; raise Stop if someone else has changed the files or the record since they were read."""
    record = place.record_store.fetch(place.beside(revisions.NAME))
    moved = astray(place.store.files(place.prefix), files(have), {})
    if moved is not None or (record.tag if record else None) != tag:
        message = f"the prefix was changed while this {what} was planned, so nothing was sent"
        raise failure("push-overtaken", place.uri, message, "Run the command again.")
    return record


def _published(push: Push, revision: Revision, writer: Writer, pace: Pace, tell: Tell) -> Revision:
    tag = push.tag
    if push.plan and push.before is None and not push.plan.served:
        # recorded first: what an interrupted push leaves is not a revision
        tag = recorded(writer, revision, tag)
    written = apply(push.plan, push.have, writer, pace, tell)
    contents = {**(push.before.contents if push.before else {}), **revisions.contents(push.want)}
    number = history.next_number(push.place, push.before)
    revision = replace(revision, files=_finished(push, written), contents=contents, number=number)
    count = len(push.plan.actions)
    with interruptible(tell, lambda: Interrupted("record", count, count, push.plan.served)):
        recorded(writer, revision, tag)
    return revision


def _is_recorded(push: Push, before: Revision) -> bool:
    """Whether the record says what is there, and the repository where its record is."""
    return _finished(push, {}).is_in(before) and binding.is_bound(push.place, push.have)


def _tidied(push: Push) -> None:
    """Remove what interrupted pushes of the same models left half-sent; say why, if that is impossible."""
    place = push.place
    if reason := place.store.tidy(place.prefix, {path.partition("/")[0] for path in push.want}):
        push.work.tell(Diagnostic("store-parts", Severity.INFO, Span(place.uri), reason, LEFTOVERS))


def _finished(push: Push, written: Mapping[str, Tag | None]) -> Objects:
    return revisions.objects(push.want, push.have, written)


def recorded(writer: Writer, revision: Revision, tag: Tag | None) -> Tag | None:
    """Write the record where the one of this tag is, and return its tag."""
    path = writer.place.beside(revisions.NAME)
    return writer.beside.write([Write(path, revisions.dump(revision), if_absent=tag is None, if_match=tag)])[0]
