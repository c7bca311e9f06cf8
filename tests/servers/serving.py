"""Running a third-party server on this machine: free ports, a wait until it responds, an end that leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

HOST = "127.0.0.1"
LEAN = {"GOMAXPROCS": "1", "GOGC": "400"}
"""For those that are written in Go: their threads look for work of others, and their collector runs, at every turn."""
TRIES = 3
"""Ports are free when they are chosen; another program may be faster."""
UP_S, DOWN_S = 60, 10
Server = TypeVar("Server")


class Service(NamedTuple):
    """A server's command, how to tell that it responds, and how it ends."""

    command: Sequence[str]
    answers: Callable[[], bool]
    user: int | None = None
    """The user and group it runs as; None: as the tests do."""
    end: signal.Signals = signal.SIGKILL
    """What ends it; one that leaves something behind when it is killed gets a milder signal."""


class EndedError(Exception):
    """A server exited before it responded."""


@contextmanager
def served(place: Path, prepared: Callable[[Path], tuple[Server, Service]]) -> Iterator[Server]:
    """Run a server and yield what tests know it by; it is prepared in a separate directory, again if it exited."""
    with ExitStack() as running:
        yield _up(running, place, prepared)


def _up(running: ExitStack, place: Path, prepared: Callable[[Path], tuple[Server, Service]], number: int = 1) -> Server:
    own = place / str(number)
    own.mkdir()
    server, service = prepared(own)
    try:
        running.enter_context(started(service, own))
    except EndedError:
        if number == TRIES:
            raise
        return _up(running, place, prepared, number + 1)
    return server


@contextmanager
def started(service: Service, place: Path) -> Iterator[None]:
    """Run a server until the block is left; show its output if it does not start."""
    log = place / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            service.command,
            stdout=said,
            stderr=said,
            cwd=place,
            env=os.environ | LEAN,
            start_new_session=True,
            user=service.user,
            group=service.user,
        )
        try:
            _await_answer(service, process, log)
            yield
        finally:
            process.send_signal(service.end)
            with suppress(subprocess.TimeoutExpired):
                process.wait(DOWN_S)
            with suppress(ProcessLookupError):  # nothing is left of its group
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_answer(service: Service, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + UP_S
    while not service.answers():
        text = log.read_text("utf-8", "replace")[-4000:]
        if process.poll() is not None:
            raise EndedError(f"exit code {process.returncode}\n{text}")
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


def free_ports(count: int, above: int = 0) -> list[int]:
    """Return free ports whose ports `above` them also exist and are free."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            first = held.enter_context(socket.socket())
            first.bind((HOST, 0))
            port = first.getsockname()[1]
            if above:
                try:
                    held.enter_context(socket.socket()).bind((HOST, port + above))
                except (OSError, OverflowError):
                    continue
            found.append(port)
    return found
