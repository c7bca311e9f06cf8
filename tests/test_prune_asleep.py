"""A removal that sleeps while a push takes over its lock and serves again what is being removed: real stores."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.processes import unmeasured
from tests.pushes import own_files, push, repository
from tests.servers.gcs import GCSServer
from tests.servers.s3 import S3Server
from tests.test_push_asleep import outrun

DRIVER = """
import signal, sys
from tritonrepo.stores.gcs import GCSStore
from tritonrepo.stores.s3 import S3Store
from tritonrepo.sync import holder, lock, pace
machine, lock.VALID_S, lock.SILENT_S, left = sys.argv[1], *map(int, sys.argv[2:5])
lock.BEAT_S = lock.LOOK_S = 0.2
holder.machine = lambda: machine  # so that neither can ask whether the other's process runs
pace.GRAIN_S = 0
def sleeping(ticket):
    def made(self, write, seconds):
        send = ticket(self, write, seconds)
        def late():
            global left
            left -= 1
            if not left:
                signal.raise_signal(signal.SIGSTOP)  # this thread, which the signal of a process may leave running
            return send()
        return late if write.path.endswith("leaf/1/model.py") else send
    return made
if machine == "asleep":
    for kind in (GCSStore, S3Store):
        kind.ticket = sleeping(kind.ticket)
from tritonrepo.cli import run
sys.exit(run([*sys.argv[5:], "--settle", "0"]))
"""
STORES = {
    "s3": ("s3_server", (5, 7, 1), "another push considered this one dead"),
    "gcs": ("gcs_server", (60, 1, 1), "another push considered this one dead"),
}
"""What refuses it: in S3 its time, which is over; in GCS, long before, that it is revoked."""


def running(machine: str, seconds: tuple[int, int, int], *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, machine, *map(str, seconds), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=unmeasured())


@pytest.mark.parametrize(("kind", "seconds", "message"), STORES.values(), ids=STORES)
def test_a_removal_that_slept_removes_nothing_that_is_served_again(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, seconds: tuple[int, int, int], message: str
) -> None:
    """It is stopped when only the request is left to be sent; the push back finds the version's other files there."""
    server: S3Server | GCSServer = request.getfixturevalue(kind)
    uri = server.fresh()
    first, second = (repository(tmp_path / str(number), number) for number in (1, 2))
    assert push(first, uri) == 0
    assert push(second, uri) == 0
    prune = partial(running, "asleep", seconds, "prune", uri, "--keep", 1, "--yes")
    there = outrun(uri, message, prune, partial(running, "awake", seconds, "push", first, uri))
    assert there.items() >= own_files(first).items()
