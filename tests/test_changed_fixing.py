"""`validate --fix` and `--diff` of what has changed: the models that git or a hook names, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_changed import PLAIN, done, models, written
from tritonrepo.cli import run

__all__ = ["models"]

FAULTY = PLAIN.replace(":", " =", 1)


@pytest.mark.parametrize(
    "words",
    [["models", "--changed-since", "HEAD"], ["--files", "models/other/config.pbtxt"]],
    ids=["changed", "files"],
)
def test_only_what_has_changed_is_fixed(models: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    written(models, {"leaf/config.pbtxt": FAULTY})
    done(models, "commit", "-qam", "x")
    written(models, {"other/config.pbtxt": FAULTY})
    assert run(["validate", "--gpus", "0", "--diff", *words]) == 1
    assert capsys.readouterr().out.count("\n+++ ") == 1
    assert run(["validate", "--gpus", "0", "--fix", *words]) == 0
    out, err = capsys.readouterr()
    assert out == "1 model: no problems found\n1 fixed, 0 remaining\n"
    assert err.endswith(" concern 1 of 5 models\n")
    assert (models / "other" / "config.pbtxt").read_text("utf-8") == PLAIN
    assert (models / "leaf" / "config.pbtxt").read_text("utf-8") == FAULTY


def test_what_calls_a_changed_model_is_fixed_as_well(models: Path) -> None:
    config = models / "ensemble" / "config.pbtxt"
    text = config.read_text("utf-8")
    written(models, {"ensemble/config.pbtxt": text.replace(":", " =", 1), "leaf/config.pbtxt": PLAIN})
    done(models, "commit", "-qam", "x")
    written(models, {"leaf/1/weights": "more"})
    run(["validate", "models", "--gpus", "0", "--fix", "--changed-since", "HEAD"])
    assert config.read_text("utf-8") == text


def test_a_stack_that_has_not_changed_is_not_fixed(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(inside, {"tritonrepo.yaml": "name: s\nmodls: {}\n"})
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "x"]):
        done(inside, *words)
    before = (inside / "tritonrepo.yaml").read_text("utf-8")
    assert run(["validate", ".", "--fix", "--changed-since", "HEAD"]) == 2
    assert "modls" in capsys.readouterr().err
    assert (inside / "tritonrepo.yaml").read_text("utf-8") == before
