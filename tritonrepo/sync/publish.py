"""Carry the plan of a push out: phase by phase, each verified, with the time that servers need between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put
from tritonrepo.sync.push import PINNED
from tritonrepo.sync.release import tag_of
from tritonrepo.sync.sealed import broken
from tritonrepo.tree import File

if TYPE_CHECKING:
    from tritonrepo.stores.store import Store

GRAIN_S = 1.1
"""Object stores stamp whole seconds: two writes to a model within one may look like one to a server."""

AT_ONCE = 16


Watch = Callable[[Sequence[Action]], bool]
"""Comes back once servers serve what a group of actions wrote; False: nothing that can be asked for changed by it."""


class Pace(NamedTuple):
    """How long servers are given between phases; the clock and the wait; who looks at them.

    `settle_s` is for servers to see and load what was written. `drain_s` is enough after a `watch` has seen them serve
    it: requests that began on the old version end in it. `check` raises a Stop where the push may not go on.
    """

    settle_s: float
    now: Callable[[], float]
    sleep: Callable[[float], None]
    drain_s: float = 0.0
    watch: Watch | None = None
    check: Callable[[], None] = lambda: None


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


def publish(plan: Plan, store: Store, prefix: str, pace: Pace, tell: Callable[[str], None]) -> dict[str, str]:
    """Do every action and give the tags of what was written, by path.

    A Stop in the middle says what is done: the next push goes on from there.
    """
    clock, written = _Clock(pace), dict[str, str]()
    groups = [list(group) for _, group in groupby(plan.actions, key=lambda action: (action.phase, action.wave))]
    seen = pace.watch is not None
    wait_s = pace.settle_s if plan.resumed and groups and not seen else 0.0
    for group in groups:
        if wait_s := wait_s if plan.served else 0.0:
            whom = "requests that began before to end" if seen else "servers to load"
            tell(f"waiting {wait_s:g} s for {whom}")
        clock.wait(max(wait_s, 0.0 if _is_unseen(group[0]) else GRAIN_S))
        tell(f"{group[0].phase.name.lower()}: {len(group)} to do")
        with _told(plan, written, prefix):
            pace.check()
            written |= _done(group, store, prefix)
            _verify(group, written, store, prefix)
            seen = pace.watch is not None and pace.watch(group)
        clock.last = pace.now()
        wait_s = 0.0 if _is_unseen(group[0]) else pace.drain_s if seen else pace.settle_s
    return written


def _is_unseen(action: Action) -> bool:
    """Whether a server sees nothing of it: files that no config names, and models that it does not know."""
    return action.phase is Phase.FILES or (action.phase is Phase.GATE and action.wave != PINNED)


def _done(group: Sequence[Action], store: Store, prefix: str) -> dict[str, str]:
    def do(action: Action) -> str:
        path = f"{prefix}/{action.path}"
        if isinstance(action, Delete):
            store.delete(path)
            return ""
        try:
            tag = store.put(path, action.file)
            action.file.sha256  # noqa: B018  kept for the record: later the file may be another
        except OSError as error:  # the store explains its own
            raise _changed(action) from error
        if broken(action.file):
            raise _changed(action)
        return tag

    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(do, action) for action in group]
        try:
            tags = [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {action.path: tag for action, tag in zip(group, tags, strict=True) if isinstance(action, Put)}


def _changed(action: Put) -> Stop:
    at = str(action.file.path or action.path)
    return failure("push-source-changed", at, "changed while it was pushed", "Nothing serves it yet. Push again.")


def _verify(group: Sequence[Action], written: dict[str, str], store: Store, prefix: str) -> None:
    """Look whether what was written is there: nothing may be built on what somebody else overwrote."""
    there = store.scan(prefix)
    for action in group:
        entry = there.get(action.path)
        right = (
            entry is None
            if isinstance(action, Delete)
            else isinstance(entry, File) and tag_of(entry) == written[action.path]
        )
        if not right:
            message = "is not what this push just wrote: somebody else writes here"
            raise failure("push-lost-write", f"{prefix}/{action.path}", message, "Find out who, then push again.")


@contextmanager
def _told(plan: Plan, written: Mapping[str, str], where: str) -> Iterator[None]:
    """Make what stops a push in its middle an error that says how far it came."""
    try:
        yield
    except Stop as stop:
        if not written:
            raise
        message = f"the push broke off in the middle: at least {len(written)} of {len(plan.actions)} actions are done"
        hint = "Servers go on with what they have. Push again when the cause is mended: it goes on from there."
        broken = Diagnostic("push-broken-off", Severity.ERROR, Span(where), message, hint)
        raise Stop([*stop.of(Severity.ERROR).diagnostics, broken]) from stop
