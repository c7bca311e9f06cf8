"""One push at a time: an object beside the repository, taken by a conditional write and written anew all the while.

A killed push leaves it there. On its own machine the next one sees that the process is gone, and gives what it sent
the time to arrive; from elsewhere it sees that the object changes no more. No clocks are compared.

What keeps a push that slept, was cut off or is slow from writing once another one holds the lock:

- Each content of the lock is unique, so a write of it on the tag of an earlier content is refused by the store.
- Every write that a server or a later push may see is prepared first (`Store.ticket`), then the lock is written once
  more (`confirm`), then the write is sent. The store refuses it `VALID_S` after it was prepared; another push takes the
  lock only when it saw it unchanged for `SILENT_S`, which is longer. So if the lock is lost before the confirmation,
  that one fails, and if it is lost after it, the write comes too late, however long this process slept between any two
  of its instructions. It does not matter that a config may be again what the plan saw: the time is over all the same.
- Files of new versions are many and large, so they are written without a ticket, but only where nothing is (`add`).
  One that comes after the lock was lost changes nothing that is there. It can add a file to a version that no config
  named when its own push planned it; that the other push brings the same number with other content, without that file,
  and ends between the last look at the clock and the arrival, is what remains.
- What the store has begun to carry out cannot be called back: that it takes longer over one write than `GRACE_S` after
  a kill on the same machine, or else `SILENT_S - VALID_S`, is the other thing that remains.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.stores.directory import runs
from tritonrepo.stores.store import Conflict, Late, Send, Tag, Unconditional, Write
from tritonrepo.tree import File, of_text

if TYPE_CHECKING:
    from tritonrepo.sync.pace import Pace
    from tritonrepo.sync.place import Place

BEAT_S = 10.0
SILENT_S = 60.0
"""A lock that does not change for so long is a killed push's; six beats are missed then."""

VALID_S = 10
"""How long a prepared write may be sent."""

GRACE_S = 2.0
"""What stores and clocks that count whole seconds may add to that."""

LOOK_S = 2.0
TRIES = 5
NAME = "lock.json"


def find(place: Place) -> tuple[dict[str, str], Tag] | None:
    """Return who holds the lock, and its tag; None where nobody does."""
    found = place.store.fetch(place.beside(NAME))
    if found is None:
        return None
    with suppress(ValueError, RecursionError):
        data = json.loads(found.content)
        if isinstance(data, dict):
            return {key: str(value) for key, value in data.items()}, found.tag
    return {}, found.tag


@contextmanager
def held(place: Place, who: Mapping[str, str], pace: Pace, tell: Callable[[str], None]) -> Iterator[Hold]:
    """Hold the lock. Raise Stop where another push holds it."""
    me = {**who, "host": platform.node(), "machine": _machine(), "pid": str(os.getpid()), "push": secrets.token_hex(16)}
    me["born"] = _born(me["pid"])
    hold = Hold(place, me, _taken(place, me, pace, tell), pace.now)
    try:
        yield hold
    finally:
        hold.end()


