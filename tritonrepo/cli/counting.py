"""Progress of commands that read, judge or download much: a line on a terminal, drawn when something is counted.

It has no thread, unlike that of a push: a process with a second thread cannot be forked, and `validate` forks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tritonrepo.cli import everywhere
from tritonrepo.cli.display import AFTER_S, TICK_S, drawn
from tritonrepo.cli.doing import Status
from tritonrepo.cli.output import LINE, drawable, live
from tritonrepo.cli.progress import show
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.events import Counted, Event, Tell

if TYPE_CHECKING:
    from rich.live import Live


class Counting:
    """The line of a run. It appears once the run takes over a second, and goes before anything else is printed."""

    def __init__(self, make: Callable[[], Live | None] = live, now: Callable[[], float] = time.monotonic) -> None:
        self._make, self._now, self._next = make, now, now() + AFTER_S
        self._status, self._gone = Status("", now), False
        self._line: Live | None = None
        self._mutex = threading.RLock()

    def tell(self, event: Event) -> None:
        """Show an event: a count in the line, another one as a line of its own."""
        with self._mutex:
            self._status.hear(event)
            if isinstance(event, Counted):
                self._draw()
                return
            self.clear()
        show(event)

    def _draw(self) -> None:
        now = self._now()
        if now < self._next or self._gone:
            return
        self._next = now + TICK_S
        if self._line is None:
            self._line = self._make()
        self._gone = self._line is None or not drawn(self._line, self._status.line)

    def clear(self) -> None:
        """Remove the line; the next count draws it again."""
        with self._mutex, suppress(OSError, ValueError):
            if self._line is not None:
                self._line.stop()


def teller() -> Tell:
    """Return what shows events: lines on stderr, and on a terminal a count. With --quiet, only warnings are shown.

    Any thread may call it.
    """
    context = click.get_current_context(silent=True)
    if everywhere.quiet():
        return _warn
    if context is None or not drawable():
        return show
    counting = Counting()
    context.find_root().call_on_close(counting.clear)
    context.meta[LINE] = counting.clear
    return counting.tell


def _warn(event: Event) -> None:
    if isinstance(event, Diagnostic):
        show(event)
