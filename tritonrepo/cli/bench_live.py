"""Progress of a load: on a terminal, a line that is drawn anew; otherwise a line for each phase, and now and then one.

A load is told of in the loop that sends its requests, so that hearing of it must cost nothing: another thread draws.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tritonrepo.cli import everywhere
from tritonrepo.cli.display import drawn
from tritonrepo.cli.doing import RATE_S, clock
from tritonrepo.cli.output import LINE, live, say
from tritonrepo.diagnostics import counted, either

if TYPE_CHECKING:
    from rich.live import Live

    from tritonrepo.bench.running import Progress

TICK_S = 0.25
"""How often the line is drawn."""

LINE_S = 30.0
"""How often a line is printed where none can be drawn."""


class Loading:
    """The load that runs now, as a line; the clock is given."""

    def __init__(self, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self.name, self._now = name, now
        self.progress: Progress | None = None
        self._seen = deque[tuple[float, int, int]]()

    def hear(self, progress: Progress) -> None:
        """Take a report into account."""
        if self.progress is None or self.progress.phase != progress.phase:
            self._seen.clear()
        self.progress = progress
        self._seen.append((progress.elapsed_s, progress.answered, progress.tokens))
        while self._seen[0][0] < progress.elapsed_s - RATE_S and len(self._seen) > 2:  # noqa: PLR2004  two make a rate
            self._seen.popleft()

    @property
    def line(self) -> str:
        """What is being done, and how long it still takes as far as that is known; "" before the first report."""
        found = self.progress
        if found is None:
            return ""
        answered, tokens = self._rates(found)
        of = f" of {found.of_requests:,}" if found.of_requests is not None else ""
        left_s = self._left_s(found, answered)
        parts = [
            f"{self.name}: {found.phase} {clock(found.elapsed_s)}",
            f"{found.sent:,}{of} sent",
            f"{found.answered:,} answered",
            f"{found.failed:,} failed" if found.failed else "",
            f"{found.in_flight:,} in flight",
            f"{tokens:,.0f} tok/s" if found.tokens else f"{answered:,.3g}/s",
            f"{clock(left_s)} left" if left_s is not None else "",
        ]
        return ", ".join(filter(None, parts))

    @property
    def start(self) -> str:
        """What begins, and when it is to end."""
        found = self.progress
        if found is None:
            return ""
        ends = [counted(found.of_requests, "request")] if found.of_requests is not None else []
        ends += [f"{found.of_s:g} s"] if found.of_s is not None else []
        return f"{self.name}: {found.phase}{f', {either(ends)}' if ends else ''}"

    def _rates(self, found: Progress) -> tuple[float, float]:
        """Return the answers and the tokens per second of the last seconds."""
        since_s, answered, tokens = self._seen[0]
        long_s = found.elapsed_s - since_s
        if long_s <= 0:
            return 0.0, 0.0
        return (found.answered - answered) / long_s, (found.tokens - tokens) / long_s

    @staticmethod
    def _left_s(found: Progress, rate: float) -> float | None:
        """Return the seconds until the first of the two ends of a phase; None if neither is known."""
        ends = [max(0.0, found.of_s - found.elapsed_s)] if found.of_s is not None else []
        if found.of_requests is not None and rate > 0:
            ends.append(max(0, found.of_requests - found.answered - found.failed) / rate)
        return min(ends, default=None)


class Shown:
    """The line of a load, or its lines where none can be drawn."""

    def __init__(self, loading: Loading, line: Live | None, now: Callable[[], float] = time.monotonic) -> None:
        self._loading, self._line, self._now = loading, line, now
        self._mutex = threading.Lock()
        self._told: tuple[str, float] = ("", 0.0)

    @property
    def animated(self) -> bool:
        """Whether there is a line to draw."""
        return self._line is not None

    def hear(self, progress: Progress) -> None:
        """Take a report; without a line to draw, print one at the start of a phase, and after each LINE_S."""
        self._loading.hear(progress)
        if self.animated:
            return
        phase, told_s = self._told
        if progress.phase != phase:
            self._told = progress.phase, self._now()
            if progress.sent == 0:
                say(self._loading.start, err=True)
        elif self._now() - told_s >= LINE_S:
            self._told = progress.phase, self._now()
            say(self._loading.line, err=True)

    def draw(self) -> None:
        """Draw the line as it is now."""
        with self._mutex:
            if self._line is not None and not drawn(self._line, self._loading.line):
                self._line = None

    def clear(self) -> None:
        """Remove the line, until it is drawn again."""
        with self._mutex:
            if self._line is not None:
                self._line.stop()


@contextmanager
def loading(name: str) -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a load while the block runs, with what it is called; the value is what hears of it.

    With --quiet, nothing is shown.
    """
    if everywhere.quiet():
        yield lambda _: None
        return
    shown, over = Shown(Loading(name), live()), threading.Event()
    context = click.get_current_context(silent=True)
    if context is not None and shown.animated:
        context.meta[LINE] = shown.clear

    def run() -> None:
        while not over.wait(TICK_S):
            shown.draw()

    thread = threading.Thread(target=run, daemon=True)
    if shown.animated:
        thread.start()
    try:
        yield shown.hear
    finally:
        over.set()
        if shown.animated:
            thread.join()
        shown.clear()
