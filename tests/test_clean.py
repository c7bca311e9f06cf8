"""Models that were clean are not judged by themselves again, until anything that decides has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tritonrepo import repository
from tritonrepo.repository import Said, target
from tritonrepo.rules import RULES, judge
from tritonrepo.rules.clean import LENGTH
from tritonrepo.rules.judge import Judged
from tritonrepo.rules.registry import Finding
from tritonrepo.sources import clean
from tritonrepo.sources.clean import remembered
from tritonrepo.stores import open_store

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
CODE = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
ASKED = "python-syntax-error"
ENV = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/../env.tar.gz" } }\n'
LATER_S = 3600
"""As if the scan began so long after all was written."""

NAMES = ("a", "b", "c")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clean, "FEW", 1)
    for name in NAMES:
        version = tmp_path / "models" / name / "1"
        version.mkdir(parents=True)
        (version / "model.py").write_text(CODE)
        (version.parent / "config.pbtxt").write_text(f'backend: "python"\n{IO}')
    return tmp_path / "models"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the models of which one of the rules is asked, as they come."""
    names, rule = list[str](), RULES[ASKED]

    def check(model: repository.Model) -> Iterator[Finding]:
        names.append(model.name)
        return rule.check(model)

    monkeypatch.setitem(RULES, ASKED, replace(rule, check=check))
    return names


def judged(models: Path, said: Said = Said("26.07"), later: float = LATER_S) -> Judged:  # noqa: B008  immutable
    began = time.time_ns() + int(later * 1e9)
    store, prefix = open_store(str(models))
    there = repository.read(store.scan(prefix), target(said), str(models))
    with remembered(models.parent / "cache", there, began) as known:
        return judge(there, clean=known)


def fresh(models: Path) -> Judged:
    store, prefix = open_store(str(models))
    return judge(repository.read(store.scan(prefix), target(Said("26.07")), str(models)))


def test_only_what_changed_is_asked_again(models: Path, asked: list[str]) -> None:
    first = judged(models)
    assert asked == [*NAMES]
    assert judged(models) == first
    assert asked == [*NAMES]
    (models / "b/1/model.py").write_text(f"{CODE}# more\n")
    assert judged(models) == first
    assert asked == [*NAMES, "b"]
    assert judged(models) == first
    assert asked == [*NAMES, "b"]


def same_size_and_time(path: Path) -> None:
    """Break a source so that neither its size nor the time of its content shows it."""
    status = path.stat()
    path.write_text(CODE.replace("def ", "dff "))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def another_file(path: Path) -> None:
    status, other = path.stat(), path.with_name("other")
    other.write_text(CODE.replace("def ", "dff "))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def linked(path: Path) -> None:
    (path.parent.parent / "2").mkdir()
    (path.parent.parent / "2/model.py").write_text("x = (")
    path.unlink()
    path.symlink_to("../2/model.py")


CHANGES: dict[str, Callable[[Path], object]] = {
    "the same size and time": same_size_and_time,
    "another file of the same size and time": another_file,
    "a link in its place": linked,
    "no file": Path.unlink,
    "another name": lambda path: path.rename(path.with_name("model2.py")),
    "not readable": lambda path: path.chmod(0),
    "a package beside it": lambda path: (path.parent / "__init__.py").write_text("x = ("),
    "the config": lambda path: (path.parent.parent / "config.pbtxt").write_text("max_batch_size: -1\n"),
    "another version": lambda path: (path.parent.parent / "01").mkdir(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_seen(change: Callable[[Path], object], models: Path) -> None:
    judged(models)
    change(models / "b/1/model.py")
    assert judged(models) == fresh(models)
    assert judged(models) == fresh(models)


def test_what_is_found_is_found_again(models: Path, asked: list[str]) -> None:
    (models / "b/1/model.py").write_text("x = (")
    first = judged(models)
    assert [each.rule for each in first.diagnostics] == [ASKED]
    assert judged(models) == first
    assert asked == [*NAMES, "b"]


@pytest.mark.parametrize("said", [Said("24.10"), Said("26.07", gpus=0), Said("26.07", auto_complete=False)])
def test_another_target_asks_again(said: Said, models: Path, asked: list[str]) -> None:
    judged(models)
    judged(models, said)
    assert asked == [*NAMES, *NAMES]
    judged(models)
    judged(models, said)
    assert asked == [*NAMES, *NAMES]


def test_other_rules_ask_again(models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    judged(models)
    monkeypatch.setattr(clean, "_package", lambda: (("rules/new.py", 1, 1),))
    judged(models)
    assert asked == [*NAMES, *NAMES]


def test_what_was_just_written_is_not_remembered(models: Path, asked: list[str]) -> None:
    judged(models, later=0)
    judged(models)
    assert asked == [*NAMES, *NAMES]


def test_a_model_that_depends_on_what_is_beside_it_is_asked_again(models: Path, asked: list[str]) -> None:
    (models / "b/config.pbtxt").write_text(f'backend: "python"\n{IO}{ENV}')
    judged(models)
    judged(models)
    assert asked == [*NAMES, "b"]


def test_few_models_are_judged_as_quickly(models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "FEW", 4)
    judged(models)
    judged(models)
    assert asked == [*NAMES, *NAMES]
    assert not (models.parent / "cache").exists()


def test_the_same_repository_by_another_path_is_the_same(
    models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(models)
    monkeypatch.chdir(models.parent)
    (models.parent / "models/c/1/model.py").touch()
    store, prefix = open_store("models")
    there = repository.read(store.scan(prefix), target(Said("26.07")), "models")
    with remembered(models.parent / "cache", there, time.time_ns() + LATER_S * 10**9) as known:
        judge(there, clean=known)
    assert asked == [*NAMES, "c"]


def instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT: dict[str, Callable[[Path], object]] = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "empty": lambda path: path.write_bytes(b""),
    "something else": lambda path: path.write_bytes(b"\0" * 1000),
    "a directory": instead,
    "not readable": lambda path: path.chmod(0),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_memory_costs_only_time(spoil: Callable[[Path], object], models: Path) -> None:
    judged(models)
    (kept,) = (models.parent / "cache/clean").iterdir()
    spoil(kept)
    (models / "b/1/model.py").write_text("x = (")
    assert judged(models) == fresh(models)
    assert judged(models) == fresh(models)


def test_a_cache_that_cannot_be_written_is_none(models: Path) -> None:
    (models.parent / "cache").write_text("a file")
    assert judged(models) == fresh(models)


def test_old_keys_are_dropped(models: Path) -> None:
    for number in range(20):
        (models / "b/1/model.py").write_text(f"{CODE}# {number}\n")
        judged(models)
    (kept,) = (models.parent / "cache/clean").iterdir()
    assert kept.stat().st_size == len(NAMES) * clean.KEPT * LENGTH
