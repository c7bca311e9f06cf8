"""How a smoke test proceeds: several models at once, each check several times, and all of it up to a deadline.

Threads are daemons: a request that is never answered must not keep a command that was interrupted from ending.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from tritonrepo.smoke.case import Outcome, Result

LOOKS, PAUSE_S = 10, 0.02
"""How often, and how many seconds apart, is looked at counts until they stand still."""

T = TypeVar("T")
Work = Callable[[], Iterable[Result]]


class Pace(NamedTuple):
    """How many models are tested at once, how often each check is made, and how many seconds all may take."""

    parallel: int = 1
    repeat: int = 1
    deadline_s: float | None = None


class Clock:
    """The time that is left for a whole test."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, infinity without a deadline."""
        return max(0.0, self._end - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0

    @property
    def why(self) -> str:
        """What is said of a check for which no time was left."""
        return f"the deadline of {self.seconds:g} s for the whole test has passed"


def together(work: Sequence[Callable[[], T]]) -> list[T]:
    """Return what each function returns, all called at the same moment."""
    came: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()

    def called(number: int) -> None:
        try:
            came.put((number, work[number]()))
        except BaseException as error:  # noqa: BLE001  raised where it was called
            came.put((number, error))

    for number in range(len(work)):
        threading.Thread(target=called, args=(number,), daemon=True).start()
    found: dict[int, T] = {}
    while len(found) < len(work):
        number, one = came.get()
        if isinstance(one, BaseException):
            raise one
        found[number] = one
    return [found[number] for number in range(len(work))]


def still(look: Callable[[], T]) -> T:
    """Return what two looks in a row have seen; where others' requests go on, what was seen last.

    A backend counts requests one by one, and then their batch, after it has sent the responses (python_backend:
    ~PbMetricReporter in src/pb_metric_reporter.cc): in between, requests seem to have shared an execution.
    """
    seen = look()
    for _ in range(LOOKS):
        time.sleep(PAUSE_S)
        before, seen = seen, look()
        if seen == before:
            break
    return seen


Came = queue.SimpleQueue[Result | BaseException | None]


def arriving(works: Iterator[Work], parallel: int) -> Iterator[Result]:
    """Yield the results of each piece of work, in its own order, as they arrive; so many pieces at once."""
    if parallel == 1:
        for work in works:
            yield from work()
        return
    came: Came = queue.SimpleQueue()
    turn = threading.Lock()
    for _ in range(parallel):
        threading.Thread(target=_working, args=(works, turn, came), daemon=True).start()
    running = parallel
    while running:
        one = came.get()
        if isinstance(one, BaseException):
            raise one
        if one is None:
            running -= 1
        else:
            yield one


def _working(works: Iterator[Work], turn: threading.Lock, came: Came) -> None:
    try:
        while (work := _next(works, turn)) is not None:
            for result in work():
                came.put(result)
        came.put(None)
    except BaseException as error:  # noqa: BLE001  raised where the results are read
        came.put(error)


def _next(works: Iterator[Work], turn: threading.Lock) -> Work | None:
    with turn:
        return next(works, None)


def again(work: Work, times: int, over: Callable[[], bool] = lambda: False) -> Iterator[Result]:
    """Yield the results of work that is done several times: of each check, the worst, and how often it failed.

    It is done once more only while it is not `over`.
    """
    if times == 1:
        yield from work()
        return
    found: dict[tuple[str, str, str], list[Result]] = {}
    for _ in range(times):
        for result in work():
            found.setdefault((str(result.check), result.what, result.protocol), []).append(result)
        if over():
            break
    for results in found.values():
        yield _worst(results)


def _worst(results: Sequence[Result]) -> Result:
    failed = [result for result in results if result.outcome is Outcome.FAILED]
    others = [result for result in results if result.outcome is not Outcome.PASSED]
    worst = next(iter([*failed, *others, *results]))
    ms = round(sum(result.ms for result in results) / len(results))
    count = f"failed {len(failed)} of {len(results)} times: " if len(results) > 1 else ""
    told = (replace(d, message=count + d.message) if failed else d for d in worst.diagnostics)
    return replace(worst, ms=ms, diagnostics=tuple(told))
