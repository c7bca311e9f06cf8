"""Carrying out a plan on a store, at once or at the pace of servers; the next run finishes a killed one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import groupby

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.stores.store import Tag, Write, tag_of
from tritonrepo.sync.pace import Pace, Rounds, Work
from tritonrepo.sync.plan import Action, Phase, Plan, Put
from tritonrepo.sync.sealed import broken
from tritonrepo.sync.telling import Meter, Tell
from tritonrepo.sync.writing import Alone, Writer, each
from tritonrepo.tree import File, Tree, files

LARGE_BYTES = 8 << 20


def apply(
    plan: Plan,
    have: Tree,
    writer: Writer | Alone,
    pace: Pace | None = None,
    tell: Tell = lambda _: None,
) -> dict[str, Tag | None]:
    """Do every action and return the tags of what was written, by path; None for what was removed.

    `have` is what the plan was made from: each write is conditional on what was seen, and is complete or not done.
    Without a pace, everything is written at once, because nobody reads it. With one, each phase is verified, servers
    get time between phases, and a Stop in the middle reports what is done: the next push continues from there.
    """
    before, written = files(have), dict[str, Tag | None]()
    around = Rounds(Work(plan, before, written, writer.place), pace, tell).around if pace else nullcontext
    meter = Meter(tell, len(plan.actions), served=plan.served)
    with meter.ending():
        for _, actions in groupby(plan.actions, key=lambda action: (action.phase, action.wave)):
            group = list(actions)
            with around(group):
                meter.began(group)
                _done(group, (before, written), writer, meter)
    return written


def _done(
    group: Sequence[Action],
    known: tuple[Mapping[str, File], dict[str, Tag | None]],
    writer: Writer | Alone,
    meter: Meter,
) -> None:
    """Do one group: new files, which may be large, one by one, and everything else conditional on what was seen.

    At the end, the tags of all of them are known.
    """
    writes, together, news = dict[str, Write](), list[Action](), list[Put]()
    guarded = writer.place.store.caps.guards_removals
    for action in group:
        path, seen = writer.place.path(action.path), _seen(action.path, *known)
        if isinstance(action, Put) and action.phase is Phase.FILES and (seen is None or _is_large(action)):
            news.append(action)
            if seen is not None:  # nothing serves it: removed first, so that it is also written where nothing exists
                writes[action.path] = Write(path, None, if_match=seen if guarded else None)
            continue
        together.append(action)
        if isinstance(action, Put):
            writes[action.path] = Write(path, action.file, if_absent=seen is None, if_match=seen)
        else:  # where removals have no condition, the store checks their time
            writes[action.path] = Write(path, None, if_match=seen if guarded else None)
    with _unchanged(group):
        tags = writer.write(list(writes.values()))
    meter.done(together)
    added = each(partial(_added, writer, meter), news, writer.lanes)
    written = known[1]
    written.update(zip(writes, tags, strict=True))
    written.update(zip((action.path for action in news), added, strict=True))


def _is_large(action: Put) -> bool:
    """Whether a file is too large to hold in memory; only files of a version can be."""
    return action.file.size > LARGE_BYTES and action.path.count("/") > 1


def _seen(path: str, before: Mapping[str, File], written: Mapping[str, Tag | None]) -> Tag | None:
    """Return the tag that a path should have now; None if nothing should exist there."""
    if path in written:
        return written[path]
    return tag_of(before[path]) if path in before else None


def _added(writer: Writer | Alone, meter: Meter, action: Put) -> Tag:
    with _unchanged([action]), meter.counted(action.file) as file:
        tag = writer.add(writer.place.path(action.path), file)
        file.sha256  # noqa: B018  that of what was sent, kept for the record: later the file may be another
    return tag


@contextmanager
def _unchanged(actions: Iterable[Action]) -> Iterator[None]:
    """Raise Stop if a file that is sent is no longer what was checked."""
    puts = [action for action in actions if isinstance(action, Put)]
    try:
        yield
    except (OSError, Stop) as error:  # some stores explain a file that cannot be read as one that they cannot write
        changed = [put for put in puts if broken(put.file)]
        if not changed and isinstance(error, Stop):
            raise
        raise _changed([*changed, *puts][0]) from error
    if changed := [put for put in puts if broken(put.file)]:
        raise _changed(changed[0])


def _changed(action: Put) -> Stop:
    at = str(action.file.path or action.path)
    hint = "Push again. Nothing serves the file yet."
    return failure("push-source-changed", at, "the file changed while it was being pushed", hint)
