"""`validate --files`: the models and stacks that changed files belong to, as pre-commit or an editor passes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.test_changed import BROKEN, LOCK, PLAIN, RECORD, STACK, done, models, written
from tritonrepo.cli import run

__all__ = ["models"]

BELONGS: dict[str, tuple[list[str], str]] = {
    "a config": (["models/other/config.pbtxt"], "models: 1 of 5"),
    "a model of a version": (["models/other/1/weights"], "models: 1 of 5"),
    "deep in a version": (["models/other/1/a/2/b"], "models: 1 of 5"),
    "a config of a version, which Triton does not read": (["models/other/1/config.pbtxt"], "models: 1 of 5"),
    "what others call": (["models/leaf/labels.txt"], "models: 4 of 5"),
    "a model that is gone": (["models/gone/config.pbtxt"], "models: 0 of 5"),
    "a model without a config": (["models/new/1/model.onnx"], "models: 0 of 5"),
    "a file of a version without a config": (["models/new/1/x"], "models: 0 of 5"),
    "settings, also those of a stack": ([".tritonrepo.toml"], "models: 5 of 5"),
    "settings of the repository": (["models/.tritonrepo.toml"], "models: 5 of 5"),
    "the record": (["models/tritonrepo.json"], "models: 5 of 5"),
    "a file elsewhere": (["docs/2/x.md"], ""),
    "a file that is not there": (["docs/nothing"], ""),
    "a directory of numbers": (["1/2/3"], ""),
    "a stack file": (["s/tritonrepo.yaml"], "s/tritonrepo.yaml: 1 of 1"),
    "a lock": (["s/tritonrepo.lock"], "s/tritonrepo.yaml: 1 of 1"),
    "what a stack names": (["s/weights/x"], "s/tritonrepo.yaml: 1 of 1"),
    "what a stack does not name": (["s/README.md"], "s/tritonrepo.yaml: 0 of 1"),
    "an odd name": (['models/"\n::error é/1/model.py'], "models: 0 of 5"),
    "no file": ([], ""),
}


@pytest.mark.parametrize(("files", "concerned"), BELONGS.values(), ids=BELONGS)
@pytest.mark.usefixtures("models")
def test_a_file_belongs_to_its_repository_or_stack(
    capsys: pytest.CaptureFixture[str], files: list[str], concerned: str
) -> None:
    written(Path(), {"s/tritonrepo.yaml": STACK, "s/weights/x": "", "s/tritonrepo.lock": LOCK})
    if any(name.endswith(".json") for name in files):
        written(Path(), {"models/tritonrepo.json": RECORD})
    run(["validate", "--gpus", "0", "--files", *files])
    lines = [line for line in capsys.readouterr().err.splitlines() if "not read" not in line]
    said = concerned.replace(":", ": the changed files concern") + f" model{'s' if '5' in concerned else ''}"
    if files == [".tritonrepo.toml"]:
        assert lines.pop() == "s/tritonrepo.yaml: the changed files concern 1 of 1 model"
    assert lines == ([said] if concerned else ["the changed files belong to no model, stack or manifest"])


def test_paths_are_shown_from_the_working_directory(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.chdir(models / "other")
    assert run(["validate", "--gpus", "0", "--files", "config.pbtxt", str(models / "other" / "1" / "weights")]) == 1
    out, err = capsys.readouterr()
    assert err == "..: the changed files concern 1 of 5 models\n"
    assert out.startswith("../other/config.pbtxt:4:44: error: ")


def test_files_of_several_repositories_are_checked_in_one_run(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(models.parent, {"second/m/config.pbtxt": PLAIN, "second/m/1/x": "", "README.md": ""})
    files = ["second/m/config.pbtxt", "README.md", "models/other/config.pbtxt"]
    assert run(["validate", "--gpus", "0", "--files", *files]) == 1
    out, err = capsys.readouterr()
    assert [line.partition(":")[0] for line in err.splitlines()] == ["models", "second"]
    assert out.endswith("\n2 models: 1 error\n")


def test_deleted_files_count_that_a_hook_is_not_told(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Others that have changed do not: the hook's configuration may exclude them."""
    done(models, "rm", "-qr", "leaf")
    written(models, {"other/config.pbtxt": f"{BROKEN}\n"})
    assert run(["validate", "--files", "--gpus", "0"]) == 0
    assert run(["validate", "--files", "--gpus", "0", "--changed-since", "HEAD"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "models: the changed files concern 3 of 4 models"


def test_what_git_does_not_say_is_in_the_document(
    inside: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(inside.parent))
    assert run(["validate", "--files", "--changed-since", "HEAD", "--format", "json"]) == 2
    assert '"changed-since-git"' in capsys.readouterr().out
    assert run(["validate", "--files", "--upgrade-to", "26.07"]) == 2
