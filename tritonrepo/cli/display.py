"""Progress of a command: on a terminal, a line that is drawn anew while the work goes on; otherwise a line a phase."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tritonrepo.cli import everywhere
from tritonrepo.cli.output import live, say
from tritonrepo.cli.progress import show
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.flows.events import Busy, Event
from tritonrepo.plain import printable
from tritonrepo.sync.telling import Began, Interrupted, Sent, Waits
from tritonrepo.tree import amount

if TYPE_CHECKING:
    from rich.live import Live

AFTER_S, TICK_S = 1.0, 0.2
"""When the line appears, and how often it is drawn."""

RATE_S = 5.0
"""The rate is that of the last seconds."""

NARROW = 10
"""Columns below which nothing is drawn."""


class Status:
    """What is being done now, as one line; the clock is given."""

    def __init__(self, title: str, now: Callable[[], float]) -> None:
        self._now, self._title, self._until = now, title, 0.0
        self._group: Began | None = None
        self._size = self._done = 0
        self._seen = deque[tuple[float, int]]()

    def hear(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case Busy(what):
                self._title, self._group = f"{what} …", None
            case Waits(text, seconds):
                self._title, self._until, self._group = text, self._now() + seconds, None
            case Began():
                self._group, self._size, self._done = event, 0, 0
                self._seen.clear()
                self._seen.append((self._now(), 0))
            case Sent(size, files, removed):
                self._size, self._done = self._size + size, self._done + files + removed
                self._seen.append((self._now(), self._size))
            case _:
                pass

    @property
    def line(self) -> str:
        """What is done now, and how long it will still take as far as that is known; empty if nothing is known."""
        if self._group is None:
            left_s = self._until - self._now()
            return f"{_clock(left_s)} left, {self._title}" if left_s > 0 else self._title
        phase, actions, size = self._group
        parts = [f"{phase}: {self._done:,} of {actions:,}"]
        if size:
            parts.append(f"{amount(self._size)} of {amount(size)}")
            rate = self._rate() if self._size < size else 0
            if rate >= 1:
                parts += [f"{amount(int(rate))}/s", f"{_clock((size - self._size) / rate)} left"]
        return ", ".join(parts)

    def _rate(self) -> float:
        """Return the bytes per second of the last seconds."""
        now = self._now()
        while len(self._seen) > 1 and self._seen[1][0] < now - RATE_S:
            self._seen.popleft()
        since, before = self._seen[0]
        return (self._size - before) / (now - since) if now > since else 0


def _clock(seconds: float) -> str:
    """Return a time as minutes and seconds, 0:05, or with hours."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display:
    """Progress on stderr; quiet, only warnings and the end by Ctrl-C."""

    def __init__(
        self, title: str, *, quiet: bool, line: Live | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.quiet, self.verbose = quiet, False
        self._line, self._status, self._began, self._now = line, Status(title, now), now(), now
        self._mutex = threading.RLock()
        self.acted = False

    @property
    def animated(self) -> bool:
        """Whether there is a line to draw."""
        return self._line is not None

    def tell(self, event: Event) -> None:
        """Show an event."""
        with self._mutex:
            self._status.hear(event)
            self.acted |= isinstance(event, Began | Interrupted)
            if isinstance(event, Interrupted):
                self.close()
            shown = self._shown(event)
        if shown:
            with self.aside():
                show(event)

    def _shown(self, event: Event) -> bool:
        if isinstance(event, Diagnostic):
            return self.verbose or event.severity is not Severity.INFO
        if isinstance(event, Interrupted):
            return True
        return not (self.quiet or isinstance(event, Sent) or (self._line and isinstance(event, Waits)))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Remove the line while something else is printed."""
        with self._mutex:
            if self._line:
                self._line.stop()
            yield

    def draw(self) -> None:
        """Draw the line as it is now, if the work takes long enough."""
        from rich.text import Text

        with self._mutex:
            if not self._line or self._now() - self._began < AFTER_S:
                return
            width, text = self._line.console.width, printable(self._status.line)
            if width < NARROW or not text:
                return
            shown = Text(_encodable(text, self._line.console.encoding), no_wrap=True, overflow="crop", end="")
            shown.truncate(width - 1)  # in the last column, some terminals begin a new line
            try:
                self._line.start()
                self._line.update(shown, refresh=True)
            except (OSError, ValueError):  # the terminal is gone
                self._line = None

    def close(self) -> None:
        """Remove the line for good."""
        with self._mutex, suppress(OSError, ValueError):
            if self._line:
                self._line.stop()
            self._line = None


def _encodable(text: str, encoding: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def displayed(title: str) -> Iterator[Display]:
    """Display progress while the block runs; if Ctrl-C ends it before the first action, say that nothing was sent.

    The title is what is done before the first event. With --quiet, there is no progress.
    """
    quiet = everywhere.quiet()
    display = Display(title, quiet=quiet, line=None if quiet else live())
    over = threading.Event()

    def run() -> None:
        while not over.wait(TICK_S):
            display.draw()

    if display.animated:
        threading.Thread(target=run, daemon=True).start()
    try:
        yield display
    except KeyboardInterrupt:
        if not display.acted:
            with display.aside():
                say("stopping before anything was sent", err=True)
        raise
    finally:
        over.set()
        display.close()
