"""The line that says what a command does now, how much of it is done, and how long it still takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from tritonrepo.flows.events import Busy, Counted, Event
from tritonrepo.sync.telling import Began, Sent, Waits
from tritonrepo.tree import amount

RATE_S, STEP_S = 5.0, 0.1
"""The rate is that of the last seconds; what comes sooner after the last event is counted with it."""


class Status:
    """What is being done now, as one line; the clock is given."""

    def __init__(self, title: str, now: Callable[[], float]) -> None:
        self._now, self._title, self._until = now, title, 0.0
        self._group: Began | None = None
        self._count: Counted | None = None
        self._size = self._done = 0
        self._seen = deque[tuple[float, int]]()

    def hear(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case Busy(what):
                self._title, self._group, self._count = f"{what} …", None, None
            case Waits(text, seconds):
                self._title, self._until = text, self._now() + seconds
                self._group = self._count = None
            case Began():
                self._group, self._count, self._size, self._done = event, None, 0, 0
                self._seen.clear()
                self._seen.append((self._now(), 0))
            case Counted():
                if self._count is None or self._count.what != event.what:
                    self._seen.clear()
                self._group, self._count, self._size = None, event, event.done
                self._count_up()
            case Sent(size, files, removed):
                self._size, self._done = self._size + size, self._done + files + removed
                self._count_up()
            case _:
                pass

    def _count_up(self) -> None:
        now = self._now()
        if len(self._seen) > 1 and now - self._seen[-2][0] < STEP_S:  # there may be thousands in a second
            self._seen.pop()
        self._seen.append((now, self._size))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while len(self._seen) > 1 and self._seen[1][0] < now - RATE_S:
            self._seen.popleft()

    @property
    def line(self) -> str:
        """What is done now, and how long it will still take as far as that is known; empty if nothing is known."""
        if self._count is not None:
            return ", ".join(self._counted(self._count))
        if self._group is None:
            left_s = self._until - self._now()
            return f"{clock(left_s)} left, {self._title}" if left_s > 0 else self._title
        phase, actions, size = self._group
        parts = [f"{phase}: {self._done:,} of {actions:,}"]
        if size:
            parts.append(f"{amount(self._size)} of {amount(size)}")
            rate = self._rate() if self._size < size else 0
            if rate >= 1:
                parts += [f"{amount(int(rate))}/s", f"{clock((size - self._size) / rate)} left"]
        return ", ".join(parts)

    def _counted(self, count: Counted) -> Iterator[str]:
        """Yield the parts of the line while something is counted."""
        what, done, total, noun = count
        shown = "{:,}".format if noun else amount
        yield f"{what}: {shown(done)}{f' of {shown(total)}' if total else ''}{noun and f' {noun}'}"
        rate = 0 if total and done >= total else self._rate()
        if rate >= 1 and not noun:
            yield f"{amount(int(rate))}/s"
        if rate > 0 and total:
            yield f"{clock((total - done) / rate)} left"

    def _rate(self) -> float:
        """Return how many bytes, or other things that are counted, were done a second in the last seconds."""
        now = self._now()
        self._forget(now)
        since, before = self._seen[0]
        return (self._size - before) / (now - since) if now > since else 0


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, 0:05, or with hours."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
