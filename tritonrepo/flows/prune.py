"""The pipeline of `prune`: what nothing needs any more is removed, under the lock and at the pace of a push."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import failure, fatal
from tritonrepo.flows.prepared import Push
from tritonrepo.flows.published import interrupted, published
from tritonrepo.flows.push import USUAL, current, locked, recorded, signed
from tritonrepo.flows.target import of_record
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Target
from tritonrepo.repository.paths import is_config
from tritonrepo.stores.store import Tag, Write, tag_of
from tritonrepo.sync import history
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.apply import apply
from tritonrepo.sync.needs import Past
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Put
from tritonrepo.sync.pruning import Pruning, pruning
from tritonrepo.sync.push import uploadable
from tritonrepo.sync.record import Record
from tritonrepo.sync.revision import Object, Revision
from tritonrepo.sync.writing import Writer, each
from tritonrepo.tree import File, Tree, files

KEEP = 5


class Prune(NamedTuple):
    """What is removed from a repository, what is there, and the record of its revision with the record's tag."""

    pruning: Pruning
    have: Tree
    before: Revision
    tag: Tag
    place: Place
    work: Workspace


def plan_prune(uri: Place | str, work: Workspace, keep: int = KEEP) -> Prune:
    """Determine what neither a config nor one of the newest `keep` revisions needs, and write nothing.

    Raise Stop if it is not known which files are those of a push.
    """
    place, have, before, tag = there = published(uri)
    if before is None or tag is None:
        message = "the release record is missing, so it is unknown which models are from a push"
        raise fatal("prune-unrecorded", place.uri, message, "Check the URI. `tritonrepo push` writes the record.")
    past = _past(place, before, keep, (begun.back,) if (begun := interrupted(there)) else ())
    return Prune(pruning(have, past, _reader(before, place.uri), place.uri), have, before, tag, place, work)


def plan_after(push: Push, keep: int = KEEP) -> Pruning:
    """Return what `apply_after` removes once a push is carried out."""
    place, before = push.place, push.before
    if before and not push.plan and revisions.objects(push.want, push.have, {}).is_in(before):
        return plan_prune(place, push.work, keep).pruning
    have = dict(push.have)
    for action in push.plan.actions:
        if isinstance(action, Put):
            have[action.path] = action.file
        else:
            have.pop(action.path, None)
    want = files(uploadable(push.want))
    objects = {path: Object(file.sha256, file.size, Tag("")) for path, file in want.items()}
    number = history.next_number(place, before)
    contents = before.contents if before else {}
    now = Revision(push.record.name, push.record.target, push.record.local, objects, {}, contents, number)
    past = _past(place, now, keep, before=before)
    found = pruning(have, past, push.server, place.uri)
    return replace(found, plan=replace(found.plan, resumed=True))


def apply_after(
    push: Push, coming: Pruning, pace: Pace = USUAL, *, keep: int = KEEP, no_lock: bool = False
) -> Revision:
    """Remove what was planned before a push, which has been carried out; raise Stop if it is anything else by now."""
    then = plan_prune(push.place, push.work, keep)
    if _shown(then.pruning) != _shown(coming):
        message = (
            "something else would be removed than the plan has shown, so nothing was removed; the push is complete"
        )
        hint = "Run `tritonrepo prune`, which shows what would be removed now."
        raise failure("prune-changed", push.place.uri, message, hint)
    plan = replace(then.pruning.plan, resumed=coming.plan.resumed)
    pace = pace._replace(settle_s=pace.drain_s if push.seen else pace.settle_s)
    return apply_prune(then._replace(pruning=replace(then.pruning, plan=plan)), pace, no_lock=no_lock)


def _shown(found: Pruning) -> tuple[object, ...]:
    return {(removal.path, removal.files) for removal in found.removals}, found.revisions


def _past(place: Place, now: Revision, keep: int, more: Collection[int] = (), before: Revision | None = None) -> Past:
    """Return the revisions, with `now` as the current one, and `before` as the one that it replaces if it is new.

    `more` are earlier ones that are kept in any case. So are records with a later number: nobody knows whose they are.
    """
    numbers = {*history.numbers(place), *([before.number] if before and before.number else [])} - {now.number}
    earlier = sorted((number for number in numbers if number < now.number), reverse=True)
    kept = [number for number in sorted(numbers, reverse=True) if number not in earlier[keep - 1 :] or number in more]
    former = [number for number in earlier if number not in kept]

    def read(number: int) -> Revision:
        return before if before and before.number == number else history.read(place, number)

    return Past(
        now,
        each(read, kept, history.READS_AT_ONCE),
        each(lambda number: _outline(read(number)), former, history.READS_AT_ONCE),
        files(place.record_store.scan(place.beside(history.KEPT))),
    )


def _outline(revision: Revision) -> Revision:
    """Return a revision with its configs, and one file per directory: many revisions are in memory at a time."""
    found: dict[str, tuple[str, Object]] = {}
    for path, entry in revision.files.items():
        top = path if is_config(path) else "/".join(path.split("/")[:2])
        found.setdefault(top, (path, entry))
    return replace(revision, files=dict(found.values()), contents={})


def _reader(revision: Revision, uri: str) -> Target:
    record = Record(revision.name, revision.target, local=revision.local)
    return repository.target(record=of_record(record, uri))


def apply_prune(prune: Prune, pace: Pace = USUAL, *, no_lock: bool = False) -> Revision:
    """Remove what the plan names, and return the present revision; if there is nothing to remove, no lock is taken.

    Files go first, and the records of revisions last: the next run completes an interrupted one.
    """
    found, have, before, tag, place, work = prune
    if not found:
        return before
    with nullcontext() if no_lock else locked(place, signed(), pace, work.tell) as hold:
        writer = Writer(place, hold, conditions=not no_lock)
        current(place, have, tag, found.plan.what)
        written = apply(found.plan, have, writer, pace, work.tell)
        now = _again(before, files(have), written)
        if now != before:
            recorded(writer, now, tag)
        _forget(writer.beside, history.KEPT, found.copies)
        _forget(writer.beside, history.REVISIONS, [f"{number}.json" for number in found.revisions])
    return now


def _again(before: Revision, have: Mapping[str, File], written: Mapping[str, Tag | None]) -> Revision:
    """Return the record with the tags of configs that were written again with the same content."""
    tags = {path: tag_of(have[path]) for path in before.files if is_config(path) and path in have}
    tags |= {path: tag for path, tag in written.items() if tag is not None}
    same = {path: tag for path, tag in tags.items() if path in before.files and tag != before.files[path].tag}
    again = {path: tag for path, tag in same.items() if have[path].sha256 == before.files[path].sha256}
    if not again:
        return before
    return replace(before, files={**before.files, **{p: before.files[p]._replace(tag=tag) for p, tag in again.items()}})


def _forget(writer: Writer, directory: str, names: Collection[str]) -> None:
    place = writer.place
    there = files(place.store.scan(place.beside(directory))) if names else {}
    guarded = place.store.caps.guards_removals
    paths = [(place.beside(f"{directory}/{name}"), tag_of(there[name])) for name in names if name in there]
    writer.write([Write(path, None, if_match=tag if guarded else None) for path, tag in paths])
