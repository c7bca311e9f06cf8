"""How long servers are given between the phases of a push, and what is looked at before and after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.stores.store import Tag, glimpse, tag_of
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Action, Phase, Plan
from tritonrepo.sync.push import PINNED
from tritonrepo.tree import File, files

GRAIN_S = 1.1
"""Object stores stamp whole seconds: two writes to a model within one may look like one to a server."""

Watch = Callable[[Sequence[Action]], bool]
"""Comes back once servers serve what a group of actions wrote; False: nothing that can be asked for changed by it."""


class Pace(NamedTuple):
    """How long servers are given between phases; the clock and the wait; who looks at them.

    `settle_s` is for servers to see and load what was written. `drain_s` is enough after a `watch` has seen them serve
    it: requests that began on the old version end in it. The clock goes on while this machine sleeps.
    """

    settle_s: float
    now: Callable[[], float]
    sleep: Callable[[float], None]
    drain_s: float = 0.0
    watch: Watch | None = None


class Work(NamedTuple):
    """What is carried out: the plan, the files that it was made from, and the tags of what was written so far."""

    plan: Plan
    before: Mapping[str, File]
    written: Mapping[str, Tag | None]
    place: Place


class Rounds:
    """The groups of a plan one after the other, each verified, with the time that servers need between them."""

    def __init__(self, work: Work, pace: Pace, tell: Callable[[str], None]) -> None:
        self._work, self._pace, self._tell = work, pace, tell
        self._last = pace.now()  # something was written just before, for all this run knows
        self._seen = pace.watch is not None
        self._wait_s = pace.settle_s if work.plan.resumed and not self._seen else 0.0

    @contextmanager
    def around(self, group: Sequence[Action]) -> Iterator[None]:
        """Wait until a group may be written, and after that until it is verified and seen to serve."""
        pace, unseen = self._pace, _is_unseen(group[0])
        wait_s = self._wait_s if self._work.plan.served else 0.0
        if wait_s:
            whom = "requests that began before to end" if self._seen else "servers to load"
            self._tell(f"waiting {wait_s:g} s for {whom}")
        left_s = self._last + max(wait_s, 0.0 if unseen else GRAIN_S) - pace.now()
        if left_s > 0:
            pace.sleep(left_s)
        self._tell(f"{group[0].phase.name.lower()}: {len(group)} to do")
        with _told(self._work):
            yield
            _verify(self._work)
            self._seen = pace.watch is not None and pace.watch(group)
        self._last = pace.now()
        self._wait_s = 0.0 if unseen else pace.drain_s if self._seen else pace.settle_s


def _is_unseen(action: Action) -> bool:
    """Whether a server sees nothing of it: files that no config names, and models that it does not know."""
    return action.phase is Phase.FILES or (action.phase is Phase.GATE and action.wave != PINNED)


def _verify(work: Work) -> None:
    """Look whether the models of the plan are what was seen and written: nothing may be built on what others change."""
    plan, before, written, place = work
    there = files(place.store.scan(place.prefix))
    models = {action.path.partition("/")[0] for action in plan.actions}
    for path in sorted({*there, *before, *written}):
        if path.partition("/")[0] not in models:
            continue
        if path in written:
            right = (tag_of(there[path]) if path in there else None) == written[path]
        else:
            right = path in there and path in before and glimpse(there[path]) == glimpse(before[path])
        if not right:
            message = "is not what this push saw or wrote: somebody else writes here"
            raise failure("push-lost-write", place.path(path), message, "Find out who, then push again.")


@contextmanager
def _told(work: Work) -> Iterator[None]:
    """Make what stops a push once it has begun an error that says how far it came."""
    plan, written = work.plan, work.written
    try:
        yield
    except Stop as stop:
        if not written:
            raise stop.of(Severity.ERROR) from stop
        message = f"the push broke off in the middle: at least {len(written)} of {len(plan.actions)} actions are done"
        hint = "Servers go on with what they have. Push again when the cause is mended: it goes on from there."
        broken = Diagnostic("push-broken-off", Severity.ERROR, Span(work.place.uri), message, hint)
        raise Stop([*stop.of(Severity.ERROR).diagnostics, broken]) from stop
