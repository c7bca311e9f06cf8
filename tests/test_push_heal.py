"""`push --server` over what does not load: it is named, not waited for, and mended by what is pushed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_push import CODE, LEAF, repository
from tests.test_push_server import REFUSES, pin, polling, serving
from tritonrepo.cli import run
from tritonrepo.server.process import Server
from tritonrepo.sources.cache import Cache

IMPORTS = "import nowhere_installed\n" + CODE
ELSEWHERE = CODE + "\n    def initialize(self, args):\n        import os\n        os.environ['NOT_ON_EVERY_MACHINE']\n"
PARAMETER = CODE + "\n    def initialize(self, args):\n        assert 'cpu' not in args['model_config']\n"
QUICK = ("--settle", "0", "--timeout", "20")


def written(place: Path, version: int, code: str = CODE) -> Path:
    """Write the leaf in this version with this code, and the pipeline that pins it."""
    made = repository(place, version)
    (made / "leaf" / str(version) / "model.py").write_text(code, "utf-8")
    return made


def lone(place: Path, code: str, more: str = "") -> Path:
    """Write a model that nobody calls, which stays at its first version."""
    (place / "lone" / "1").mkdir(parents=True, exist_ok=True)
    (place / "lone" / "config.pbtxt").write_text(LEAF.format(version=1).replace('"leaf"', '"lone"') + more, "utf-8")
    (place / "lone" / "1" / "model.py").write_text(code, "utf-8")
    return place


def pushed(made: Path, place: Path, *servers: Server, options: tuple[str, ...] = QUICK) -> int:
    """Push as a user does who names the servers."""
    named = [part for server in servers for part in ("--server", server.http)]
    return run(["push", str(made), str(place), *named, *options])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the servers look."""
    place = tmp_path / "served" / "prod"
    place.parent.mkdir()
    return place


def test_what_does_not_load_is_named_and_mended_and_what_serves_is_left_alone(
    tmp_path: Path, place: Path, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pushed(lone(written(tmp_path / "first", 1, IMPORTS), REFUSES), place) == 0
    with polling(place, cache) as server:
        second = lone(written(tmp_path / "second", 2), REFUSES)
        capsys.readouterr()
        assert pushed(second, place, server, options=("--dry-run",)) == 0
        planned = capsys.readouterr()
        assert "~ leaf/config.pbtxt  serves 2 without 1, which does not load" in planned.out
        assert pushed(second, place, server) == 0
        said = capsys.readouterr()
        assert said.out == planned.out
        for name, reason in (("leaf", "No module named 'nowhere_installed'"), ("lone", "No such file or directory")):
            (line,) = [line for line in said.err.splitlines() if f"warning: {name} version 1 does not load" in line]
            assert reason in line
            assert line in planned.err
        assert (serving(server), pin(server)) == ({"leaf 2", "top 1"}, "2")

        third = lone(written(tmp_path / "third", 3, IMPORTS), REFUSES)
        for _ in range(2):
            assert pushed(third, place, server) == 1
            assert "error: the server refused leaf version 3: Internal: ModuleNotFoundError" in capsys.readouterr().err
            assert (serving(server), pin(server)) == ({"leaf 2", "top 1"}, "2")

        assert pushed(lone(written(tmp_path / "fourth", 4), REFUSES), place, server) == 0
        assert (serving(server), pin(server)) == ({"leaf 4", "top 1"}, "4")


def test_a_replica_that_is_broken_for_its_own_reasons_keeps_nothing_from_the_others(
    tmp_path: Path, place: Path, cache: Cache, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_ON_EVERY_MACHINE", "here")
    assert pushed(written(tmp_path / "first", 1, ELSEWHERE), place) == 0
    with polling(place, cache) as whole:
        monkeypatch.delenv("NOT_ON_EVERY_MACHINE")
        with polling(place, cache) as broken:
            assert (serving(whole), serving(broken)) == ({"leaf 1", "top 1"}, set())
            capsys.readouterr()
            assert pushed(written(tmp_path / "second", 2), place, whole, broken) == 0
            said = capsys.readouterr()
            assert "~ leaf/config.pbtxt  serves 1 and 2" in said.out
            assert f"{broken.http}: warning: leaf version 1 does not load" in said.err
            assert (serving(whole), serving(broken)) == ({"leaf 2", "top 1"}, {"leaf 2", "top 1"})
            assert (pin(whole), pin(broken)) == ("2", "2")
