"""`validate --changed-since`: which models a range of git concerns, and what git is kept from doing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import EXAMPLE
from tests.test_lock_merge import git
from tritonrepo.cli import run
from tritonrepo.sync import record as records

IO = """\
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
"""
PLAIN = f'backend: "identity"\n{IO}'
BROKEN = f"{PLAIN}dynamic_batching {{ preferred_batch_size: [ 4 ] }}\n"
MAPS = 'input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" }'
STEP = f'step {{ model_name: "leaf" model_version: -1 {MAPS} }}'
CALLING = """\
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceRequest(model_name="ensemble", requested_output_names=["OUT"], inputs=[]).exec()]
"""
FILES = {
    "leaf/config.pbtxt": BROKEN,
    "leaf/1/weights": "",
    "other/config.pbtxt": BROKEN,
    "other/1/weights": "",
    "ensemble/config.pbtxt": f'platform: "ensemble"\n{IO}ensemble_scheduling {{ {STEP} }}\n',
    "ensemble/1/.keep": "",
    "pinned/config.pbtxt": f'backend: "python"\n{IO}',
    "pinned/1/calls.json": '{"ensemble": 1}',
    "pinned/1/model.py": CALLING.replace("model_name=", "name="),
    "calling/config.pbtxt": f'backend: "python"\n{IO}',
    "calling/1/model.py": CALLING,
}
RECORD = records.dump(records.Record()).content().decode()
CALLERS = ["calling", "ensemble", "pinned"]


def written(place: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, "utf-8")


def done(place: Path, *words: str) -> None:
    assert git(place, *words).returncode == 0, words


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in a working tree with one commit, on the branch main; the working directory is next to it."""
    written(tmp_path / "tree" / "models", FILES)
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "x"]):
        done(tmp_path / "tree", *words)
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree" / "models"


Told = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """The exit code, the models that have a verdict, and the paths of findings."""

    def tell(*words: str) -> tuple[int, list[str], list[str]]:
        code = run(["validate", "models", "--gpus", "0", "--format", "json", *words])
        document = json.loads(capsys.readouterr().out)
        return (
            code,
            [each["model"] for each in document["verdicts"]],
            sorted({each["path"] for each in document["diagnostics"]}),
        )

    return tell


def committed(models: Path) -> None:
    done(models, "checkout", "-qb", "branch")
    written(models, {"leaf/1/weights": "more"})
    done(models, "commit", "-qam", "x")


def staged(models: Path) -> None:
    written(models, {"leaf/2/weights": ""})
    done(models, "add", ".")


def removed(models: Path) -> None:
    done(models, "rm", "-qr", "leaf")


def renamed(models: Path) -> None:
    done(models, "mv", "leaf", "twig")


def linked(models: Path) -> None:
    written(models.parent, {"shared/weights": ""})
    (models / "leaf" / "1" / "weights").unlink()
    (models / "leaf" / "1" / "weights").symlink_to("../../../shared/weights")
    done(models.parent, "add", ".")
    done(models.parent, "commit", "-qm", "x")
    done(models.parent, "branch", "-f", "before")
    written(models.parent, {"shared/weights": "more"})


def hidden(models: Path) -> None:
    """A large file that another tool keeps."""
    written(models, {"leaf/.gitignore": "*.onnx\n"})
    done(models, "add", ".")
    done(models, "commit", "-qm", "x")
    written(models, {"leaf/1/model.onnx": ""})


def ahead(models: Path) -> None:
    """What main has changed since is not what this branch changes."""
    committed(models)
    done(models, "checkout", "-q", "main")
    written(models, {"other/1/weights": "more"})
    done(models, "commit", "-qam", "x")
    done(models, "checkout", "-q", "branch")