class Hold:
    """The lock as its holder has it; a thread writes it anew, so that others see that the push goes on."""

    def __init__(self, place: Place, me: Mapping[str, str], tag: Tag, now: Callable[[], float]) -> None:
        self._place, self._me, self._tag, self._now = place, me, tag, now
        self._count, self._sure, self._lost = 0, now(), False
        self._mine, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with suppress(
                Stop
            ):  # the store may answer again; if not, or if the lock is lost, the push itself will tell
                self.confirm()

    def confirm(self) -> None:
        """Write the lock once more; raise a Stop where it is another's by now."""
        with self._mine:
            for _ in range(TRIES):
                if self._lost:
                    break
                if self._written():
                    return
        message = "another push took this one for dead and goes on in its place"
        raise failure("push-locked", self._place.uri, message, "Was this machine asleep? Push again when it ends.")

    def proven(self) -> bool:
        """Whether the store refuses writes whose condition does not hold, in each way by which a push writes.

        Some know no conditions and say so, others answer 200 and write. It is tried on the lock itself, with its text.
        """
        store, path, file = self._place.store, self._place.beside(NAME), _lock(self._me, 0)
        for wrong in (Write(path, file, if_absent=True), Write(path, file, if_match=store.caps.stray)):
            send = partial(store.put, path, file, if_absent=wrong.if_absent, if_match=wrong.if_match)
            for make in (partial(store.ticket, wrong, VALID_S), lambda send=send: send):
                # once may be right: the lock was gone, since another push took it over and ended, and is here again
                if not self._refused(make()) and not self._refused(make()):
                    return False
        return True

    def _refused(self, send: Send) -> bool:
        with self._mine:
            try:
                self._tag = send() or self._tag
            except (Conflict, Late):
                return True
            except Unconditional:
                return False
            return False

    def recent(self) -> None:
        """Confirm unless that was done a moment ago."""
        if self._now() - self._sure > 2 * BEAT_S:
            self.confirm()

    def _written(self) -> bool:
        began, self._count = self._now(), self._count + 1
        path = self._place.beside(NAME)
        try:
            self._tag = self._place.store.put(path, _lock(self._me, self._count), if_match=self._tag)
        except Conflict:
            # a reply that was lost looks like a rival: what is there may be one's own
            found = find(self._place)
            self._lost = found is None or found[0].get("push") != self._me["push"]
            self._tag = found[1] if found else self._tag
            return False
        self._sure = began
        return True

    def end(self) -> None:
        """Return the lock if it is still one's own; one that stays is seen to be silent."""
        self._over.set()
        self._thread.join()
        with suppress(Stop, Conflict, Late):  # what was to be told has been
            remove = self._place.store.ticket(Write(self._place.beside(NAME), None), VALID_S)
            self.confirm()
            remove()


def _lock(me: Mapping[str, str], beat: int) -> File:
    return of_text(json.dumps({**me, "beat": beat}, indent=1) + "\n")


def _taken(place: Place, me: Mapping[str, str], pace: Pace, tell: Callable[[str], None]) -> Tag:
    for _ in range(TRIES):
        found = find(place)
        if found and found[0].get("push") == me["push"]:
            return found[1]  # the reply to the write of it was lost
        if found and not (_ended(found[0], place, pace, tell) or _silent(place, found, pace, tell)):
            continue
        with suppress(Conflict):
            return place.store.put(place.beside(NAME), _lock(me, 0), if_absent=not found, if_match=found and found[1])
    raise _busy(place, {})


def _busy(place: Place, holder: Mapping[str, str]) -> Stop:
    who = f"{holder.get('by', 'somebody')} on {holder.get('host', 'some machine')}"
    message = f"{who} pushes there since {holder.get('at', 'this moment')}, so nothing was sent"
    return failure("push-locked", place.uri, message, "Push again when that has ended.")


def _silent(place: Place, found: tuple[dict[str, str], Tag], pace: Pace, tell: Callable[[str], None]) -> bool:
    """Watch a lock; whether it stays as it is for long enough. Raise Stop when it changes; False: it is gone."""
    holder, tag = found
    tell(f"waiting up to {SILENT_S:g} s: is the push of {holder.get('by')} on {holder.get('host')} still going on?")
    end = pace.now() + SILENT_S
    while pace.now() < end:
        pace.sleep(LOOK_S)
        now = find(place)
        if now is None:
            return False
        if now[1] != tag:
            raise _busy(place, now[0])
    return True


def _ended(holder: Mapping[str, str], place: Place, pace: Pace, tell: Callable[[str], None]) -> bool:
    """Whether the holder was a process of this machine, and what it sent has come. Raise Stop where it runs."""
    if holder.get("machine") != _machine():
        return False
    born = _born(holder.get("pid", ""))
    if born and born == holder.get("born"):
        raise _busy(place, holder)
    tell(f"waiting {VALID_S + GRACE_S:g} s for what a killed push may have sent")
    pace.sleep(VALID_S + GRACE_S)
    return True


def _machine() -> str:
    """Return what tells apart where process numbers mean different processes: machine, start of it, container."""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(), os.readlink("/proc/self/ns/pid")]  # noqa: PTH115  it points to no path
    return " ".join(parts)


def _born(pid: str) -> str:
    """Return when a process began, in ticks since the machine did; "" where it runs no more, or ended as a zombie."""
    if not re.fullmatch("[0-9]+", pid):  # a lock is foreign text
        return ""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self").exists() or not runs(pid) else "running"
    return "" if state in {"Z", "X"} else rest[18]
