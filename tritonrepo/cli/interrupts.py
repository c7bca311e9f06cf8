"""Ctrl-C and signals for commands that write elsewhere: the first ends them in order and soon, the second at once."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from tritonrepo.cli import ENDING, Terminated
from tritonrepo.cli.output import last_words, say

LIMIT_S = 1.5
"""How long a command may take to end in order. What is under way then ends as if the process was killed."""

NUMBERS = (signal.SIGINT, *ENDING)


@contextmanager
def interruptible() -> Iterator[None]:
    """End the block by an exception on the first signal, and the process after LIMIT_S or on the second one.

    A store that does not answer or a name server can hold up what runs; nothing depends on an orderly end, because the
    next run continues a killed one. It can also hold up the exception: Python raises it in the main thread, which does
    not notice a signal that arrives just before it begins to wait. So a thread reads what Python writes at the very
    arrival of a signal (`signal.set_wakeup_fd`).
    """
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    threading.Thread(target=_watch, args=[reads], daemon=True).start()
    other = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _first) for number in NUMBERS}
    try:
        yield
    except KeyboardInterrupt as error:
        say("interrupted", err=True)
        raise click.exceptions.Exit(128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)) from error
    finally:
        if signal.getsignal(signal.SIGINT) is _first:  # after a signal, all stays until the process ends
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(other)
            os.close(writes)


def _first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
    for each in NUMBERS:
        signal.signal(each, _more)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _more(number: int, frame: FrameType | None) -> None:
    """Leave it to the thread that reads of the signal."""


def _watch(reads: int) -> None:
    """End the process on the second signal, or LIMIT_S after the first; return if the block ends without any."""
    if first := _arrived(reads):
        _end(128 + (_arrived(reads, LIMIT_S) or first))
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
