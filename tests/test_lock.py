"""The lock: its text, what is no lock, and the order in which a build and its lock reach the disk."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_build import digests
from tests.test_doubts import own
from tests.test_own_stacks import SEARCH, edited
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.spec import lock
from tritonrepo.spec.lock import Index, Lock, Pin, Version
from tritonrepo.stores.directory import DirectoryStore

__all__ = ["own"]

FULL = Lock({"b": Pin("1", "x.whl"), "a": Pin(revision="r")}, {"i": Index("1", "2", "3", "4")}, {"m": Version(3, "x")})
TEXT = """\
{
  "indexes": {
    "i": {
      "documents": "1",
      "embedder": "2",
      "embeddings": "3",
      "passages": "4"
    }
  },
  "models": {
    "m": {
      "content": "x",
      "version": 3
    }
  },
  "schema": 1,
  "sources": {
    "a": {
      "revision": "r"
    },
    "b": {
      "file": "x.whl",
      "sha256": "1"
    }
  }
}
"""


def test_a_lock_is_sorted_text_without_what_is_empty() -> None:
    assert lock.dump(FULL) == TEXT
    assert lock.load(TEXT.encode(), "l") == FULL
    assert lock.dump(Lock()) == '{\n  "indexes": {},\n  "models": {},\n  "schema": 1,\n  "sources": {}\n}\n'


words = st.text('a0é"\n', max_size=2)
LOCKS = st.builds(
    Lock,
    st.dictionaries(words, st.builds(Pin, words, words, words), max_size=2),
    st.dictionaries(words, st.builds(Index, words, words, words, words), max_size=2),
    st.dictionaries(words, st.builds(Version, st.integers(1), words), max_size=2),
)


@settings(max_examples=30)
@given(LOCKS)
def test_every_lock_survives_its_text(made: Lock) -> None:
    assert lock.load(lock.dump(made).encode(), "l") == made


def spoilt(section: str, **entry: object) -> bytes:
    data = json.loads(TEXT)
    name = next(iter(data[section]))
    data[section][name] |= entry
    data[section][name] = {key: value for key, value in data[section][name].items() if value is not ...}
    return json.dumps(data).encode()


def of_another_schema(schema: object) -> bytes:
    return json.dumps(json.loads(TEXT) | {"schema": schema}).encode()


ODD: tuple[object, ...] = (None, 3, True, ["x"])
WRONG: dict[str, tuple[bytes, str, str]] = {
    f"{name} of an entry of {section} that is {odd!r}": (
        spoilt(section, **{name: odd}),
        "lock-syntax",
        f'"{name}" of "{next(iter(json.loads(TEXT)[section]))}" is {odd!r}',
    )
    for section, kind in (("sources", Pin), ("indexes", Index), ("models", Version))
    for name in (each.name for each in fields(kind))
    for odd in ("3" if name == "version" else 4, *ODD)
    if (name, odd) != ("version", 3) or odd is True
} | {
    "version 0": (spoilt("models", version=0), "lock-syntax", '"version" of "m" is 0'),
    "version -1": (spoilt("models", version=-1), "lock-syntax", '"version" of "m" is -1'),
    "a version without content": (spoilt("models", content=...), "lock-syntax", "content"),
    "an index without documents": (spoilt("indexes", documents=...), "lock-syntax", "documents"),
    "a key that no entry has": (spoilt("sources", size="9"), "lock-syntax", "size"),
    "schema 0": (of_another_schema(0), "lock-schema", "has schema 0, but this tritonrepo reads schema 1"),
    "schema 2": (of_another_schema(2), "lock-schema", "has schema 2, but this tritonrepo reads schema 1"),
}


@pytest.mark.parametrize(("content", "rule", "says"), WRONG.values(), ids=WRONG)
def test_what_is_no_lock_is_told_with_its_place(content: bytes, rule: str, says: str) -> None:
    with pytest.raises(Stop) as stop:
        lock.load(content, "a.lock")
    (found,) = stop.value.diagnostics
    assert (found.rule, found.severity, str(found.at)) == (rule, Severity.FATAL, "a.lock")
    assert says in found.message
    assert found.hint


def test_the_least_version_is_1() -> None:
    assert lock.load(spoilt("models", version=1), "l").models == {"m": Version(1, "x")}


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
    gone = {"version": 7, "content": "x"}
    rewritten(models=data["models"] | {"gone": gone}, sources=data["sources"] | {"./gone": {"sha256": "1"}})
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
    assert re.fullmatch("[0-9a-f]{64}", found["sources"]["./w"]["sha256"])
