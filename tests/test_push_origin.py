"""What a push records of where its repository came from: the git commit of its working tree, and the stack."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.pushes import push, repository
from tests.test_build_plans import own
from tests.test_lock_merge import git
from tritonrepo.cli import run
from tritonrepo.sources import commit as commits
from tritonrepo.sources.commit import commit

__all__ = ["own"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A working tree with one commit, and a directory in it that git ignores."""
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "a").write_text("a", "utf-8")
    (place / ".gitignore").write_text("/made\n", "utf-8")
    (place / "made").mkdir()
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "x"]):
        assert git(place, *words).returncode == 0
    return place


def head(place: Path) -> str:
    return git(place, "rev-parse", "HEAD").stdout.strip()


def test_the_commit_is_the_one_that_is_checked_out(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = head(checkout)
    assert len(first) == 40
    assert commit(str(checkout)) == commit(str(checkout / "made")) == commit(f"{checkout}/made/") == first
    (checkout / "link").symlink_to(checkout / "made")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # as in a hook of another repository
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.chdir(checkout)
    assert commit("link") == commit("made") == first


@pytest.mark.parametrize("clone", [["--depth=1"], ["--no-checkout", "--filter=blob:none"]], ids=["shallow", "partial"])
def test_a_checkout_of_a_ci_system_has_its_commit(checkout: Path, tmp_path: Path, clone: list[str]) -> None:
    there = tmp_path / "there"
    assert git(tmp_path, "clone", "-q", *clone, f"file://{checkout}", str(there)).returncode == 0
    assert git(there, "checkout", "-q", "--detach").returncode == 0
    assert commit(str(there)) == head(checkout)
    assert git(there, "worktree", "add", "-q", "--detach", str(tmp_path / "tree")).returncode == 0
    assert commit(str(tmp_path / "tree")) == head(checkout)


def test_without_a_commit_there_is_none(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, empty, bare, moved = (tmp_path / name for name in ("outside", "empty", "bare", "moved"))
    outside.mkdir()
    assert git(tmp_path, "init", "-q", str(empty)).returncode == 0
    assert git(tmp_path, "clone", "-q", "--bare", str(checkout), str(bare)).returncode == 0
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for place in (outside, empty, bare, checkout / "no such directory", checkout / "a"):
        assert commit(str(place)) == "", place
    assert commit("s3://bucket/prefix") == ""
    shutil.copytree(bare, checkout / "made" / "model")
    assert commit(str(checkout / "made" / "model")) == "", "a model that looks like a repository is none"
    moved.symlink_to(checkout)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests of dubious ownership set it
    assert commit(str(moved)) == ""
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(str(checkout)) == ""


@pytest.mark.parametrize(
    "does", ["exec sleep 60", "echo main", "echo $(printf 'a%.0s' $(seq 41))"], ids=["hangs", "a name", "too long"]
)
def test_what_is_no_commit_is_not_recorded(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    false = tmp_path / "bin" / "git"
    false.parent.mkdir()
    false.write_text(f"#!/bin/sh\n{does}\n", "utf-8")
    false.chmod(0o755)
    monkeypatch.setenv("PATH", f"{false.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(commits, "WAIT_S", 1)
    assert commit(str(checkout)) == ""


def test_a_git_of_the_directory_is_not_run(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = checkout / "git"
    false.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", "utf-8")
    false.chmod(0o755)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    assert commit(str(checkout)) == ""
    assert not (tmp_path / "ran").exists()


def test_no_code_of_a_repository_is_run(checkout: Path, tmp_path: Path) -> None:
    """Each of these commands runs in some command of git."""
    runs = tmp_path / "runs"
    runs.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/ran\n', "utf-8")
    runs.chmod(0o755)
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        (checkout / ".git" / "hooks" / hook).symlink_to(runs)
    expected = head(checkout)
    for name in (
        *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.gitProxy", "core.askPass"),
        *("alias.rev-parse", "filter.f.clean", "filter.f.smudge", "filter.f.process", "diff.external", "gpg.program"),
        *("credential.helper", "pager.rev-parse", "remote.origin.uploadpack", "uploadpack.packObjectsHook"),
    ):
        value = f"!{runs}" if name.startswith("alias") else str(runs)
        assert git(checkout, "config", name, value).returncode == 0
    for name, value in {
        "remote.origin.url": f"ext::{runs}",
        "remote.origin.promisor": "true",
        "extensions.partialClone": "origin",
        "protocol.ext.allow": "always",
    }.items():
        assert git(checkout, "config", name, value).returncode == 0
    (checkout / ".gitattributes").write_text("* filter=f diff=f\n", "utf-8")
    (checkout / "a").write_text("b", "utf-8")
    for pack in (checkout / ".git" / "objects").glob("??/*"):
        pack.unlink()  # what is missing would be fetched
    (tmp_path / "ran").unlink(missing_ok=True)
    assert commit(str(checkout)) == expected
    assert not (tmp_path / "ran").exists()
    git(checkout, "status")
    assert (tmp_path / "ran").exists(), "this repository does run something"


def test_a_push_records_the_commit_and_by_what(checkout: Path, tmp_path: Path) -> None:
    repository(checkout / "made", 1)
    assert push(checkout / "made", tmp_path / "served") == 0
    made = json.loads((tmp_path / "served.tritonrepo" / "release.json").read_bytes())["made"]
    assert made["commit"] == head(checkout)
    assert made["tool"].startswith("tritonrepo ")
    assert "stack" not in made, "this repository has none"


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["show"]) == 0
    return hashlib.sha256(capsys.readouterr().out.encode()).hexdigest()


def test_a_build_and_its_push_record_the_stack_as_show_prints_it(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["build"]) == 0
    record = Path("model_repository/tritonrepo.json")
    first = record.read_bytes()
    assert json.loads(first)["stack"] == shown(capsys)
    assert push("model_repository", tmp_path / "served") == 0
    made = json.loads((tmp_path / "served.tritonrepo" / "release.json").read_bytes())["made"]
    assert made["stack"] == shown(capsys)
    shutil.copytree(own, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    shutil.rmtree("model_repository")
    assert run(["build"]) == 0
    assert record.read_bytes() == first, "it is the same in another directory"
    with Path("tritonrepo.yaml").open("a", encoding="utf-8") as stream:
        stream.write('smoke:\n  - {model: s, inputs: {query: "a"}, expect: {ids: {not_empty: true}}}\n')
    capsys.readouterr()
    assert run(["build"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "~ tritonrepo.json  changed"
    assert json.loads(record.read_bytes())["stack"] == shown(capsys) != made["stack"]


def test_an_older_build_has_no_stack_in_its_record(own: Path, tmp_path: Path) -> None:
    assert run(["build"]) == 0
    record = own / "model_repository" / "tritonrepo.json"
    data = json.loads(record.read_bytes())
    del data["stack"]
    record.write_text(json.dumps(data), "utf-8")
    assert push("model_repository", tmp_path / "served") == 0
    assert "stack" not in json.loads((tmp_path / "served.tritonrepo" / "release.json").read_bytes())["made"]
