"""A push that is stopped while another one takes over its lock and finishes: real processes, a real store."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.processes import unmeasured
from tests.pushes import beside, own_files, repository, stored
from tests.servers.s3 import S3Server

DRIVER = """
import sys
from tritonrepo.sync import lock
lock.BEAT_S, lock.LOOK_S, lock.VALID_S, lock.SILENT_S = 0.5, 0.5, 5, 7
lock._machine = lambda: sys.argv[1]  # so that neither can ask whether the other's process runs
from tritonrepo.cli import run
sys.exit(run(["push", *sys.argv[2:]]))
"""
WAITS_S = 4
"""How long the first push waits between its phases; it is stopped during one of these waits."""


def pushing(machine: str, source: Path, uri: str, settle_s: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, machine, str(source), uri, "--settle", str(settle_s)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=unmeasured())


def test_a_push_that_slept_writes_over_nothing(tmp_path: Path, s3_server: S3Server) -> None:
    """The first push sleeps before its contract phase, which would unpin what is served by now."""
    uri = s3_server.fresh()
    first, second, third = (repository(tmp_path / str(number), number) for number in (1, 2, 3))
    with pushing("one", first, uri, 0) as before:
        assert before.wait(60) == 0
    with pushing("one", second, uri, WAITS_S) as asleep:
        assert asleep.stderr
        for line in asleep.stderr:
            if line.startswith("switch"):
                break
        asleep.send_signal(signal.SIGSTOP)
        try:
            with pushing("two", third, uri, 0) as awake:
                said = awake.communicate(timeout=60)[1]
                assert awake.returncode == 0, said
            there = stored(uri)
        finally:
            asleep.send_signal(signal.SIGCONT)
        said = asleep.communicate(timeout=60)[1]
        assert asleep.returncode == 1, said
        assert "another push considered this one dead" in said
    added = {path for path in stored(uri).keys() - there.keys() if not path.startswith("leaf/2/")}
    assert not added
    assert {path: content for path, content in stored(uri).items() if path in there} == there
    assert there.items() >= own_files(third).items()
    assert beside(uri) == ["release.json"]
