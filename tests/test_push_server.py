"""`push --server` with servers that are of no use to it, and how long it waits if nothing can be observed."""

from __future__ import annotations

import re
import shutil
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.processes import alive
from tests.pushes import CODE, OWN_LOCK, polling, push, repository
from tests.speaking import Said, speaking
from tests.test_push import Clock
from tritonrepo.cli import run
from tritonrepo.server.launch import Launch, log_path
from tritonrepo.server.leash import Leash
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.server.runtime import find
from tritonrepo.sync.apply import apply
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.push import plan

REFUSES = CODE + "\n    def initialize(self, args):\n        open('weights-that-are-only-there')\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A pushed first version, as a server would be started with it."""
    place = tmp_path / "served" / "prod"
    place.parent.mkdir()
    assert push(repository(tmp_path / "first", 1), place) == 0
    return place


def test_a_server_that_serves_something_else_is_told(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(place, tmp_path / "other")
    shutil.rmtree(other / "top")
    before = sorted(place.rglob("*"))
    with polling(str(other)) as server:
        to = ["--server", server.http, "--settle", "0", "--timeout", "0.5"]
        assert run(["push", str(repository(tmp_path / "second", 2)), str(place), *to]) == 1
    said = capsys.readouterr().err
    assert "after 0.5 s the server still does not serve this repository: top: the server does not serve" in said
    assert "Check that the server polls exactly this URI" in said
    assert sorted(place.rglob("*")) == before


def test_a_server_that_is_not_there_or_not_ready_gets_nothing_sent(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = str(repository(tmp_path / "second", 2))
    before = sorted(place.rglob("*"))
    with speaking(lambda _: Said(b"", 400)) as server:
        url = server.url
        assert run(["push", second, str(place), "--server", url]) == 1
    said = capsys.readouterr().err
    assert f"{url}: error: the server is not ready, so nothing was sent [server-not-ready]" in said
    assert run(["push", second, str(place), "--server", url]) == 2
    assert f"{url}: fatal: the server cannot be reached: " in capsys.readouterr().err
    assert run(["push", second, str(place), "--server", "nonsense://x"]) == 2
    assert "this is not the URL of a server" in capsys.readouterr().err
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(("seen", "wait_s"), [(True, 5), (False, 30)], ids=["seen", "nothing to be seen"])
def test_what_no_server_can_be_asked_for_gets_the_whole_time(tmp_path: Path, seen: bool, wait_s: float) -> None:  # noqa: FBT001  a table's column
    shutil.copytree(repository(tmp_path / "1", 1), tmp_path / "r")
    clock = Clock(tmp_path)
    have = clock.scan("r")
    made = plan(clock.scan(repository(tmp_path / "2", 2).name), have, "r", resumed=True)
    apply(made, have, clock.writer, Pace(30, clock.now, clock.sleep, 5, lambda _: seen), lambda _: None)
    times = [time for time, path in clock.done if path == "r/leaf/config.pbtxt"]
    assert times == [1.1, 1.1 + 2 * wait_s]


ENDS = {
    "aborts": ("os.abort()", "Triton has crashed: it ended with signal 6\n"),
    "reads where nothing is": ("os.kill(os.getpid(), 11)", "Triton has crashed: it ended with signal 11\n"),
    "breaks its own lock": (f"print('{OWN_LOCK}'); end()", "Triton has crashed: it ended with exit code 3\n"),
    "is killed": ("os.kill(os.getpid(), 9)", "Triton is gone: it ended with signal 9\n"),
    "ends by itself": ("end()", "Triton is gone: it ended with exit code 3\n"),
    "runs": ("time.sleep(600)", "connection refused"),
}


@pytest.mark.parametrize(("code", "message"), ENDS.values(), ids=ENDS)
def test_a_failure_shows_how_the_server_ended_and_a_crash_of_triton_itself_runs_the_test_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    leash = Leash()
    text = f"import os, sys, time\nend = lambda: sys.exit(3)\nprint('its last words', flush=True)\n{code}"
    pid = leash.start([sys.executable, "-c", text], {}, log=log_path(leash.home), grace_s=1)
    server = Server(leash, pid, Ports(0, 0, 0), Launch("s3://b/p", find(None, needs=())))
    while "words" not in server.log() or (code.startswith("time") is not alive(pid)):
        time.sleep(0.01)
    monkeypatch.setattr("tests.pushes.serve", lambda *_: server)
    with pytest.raises((RuntimeError, AssertionError)) as raised, polling("s3://b/p"):
        raise AssertionError("connection refused")
    assert str(raised.value).startswith(message)
    assert ("its last words" in str(raised.value)) == ("Triton" in message)
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["addopts"]
    (again,) = (option.partition("=")[2] for option in options if option.startswith("--only-rerun"))
    assert bool(re.search(again, str(raised.value))) == message.startswith("Triton has crashed")
