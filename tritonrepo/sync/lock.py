"""One push at a time: a lock object next to the repository, taken by a conditional write and rewritten regularly.

A killed push leaves its lock behind. On the same machine, the next push sees that the process is gone, and waits until
everything it sent must have arrived; from another machine, it sees that the lock no longer changes. Clocks are never
compared.

What keeps a push that slept, was cut off or is slow from writing once another push holds the lock:

- Each content of the lock is unique, so the store refuses a write that is conditional on the tag of an earlier content.
- Every write that a server or a later push may see is prepared first (`Store.ticket`), then the lock is rewritten
  (`confirm`), then the write is sent. The store refuses it from `VALID_S` after it was prepared; another push takes the
  lock only after seeing it unchanged for `SILENT_S`, which is longer. So if the lock is lost before the confirmation,
  the confirmation fails, and if it is lost afterwards, the write arrives too late, however long this process slept
  between any two of its instructions. A config that is back to what the plan saw makes no difference: the time is up.
- A store that cannot refuse a write by its time refuses those that the next holder of the lock has revoked.
- Files of new versions are many and large, so they are written without a ticket, but only where nothing exists (`add`).
  One that arrives after the lock was lost changes nothing that exists, but it can add a file to a version that no
  config named when its push was planned. The remaining risk: the other push uploads the same version number with other
  content and without that file, and finishes between the last look at the clock and the arrival.
- The store cannot take back a write that it has begun. Another remaining risk: it needs longer for one write than
  `GRACE_S` after a kill on the same machine, or than `SILENT_S - VALID_S` otherwise.
- S3 counts from the time of the signing, by this machine's clock. If that is ahead of the store's, up to the 15 minutes
  that S3 tolerates, a prepared write remains valid for as much longer. The last remaining risk: the push sleeps, and
  the other one leaves the very config that the first had seen.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.stores.store import Conflict, Late, Send, Tag, Unconditional, Write, tag_of
from tritonrepo.sync import holder as holders
from tritonrepo.sync.telling import Line, Tell, Waits
from tritonrepo.tree import File, files, of_text

if TYPE_CHECKING:
    from tritonrepo.sync.pace import Pace
    from tritonrepo.sync.place import Place

BEAT_S = 10.0
SILENT_S = 60.0
"""A lock that has not changed for this long belongs to a killed push: six beats were missed."""

VALID_S = 10
"""How long a prepared write remains valid."""

GRACE_S = 2.0
"""What stores and clocks that count in whole seconds may add to that."""

ABANDON_S = 0.8
"""How long a push that ends by Ctrl-C may take to give the lock back."""

LOOK_S = 2.0
TRIES = 5
NAME = "lock.json"
PREPARED = "prepared"
"""The directory for what a store has to keep of prepared writes."""


def find(place: Place) -> tuple[dict[str, str], Tag] | None:
    """Return the holder of the lock and the lock's tag; None if nobody holds it."""
    found = place.record_store.fetch(place.beside(NAME))
    if found is None:
        return None
    with suppress(ValueError, RecursionError):
        data = json.loads(found.content)
        if isinstance(data, dict):
            return {key: str(value) for key, value in data.items()}, found.tag
    return {}, found.tag


@contextmanager
def held(place: Place, who: Mapping[str, str], pace: Pace, tell: Tell, *, force: bool = False) -> Iterator[Hold]:
    """Hold the lock; raise Held if another push holds it.

    With `force`, it is taken over even then, and the other push stops at its next confirmation.
    """
    me = {
        **who,
        "host": platform.node(),
        "machine": holders.machine(),
        "pid": str(os.getpid()),
        "push": secrets.token_hex(16),
    }
    me["born"] = holders.born(me["pid"])
    tag = _forced(place, me) if force else _taken(place, me, pace, tell)
    hold = Hold(place, me, tag, pace.now)
    try:
        place.record_store.revoke(place.beside(PREPARED))
        if place.apart:
            place.store.revoke(place.beside(PREPARED), place.record_store)
        if force:
            _waits(pace, tell, "waiting {} for writes that the other push may have sent")
        yield hold
    except KeyboardInterrupt:
        if not hold.abandon():
            wait = f"the next push waits {VALID_S + GRACE_S:g} s on this machine, {SILENT_S:g} s on another one"
            tell(Line(f"the store has not answered yet, so the lock stays: {wait}"))
        raise
    except BaseException:
        hold.end()
        raise
    hold.end()


