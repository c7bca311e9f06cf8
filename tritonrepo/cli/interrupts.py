"""Ctrl-C and signals of commands that write elsewhere or run a server: the first ends them soon, the second at once."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import NamedTuple

import click

from tritonrepo.cli import ENDING, Terminated
from tritonrepo.cli.output import last_words, say

LIMIT_S = 1.5
"""How long a command may take to end in order. What is under way then ends as if the process was killed."""

SERVER_LIMIT_S = 4.5
"""How long a command may take to end the server that it runs."""

KILL_S = 1.0
"""How long a server may take to be killed, with all that it left."""

TWICE_S = 0.5
"""How long after a signal another one can be the same, sent twice."""

STOPPING = "stopping; press Ctrl-C again to stop at once\n"

DRAINING = "finishing what runs; press Ctrl-C again to stop at once\n"

NUMBERS = (signal.SIGINT, *ENDING)


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
    to its end: then, and on a second signal, the block ends by an exception. The same one within TWICE_S
    is no second one: `timeout` sends it to the command and to its process group (GNU coreutils, src/timeout.c).
    """
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    arrived: list[int] = []
    at_s: list[float] = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
        if [number] == arrived[-1:] and time.monotonic() - at_s[-1] < TWICE_S:
            return
        arrived.append(number)
        at_s.append(time.monotonic())
        if len(arrived) > 1 or not end():
            for each in heeded:
                signal.signal(each, signal.SIG_IGN)  # nothing more may interrupt the cleanup
            raise Terminated(arrived[0])

    heeded = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        with _heeding(heeded, handle, arrived):
            yield
            if arrived:
                raise Terminated(arrived[0])
    except KeyboardInterrupt as error:
        raise (Terminated(arrived[0]) if arrived else error) from None


@contextmanager
def _heeding(
    numbers: Sequence[int], handle: Callable[[int, FrameType | None], None], arrived: Sequence[int]
) -> Iterator[None]:
    """Handle signals in the block, and after it if one has arrived: then all stays until the process ends."""
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        if not arrived:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _handled(manner: _Manner) -> Iterator[None]:
    """End the block in this manner; a signal that this process was told to ignore, as by nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    threading.Thread(target=_watch, args=[reads, manner], daemon=True).start()
    other = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    heeded = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    arrived: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
        arrived.append(number)
        if len(arrived) == 1 or (manner.kill_s and len(arrived) == 2):  # noqa: PLR2004  the first, the second
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    try:
        with _heeding(heeded, handle, arrived):
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
    if first := _arrived(reads):
        if manner.said:
            last_words(manner.said)
        last = _arrived(reads, manner.limit_s)
        if last and manner.kill_s:
            _arrived(reads, manner.kill_s)
        _end(128 + (last or first))
    os.close(reads)


def _arrived(reads: int, within_s: float | None = None) -> int:
    """Return the next of the signals that end a command, as soon as it arrives; 0 if none does."""
    while select.select([reads], [], [], within_s)[0] and (read := os.read(reads, 1)):
        if read[0] in NUMBERS:
            return read[0]
    return 0


def _end(code: int) -> None:
    last_words("interrupted\n")
    os._exit(code)
