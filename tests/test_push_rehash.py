"""What pushes remember of large files, so that an unchanged one is not read again, and `--rehash`, which reads it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import unmeasured
from tests.pushes import push, repository, stored
from tritonrepo import api, rules
from tritonrepo.repository import Repository, Said, target
from tritonrepo.rules.judge import Judged
from tritonrepo.sources import clean, digests
from tritonrepo.sources.clean import accepted
from tritonrepo.sources.digests import SMALL
from tritonrepo.stores import open_store
from tritonrepo.stores.beneath import Spot
from tritonrepo.sync.sealed import seal
from tritonrepo.tree import File, Tree, hashed

WEIGHTS = b"w" * (SMALL + 1)
NOTHING = "served/prod: nothing to do\n"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def weights(inside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A large file of a repository that was pushed, and is old enough to be remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(inside / "cache"))
    monkeypatch.setattr(digests, "YOUNG_NS", -(10**9))
    made = repository(inside / "models", 1) / "leaf" / "1" / "weights"
    made.write_bytes(WEIGHTS)
    for _ in range(2):  # the first one computes the digest of what it sends
        assert push("models", "served/prod") == 0
    return made


def known(path: Path) -> Path:
    """Return the entry of a file in the cache."""
    facts = path.stat()
    return Path("cache/tritonrepo/digests") / f"{facts.st_dev}-{facts.st_ino}"


def test_a_large_file_that_has_not_changed_is_not_read_again(
    weights: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(file: File) -> str:
        assert file.size < SMALL
        return hashed(file)

    monkeypatch.setattr(digests, "hashed", small)
    for place in (weights, Path("served/prod/leaf/1/weights")):
        assert json.loads(known(place).read_text("utf-8"))["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    capsys.readouterr()
    assert push("models", "served/prod") == 0
    assert capsys.readouterr().out == NOTHING


def test_a_first_push_reads_a_file_once_and_records_what_it_sent(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = repository(inside / "models", 1) / "leaf" / "1" / "weights"
    made.write_bytes(WEIGHTS)
    read: list[str] = []
    real = Spot.read

    def counted(self: Spot, offset: int, n: int) -> bytes:
        if offset == 0 and str(self) == str(made.resolve()):
            read.append(str(self))
        return real(self, offset, n)

    monkeypatch.setattr(Spot, "read", counted)
    assert push("models", "served/prod") == 0
    assert len(read) == 1
    record = json.loads(Path("served/prod.tritonrepo/release.json").read_text("utf-8"))
    assert record["files"]["leaf/1/weights"][0] == hashlib.sha256(WEIGHTS).hexdigest()


def test_a_change_of_equal_size_and_time_is_pushed(weights: Path, capsys: Capture) -> None:
    facts = weights.stat()
    weights.write_bytes(b"v" * len(WEIGHTS))
    os.utime(weights, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert push("models", "served/prod") == 1
    assert "[push-live-version]" in capsys.readouterr().err
    assert stored("served/prod")["leaf/1/weights"] == WEIGHTS


def test_rehash_reads_what_is_remembered_and_corrects_it(weights: Path, capsys: Capture) -> None:
    entry, facts = known(weights), weights.stat()
    state = [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
    check = hashlib.sha256(f"{state} {'0' * 64}".encode()).hexdigest()[:16]
    entry.write_text(json.dumps({"state": state, "sha256": "0" * 64, "check": check}), "utf-8")
    assert push("models", "served/prod") == 1
    assert "[push-live-version]" in capsys.readouterr().err
    for option in ("--rehash", "-v"):
        assert push("models", "served/prod", option) == 0
        assert NOTHING in capsys.readouterr().out


@pytest.fixture
def judged(inside: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A repository that is old enough to be remembered; the models of each judgement, as they come."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(inside / "cache"))
    monkeypatch.setattr(clean, "WRITTEN_BACK_NS", -(10**9))
    monkeypatch.setattr(clean, "IMPORTED_NS", time.time_ns() + 3600 * 10**9)  # however new the package is
    repository(inside / "models", 1)
    asked, real = list[str](), rules.judge

    def judge(there: Repository) -> Judged:
        asked.append(" ".join(there.models))
        return real(there)

    monkeypatch.setattr(rules, "judge", judge)
    assert push("models", "served/prod") == 0
    assert asked == ["leaf top"]
    return asked


def test_a_repository_that_has_not_changed_is_not_judged_again(judged: list[str]) -> None:
    for target_uri in ("served/prod", "served/other"):
        assert push("models", target_uri) == 0
    assert len(judged) == 1
    assert push("models", "served/prod", "--rehash") == 0
    assert len(judged) == 2
    (kept,) = Path("cache/tritonrepo/accepted").iterdir()
    kept.unlink()
    for count in (3, 4):
        api.plan_push("models", "served/prod", api.Workspace(os.environ, remember=False))
        assert len(judged) == count
    assert not kept.exists()


def broken_config() -> None:
    path = Path("models/top/config.pbtxt")
    facts, text = path.stat(), path.read_text("utf-8")
    path.write_text(text.replace('"ensemble"', '"ansemble"'), "utf-8")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_repository_that_rehash_finds_broken_is_not_known_any_more(
    judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_config()
    with monkeypatch.context() as wrong:
        wrong.setattr(rules, "judge", lambda _: Judged((), ()))
        for _ in range(2):
            assert push("models", "served/other") == 0
    assert len(judged) == 1
    for option in ("--rehash", "-v"):
        assert push("models", "served/other", option) == 1
    assert len(judged) == 3


def broken_record() -> None:
    made = {"schema": 1, "name": "", "target": {"release": "24.10"}, "files": {}, "local": {}}
    Path("models/tritonrepo.json").write_text(json.dumps(made), "utf-8")


CHANGES: dict[str, tuple[Callable[[], object], int]] = {
    "a config of equal size and time": (broken_config, 1),
    "a file that is gone": (Path("models/leaf/1/part-3").unlink, 0),
    "a link out of the repository": (lambda: Path("models/leaf/1/more").symlink_to("/etc/hostname"), 1),
    "another target": (broken_record, 0),
    "the right to read it": (lambda: Path("models/leaf/1/part-3").chmod(0o600), 0),
}


@pytest.mark.parametrize(("change", "code"), CHANGES.values(), ids=CHANGES)
def test_a_repository_that_has_changed_is_judged_again(
    judged: list[str], change: Callable[[], object], code: int
) -> None:
    change()
    for count in (2, 3 if code else 2):
        assert push("models", f"served/{code}") == code
        assert len(judged) == count


def scanned() -> Tree:
    store, prefix = open_store("models")
    return seal(dict(store.scan(prefix)))


def is_known(tree: Tree, began_ns: int, release: str = "26.07") -> bool:
    with accepted(Path("cache/own"), tree, target(Said(release)), ("models", began_ns)) as found:
        return found


@pytest.mark.usefixtures("judged")
def test_what_may_change_unseen_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns() + 10**9
    monkeypatch.setattr(clean, "WRITTEN_BACK_NS", 10**10)
    assert [is_known(scanned(), now) for _ in range(2)] == [False, False]
    monkeypatch.setattr(clean, "WRITTEN_BACK_NS", 0)
    assert [is_known(scanned(), now) for _ in range(2)] == [False, True]
    assert not is_known(scanned(), now - 10**10), "the clock was set back"
    assert not is_known(scanned(), now, "24.10")


@pytest.mark.usefixtures("judged")
def test_a_config_that_changed_after_the_scan_is_not_remembered() -> None:
    store, prefix = open_store("models")
    tree = store.scan(prefix)
    Path("models/top/config.pbtxt").write_text("", "utf-8")
    sealed = seal(dict(tree))["top/config.pbtxt"]
    assert isinstance(sealed, File)
    assert (sealed.content(), sealed.state) == (b"", None)
    assert [is_known(seal(dict(tree)), time.time_ns() + 10**9) for _ in range(2)] == [False, False]


@pytest.mark.usefixtures("judged")
def test_nothing_is_remembered_of_what_was_refused(capsys: Capture) -> None:
    broken_config()
    for _ in range(2):
        assert push("models", "served/prod") == 1
        assert "[platform-unknown]" in capsys.readouterr().err


def test_a_push_imports_only_what_it_needs(inside: Path) -> None:
    repository(inside / "models", 1)
    script = (
        "import sys; from tritonrepo.cli import run;"
        "code = run(['push', 'models', 'served/prod', '--settle', '0']); print(code, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=inside, env=unmeasured()
    )
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0"
    found = {".".join(each.split(".")[:2]) for each in modules}
    assert "tritonrepo.rules" in found
    others = {f"tritonrepo.{name}" for name in ("spec", "smoke", "server", "generate", "export", "manifests")}
    assert found & {*others, "yaml", "http.client", "ssl", "boto3", "botocore.session", "numpy"} == set()