class Hold:
    """The lock from its holder's side; a thread rewrites it, so that others see that the push is still running."""

    def __init__(self, place: Place, me: Mapping[str, str], tag: Tag, now: Callable[[], float]) -> None:
        self._place, self._me, self._tag, self._now = place, me, tag, now
        self._count, self._sure, self._lost = 0, now(), False
        self._mine, self._over = threading.Lock(), threading.Event()
        self._sending, self._closed, self._flight = 0, False, threading.Condition()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with suppress(
                Stop
            ):  # the store may recover; if it does not, or if the lock is lost, the push itself reports it
                self.confirm()

    def confirm(self) -> None:
        """Rewrite the lock; raise Stop if another push holds it by now."""
        with self._mine:
            for _ in range(TRIES):
                if self._lost:
                    break
                if self._written():
                    return
        message = "another push considered this one dead and took over its lock"
        hint = "Run the command again when the other push has finished. If this machine was suspended, keep it awake."
        raise failure("push-locked", self._place.uri, message, hint)

    def proven(self) -> bool:
        """Whether the store refuses writes whose condition does not hold, in each of the ways that a push writes.

        Some stores do not support conditions and say so, others return 200 and write. Tried on the lock itself.
        """
        # not the content that is there, which a store may take for that of a write whose reply was lost
        store, path, file = self._place.record_store, self._place.beside(NAME), _lock(self._me, -1)
        for wrong in (Write(path, file, if_absent=True), Write(path, file, if_match=store.caps.stray)):
            send = partial(store.put, path, file, if_absent=wrong.if_absent, if_match=wrong.if_match)
            for make in (partial(store.ticket, wrong, VALID_S), lambda send=send: send):
                # one success may be right: another push took the lock over and ended, and now it exists again
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
        """Confirm, unless that was done a moment ago."""
        if self._now() - self._sure > 2 * BEAT_S:
            self.confirm()

    def _written(self) -> bool:
        began, self._count = self._now(), self._count + 1
        path = self._place.beside(NAME)
        try:
            self._tag = self._place.record_store.put(path, _lock(self._me, self._count), if_match=self._tag)
        except Conflict:
            # a lost reply looks like a rival: the lock may be our own
            found = find(self._place)
            self._lost = found is None or found[0].get("push") != self._me["push"]
            self._tag = found[1] if found else self._tag
            return False
        self._sure = began
        return True

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Hold the lock at least until the block ends, unless the process ends first; no block begins after Ctrl-C."""
        with self._flight:
            if self._closed:
                raise KeyboardInterrupt
            self._sending += 1
        try:
            yield
        finally:
            with self._flight:
                self._sending -= 1
                self._flight.notify_all()

    def abandon(self) -> bool:
        """Remove the lock once what was being sent has arrived, and return whether that took only a moment.

        Otherwise, it may be removed later. If the process ends first, others see that the lock is silent.
        """
        with self._flight:
            self._closed = True
        ends = threading.Thread(target=self._end_after_all, daemon=True)
        ends.start()
        ends.join(ABANDON_S)
        return not ends.is_alive()

    def _end_after_all(self) -> None:
        with self._flight:
            self._flight.wait_for(lambda: not self._sending)
        self.end()

    def end(self) -> None:
        """Remove the lock if it is still ours; if it stays, others see that it is silent."""
        self._over.set()
        self._thread.join()
        store, path = self._place.record_store, self._place.beside(NAME)
        with suppress(Stop, Conflict, Late):  # what matters was reported already
            if store.caps.guards_removals:
                self.confirm()
                store.ticket(Write(path, None, if_match=self._tag), VALID_S)()
                return
            remove = store.ticket(Write(path, None), VALID_S)
            self.confirm()
            remove()


def _lock(me: Mapping[str, str], beat: int) -> File:
    return of_text(json.dumps({**me, "beat": beat}, indent=1) + "\n")


def _taken(place: Place, me: Mapping[str, str], pace: Pace, tell: Tell) -> Tag:
    for _ in range(TRIES):
        found = find(place)
        if found and found[0].get("push") == me["push"]:
            return found[1]  # the reply to our write was lost
        if found and not (_ended(found[0], place, pace, tell) or _silent(place, found, pace, tell)):
            continue
        store, path = place.record_store, place.beside(NAME)
        with suppress(Conflict):
            return store.put(path, _lock(me, 0), if_absent=not found, if_match=found and found[1])
    raise holders.Held(place, {})


def _forced(place: Place, me: Mapping[str, str]) -> Tag:
    store, path = place.record_store, place.beside(NAME)
    for _ in range(TRIES):
        there = files(store.scan(place.beside("").removesuffix("/"))).get(NAME)  # it may be too large to read
        tag = tag_of(there) if there else None
        with suppress(Conflict):
            return store.put(path, _lock(me, 0), if_absent=tag is None, if_match=tag)
    raise holders.Held(place, {})


def _silent(place: Place, found: tuple[dict[str, str], Tag], pace: Pace, tell: Tell) -> bool:
    """Whether a lock stays unchanged for long enough, watching it; False if it is gone. Raise Stop if it changes."""
    holder, tag = found
    tell(
        Waits(
            f"waiting up to {SILENT_S:g} s to see whether the push by {holders.name(holder)} is still running", SILENT_S
        )
    )
    end = pace.now() + SILENT_S
    while pace.now() < end:
        pace.sleep(LOOK_S)
        now = find(place)
        if now is None:
            return False
        if now[1] != tag:
            raise holders.Held(place, now[0])
    return True


def _ended(holder: Mapping[str, str], place: Place, pace: Pace, tell: Tell) -> bool:
    """Whether the holder was a process of this machine, once its writes have arrived. Raise Stop if it still runs."""
    alive = holders.running(holder)
    if alive is None:
        return False
    if alive:
        raise holders.Held(place, holder)
    _waits(pace, tell, "waiting {} for writes that a killed push may have sent")
    return True


def _waits(pace: Pace, tell: Tell, what: str) -> None:
    """Wait until writes that were prepared before are too late."""
    wait_s = VALID_S + GRACE_S
    tell(Waits(what.format(f"{wait_s:g} s"), wait_s))
    pace.sleep(wait_s)
