"""A push that sleeps while another one takes over its lock and finishes: real processes, real stores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.processes import unmeasured
from tests.pushes import beside, own_files, push, repository, stored
from tests.servers.gcs import GCSServer
from tests.servers.s3 import S3Server

DRIVER = """
import signal, sys
from tritonrepo.stores.gcs import GCSStore
from tritonrepo.stores.s3 import S3Store
from tritonrepo.sync import holder, lock, pace
machine, lock.VALID_S, lock.SILENT_S = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lock.BEAT_S = lock.LOOK_S = 0.2
holder.machine = lambda: machine  # so that neither can ask whether the other's process runs
pace.GRAIN_S = 0
def sleeping(ticket):
    def made(self, write, seconds):
        send = ticket(self, write, seconds)
        def late():
            signal.raise_signal(signal.SIGSTOP)  # this thread, which the signal of a process may leave running
            return send()
        return late if write.path.endswith("top/config.pbtxt") else send
    return made
if machine == "asleep":
    for kind in (GCSStore, S3Store):
        kind.ticket = sleeping(kind.ticket)
from tritonrepo.cli import run
sys.exit(run(["push", *sys.argv[4:], "--settle", "0"]))
"""
STORES = {
    "s3": ("s3_server", (5, 7), "another push considered this one dead"),
    "gcs": ("gcs_server", (60, 1), "top/config.pbtxt: error: someone else wrote this file after the plan was made"),
}
"""What refuses the late write: in S3 its time, which is over; in GCS, long before, what the other push revoked."""


def pushing(machine: str, seconds: tuple[int, int], source: Path, uri: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, machine, *map(str, seconds), str(source), uri]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=unmeasured())


@pytest.mark.parametrize(("kind", "seconds", "message"), STORES.values(), ids=STORES)
def test_a_push_that_slept_between_its_last_look_and_a_write_writes_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, seconds: tuple[int, int], message: str
) -> None:
    """It is stopped when only the request is left to be sent; the other one finishes."""
    server: S3Server | GCSServer = request.getfixturevalue(kind)
    uri = server.fresh()
    first, second, third = (repository(tmp_path / str(number), number) for number in (1, 2, 3))
    assert push(first, uri) == 0
    one, other = (partial(pushing, name, seconds, made, uri) for name, made in (("asleep", second), ("awake", third)))
    there = outrun(uri, message, one, other)
    assert there.items() >= own_files(third).items()
    assert beside(uri) == ["release.json"]


def outrun(
    uri: str, message: str, one: Callable[[], subprocess.Popen[str]], other: Callable[[], subprocess.Popen[str]]
) -> dict[str, bytes]:
    """Let another command finish while one sleeps, which then changes nothing and says why; return what is stored."""
    with one() as asleep:
        stopped(asleep.pid)
        try:
            with other() as awake:
                said = awake.communicate(timeout=60)[1]
                assert awake.returncode == 0, said
            there = stored(uri)
        finally:
            asleep.send_signal(signal.SIGCONT)
        said = asleep.communicate(timeout=60)[1]
        assert asleep.returncode == 1, said
        assert message in said, said
    assert stored(uri) == there
    return there


def stopped(pid: int) -> None:
    """Wait until a process has stopped itself."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status
