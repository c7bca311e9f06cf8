"""Progress of a command: on a terminal, a line that is drawn anew while the work goes on; otherwise a line a phase."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tritonrepo.cli import everywhere
from tritonrepo.cli.doing import Status
from tritonrepo.cli.output import live, say
from tritonrepo.cli.progress import show
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.flows.events import Counted, Event
from tritonrepo.plain import printable
from tritonrepo.sync.telling import Began, Interrupted, Sent, Waits

if TYPE_CHECKING:
    from rich.live import Live

AFTER_S, TICK_S = 1.0, 0.2
"""When the line appears, and how often it is drawn."""

NARROW = 10
"""Columns below which nothing is drawn."""


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
        return not (self.quiet or isinstance(event, Sent | Counted) or (self._line and isinstance(event, Waits)))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Remove the line while something else is printed."""
        with self._mutex:
            if self._line:
                self._line.stop()
            yield

    def draw(self) -> None:
        """Draw the line as it is now, if the work takes long enough."""
        with self._mutex:
            if not self._line or self._now() - self._began < AFTER_S:
                return
            if not drawn(self._line, self._status.line):
                self._line = None

    def close(self) -> None:
        """Remove the line for good."""
        with self._mutex, suppress(OSError, ValueError):
            if self._line:
                self._line.stop()
            self._line = None


def drawn(line: Live, said: str) -> bool:
    """Draw the line with this text; return whether the terminal is still there."""
    from rich.text import Text

    width, text = line.console.width, printable(said)
    if width < NARROW or not text:
        return True
    shown = Text(_encodable(text, line.console.encoding), no_wrap=True, overflow="crop", end="")
    shown.truncate(width - 1)  # in the last column, some terminals begin a new line
    try:
        line.start()
        line.update(shown, refresh=True)
    except (OSError, ValueError):
        return False
    return True


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