WAYS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda _: None, []),
    "a file next to the repository": (lambda models: written(models.parent, {"README.md": ""}), []),
    "a file at the top": (lambda models: written(models, {"README.md": ""}), []),
    "an edit": (lambda models: written(models, {"other/config.pbtxt": f"{BROKEN}\n"}), ["other"]),
    "of an ensemble": (lambda models: written(models, {"ensemble/1/.keep": "x"}), CALLERS),
    "committed on a branch": (committed, [*CALLERS, "leaf"]),
    "main is ahead": (ahead, [*CALLERS, "leaf"]),
    "staged": (staged, [*CALLERS, "leaf"]),
    "a new model that is untracked": (lambda models: written(models, {"new/config.pbtxt": PLAIN}), ["new"]),
    "an odd name": (lambda models: written(models, {'"\n::error é\t/config.pbtxt': PLAIN}), ['"\n::error é\t']),
    "a model is gone": (lambda models: shutil.rmtree(models / "leaf"), CALLERS),
    "a model is removed": (removed, CALLERS),
    "a model is renamed": (renamed, [*CALLERS, "twig"]),
    "ignored by git": (hidden, []),
    "the settings": (lambda models: written(models.parent, {".tritonrepo.toml": ""}), [*CALLERS, "leaf", "other"]),
    "the record": (lambda models: written(models, {"tritonrepo.json": RECORD}), [*CALLERS, "leaf", "other"]),
}


@pytest.mark.parametrize(("change", "concerned"), WAYS.values(), ids=WAYS)
def test_a_change_concerns_its_model_and_what_calls_it(
    models: Path, told: Told, change: Callable[[Path], object], concerned: list[str]
) -> None:
    change(models)
    _, verdicts, paths = told("--changed-since", "main")
    assert verdicts == sorted(concerned)
    assert {path.split("/")[1] for path in paths} <= {*concerned}


def test_a_change_behind_a_link_concerns_the_model_that_has_the_link(models: Path, told: Told) -> None:
    linked(models)
    assert told("--changed-since", "before", "--allow-links", "shared")[1] == sorted([*CALLERS, "leaf"])


def test_a_change_of_what_a_config_names_next_to_its_model_concerns_the_model(models: Path, told: Told) -> None:
    value = "$$TRITON_MODEL_DIRECTORY/../environments/env.tar.gz"
    parameter = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{value}" }} }}\n'
    written(models, {"calling/config.pbtxt": FILES["calling/config.pbtxt"] + parameter, "environments/env.tar.gz": ""})
    done(models, "add", ".")
    done(models, "commit", "-qm", "x")
    written(models, {"environments/env.tar.gz": "more"})
    assert told("--changed-since", "HEAD")[1] == ["calling", "environments"]


def test_other_findings_do_not_count(models: Path, told: Told) -> None:
    written(models, {"new/config.pbtxt": PLAIN, "new/1/weights": ""})
    assert told()[0] == 1
    assert told("--changed-since", "HEAD") == (0, ["new"], [])


def test_what_still_calls_a_removed_model_is_reported(models: Path, told: Told) -> None:
    removed(models)
    code, _, paths = told("--changed-since", "main")
    assert (code, paths[:2]) == (1, ["models/calling/1/model.py", "models/ensemble/config.pbtxt"])


def test_a_crash_of_another_model_is_reported(models: Path, told: Told) -> None:
    """It takes down the changed one as well."""
    (models / "other" / "config.pbtxt").unlink()
    (models / "other" / "config.pbtxt").mkdir()
    written(models, {"other/config.pbtxt/x": ""})
    done(models, "add", ".")
    done(models, "commit", "-qm", "x")
    written(models, {"new/config.pbtxt": PLAIN, "new/1/weights": ""})
    assert told("--changed-since", "HEAD") == (1, ["new"], ["models/other/config.pbtxt"])


