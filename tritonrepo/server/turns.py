"""Who goes on next in an event loop that many tasks share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary


class Turns:
    """Lets what waits go on one by one, and the loop take all that has arrived before each of them.

    Without it, asyncio lets all go on at once that have something to read, and looks at no socket meanwhile. A round of
    the loop runs what was scheduled before it, and then what the sockets have: who goes on is called in one round and
    works in the next, and only after a whole round in which nobody works is the next one called.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def ask(self, go: Callable[[], None]) -> None:
        """Call a function when its turn comes, in the running loop."""
        self._waiting.append(go)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        try:
            self._waiting[0]()
        finally:
            self._waiting.popleft()  # not before, or who asks meanwhile would begin a second round
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Go on in the next round, which reads what arrived while a task worked."""
        asyncio.get_running_loop().call_soon(self._next)


_OF: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """Return those of the running loop."""
    return _OF.setdefault(asyncio.get_running_loop(), Turns())
