"""How long servers get between the phases of a push, and what is checked before and after each phase."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.stores.store import Tag, glimpse, tag_of
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Action, Phase, Plan
from tritonrepo.sync.pruning import CONFIGS, HIDE
from tritonrepo.sync.push import PINNED
from tritonrepo.sync.telling import Tell, Waits
from tritonrepo.tree import File

GRAIN_S = 1.1
"""Object stores time-stamp in whole seconds: a server may see two writes to a model within one second as one.

That is so for a model that it knows. One that it could not read at a poll, such as a new one behind its gate, is read
again at the next whatever its time: core, model_repository_manager.cc, `invalid_add` in Poll.
"""

PAGE = 1000
"""How many objects stores list in one reply, at most."""

Watch = Callable[[Sequence[Action]], bool]
"""Returns once servers serve what a group of actions wrote; False if it changed nothing that can be observed."""


class Pace(NamedTuple):
    """How long servers get between phases; the clock and the wait; what watches the servers.

    `settle_s` is for servers to see and load what was written. `drain_s` is enough after a `watch` has seen them serve
    it: requests that began on the old version finish in it. The clock keeps running while this machine sleeps.
    """

    settle_s: float
    now: Callable[[], float]
    sleep: Callable[[float], None]
    drain_s: float = 0.0
    watch: Watch | None = None


class Work(NamedTuple):
    """What is carried out: the plan, the files that it was made from, and the tags of everything written so far."""

    plan: Plan
    before: Mapping[str, File]
    written: Mapping[str, Tag | None]
    place: Place


class Rounds:
    """The groups of a plan, one after the other, each verified, with the time that servers need between them."""

    def __init__(self, work: Work, pace: Pace, tell: Tell) -> None:
        self._work, self._pace, self._tell = work, pace, tell
        self._known = _models(work.before)
        self._last = pace.now()  # something may have been written just before this run
        self._seen = pace.watch is not None
        self._wait_s = pace.settle_s if work.plan.resumed and not self._seen else 0.0

    @contextmanager
    def around(self, group: Sequence[Action]) -> Iterator[None]:
        """Wait until a group may be written, and afterwards until it is verified and seen to be served."""
        pace, unseen = self._pace, _is_unseen(group[0])
        wait_s = self._wait_s if self._work.plan.served else 0.0
        if wait_s:
            whom = "running requests to finish" if self._seen else "servers to load what was written"
            self._tell(Waits(f"waiting {wait_s:g} s for {whom}", wait_s))
        models = _models(action.path for action in group)
        left_s = self._last + max(wait_s, 0.0 if unseen or self._known.isdisjoint(models) else GRAIN_S) - pace.now()
        if left_s > 0:
            pace.sleep(left_s)
        with _told(self._work):
            yield
            _verify(self._work)
            self._seen = pace.watch is not None and pace.watch(group)
        self._last = pace.now()
        self._known |= set() if unseen else models
        left = self._seen and group[0].phase is Phase.REPLACE  # servers unload a version after its last request
        self._wait_s = 0.0 if unseen or left else pace.drain_s if self._seen else pace.settle_s


def _is_unseen(action: Action) -> bool:
    """Whether servers do not see an action: files that no config names, and models that they do not know."""
    if action.phase is Phase.PRUNE:
        return action.wave not in {HIDE, CONFIGS}
    return action.phase is Phase.FILES or (action.phase is Phase.GATE and action.wave != PINNED)


def _verify(work: Work) -> None:
    """Verify that the models of the plan are as seen and written: nothing may build on what others change."""
    plan, before, written, place = work
    models = _models(action.path for action in plan.actions)
    path = astray(_there(work, models), before, written, models)
    if path is not None:
        message = f"the file is not what this {plan.what} saw or wrote; someone else writes to this prefix"
        hint = "Find out who writes to this prefix, and run the command again."
        raise failure("push-lost-write", place.path(path), message, hint)


def _there(work: Work, models: Collection[str]) -> Iterator[tuple[str, File]]:
    """Yield what is in these models, and perhaps in others: a store is asked for a few alone if that is less to list.

    An object with the name of a model would not be among what is in it.
    """
    _, before, written, place = work
    few = len(models) * PAGE <= max(len(before), len(written)) and before.keys().isdisjoint(models)
    if not (few and place.store.caps.lists_parts):
        return place.store.files(place.prefix)
    found = ((name, place.store.files(place.path(name))) for name in sorted(models))
    return ((f"{name}/{path}", file) for name, inside in found for path, file in inside)


def astray(
    there: Iterable[tuple[str, File]],
    before: Mapping[str, File],
    written: Mapping[str, Tag | None],
    models: Collection[str] | None = None,
) -> str | None:
    """Return the first path, of all or of these models, at which not what was seen or written since is; or None.

    `there` is what is at all paths now, and may be a listing of which nothing is kept.
    """
    known = (path for path in before if path not in written)
    new = (path for path, tag in written.items() if tag is not None)
    wanted = sorted(path for path in chain(known, new) if models is None or _model(path) in models)
    seen, wrong = bytearray(len(wanted)), set[str]()  # a set of thousands of paths would take much more
    for path, file in there:
        at = bisect_left(wanted, path)
        if at < len(wanted) and wanted[at] == path:
            seen[at] = True
        if models is not None and _model(path) not in models:
            continue
        if path in written:
            right = tag_of(file) == written[path]
        else:
            right = path in before and glimpse(file) == glimpse(before[path])
        if not right:
            wrong.add(path)
    return min([*wrong, *(path for path, is_there in zip(wanted, seen, strict=True) if not is_there)], default=None)


def _models(paths: Iterable[str]) -> set[str]:
    return {_model(path) for path in paths}


def _model(path: str) -> str:
    return path.partition("/")[0]


@contextmanager
def _told(work: Work) -> Iterator[None]:
    """Turn a Stop in a push that has begun into an error that says how far the push got."""
    plan, written = work.plan, work.written
    try:
        yield
    except Stop as stop:
        if not written:
            raise stop.of(Severity.ERROR) from stop
        message = f"the {plan.what} was interrupted after at least {len(written)} of {len(plan.actions)} actions"
        hint = "Fix the cause and run the command again: it continues from this point. Servers keep what they have."
        broken = Diagnostic("push-broken-off", Severity.ERROR, Span(work.place.uri), message, hint)
        raise Stop([*stop.of(Severity.ERROR).diagnostics, broken]) from stop
