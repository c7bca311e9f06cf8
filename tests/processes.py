"""Processes: by a mark in their environment, whether any is left, without measurement, and ended at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tritonrepo.server.process import Server

MARK = "TRITONREPO_TEST_MARK"


def alive(pid: int) -> bool:
    """Return whether a process runs: a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def marked(value: str) -> list[int]:
    """Return the living processes whose environment has the mark."""
    wanted = f"{MARK}={value}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if alive(int(entry.name)) and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def left(value: str, within_s: float = 20) -> list[str]:
    """Return the command lines of what is still running after a while; an empty list as soon as nothing is."""
    deadline = time.monotonic() + within_s
    while pids := marked(value):
        if time.monotonic() > deadline:
            return [_command(pid) for pid in pids]
        time.sleep(0.05)
    return []


def unmeasured() -> dict[str, str]:
    """Return the environment for a process that runs what others run too: its coverage costs time and adds nothing.

    A process that is killed writes no report anyway.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}


@contextmanager
def killed(server: Server) -> Iterator[Server]:
    """Run a server whose end is not tested: an orderly one takes seconds, since Triton looks once a second."""
    with server:
        try:
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGKILL)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return str(pid)
