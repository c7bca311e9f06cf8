"""A load as it runs: when each request is sent, what comes back, and when to stop."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, count, islice, takewhile
from typing import NamedTuple

from tritonrepo.bench.arrivals import arrivals
from tritonrepo.bench.asking import Client
from tritonrepo.bench.lag import Pulse, unpaused
from tritonrepo.bench.load import Load, Prompt, Shape
from tritonrepo.bench.record import Record, moved
from tritonrepo.bench.warming import Warming

HOPELESS = 20
"""Failures in a row after which a run ends in which nothing has succeeded."""
GONE = 200
"""Failures in a row after which a run ends whose server is no longer reached."""
UNREACHED = frozenset({"", "UNAVAILABLE"})
"""Statuses of requests that no server refused: the connection failed, or the answer took too long."""
TELL_S = 0.2
"""Time between two reports of progress."""
WARM_UP, MEASURING, FINISHING = "warm-up", "measuring", "finishing"
UNSENT = "not sent: too many requests were in flight until the end of the run"
OVERDUE = "not sent: the client was too slow to send it before the end of the run"
LATE_S = 1.0
"""How long after the end a request may be sent that was due before it, because timers are late."""
UNSENDABLE = "requests were due that could not be sent"
MOST_UNSENT = 1_000_000
"""Requests that are counted of those that were due and not sent."""


class Progress(NamedTuple):
    """How far a phase of a run is: a warm-up, or what is measured.

    `tokens` are those of complete answers. `of_requests` and `of_s` are what the phase ends after, as far as it is
    known. `phase` is "warm-up", "measuring" or "finishing", when no more is sent; of several repeats with its number.
    """

    sent: int
    answered: int
    failed: int
    in_flight: int
    tokens: int
    elapsed_s: float
    of_requests: int | None
    of_s: float | None
    phase: str


class Ran(NamedTuple):
    """What a run gave: the records by number, the client's delays while it measured, and whether it ended early.

    `interrupted`: it was cancelled, and what was in flight has no record. `stopped`: why it gave up, or "".
    """

    records: tuple[Record, ...]
    lags_s: tuple[float, ...]
    interrupted: bool = False
    stopped: str = ""


async def run(
    load: Load,
    prompts: Callable[[int], Prompt],
    client: Client,
    hear: Callable[[Progress], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Ran:
    """Return the records of a load; the client is connected for it, and `clock` is that of its records.

    Prompts are numbered from 0, and each number is used once, in a warm-up and in repeats too. Of a trace, each repeat
    sends the same numbers, those below `load.requests`, and a warm-up sends those above. `hear` is told of the start
    of each phase before anything is sent. If the task is cancelled, what was answered until then is returned.
    """
    running = _Running(load, prompts, client, hear, clock)
    with unpaused():
        try:
            async with client:
                await running.all()
        except asyncio.CancelledError:
            running.interrupted = not running.complete
            if task := asyncio.current_task():
                task.uncancel()
    return running.ran()


class _Running:
    """The state of one run."""

    def __init__(
        self,
        load: Load,
        prompts: Callable[[int], Prompt],
        client: Client,
        hear: Callable[[Progress], None],
        clock: Callable[[], float],
    ) -> None:
        self.load, self.prompts, self.client, self.hear, self.clock = load, prompts, client, hear, clock
        self.began_s = clock()
        self.records: list[Record] = []
        self.lags_s: list[float] = []
        self.numbers = count()
        self.spare = count(load.requests or 0)
        self.complete = self.interrupted = False
        self.stopped = ""
        self._succeeded = False
        self._failures = 0

    def ran(self) -> Ran:
        """Return what was measured, in the order of sending, with times since the start of the run."""
        self.records.sort(key=lambda record: record.number)
        for at, record in enumerate(self.records):  # one by one, or all pieces would be there twice
            self.records[at] = moved(record, self.began_s)
        return Ran(tuple(self.records), tuple(self.lags_s), self.interrupted, self.stopped)

    async def all(self) -> None:
        """Warm up, and run every repeat."""
        try:
            await _Phase(self, 0, warm_up=True).run()
            for repeat in range(self.load.repeats):
                await _Phase(self, repeat, warm_up=False).run()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        self.complete = True

    def keep(self, record: Record) -> None:
        """Keep a record, and stop if the server is of no use."""
        self.records.append(record)
        self._succeeded |= record.ok
        self._failures = 0 if record.ok else self._failures + 1
        if not self._succeeded and self._failures >= HOPELESS:
            self.stopped = self.stopped or f"the first {HOPELESS} requests all failed: {record.error}"
        elif self._failures >= GONE and record.status in UNREACHED:
            self.stopped = self.stopped or f"the last {GONE} requests all failed: {record.error}"


class _Phase:
    """A warm-up, or what is measured, of one repeat."""

    def __init__(self, running: _Running, repeat: int, *, warm_up: bool) -> None:
        self.running, self.repeat, self.warm_up = running, repeat, warm_up
        load = running.load
        self.requests, self.duration_s = load.requests, load.duration_s
        self.warming: Warming | None = None
        if warm_up:
            self.requests, self.duration_s = None if load.warmup_s else load.warmup, load.warmup_s
        if warm_up and load.until_stable:
            self.warming = Warming(load.concurrency or 1)
            self.requests, self.duration_s = self.warming.most, None
        self.started_s = 0.0
        self.sent = self.answered = self.failed = self.tokens = 0
        self.finishing = False

    async def run(self) -> None:
        """Send the phase's requests, and wait for the last of them."""
        if self.requests == 0 or self.running.stopped:
            return
        self.started_s = self.running.clock()
        self.running.hear(self._progress())
        self.started_s = self.running.clock()
        pulse = Pulse(asyncio.get_running_loop())
        pulse.start()
        telling = asyncio.create_task(self._tell())
        unsent: Iterator[float] = iter(())
        try:
            async with asyncio.TaskGroup() as group:
                load = self.running.load
                if load.shape is Shape.CLOSED or (self.warm_up and load.shape is Shape.TRACE):
                    for _ in range(load.concurrency or 1):
                        group.create_task(self._work())
                else:
                    unsent = await self._open(group, load.concurrency)
        finally:
            telling.cancel()
            pulse.stop()
            self._left(unsent)  # so many can be due that counting them would hold up the answers
            if not self.warm_up:
                self.running.lags_s += pulse.lags_s
            self.running.hear(self._progress())

    async def _work(self) -> None:
        """Send one request after the other."""
        while self._goes_on():
            await self._ask(*self._next(), None)

    async def _open(self, group: asyncio.TaskGroup, most: int | None) -> Iterator[float]:
        """Send each request when it is due, or as soon as fewer than `most` are in flight.

        Return when those are due that could not be sent: the first that finds no place until the end, or for which the
        client comes too late, and all after it.
        """
        free = asyncio.Semaphore(most) if most else None
        due = self._due()
        for due_s in due:
            if not self._goes_on(due_s):
                break
            await asyncio.sleep(max(0.0, self.started_s + due_s - self.running.clock()))
            if not self._goes_on(due_s):
                break
            if self._left_s() < -LATE_S or (free is not None and not await self._acquired(free)):
                return takewhile(self._goes_on, chain([due_s], due))
            group.create_task(self._ask(*self._next(), self.started_s + due_s, free))
        return iter(())

    def _due(self) -> Iterator[float]:
        """Yield when requests are due, in seconds since the phase began."""
        load = self.running.load
        if load.shape is Shape.TRACE:
            return (self.running.prompts(number).at_s or 0.0 for number in range(load.requests or 0))
        seed = f"{load.seed} {self.repeat} {self.warm_up}"
        return arrivals(load, random.Random(seed), measured=not self.warm_up)  # noqa: S311  no secret

    async def _acquired(self, free: asyncio.Semaphore) -> bool:
        """Return whether a place in flight became free before the end of the phase."""
        left_s = self._left_s()
        try:
            async with asyncio.timeout(None if math.isinf(left_s) else left_s):
                await free.acquire()
        except TimeoutError:
            return False
        return True

    def _left_s(self) -> float:
        """Return how long it is until the end of the phase, infinity if only a number of requests ends it."""
        return (math.inf if self.duration_s is None else self.started_s + self.duration_s) - self.running.clock()

    def _left(self, due: Iterator[float]) -> None:
        """Record requests that were due and could not be sent: passing over them would flatter the server."""
        began_s, end_s = self.started_s, self.started_s + (self.duration_s or 0.0)
        why = OVERDUE if self.running.load.concurrency is None else UNSENT
        for at_s in islice(due, MOST_UNSENT):
            self.sent += 1
            number, due_s = next(self.running.numbers), began_s + at_s
            self._heard(Record(number, end_s, end_s, due_s=due_s, error=why, status="client"))
        if next(due, None) is not None:
            self.running.stopped = f"more than {MOST_UNSENT:,} {UNSENDABLE}"

    def _goes_on(self, due_s: float | None = None) -> bool:
        """Return whether one more request is to be sent, now or, in an open loop, when it is due."""
        elapsed_s = self.running.clock() - self.started_s if due_s is None else due_s
        self.finishing = bool(
            self.running.stopped
            or (self.requests is not None and self.sent >= self.requests)
            or (self.duration_s is not None and elapsed_s >= self.duration_s)
            or (self.warming is not None and self.warming.over)
        )
        return not self.finishing

    def _next(self) -> tuple[int, Prompt]:
        """Return the number of the next request, which counts as sent, and its prompt."""
        number = next(self.running.numbers)
        self.sent += 1
        if self.running.load.shape is not Shape.TRACE:
            return number, self.running.prompts(number)
        return number, self.running.prompts(next(self.running.spare) if self.warm_up else self.sent - 1)

    async def _ask(
        self, number: int, prompt: Prompt, due_s: float | None, free: asyncio.Semaphore | None = None
    ) -> None:
        record = await self.running.client.ask(prompt)
        self._heard(replace(record, number=number, due_s=due_s))
        if free is not None:
            free.release()

    def _heard(self, record: Record) -> None:
        self.answered += record.ok
        self.failed += not record.ok
        self.tokens += record.answer_tokens or 0
        if self.warming is not None and record.ok:
            self.warming.heard(record.latency_s)
        self.running.keep(replace(record, warm_up=self.warm_up, repeat=self.repeat))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            self.running.hear(self._progress())

    def _progress(self) -> Progress:
        phase = FINISHING if self.finishing else WARM_UP if self.warm_up else MEASURING
        if self.running.load.repeats > 1 and not self.warm_up:
            phase = f"{phase} {self.repeat + 1} of {self.running.load.repeats}"
        return Progress(
            self.sent,
            self.answered,
            self.failed,
            self.sent - self.answered - self.failed,
            self.tokens,
            self.running.clock() - self.started_s,
            self.requests,
            self.duration_s,
            phase,
        )
