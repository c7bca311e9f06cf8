"""`push --server`: each phase waits until the real server, polling a directory, serves what it wrote."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.test_push import CODE, Clock, repository
from tritonrepo.cli import run
from tritonrepo.cli.serving import Options, read_record, serve
from tritonrepo.server.client import Client
from tritonrepo.server.launch import Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.sources.cache import Cache
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.publish import GRAIN_S, publish
from tritonrepo.sync.push import plan

REFUSES = CODE + "\n    def initialize(self, args):\n        open('weights-that-are-only-there')\n"


@contextmanager
def polling(place: Path, cache: Cache) -> Iterator[Server]:
    with serve(
        str(place), read_record(str(place)), place, cache, Options(Ports(0, 0, 0), None, "script", 120, Mode.POLL, 1)
    ) as server:
        yield server


def serving(server: Server) -> set[str]:
    return {f"{state.name} {state.version}" for state in Client(server.http).index() if state.state == "READY"}


def pin(server: Server) -> str:
    step = Client(server.http).config("top")["ensemble_scheduling"]["step"][0]
    return str(step["model_version"])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A pushed first version, as a server would be started with it."""
    place = tmp_path / "served" / "prod"
    place.parent.mkdir()
    assert run(["push", str(repository(tmp_path / "first", 1)), str(place), "--settle", "0"]) == 0
    return place


def test_a_phase_ends_when_the_server_serves_it_and_a_refused_version_stops_the_push(
    tmp_path: Path, place: Path, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    with polling(place, cache) as server:
        to = [str(place), "--server", server.http, "--settle", "0"]
        assert run(["push", str(repository(tmp_path / "second", 2)), *to]) == 0
        assert "waiting for http://127.0.0.1:" in capsys.readouterr().err
        assert (serving(server), pin(server)) == ({"leaf 2", "top 1"}, "2")

        broken = repository(tmp_path / "third", 3)
        (broken / "leaf" / "3" / "model.py").write_text(REFUSES, "utf-8")
        assert run(["push", str(broken), *to]) == 1
        said = capsys.readouterr().err
        assert "the server refused leaf version 3: Internal: FileNotFoundError: " in said
        assert "the push broke off in the middle: at least" in said
        assert (serving(server), pin(server)) == ({"leaf 2", "top 1"}, "2")
        assert run(["push", str(broken), *to]) == 1
        assert "the server refused leaf version 3" in capsys.readouterr().err

        assert run(["push", str(repository(tmp_path / "fourth", 4)), *to]) == 0
        assert (serving(server), pin(server)) == ({"leaf 4", "top 1"}, "4")


def test_a_server_that_serves_something_else_is_told(
    tmp_path: Path, place: Path, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(place, tmp_path / "other")
    shutil.rmtree(other / "top")
    before = sorted(place.rglob("*"))
    with polling(other, cache) as server:
        to = ["--server", server.http, "--settle", "0", "--timeout", "0.5"]
        assert run(["push", str(repository(tmp_path / "second", 2)), str(place), *to]) == 1
    said = capsys.readouterr().err
    assert "after 0.5 s the server does not serve what lies there: top: the server does not serve it" in said
    assert "Does it poll this very URI?" in said
    assert sorted(place.rglob("*")) == before


class NotReady(http.server.BaseHTTPRequestHandler):
    """A server that is up and says that it is not ready."""

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
    clock, asked = Clock(tmp_path), []

    def watch(group: object) -> bool:
        asked.append(group)
        return seen

    have = clock.scan("r")
    made = plan(clock.scan(repository(tmp_path / "2", 2).name), have, "r", resumed=True)
    publish(made, have, clock.writer, Pace(30, clock.now, clock.sleep, 5, watch), lambda _: None)
    times = [time for time, path in clock.done if path == "r/leaf/config.pbtxt"]
    assert times == [GRAIN_S, GRAIN_S + 2 * wait_s]
    assert asked[0] == ()
