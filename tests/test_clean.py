"""Models that were clean are not judged by themselves again, until anything that decides has changed."""

from __future__ import annotations

import mmap
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import unmeasured
from tritonrepo import repository
from tritonrepo.cli import run
from tritonrepo.flows.validate import validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Said, target
from tritonrepo.repository.clean import LENGTH
from tritonrepo.rules import RULES, judge
from tritonrepo.rules.judge import Judged
from tritonrepo.rules.registry import Finding
from tritonrepo.sources import clean, digests
from tritonrepo.sources.clean import is_known, remembered
from tritonrepo.stores import open_store

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
CODE = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
ASKED = "python-syntax-error"
ENV = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/../env.tar.gz" } }\n'
LATER_S = 3600
"""As if the scan began so long after all was written."""

ROOT = Path(__file__).parent.parent
NAMES = ("a", "b", "c")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clean, "FEW", 1)
    monkeypatch.setattr(clean, "IMPORTED_NS", time.time_ns() + LATER_S * 10**9)  # however new the package is
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


def test_it_is_known_of_which_repository_something_is_kept(models: Path) -> None:
    cache = models.parent / "cache"
    assert not is_known(cache, str(models))
    judged(models)
    assert is_known(cache, str(models))
    assert not is_known(cache, str(models / "a"))


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
    monkeypatch.setattr(clean, "package", lambda: (("rules/new.py", 1, 1, 1),))
    judged(models)
    assert asked == [*NAMES, *NAMES]


def test_a_rule_that_keeps_its_size_and_time_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is unpacked from an archive in which all files have the same time."""
    monkeypatch.setattr(clean, "PACKAGE", tmp_path)
    rule = tmp_path / "rule.py"
    rule.write_text("x = 1\n")
    before, status = clean.package.__wrapped__(), rule.stat()
    time.sleep(0.02)  # so that a tick of the clock passes
    rule.write_text("x = 2\n")
    os.utime(rule, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert clean.package.__wrapped__() != before


def test_a_package_with_a_file_that_cannot_be_looked_at_remembers_nothing(
    models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = models.parent / "package"
    package.mkdir()
    (package / "rule.py").write_text("x = 1\n")
    (package / ".#rule.py").symlink_to("user@host.1")  # the lock of a file that Emacs edits
    monkeypatch.setattr(clean, "PACKAGE", package)
    monkeypatch.setattr(clean, "package", clean.package.__wrapped__)
    assert judged(models) == judged(models) == fresh(models)
    assert asked == [*NAMES * 3]


def test_a_package_that_changed_while_it_was_imported_remembers_nothing(
    models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = max(max(times) for _, _, *times in clean.package())
    monkeypatch.setattr(clean, "IMPORTED_NS", newest)
    judged(models)
    judged(models)
    assert asked == [*NAMES, *NAMES]
    monkeypatch.setattr(clean, "IMPORTED_NS", newest + 1)
    judged(models)
    judged(models)
    assert asked == [*NAMES, *NAMES, *NAMES]


def test_nothing_is_known_after_the_clock_was_set_back(models: Path, asked: list[str]) -> None:
    judged(models)
    (kept,) = (models.parent / "cache/clean").iterdir()
    later = time.time() + 2 * LATER_S
    os.utime(kept, (later, later))
    judged(models)
    assert asked == [*NAMES, *NAMES]


def test_files_from_the_future_are_not_remembered(models: Path, asked: list[str]) -> None:
    judged(models, later=-LATER_S)
    judged(models)
    assert asked == [*NAMES, *NAMES]


def test_what_another_user_has_kept_is_not_believed(
    models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(models)
    (kept,) = (models.parent / "cache/clean").iterdir()
    monkeypatch.setattr(clean, "ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
    judged(models)
    assert asked == [*NAMES, *NAMES]


def test_what_was_just_written_is_not_remembered(models: Path, asked: list[str]) -> None:
    judged(models, later=0)
    judged(models)
    assert asked == [*NAMES, *NAMES]


def test_a_change_through_memory_is_seen(models: Path) -> None:
    """Linux notes the first one, and not the next ones before the page is written back, which takes up to 35 s."""
    source = models / "b/1/model.py"
    with source.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as memory:
        memory[0:1] = b"c"
        before = source.stat().st_mtime_ns
        assert judged(models, later=30) == fresh(models)
        memory[0:1] = b"("
        assert source.stat().st_mtime_ns == before
        assert [each.rule for each in judged(models, later=30).diagnostics] == [ASKED]


def test_files_in_memory_are_not_remembered(models: Path, asked: list[str]) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("the system has no files in memory at a known place")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        there = Path(folder) / "models"
        shutil.copytree(models, there)
        assert judged(there) == judged(there)
    assert asked == [*NAMES * 2]


def test_files_of_an_image_are_not_remembered(models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another image, which was made alike, can be at its place: the same numbers, sizes and times, other content."""
    monkeypatch.setattr(digests, "LOOP", os.major(models.stat().st_dev))
    assert judged(models) == judged(models)
    assert asked == [*NAMES * 2]


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


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILT: dict[str, Callable[[Path], object]] = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "empty": lambda path: path.write_bytes(b""),
    "something else": lambda path: path.write_bytes(b"\0" * 1000),
    "a directory": instead,
    "a pipe": piped,
    "endless": lambda path: os.truncate(path, 1 << 43),
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


