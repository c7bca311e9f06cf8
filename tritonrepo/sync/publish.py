"""Carry the plan of a push out: phase by phase, each verified, with the time that servers need between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.stores.store import Stored, Write
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Action, Phase, Plan, Put
from tritonrepo.sync.push import PINNED
from tritonrepo.sync.release import tag_of
from tritonrepo.sync.sealed import broken
from tritonrepo.sync.writing import Writer, each
from tritonrepo.tree import File, Tree, files

GRAIN_S = 1.1
"""Object stores stamp whole seconds: two writes to a model within one may look like one to a server."""

LARGE_BYTES = 8 << 20
REMOVED = ""


class _Clock:
    """Remembers when something was last written, by this run or, for all it knows, just before."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.last = pace.now()

    def wait(self, seconds: float) -> None:
        """Come back this long after the last write."""
        left = self.last + seconds - self.pace.now()
        if left > 0:
            self.pace.sleep(left)


def publish(plan: Plan, have: Tree, writer: Writer, pace: Pace, tell: Callable[[str], None]) -> dict[str, str]:
    """Do every action and give the tags of what was written, by path; "" is what was removed.

    `have` is what the plan was made from: each write is on what was seen there. A Stop in the middle says what is done:
    the next push goes on from there.
    """
    if pace.watch and plan:
        pace.watch(())
    clock, written, before = _Clock(pace), dict[str, str](), files(have)
    groups = [list(group) for _, group in groupby(plan.actions, key=lambda action: (action.phase, action.wave))]
    seen = pace.watch is not None
    wait_s = pace.settle_s if plan.resumed and groups and not seen else 0.0
    for group in groups:
        if wait_s := wait_s if plan.served else 0.0:
            whom = "requests that began before to end" if seen else "servers to load"
            tell(f"waiting {wait_s:g} s for {whom}")
        clock.wait(max(wait_s, 0.0 if _is_unseen(group[0]) else GRAIN_S))
        tell(f"{group[0].phase.name.lower()}: {len(group)} to do")
        with _told(plan, written, writer.place.uri):
            written |= _done(group, before, written, writer)
            _verify(plan, before, written, writer.place)
            seen = pace.watch is not None and pace.watch(group)
        clock.last = pace.now()
        wait_s = 0.0 if _is_unseen(group[0]) else pace.drain_s if seen else pace.settle_s
    return written


def _is_unseen(action: Action) -> bool:
    """Whether a server sees nothing of it: files that no config names, and models that it does not know."""
    return action.phase is Phase.FILES or (action.phase is Phase.GATE and action.wave != PINNED)


def _done(
    group: Sequence[Action], before: Mapping[str, File], written: Mapping[str, str], writer: Writer
) -> dict[str, str]:
    """Do one group: what is new and may be large by itself, all else each on what was seen there."""
    writes, news = dict[str, Write](), list[Put]()
    for action in group:
        path, seen = writer.place.path(action.path), _seen(action.path, before, written)
        if isinstance(action, Put) and action.phase is Phase.FILES and (seen is None or _is_large(action)):
            news.append(action)
            if seen is not None:  # nothing serves it: gone first, so that it too is written where nothing is
                writes[action.path] = Write(path, None)
        elif isinstance(action, Put):
            writes[action.path] = Write(path, action.file, if_absent=seen is None, if_match=seen)
        else:  # not every store knows conditions of a removal; its time is judged by all
            writes[action.path] = Write(path, None)
    with _unchanged(group):
        tags = dict(zip(writes, writer.write(list(writes.values())), strict=True))
    return tags | dict(zip((action.path for action in news), each(partial(_added, writer), news), strict=True))


def _is_large(action: Put) -> bool:
    """Whether it is too large to be held in memory, which files of a version may be and files beside them never are."""
    return action.file.size > LARGE_BYTES and action.path.count("/") > 1


def _seen(path: str, before: Mapping[str, File], written: Mapping[str, str]) -> str | None:
    """Give the tag that a path should have now; None where nothing should be."""
    if path in written:
        return written[path] or None
    return tag_of(before[path]) if path in before else None


def _added(writer: Writer, action: Put) -> str:
    with _unchanged([action]):
        tag = writer.add(writer.place.path(action.path), action.file)
        action.file.sha256  # noqa: B018  kept for the record: later the file may be another
    return tag


@contextmanager
def _unchanged(actions: Iterable[Action]) -> Iterator[None]:
    """Raise Stop where a file that is sent is not any more what was judged."""
    puts = [action for action in actions if isinstance(action, Put)]
    try:
        yield
    except OSError as error:  # the store explains its own
        raise _changed(next((put for put in puts if broken(put.file)), puts[0])) from error
    if changed := [put for put in puts if broken(put.file)]:
        raise _changed(changed[0])


def _changed(action: Put) -> Stop:
    at = str(action.file.path or action.path)
    return failure("push-source-changed", at, "changed while it was pushed", "Nothing serves it yet. Push again.")


def _verify(plan: Plan, before: Mapping[str, File], written: Mapping[str, str], place: Place) -> None:
    """Look whether the models of the plan are what was seen and written: nothing may be built on what others change."""
    there = files(place.store.scan(place.prefix))
    models = {action.path.partition("/")[0] for action in plan.actions}
    for path in sorted({*there, *before, *written}):
        if path.partition("/")[0] not in models:
            continue
        if path in written:
            right = (tag_of(there[path]) if path in there else REMOVED) == written[path]
        else:
            right = _alike(there.get(path), before.get(path))
        if not right:
            message = "is not what this push saw or wrote: somebody else writes here"
            raise failure("push-lost-write", place.path(path), message, "Find out who, then push again.")


def _alike(one: File | None, other: File | None) -> bool:
    """Whether two looks at a file saw the same, as far as that costs no reading."""
    if one is None or other is None:
        return one is other
    tags = {file.tag if isinstance(file, Stored) else "" for file in (one, other)}
    return one.size == other.size and len(tags) == 1


@contextmanager
def _told(plan: Plan, written: Mapping[str, str], where: str) -> Iterator[None]:
    """Make what stops a push once it has begun an error that says how far it came."""
    try:
        yield
    except Stop as stop:
        if not written:
            raise stop.of(Severity.ERROR) from stop
        message = f"the push broke off in the middle: at least {len(written)} of {len(plan.actions)} actions are done"
        hint = "Servers go on with what they have. Push again when the cause is mended: it goes on from there."
        broken = Diagnostic("push-broken-off", Severity.ERROR, Span(where), message, hint)
        raise Stop([*stop.of(Severity.ERROR).diagnostics, broken]) from stop
