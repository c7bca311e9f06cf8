"""Ctrl-C and signals of commands that write elsewhere or run a server: the first ends them soon, the second at once."""

from __future__ import annotations

import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import NamedTuple

import click

from tritonrepo.cli import ENDING, Terminated, terminate
from tritonrepo.cli.output import last_words, say

LIMIT_S = 1.5
"""How long a command may take to end in order. What is under way then ends as if the process was killed."""

SERVER_LIMIT_S = 4.5
"""How long a command may take to end the server that it runs."""

KILL_S = 1.0
"""How long a server may take to be killed, with all that it left."""

TWICE_S = 0.5
"""How long after one of ENDING another one can be the same, sent twice.

`timeout` sends its signal to the command, and to its process group, of which the command is (GNU coreutils,
src/timeout.c).
"""

STOPPING = "stopping; press Ctrl-C again to stop at once\n"

DRAINING = "finishing what runs; press Ctrl-C again to stop at once\n"

NUMBERS = (signal.SIGINT, *ENDING)


class _Arrived:
    """The signals that have arrived, in order, each of them once."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._at_s = 0.0

    def new(self, number: int) -> bool:
        """Take a signal; return False if it is the last one, sent twice. Ctrl-C pressed twice is meant so."""
        now_s = time.monotonic()
        if number in ENDING and [number] == self.numbers[-1:] and now_s - self._at_s < TWICE_S:
            return False
        self.numbers.append(number)
        self._at_s = now_s
        return True


class _Manner(NamedTuple):
    """How a command ends: how long it may take, what it says at once, and how long it may take after a second signal.

    With that time, the second signal raises an exception as well.
    """

    limit_s: float
    said: str = ""
    kill_s: float = 0


def interruptible() -> AbstractContextManager[None]:
    """End the block by an exception on the first signal, and the process after LIMIT_S or on the second one.

    A store that does not answer or a name server can hold up what runs; nothing depends on an orderly end, because the
    next run continues a killed one. It can also hold up the exception: Python raises it in the main thread, which does
    not notice a signal that arrives just before it begins to wait. So a thread reads what Python writes at the very
    arrival of a signal (`signal.set_wakeup_fd`).
    """
    return _handled(_Manner(LIMIT_S))


def stoppable() -> AbstractContextManager[None]:
    """Do the same for a command that runs a server: the first signal ends it in order, the second kills it.

    The keeper ends the server as well if this process has to be ended.
    """
    return _handled(_Manner(SERVER_LIMIT_S, STOPPING, KILL_S))


def drainable(limit_s: float) -> AbstractContextManager[None]:
    """Do the same for a command whose clients have so long, in seconds, to receive what they wait for."""
    return _handled(_Manner(limit_s + SERVER_LIMIT_S, DRAINING, KILL_S))


@contextmanager
def ended_by(end: Callable[[], bool]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs in the block by a call, as Ctrl-C does, so that its result is kept.

    The exit code is that of the signal all the same. `end` returns False if nothing runs that it could end or let go on
    to its end: then, and on a second signal, the block ends by an exception.
    """

    def take(numbers: list[int]) -> None:
        if len(numbers) > 1 or not end():
            terminate(numbers[0])

    arrived: list[int] = []
    try:
        with _heeding(ENDING, take) as arrived:
            yield
            if arrived:
                raise Terminated(arrived[0])
    except KeyboardInterrupt as error:
        raise (Terminated(arrived[0]) if arrived else error) from None


@contextmanager
def _heeding(heeded: Collection[int], take: Callable[[list[int]], None]) -> Iterator[list[int]]:
    """Call `take` in the block with the signals that have arrived, whenever there is a new one.

    Once one has arrived, all stays so after the block, until the process ends. A signal that this process was told to
    ignore, as by nohup, stays ignored. Only the main thread may set handlers: in another one, nothing is handled.
    """
    arrived = _Arrived()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
        if arrived.new(number):
            take(arrived.numbers)

    here = threading.current_thread() is threading.main_thread()
    numbers = [each for each in heeded if here and signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield arrived.numbers
    finally:
        if not arrived.numbers:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _handled(manner: _Manner) -> Iterator[None]:
    """End the block in this manner."""
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    threading.Thread(target=_watch, args=[reads, manner], daemon=True).start()
    other = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)

    def take(numbers: list[int]) -> None:
        if len(numbers) == 1 or (manner.kill_s and len(numbers) == 2):  # noqa: PLR2004  the first, the second
            raise KeyboardInterrupt if numbers[-1] == signal.SIGINT else Terminated(numbers[-1])

    arrived: list[int] = []
    try:
        with _heeding(NUMBERS, take) as arrived:
            yield
    except KeyboardInterrupt as error:
        say("interrupted", err=True)
        raise click.exceptions.Exit(128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)) from error
    finally:
        if not arrived:
            signal.set_wakeup_fd(other)
            os.close(writes)


def _watch(reads: int, manner: _Manner) -> None:
    """End the process soon after the second signal, or some time after the first; return if the block ends earlier."""
    arrived = _Arrived()
    if first := _next(reads, arrived):
        if manner.said:
            last_words(manner.said)
        last = _next(reads, arrived, manner.limit_s)
        if last and manner.kill_s:
            _next(reads, arrived, manner.kill_s)
        _end(128 + (last or first))
    os.close(reads)


def _next(reads: int, arrived: _Arrived, within_s: float = math.inf) -> int:
    """Return the next of the signals that end a command, as soon as it arrives; 0 if none does."""
    until_s = time.monotonic() + within_s
    while True:
        left_s = max(0.0, until_s - time.monotonic())
        ready, _, _ = select.select([reads], [], [], None if left_s == math.inf else left_s)
        read = os.read(reads, 1) if ready else b""
        if not read:
            return 0
        if read[0] in NUMBERS and arrived.new(read[0]):
            return read[0]


def _end(code: int) -> None:
    last_words("interrupted\n")
    os._exit(code)
