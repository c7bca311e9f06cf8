"""One push at a time: an object beside the repository, taken by a conditional write and written anew all the while.

A killed push leaves it there. On its own machine the next one sees that the process is gone; from elsewhere it sees
that the object changes no more. No clocks are compared.
"""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.stores.directory import runs
from tritonrepo.stores.store import Conflict, Unconditional
from tritonrepo.sync.publish import Pace
from tritonrepo.sync.release import tag_of
from tritonrepo.tree import File, of_text

if TYPE_CHECKING:
    from tritonrepo.stores.store import Store

BEAT_S = 10.0
SILENT_S = 60.0
"""A lock that does not change for so long is a killed push's; six beats are missed then."""

LOOK_S = 2.0
TRIES = 5


class Place(NamedTuple):
    """The lock's store and path; what it belongs to, for messages."""

    store: Store
    prefix: str
    uri: str

    @property
    def path(self) -> str:
        """Where the lock lies."""
        return f"{self.prefix}.tritonrepo/lock.json"

    def find(self) -> tuple[dict[str, str], str] | None:
        """Give who holds the lock, and its tag; None where nobody does."""
        entry = self.store.scan(f"{self.prefix}.tritonrepo").get("lock.json")
        if not isinstance(entry, File):
            return None
        with suppress(ValueError):
            data = json.loads(self.store.read(self.path) or b"")
            if isinstance(data, dict):
                return {key: str(value) for key, value in data.items()}, tag_of(entry)
        return {}, tag_of(entry)


@contextmanager
def held(place: Place, who: Mapping[str, str], pace: Pace, tell: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Hold the lock; give what raises a Stop once it is lost. Raise Stop where another push holds it."""
    me = {**who, "host": platform.node(), "machine": _machine(), "pid": str(os.getpid())}
    me["born"] = _born(me["pid"])
    try:
        tag = _taken(place, me, pace, tell)
    except Unconditional:
        tell("note: this store knows no conditional writes, so nothing keeps two pushes at once apart")
        yield lambda: None
        return
    beats = _Beats(place, me, tag)
    try:
        yield beats.check
    finally:
        beats.end()


class _Beats:
    """Writes the lock anew, so that others see that its push goes on."""

    def __init__(self, place: Place, me: Mapping[str, str], tag: str) -> None:
        self._place, self._me, self._tag = place, me, tag
        self._over, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(BEAT_S):
            count += 1
            try:
                self._tag = self._place.store.put(self._place.path, _lock(self._me, count), if_match=self._tag)
            except Conflict:
                self._lost.set()
                return
            except Stop:  # the store may answer again; if not, the push itself will tell
                continue

    def check(self) -> None:
        if self._lost.is_set():
            message = "another push took this one for dead and goes on in its place"
            raise failure("push-locked", self._place.uri, message, "Was this machine asleep? Push again when it ends.")

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        if not self._lost.is_set():
            with suppress(Stop):  # what was to be told has been; a lock that stays is seen to be silent
                self._place.store.delete(self._place.path)


def _lock(me: Mapping[str, str], beat: int) -> File:
    return of_text(json.dumps({**me, "beat": beat}, indent=1) + "\n")


def _taken(place: Place, me: Mapping[str, str], pace: Pace, tell: Callable[[str], None]) -> str:
    for _ in range(TRIES):
        with suppress(Conflict):
            return place.store.put(place.path, _lock(me, 0), if_absent=True)
        found = place.find()
        if found and (_ended(found[0], place) or _silent(place, found, pace, tell)):
            with suppress(Conflict):
                return place.store.put(place.path, _lock(me, 0), if_match=found[1])
    raise _busy(place, {})


def _busy(place: Place, holder: Mapping[str, str]) -> Stop:
    who = f"{holder.get('by', 'somebody')} on {holder.get('host', 'some machine')}"
    message = f"{who} pushes there since {holder.get('at', 'this moment')}, so nothing was sent"
    return failure("push-locked", place.uri, message, "Push again when that has ended.")


def _silent(place: Place, found: tuple[dict[str, str], str], pace: Pace, tell: Callable[[str], None]) -> bool:
    """Watch a lock; whether it stays as it is for long enough. Raise Stop when it changes; False: it is gone."""
    holder, tag = found
    tell(f"waiting up to {SILENT_S:g} s: is the push of {holder.get('by')} on {holder.get('host')} still going on?")
    end = pace.now() + SILENT_S
    while pace.now() < end:
        pace.sleep(LOOK_S)
        now = place.find()
        if now is None:
            return False
        if now[1] != tag:
            raise _busy(place, now[0])
    return True


def _ended(holder: Mapping[str, str], place: Place) -> bool:
    """Whether the holder is a process of this machine that runs no more. Raise Stop where it runs."""
    if holder.get("machine") != _machine():
        return False
    if holder.get("born") == _born(holder.get("pid", "")):
        raise _busy(place, holder)
    return True


def _machine() -> str:
    """Give what tells apart where process numbers mean different processes: machine, start of it, container."""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(), os.readlink("/proc/self/ns/pid")]  # noqa: PTH115  it points to no path
    return " ".join(parts)


def _born(pid: str) -> str:
    """Give when a process began, in ticks since the machine did; "" where it runs no more, or ended as a zombie."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self").exists() or not runs(pid) else "running"
    return "" if state in {"Z", "X"} else rest[18]
