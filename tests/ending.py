"""An end to what a fault would make endless, so that it is a failure and not a hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

LONGEST = {"wait": (signal.ITIMER_REAL, signal.SIGALRM, 20.0), "work": (signal.ITIMER_VIRTUAL, signal.SIGVTALRM, 3.0)}
"""Clock, its signal, and seconds: work is measured by the processor's time, which other processes do not use up."""


class Stuck(Exception):  # noqa: N818  as the package names what ends a thing
    """Raised into what goes on and on."""


def _stuck(*_: object) -> None:
    raise Stuck


@contextmanager
def ending(what: Literal["wait", "work"], seconds: float = 0) -> Iterator[None]:
    """End a wait or work that takes too long; the timer of the whole test, on the same clock, runs on after it."""
    clock, number, usual = LONGEST[what]
    handler, left = signal.signal(number, _stuck), signal.setitimer(clock, seconds or usual)
    try:
        yield
    finally:
        signal.setitimer(clock, 0)
        signal.signal(number, handler)
        signal.setitimer(clock, *left)
