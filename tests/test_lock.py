"""The lock and its build: what the lock keeps, and the order in which both reach the disk."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.test_build import digests
from tests.test_doubts import own
from tests.test_own_stacks import SEARCH, edited
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.stores.directory import DirectoryStore

__all__ = ["own"]

LOCK, REPOSITORY = Path("tritonrepo.lock"), Path("model_repository")


def rewritten(**changes: dict[str, Any]) -> None:
    LOCK.write_text(json.dumps(json.loads(LOCK.read_text("utf-8")) | changes), "utf-8")


@pytest.fixture
def built(own: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A small search stack, indexed and built."""
    assert run(["build"]) == 0
    capsys.readouterr()
    return own


STALE = {
    "a check": (["--check"], 1, 0),
    "a check against the lock": (["--check", "--locked"], 2, 1),
    "a build from the lock": (["--locked"], 2, 1),
    "a plan": (["--dry-run"], 0, 0),
}


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(("options", "code", "drifts"), STALE.values(), ids=STALE)
def test_a_lock_that_would_change_is_noticed_where_all_files_are_current(
    capsys: pytest.CaptureFixture[str], options: list[str], code: int, drifts: int
) -> None:
    rewritten(sources={})
    before = digests(Path())
    assert run(["build", *options]) == code
    said = capsys.readouterr()
    assert said.out == "model_repository: nothing to do\n"
    assert said.err.count("tritonrepo.lock: fatal: ") == said.err.count("[lock-drift]") == drifts
    assert digests(Path()) == before


def test_a_build_repairs_the_lock_alone(built: Path) -> None:
    before = digests(built)
    rewritten(sources={})
    assert run(["build"]) == 0
    assert digests(built) == before
    assert run(["build", "--check", "--locked"]) == 0


@pytest.mark.usefixtures("built")
def test_a_lock_keeps_the_numbers_of_models_that_left_and_only_the_sources_of_those_that_are_there() -> None:
    data = json.loads(LOCK.read_text("utf-8"))
    gone = {"version": 7, "contents": {"6": None, "7": "x"}}
    rewritten(models=data["models"] | {"gone": gone}, sources=data["sources"] | {"./gone": {"any": {"sha256": "1"}}})
    assert run(["build"]) == 0
    assert json.loads(LOCK.read_text("utf-8")) == data | {"models": data["models"] | {"gone": gone}}


class Full(DirectoryStore):
    """A directory with no space left."""

    def put(self, path: str, *_: object, **__: object) -> NoReturn:
        raise OSError(28, "No space left on device", path)


@pytest.mark.usefixtures("own")
def test_the_lock_is_written_before_the_files_so_that_no_number_is_given_twice() -> None:
    loaded = api.load([], api.Workspace(os.environ))
    build = api.plan_build(loaded, "model_repository")
    assert isinstance(build.store, DirectoryStore)
    before = json.loads(LOCK.read_text("utf-8"))
    assert before["models"] == {}
    with pytest.raises((OSError, Stop)):
        api.apply_build(build._replace(store=Full(build.store.root)))
    assert json.loads(LOCK.read_text("utf-8"))["models"].keys() == {"e", "e_model", "r", "s"}
    assert not REPOSITORY.exists()
    assert {path.name for path in Path().iterdir()} == {"d", "i", "p.j2", "tritonrepo.lock", "tritonrepo.yaml", "w"}


def test_the_lock_is_beside_the_first_file_and_has_its_name(own: Path) -> None:
    (own / "tritonrepo.yaml").rename(own / "first.v2.yaml")
    (own / "tritonrepo.lock").rename(own / "first.v2.lock")
    (own / "other").mkdir()
    (own / "other" / "tritonrepo.yaml").write_text("models: {r: {top_k: 1}}\n", "utf-8")
    assert run(["build", "-f", "first.v2.yaml", "-f", "other"]) == 0
    assert json.loads((own / "first.v2.lock").read_text("utf-8"))["models"].keys() == {"e", "e_model", "r", "s"}
    assert {path.name for path in own.rglob("*.lock")} == {"first.v2.lock"}
    assert json.loads((own / "model_repository" / "r" / "1" / "settings.json").read_text("utf-8")) == {"top_k": 1}


@pytest.mark.usefixtures("own")
def test_a_lock_is_written_where_there_was_none() -> None:
    edited("tritonrepo.yaml", SEARCH[SEARCH.index("  r:") :], "")
    LOCK.unlink()
    assert run(["build", "--check"]) == 1
    assert not LOCK.exists()
    assert run(["build"]) == 0
    found = json.loads(LOCK.read_text("utf-8"))
    assert found["models"].keys() == {"e", "e_model"}
    assert found["sources"].keys() >= {"./w"}
    assert re.fullmatch("[0-9a-f]{64}", found["sources"]["./w"]["any"]["sha256"])
