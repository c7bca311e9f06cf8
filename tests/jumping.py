"""An event loop whose time jumps to the next timer, and a client that answers in that time."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self, TypeVar

from tritonrepo.bench.load import Load, Prompt
from tritonrepo.bench.record import Piece, Record, Source
from tritonrepo.bench.running import Progress, Ran, run

T = TypeVar("T")


START_S, LONGEST_S = 1000.0, 10_000.0
"""The time at which a loop begins, and how much of it may pass."""


class _Selector(selectors.SelectSelector):
    """A selector that waits for nothing but moves the time on by what it would have waited.

    What waits for something that never happens fails when the longest time has passed.
    """

    now_s = START_S
    until_s = START_S + LONGEST_S

    def select(self, timeout: float | None = None) -> Any:  # noqa: ANN401  the class' own
        self.now_s += timeout or 0.0
        if self.now_s > self.until_s:
            self.until_s = math.inf  # what is left is cancelled in this loop
            raise AssertionError(f"nothing has ended within {LONGEST_S:,.0f} s of the loop's time")
        return super().select(0)


class Jumping(asyncio.SelectorEventLoop):
    """A loop in which a sleep takes no time, and the clock says that it did."""

    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        """The time that has passed in sleeps."""
        return self.selector.now_s


def jumped(work: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T:
    """Return what a coroutine returns that is made with the loop's clock."""
    with asyncio.Runner(loop_factory=Jumping) as runner:
        loop = runner.get_loop()
        return runner.run(work(loop.time))


class Scripted:
    """A client that answers after a stated time for each request: its first token, then the others evenly.

    `answers`: number of the question → seconds to the first token, seconds between tokens, tokens. An error is one of
    `errors`: number → what is said, after the time to first token. It serves `at_once` together.
    """

    limits = True

    def __init__(
        self,
        clock: Callable[[], float],
        answer: Callable[[int], tuple[float, float, int]],
        errors: Callable[[int], str] = lambda _: "",
        at_once: int = 10**6,
    ) -> None:
        self.clock, self.answer, self.errors = clock, answer, errors
        self.places = asyncio.Semaphore(at_once)
        self.asked: list[str] = []
        self.open = False

    async def __aenter__(self) -> Self:
        self.open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open = False

    async def ask(self, prompt: Prompt) -> Record:
        """Answer a prompt whose text is its number."""
        assert self.open
        number = int(prompt.text)
        self.asked.append(prompt.text)
        sent_s = self.clock()
        async with self.places:
            first_s, each_s, tokens = self.answer(number)
            await asyncio.sleep(first_s)
            if error := self.errors(number):
                return Record(0, sent_s, self.clock(), error=error)
            pieces = [Piece(self.clock(), 4, 1)]
            for _ in range(tokens - 1):
                await asyncio.sleep(each_s)
                pieces.append(Piece(self.clock(), 4, 1))
        return Record(0, sent_s, self.clock(), tuple(pieces), 0, 0, 0, 7, tokens, Source.SERVER)


def constant(first_s: float, each_s: float = 0.0, tokens: int = 1) -> Callable[[int], tuple[float, float, int]]:
    """Return a server's answer that always takes the same time."""
    return lambda _: (first_s, each_s, tokens)


def ran(
    load: Load,
    answer: Callable[[int], tuple[float, float, int]],
    errors: Callable[[int], str] = lambda _: "",
    at_once: int = 10**6,
    at_s: Sequence[float] | None = None,
) -> tuple[Ran, Scripted, list[Progress]]:
    """Return what a load gives on a scripted server, the server, and the progress that was told."""
    told: list[Progress] = []
    clients: list[Scripted] = []

    def prompt(number: int) -> Prompt:
        return Prompt(str(number), at_s=at_s[number] if at_s and number < len(at_s) else None)

    async def work(clock: Callable[[], float]) -> Ran:
        clients.append(Scripted(clock, answer, errors, at_once))
        return await run(load, prompt, clients[0], told.append, clock)

    return jumped(work), clients[0], told