def test_a_cache_that_cannot_be_looked_into_is_none(
    models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that another user may not enter; this name is too long for root as well."""
    monkeypatch.setattr("tritonrepo.flows.validate.FEW", 1)
    for _ in range(2):
        assert validate(models, Workspace({"XDG_CACHE_HOME": str(models.parent / ("c" * 300))})).diagnostics == ()
    assert asked == [*NAMES * 2]


def test_old_keys_are_dropped(models: Path) -> None:
    for number in range(20):
        (models / "b/1/model.py").write_text(f"{CODE}# {number}\n")
        judged(models)
    (kept,) = (models.parent / "cache/clean").iterdir()
    assert kept.stat().st_size == len(NAMES) * clean.KEPT * LENGTH


def test_a_full_disk_keeps_what_was_there(models: Path, asked: list[str]) -> None:
    judged(models)
    (kept,) = (models.parent / "cache/clean").iterdir()
    before, was = kept.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    (models / "b/1/model.py").write_text(f"{CODE}# more\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (LENGTH, was[1]))  # Python ignores SIGXFSZ, so that the write fails
    try:
        assert judged(models) == fresh(models)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    assert kept.read_bytes() == before
    assert [*(models.parent / "cache/work").iterdir()] == []
    judged(models)
    assert asked == [*NAMES, "b", *NAMES, "b"]


KILLED = """\
import os, signal, sys
from pathlib import Path
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from tests.test_clean import clean, judged, time
clean.FEW, clean.IMPORTED_NS = 1, time.time_ns() * 2
judged(Path(sys.argv[1]))
"""
"""Is killed when it has written what it knows, but not yet put it in its place."""


def test_a_killed_run_leaves_what_was_there(models: Path, asked: list[str]) -> None:
    judged(models)
    (kept,) = (models.parent / "cache/clean").iterdir()
    before = kept.read_bytes()
    (models / "b/1/model.py").write_text(f"{CODE}# more\n")
    done = subprocess.run([sys.executable, "-c", KILLED, models], cwd=ROOT, env=unmeasured(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert kept.read_bytes() == before
    assert [*(models.parent / "cache/work").iterdir()] != []
    assert judged(models) == fresh(models)
    assert [*(models.parent / "cache/work").iterdir()] == []
    assert asked == [*NAMES, "b", *NAMES]


AT_ONCE = """\
import sys
from pathlib import Path
from tests.test_clean import clean, judged, time
clean.FEW, clean.IMPORTED_NS = 1, time.time_ns() * 2
found = [judged(Path(sys.argv[1])) for _ in range(20)]
print(len({each.verdicts for each in found}), len(found[0].diagnostics))
"""


def test_runs_at_once_do_not_disturb_each_other(models: Path) -> None:
    (models / "b/1/model.py").write_text("x = (")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, models], cwd=ROOT, env=unmeasured(), stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [run.communicate()[0].split() for run in runs] == [["1", "1"]] * 3
    (kept,) = (models.parent / "cache/clean").iterdir()
    assert len(kept.read_bytes()) == (len(NAMES) - 1) * LENGTH
    assert judged(models) == fresh(models)


@pytest.mark.parametrize("option", [["--no-cache"], []], ids=["no cache", "cache"])
def test_without_the_cache_nothing_is_read_from_it_or_written_to_it(
    option: list[str], models: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(models.parent))
    monkeypatch.setattr(clean, "WRITTEN_BACK_NS", -LATER_S * 10**9)
    cache = models.parent / "tritonrepo"
    assert run(["validate", *option, str(models)]) == 0
    assert cache.exists() is not bool(option)
    assert run(["validate", str(models)]) == run(["validate", *option, str(models)]) == 0
    assert asked == [*NAMES * (3 if option else 1)]
    assert validate(models, Workspace(os.environ, remember=not option)).diagnostics == ()
    assert asked == [*NAMES * (4 if option else 1)]
