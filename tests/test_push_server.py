"""`push --server` with servers that are of no use to it, and how long it waits if nothing can be observed."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.documents import ROOT
from tests.pushes import CODE, CRASH, polling, push, repository
from tests.speaking import Said, speaking
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


@pytest.mark.parametrize(
    ("log", "failure"), {"crashed": (CRASH, RuntimeError), "alive": ("all is well", AssertionError)}.values()
)
def test_a_test_beside_a_crash_of_triton_itself_is_run_once_more(
    monkeypatch: pytest.MonkeyPatch, log: str, failure: type[Exception]
) -> None:
    @contextmanager
    def served(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(log=lambda: f"  what():  {log}")

    monkeypatch.setattr("tests.pushes.serve", served)
    with pytest.raises(failure) as raised, polling("/served"):
        raise AssertionError("connection refused")
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["addopts"]
    (again,) = (option.partition("=")[2] for option in options if option.startswith("--only-rerun"))
    assert bool(re.search(again, str(raised.value))) == (failure is RuntimeError)
