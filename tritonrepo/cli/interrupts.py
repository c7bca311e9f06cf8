"""Ctrl-C and signals for commands that write elsewhere: the first ends them in order and soon, the second at once."""

from __future__ import annotations

import os
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


@contextmanager
def interruptible() -> Iterator[None]:
    """End the block by an exception on the first signal, and the process after LIMIT_S or on the second one.

    A store that does not answer or a name server can hold up what runs; nothing depends on an orderly end, because the
    next run continues a killed one.
    """
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    numbers = (signal.SIGINT, *ENDING)
    before = {number: signal.signal(number, _first) for number in numbers}
    try:
        yield
    except KeyboardInterrupt as error:
        say("interrupted", err=True)
        raise click.exceptions.Exit(128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)) from error
    finally:
        if signal.getsignal(signal.SIGINT) is _first:  # after a signal, the handlers stay until the process ends
            for number, handler in before.items():
                signal.signal(number, handler)


def _first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
    for each in (signal.SIGINT, *ENDING):
        signal.signal(each, _second)
    late = threading.Timer(LIMIT_S, _end, [128 + number])
    late.daemon = True
    late.start()
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _second(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
    _end(128 + number)


def _end(code: int) -> None:
    last_words("interrupted\n")
    os._exit(code)
