"""`push --server` with servers that are of no use to it, and how long it waits if nothing can be observed."""

from __future__ import annotations

import http.server
import shutil
import threading
from pathlib import Path

import pytest

from tests.pushes import CODE, polling, push, repository
from tests.test_push import Clock
from tritonrepo.cli import run
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


class NotReady(http.server.BaseHTTPRequestHandler):
    """A running server that reports that it is not ready."""

    def do_GET(self) -> None:
        self.send_response(400)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
        """Keep quiet."""


def test_a_server_that_is_not_there_or_not_ready_gets_nothing_sent(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = str(repository(tmp_path / "second", 2))
    before = sorted(place.rglob("*"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotReady) as listening:
        threading.Thread(target=listening.serve_forever).start()
        url = f"http://127.0.0.1:{listening.server_port}"
        assert run(["push", second, str(place), "--server", url]) == 1
        assert (
            f"{url}: error: the server is not ready, so nothing was sent [server-not-ready]" in capsys.readouterr().err
        )
        listening.shutdown()
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
