"""`push --server` on real polling servers: each phase waits for what it wrote, and what is broken gets fixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import killed
from tests.pushes import CODE, LEAF, polling, repository
from tritonrepo.cli import run
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import find

IMPORTS = "__import__('nowhere_installed')\n" + CODE
INITIALIZE = CODE + "\n    def initialize(self, args):\n        "
NO_FILE = INITIALIZE + "open('weights-that-are-only-there')\n"
VARIABLE = INITIALIZE + "__import__('os').environ['NOT_ON_EVERY_MACHINE']\n"
PARAMETER = INITIALIZE + "assert 'wrong' not in args['model_config']\n"
SLOW = INITIALIZE + "__import__('time').sleep(3)\n"


def written(place: Path, version: int, code: str = CODE, more: str = "") -> Path:
    """Write the leaf in this version with this code and these lines of config, and the pipeline that pins it."""
    made = repository(place, version)
    (made / "leaf" / str(version) / "model.py").write_text(code, "utf-8")
    with (made / "leaf" / "config.pbtxt").open("a", encoding="utf-8") as config:
        config.write(more)
    return made


def with_lone(made: Path, code: str) -> Path:
    """Add a model that nobody calls, which stays at its first version."""
    (made / "lone" / "1").mkdir(parents=True)
    (made / "lone" / "config.pbtxt").write_text(LEAF.format(version=1).replace('"leaf"', '"lone"'), "utf-8")
    (made / "lone" / "1" / "model.py").write_text(code, "utf-8")
    return made


def push(made: Path, place: Path, *servers: Server, options: tuple[str, ...] = ("--timeout", "60")) -> int:
    """Push as a user who names the servers."""
    named = [part for server in servers for part in ("--server", server.http)]
    return run(["push", str(made), str(place), *named, "--settle", "0", *options])


def serving(server: Server) -> set[str]:
    return {
        f"{state.name} {state.version}" for state in Client(Endpoint(server.http)).index() if state.state == "READY"
    }


def pin(server: Server) -> str:
    step = Client(Endpoint(server.http)).config("top")["ensemble_scheduling"]["step"][0]
    return str(step["model_version"])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prefix that the servers poll.

    It is a directory, whose times have nanoseconds for Triton too: FileModificationTime in the core's
    src/filesystem/implementations/local.h. So no write needs to wait for the next second.
    """
    monkeypatch.setattr("tritonrepo.sync.pace.GRAIN_S", 0.1)
    place = tmp_path / "served" / "prod"
    place.parent.mkdir()
    return place


def test_what_does_not_load_is_named_and_mended_and_a_refused_version_stops_the_push(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(with_lone(written(tmp_path / "first", 1, IMPORTS), NO_FILE), place) == 0
    with polling(str(place)) as server:
        second = with_lone(written(tmp_path / "second", 2), NO_FILE)
        capsys.readouterr()
        assert push(second, place, server, options=("--dry-run",)) == 0
        planned = capsys.readouterr()
        assert "~ leaf/config.pbtxt  serves version 2 without version 1, which does not load" in planned.out
        assert push(second, place, server) == 0
        said = capsys.readouterr()
        assert said.out == planned.out
        assert "waiting for http://127.0.0.1:" in said.err
        warned = [line.partition(": warning: ")[2] for line in said.err.splitlines() if ": warning: " in line]
        leaf, lone, top = warned
        assert leaf.startswith("leaf version 1 does not load: Internal: ModuleNotFoundError: No module named")
        assert lone.startswith("lone version 1 does not load: Internal: FileNotFoundError: ")
        assert top == "top calls leaf version 1, which is not served [server-broken]"
        assert (serving(server), pin(server)) == ({"leaf 2", "top 1"}, "2")

        third = with_lone(written(tmp_path / "third", 3, IMPORTS), NO_FILE)
        assert push(third, place, server) == 1
        said = capsys.readouterr()
        assert "error: the server refused to load leaf version 3: Internal: ModuleNotFoundError: " in said.err
        assert "the push was interrupted after at least" in said.err
        assert push(third, place, server) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert "error: the server refused to load leaf version 3: Internal: ModuleNotFoundError: " in said.err
        assert (serving(server), pin(server)) == ({"leaf 2", "top 1"}, "2")

        assert push(with_lone(written(tmp_path / "fourth", 4), NO_FILE), place, server) == 0
        assert (serving(server), pin(server)) == ({"leaf 4", "top 1"}, "4")


def test_a_replica_that_is_broken_for_its_own_reasons_keeps_nothing_from_the_others(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_ON_EVERY_MACHINE", "here")
    assert push(written(tmp_path / "first", 1, VARIABLE), place) == 0
    with polling(str(place)) as whole:
        monkeypatch.delenv("NOT_ON_EVERY_MACHINE")
        with polling(str(place)) as broken:
            assert (serving(whole), serving(broken)) == ({"leaf 1", "top 1"}, set())
            capsys.readouterr()
            assert push(written(tmp_path / "second", 2), place, whole, broken) == 0
            said = capsys.readouterr()
            assert "~ leaf/config.pbtxt  serves versions 1 and 2" in said.out
            assert f"{broken.http}: warning: leaf version 1 does not load: " in said.err
            assert f"{whole.http}: warning: " not in said.err
            assert [serving(whole), serving(broken)] == [{"leaf 2", "top 1"}] * 2
            assert (pin(whole), pin(broken)) == ("2", "2")


def test_a_server_that_says_nothing_of_what_it_refused_or_is_not_ready_for_it_is_mended_too(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritonrepo.smoke.present.SIGHT_S", 2)
    wrong = 'parameters { key: "wrong" value { string_value: "yes" } }\n'
    assert push(with_lone(written(tmp_path / "first", 1, PARAMETER), IMPORTS), place) == 0
    strict = Launch(place, find(None, needs=()), mode=Mode.POLL, poll_s=1, extra_args=["--strict-readiness=true"])
    with killed(start(strict)) as server:
        assert not Client(Endpoint(server.http)).ready()
        assert push(with_lone(written(tmp_path / "second", 1, PARAMETER, wrong), IMPORTS), place) == 0
        capsys.readouterr()
        assert push(with_lone(written(tmp_path / "third", 2), IMPORTS), place, server) == 0
        said = capsys.readouterr().err
        assert "warning: the server is not ready: with strict readiness, one model that does not load is enough" in said
        assert "warning: leaf still has an older config: parameters.wrong.string_value: the repository says" in said
        assert (serving(server), pin(server)) == ({"leaf 2", "top 1"}, "2")

        # what is only slow is waited for, and kept
        assert push(with_lone(written(tmp_path / "fourth", 3, SLOW), IMPORTS), place) == 0
        assert push(with_lone(written(tmp_path / "fifth", 4), IMPORTS), place, server, options=("--dry-run",)) == 0
        fifth = capsys.readouterr()
        assert "waiting for http://127.0.0.1:" in fifth.err.partition("warning: ")[0]
        assert "warning: leaf" not in fifth.err
        assert "~ leaf/config.pbtxt  serves versions 3 and 4" in fifth.out
