"""One stack and one lock give one repository, wherever and however a build runs; a build again writes nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.test_bad_inputs import state
from tests.test_bad_places import CODE
from tests.test_own_stacks import ANSWER, entered
from tritonrepo.cli import run
from tritonrepo.sources.cache import default_root
from tritonrepo.stores.directory import DirectoryStore

OWN = """\
  m:
    backend: python
    source: ./m
    files: {labels.txt: ./labels.txt}
    config:
      max_batch_size: 8
      input: [{name: IN, data_type: TYPE_FP32, dims: [2]}]
      output: [{name: OUT, data_type: TYPE_FP32, dims: [2]}]
ensembles:
"""
SCRIPT = """\
import contextlib, io, sys
from tritonrepo.cli import run
stack, out = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()):
    assert run(["build", "-f", stack, "-o", out]) == 0
assert run(["show", "-f", stack]) == run(["graph", stack]) == 0
"""
"""All in one process, because to start one takes longer than a build."""


class Way(NamedTuple):
    """Where and how a build runs: its directory, the current one, the umask and the environment."""

    place: str
    current: str
    umask: int
    environment: dict[str, str]


WAYS = {
    "as usual": Way("a", "a", 0o022, {}),
    "elsewhere, private, without letters": Way(
        "b/with a blank/ü", ".", 0o077, {"LC_ALL": "C", "LANG": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"}
    ),
    "open to all, in a locale that may not be there": Way(
        f"c/{'deep/' * 20}", "/", 0, {"LC_ALL": "de_DE.UTF-8", "TZ": "America/St_Johns", "PYTHONHASHSEED": "4294967295"}
    ),
    "without a zone, in UTF-8": Way(
        "d", "d", 0o027, {"LC_ALL": "C.UTF-8", "TZ": "", "PYTHONHASHSEED": "77", "PYTHONUTF8": "1"}
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack with all roles and an index, but without a lock of what a build pins."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        stack = entered(tmp_path_factory.mktemp("whole") / "stack", monkeypatch)
        (stack / "tritonrepo.yaml").write_text(ANSWER.replace("ensembles:\n", OWN), "utf-8")
        for path, text in {"m/model.py": CODE, "m/ä/Z.txt": "z", "m/ä/a.txt": "a", "labels.txt": "one\n"}.items():
            (stack / path).parent.mkdir(parents=True, exist_ok=True)
            (stack / path).write_text(text, "utf-8")
        assert run(["index"]) == 0
    return stack


def contents(place: Path) -> dict[str, str]:
    files = [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def modes(place: Path) -> set[int]:
    """Return the modes of directories and of files; those of the cache are read-only for everybody."""
    found = {stat.S_IMODE(path.lstat().st_mode) for path in place.rglob("*")}
    return found - {0o444}


def built(whole: Path, top: Path, way: Way) -> tuple[dict[str, str], bytes, bytes]:
    """Return what a build writes, its lock, and what `show` and `graph` print."""
    stack = shutil.copytree(whole, top / way.place)
    named = os.path.relpath(stack, top / way.current) if way.current != "/" else str(stack)
    home = top / "home" / way.place
    home.mkdir(parents=True)
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(default_root(os.environ).parent)}
    environment = {name: value for name, value in os.environ.items() if name not in {"LC_ALL", "LANG", "TZ"}}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, named, str(Path(named) / "r")],
        cwd=top / way.current,
        env=environment | own | way.environment,
        umask=way.umask,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert modes(stack / "r") == {0o777 & ~way.umask, 0o666 & ~way.umask}
    return contents(stack / "r"), (stack / "tritonrepo.lock").read_bytes(), done.stdout


def test_the_same_stack_gives_the_same_bytes_in_every_way(whole: Path, tmp_path: Path) -> None:
    found = {name: built(whole, tmp_path, way) for name, way in WAYS.items()}
    first = found.pop("as usual")
    assert len(first[0]) > 20
    for name, other in found.items():
        assert other == first, name


def test_a_build_again_writes_nothing_and_replaces_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = shutil.copytree(whole, tmp_path / "stack")
    monkeypatch.chdir(stack)
    assert run(["build"]) == 0
    writes: list[str] = []
    monkeypatch.setattr(DirectoryStore, "_done", lambda _, write, __: writes.append(write.path))
    before = state(tmp_path)
    assert run(["build"]) == 0
    assert run(["lock"]) == 0
    assert (state(tmp_path), writes) == (before, [])