def test_the_closing_lines_count_what_is_concerned(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = f"{BROKEN.rstrip()}  # tritonrepo: ignore[dynamic-preferred-above-max] known\n"
    written(models, {"other/config.pbtxt": hidden, "leaf/config.pbtxt": hidden})
    done(models, "commit", "-qam", "x")
    written(models, {"other/1/weights": "more"})
    assert run(["validate", "models", "--gpus", "0", "--changed-since", "main~1"]) == 1
    assert run(["validate", "models", "--gpus", "0", "--changed-since", "main"]) == 0
    out, err = capsys.readouterr()
    closing = [line for line in out.splitlines() if line.endswith(" ignored")]
    assert closing == ["5 models: 1 error, 1 warning, 2 ignored", "1 model: no problems found, 1 ignored"]
    assert err.splitlines()[1] == "models: changes since main concern 1 of 5 models"


GIT = "changed-since-git"
REFERENCE = "changed-since-reference"
REFUSED: dict[str, tuple[str, str, str]] = {
    "an option": ("--upload-pack=touch ran", REFERENCE, "git log"),
    "a range": ("main..main", REFERENCE, "git log"),
    "a file": ("main:models", REFERENCE, "git log"),
    "zeros": ("0" * 40, REFERENCE, "git log"),
    "a line break": ("main\n::error::x", REFERENCE, "git log"),
    "a branch of the remote": ("there", REFERENCE, 'Did you mean "origin/there"?'),
    "another history": ("orphan", REFERENCE, "descends"),
}


@pytest.mark.parametrize(("reference", "rule", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_commit_that_cannot_be_compared_with_is_refused(
    models: Path, capsys: pytest.CaptureFixture[str], reference: str, rule: str, hint: str
) -> None:
    done(models, "update-ref", "refs/remotes/origin/there", "HEAD")
    orphan = git(models, "commit-tree", "-m", "orphan", "HEAD^{tree}").stdout.strip()
    done(models, "update-ref", "refs/heads/orphan", orphan)
    assert run(["validate", "models", f"--changed-since={reference}"]) == 2
    err = capsys.readouterr().err
    assert f"[{rule}]" in err
    assert hint in err
    assert "\n::" not in err
    assert not (models.parent / "ran").exists()


def test_an_empty_reference_is_a_usage_error(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It comes from a variable that is not set, and would otherwise check nothing."""
    assert run(["validate", str(models), "--changed-since", ""]) == 2
    assert run(["validate", str(models), "--changed-since", "HEAD", "--upgrade-to", "26.07"]) == 2
    assert "is empty" in capsys.readouterr().err


def bare(models: Path) -> None:
    done(models.parent.parent, "clone", "-q", "--bare", str(models.parent), "bare")
    shutil.copytree(models, models.parent.parent / "bare" / "models")
    os.chdir(models.parent.parent / "bare")


def outside(models: Path) -> None:
    shutil.rmtree(models.parent / ".git")


def ignored(models: Path) -> None:
    written(models.parent, {".gitignore": "/models\n"})
    done(models.parent, "rm", "-qr", "--cached", "models")


PLACES: dict[str, tuple[Callable[[Path], object], dict[str, str], str]] = {
    "not in git": (outside, {}, "not a git repository"),
    "no git": (lambda _: None, {"PATH": "/nonexistent"}, "Install git"),
    "another user's": (lambda _: None, {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}, "safe.directory"),
    "ignored": (ignored, {}, "git ignores this directory"),
    "bare": (bare, {}, "bare repository"),
}


@pytest.mark.parametrize(("change", "variables", "says"), PLACES.values(), ids=PLACES)
def test_where_git_says_nothing_the_command_ends(
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], object],
    variables: dict[str, str],
    says: str,
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(models.parent.parent))
    change(models)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(["validate", "models", "--changed-since", "HEAD"]) == 2
    err = capsys.readouterr().err
    assert f"[{GIT}]" in err
    assert says in err


def test_a_bucket_has_no_commits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "s3://bucket/models", "--changed-since", "HEAD"]) == 2
    assert f"[{GIT}]" in capsys.readouterr().err


def test_a_shallow_clone_says_how_to_deepen_it(models: Path, told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    written(models, {"other/1/weights": "more"})
    done(models, "commit", "-qam", "x")
    there = models.parent.parent / "there"
    done(models, "clone", "-q", "--depth=1", f"file://{models.parent}", str(there))
    os.chdir(there)
    assert run(["validate", "models", "--changed-since", "HEAD~1"]) == 2
    assert "fetch-depth: 0" in capsys.readouterr().err
    done(there, "fetch", "-q", "--unshallow")
    assert told("--changed-since", "HEAD~1")[1] == ["other"]


def test_before_the_first_commit_everything_is_new(models: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in a hook, git names another index and directory."""
    shutil.rmtree(models.parent / ".git")
    done(models.parent, "init", "-qb", "main")
    done(models.parent, "add", "models/other")
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/nowhere")
    assert len(told("--changed-since", "HEAD")[1]) == 5


def test_a_worktree_and_a_submodule_are_compared_with_their_own_commits(models: Path, told: Told) -> None:
    done(models, "worktree", "add", "-q", "--detach", str(models.parent.parent / "second"))
    os.chdir(models.parent.parent / "second")
    written(Path("models"), {"other/1/weights": "more"})
    assert told("--changed-since", "main")[1] == ["other"]
    above = models.parent.parent / "above"
    done(models, "init", "-qb", "main", str(above))
    done(above, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(models.parent), "sub")
    os.chdir(above / "sub")
    written(Path("models"), {"leaf/1/weights": "more"})
    assert told("--changed-since", "origin/main")[1] == sorted([*CALLERS, "leaf"])


def test_nothing_of_the_repository_is_run(models: Path, told: Told, tmp_path: Path) -> None:
    """Each of these programs is run by `git diff` or `git status` in a repository that configures it."""
    runs = tmp_path / "runs"
    runs.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/ran\n', "utf-8")
    runs.chmod(0o755)
    written(models.parent, {".gitattributes": "* filter=f diff=d\n"})
    done(models.parent, "add", ".")
    done(models.parent, "commit", "-qm", "x")
    (models.parent / ".git" / "hooks").mkdir(exist_ok=True)
    (models.parent / ".git" / "hooks" / "post-index-change").symlink_to(runs)
    names = ("core.fsmonitor", "core.pager", "filter.f.clean", "filter.f.process", "diff.external", "diff.d.textconv")
    for name in (*names, "diff.d.command", "pager.diff", "core.sshCommand"):
        done(models, "config", name, str(runs))
    done(models, "config", "filter.f.required", "true")
    done(models, "config", "diff.relative", "true")
    written(models, {"other/1/weights": "more"})
    os.utime(models / "leaf" / "config.pbtxt", (1, 1))
    assert told("--changed-since", "HEAD")[1] == ["other"]
    assert not (tmp_path / "ran").exists()


LOCK = '{"schema": 2, "indexes": {}, "models": {}, "sources": {}}'
STACK = """\
name: s
models:
  m: {backend: identity, source: ./weights, config: {input: [{name: IN, data_type: TYPE_FP32, dims: [4]}], \
output: [{name: OUT, data_type: TYPE_FP32, dims: [4]}]}}
"""
TOUCHING: dict[str, tuple[str, int]] = {
    "the stack file": ("tritonrepo.yaml", 1),
    "its lock": ("tritonrepo.lock", 1),
    "a file that it names": ("weights/x", 1),
    "another file": ("README.md", 0),
    "one with a similar name": ("weights2/x", 0),
    "the settings above": ("../.tritonrepo.toml", 1),
}


@pytest.mark.parametrize(("name", "models"), TOUCHING.values(), ids=TOUCHING)
def test_a_stack_is_checked_if_a_file_that_it_names_has_changed(
    inside: Path, capsys: pytest.CaptureFixture[str], name: str, models: int
) -> None:
    written(inside, {"s/tritonrepo.yaml": STACK, "s/weights/x": "", "s/weights2/x": "", "s/README.md": ""})
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "x"]):
        done(inside, *words)
    with (inside / "s" / name).open("a") as stream:
        stream.write(LOCK if name.endswith("lock") else "\n")
    assert run(["validate", "s", "--changed-since", "main", "--gpus", "0"]) == 0
    assert capsys.readouterr().err == f"s: changes since main concern {models} of 1 model\n"


def test_a_glob_of_a_stack_names_the_files_that_it_may_match(
    rag: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rag)
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "x"]):
        done(rag, *words)
    assert EXAMPLE.name == "rag"
    written(rag, {"docs/new.txt": ""})
    assert run(["validate", ".", "--changed-since", "main"]) == 0
    assert capsys.readouterr().err == ".: changes since main concern 9 of 9 models\n"
