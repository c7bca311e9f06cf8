"""What pushes remember of large files, so that an unchanged one is not read again, and `--rehash`, which reads it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.pushes import push, repository, stored
from tritonrepo.sources import digests
from tritonrepo.sources.digests import SMALL
from tritonrepo.stores.beneath import Spot
from tritonrepo.tree import File, hashed

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
