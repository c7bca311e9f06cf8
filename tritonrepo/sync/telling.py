"""What a plan tells while it is carried out, as values: what begins, what was sent, what is waited for, how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tritonrepo.sync.plan import Action
    from tritonrepo.tree import File


class Began(NamedTuple):
    """Start of a group of actions: its phase, the number of actions, and the bytes that they send."""

    phase: str
    actions: int
    size: int = 0

    @property
    def text(self) -> str:
        """The event as a line."""
        return f"{self.phase}: {self.actions} action{'' if self.actions == 1 else 's'}"


class Sent(NamedTuple):
    """More bytes of the group; files that are complete with them, and files that were removed.

    The sum of a group is exact. Within a file, bytes count when the store takes them to send them.
    """

    size: int
    files: int = 0
    removed: int = 0


class Waits(NamedTuple):
    """Start of a wait: what for, as a line, and the maximum number of seconds from now."""

    text: str
    seconds: float


class Line(NamedTuple):
    """Anything else that is worth a line."""

    text: str


class Interrupted(NamedTuple):
    """Ctrl-C: the phase, how many of all actions are done, and whether servers may have loaded something.

    The phase is empty if the first one had not begun, such as in a wait after an earlier push was interrupted. `out`:
    whether a model may be out of memory, because two versions of it do not fit.
    """

    phase: str
    done: int
    actions: int
    served: bool = False
    out: bool = False

    @property
    def text(self) -> str:
        """The event as a line."""
        keep = "servers keep what they have, and " if self.served else ""
        out = "; until then, a model that is being replaced answers no request" if self.out else ""
        last = f"in phase {self.phase} after {self.done}" if self.phase else "before the first"
        return f"stopping {last} of {self.actions} actions: {keep}the next run continues from here{out}"


Told = Began | Sent | Waits | Line | Interrupted
Tell = Callable[[Told], None]
"""Receiver of events. They arrive one at a time, but some of them from threads that send files."""


class Meter:
    """What counts the actions of a plan and the bytes that are sent, and ends what is being sent after Ctrl-C."""

    def __init__(self, tell: Tell, actions: int, *, served: bool = False) -> None:
        self._tell, self._actions, self._served = tell, actions, served
        self._phase, self._done, self._over, self._out = "", 0, False, False
        self._mutex = threading.Lock()

    def began(self, group: Sequence[Action]) -> None:
        """Report that a group begins."""
        from tritonrepo.sync.plan import Phase, Put  # most commands tell of no plan

        self._phase = group[0].phase.name.lower()
        self._out = group[0].phase is Phase.REPLACE or (self._out and group[0].phase is Phase.SWITCH)
        size = sum(action.file.size for action in group if isinstance(action, Put))
        self._told(Began(self._phase, len(group), size))

    def done(self, group: Sequence[Action]) -> None:
        """Report that actions are done whose bytes were not counted one by one."""
        from tritonrepo.sync.plan import Put

        puts = [action.file.size for action in group if isinstance(action, Put)]
        self._sent(Sent(sum(puts), len(puts), len(group) - len(puts)))

    @contextmanager
    def counted(self, file: File) -> Iterator[File]:
        """Yield the file with a count of what is read of it, which is complete at the end of the block.

        What is read again does not count; after Ctrl-C, nothing more is read.
        """
        left = file.size

        def read(offset: int, n: int) -> bytes:
            nonlocal left
            piece = file.read(offset, n)
            if self._over:
                raise KeyboardInterrupt
            with self._mutex:  # the store may read several parts at a time
                size = min(len(piece), left)
                left -= size
            self._sent(Sent(size))
            return piece

        given = replace(file, read=read, hasher=lambda _: file.sha256)
        yield given
        if given.known_sha256 is not None:
            file.remember(given.known_sha256)
        self._sent(Sent(left, 1))

    def _sent(self, sent: Sent) -> None:
        with self._mutex:
            self._done += sent.files + sent.removed
            if any(sent) and not self._over:
                self._tell(sent)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Report at once if Ctrl-C ends the block, and end what is being sent."""
        with interruptible(self._told, self._end):
            yield

    def _end(self) -> Interrupted:
        self._over = True
        return Interrupted(self._phase, self._done, self._actions, self._served, self._out)

    def _told(self, event: Told) -> None:
        with self._mutex:
            self._tell(event)


@contextmanager
def interruptible(tell: Tell, how: Callable[[], Interrupted]) -> Iterator[None]:
    """Report at once how far the block got if Ctrl-C ends it, before anything around it ends."""
    try:
        yield
    except KeyboardInterrupt:
        tell(how())
        raise
