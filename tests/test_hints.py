"""Hints: the next step is one that the user of this command can take, in words that fit on a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_doubts import QWEN, named, own
from tritonrepo.cli import run
from tritonrepo.diagnostics import closest

__all__ = ["own"]
IO = 'input { name: "I" data_type: TYPE_FP32 dims: [ 1 ] }\noutput { name: "O" data_type: TYPE_FP32 dims: [ 1 ] }\n'
RELEASES = "Use a release from 24.01 to 26.11."


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hand-written model that needs TensorRT-LLM, in `models` of the current directory."""
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "1" / "weights").touch()
    (tmp_path / "models" / "m" / "config.pbtxt").write_text(f'backend: "tensorrtllm"\n{IO}', "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


OPTIONS = {
    "a release before the first": (["--release", "23.01"], RELEASES),
    "a month that none has": (["--release", "24.13"], RELEASES),
    "an image's tag": (["--release", "24.10-py3"], 'Did you mean "24.10"?'),
    "a month without its zero": (["--release", "26.5"], 'Did you mean "26.05"?'),
    "two releases in one word": (["--release", "24.1"], RELEASES),
    "a backend that an earlier release has": (
        ["--release", "26.08"],
        "Use Triton 26.07 (image trtllm-python-py3), the last known release with this backend.",
    ),
    "a backend of another image": (
        ["--release", "26.07", "--image", "py3"],
        "Serve the model from image trtllm-python-py3 (`--image trtllm-python-py3`), or combine both images:",
    ),
}


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(("options", "hint"), OPTIONS.values(), ids=OPTIONS)
def test_validate_hints_at_its_own_options(capsys: pytest.CaptureFixture[str], options: list[str], hint: str) -> None:
    assert run(["validate", "models", *options]) in {1, 2}
    assert hint in "".join(capsys.readouterr())


STACKS = {
    "a release before the first": ("release: '23.01'", RELEASES),
    "an image's tag": ("release: 24.10-py3", 'Did you mean "24.10"?'),
    "an image too few": ("images: [py3]", 'Add "vllm-python-py3" to images in target.'),
    "a GPU too few": ("gpus: 1", "or set gpus in target to the target's GPU count."),
    "no GPU": ("gpus: 0", "or set gpus in target to the target's GPU count."),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("command", [["build"], ["validate", "."]], ids=["build", "validate"])
@pytest.mark.parametrize(("target", "hint"), STACKS.values(), ids=STACKS)
def test_a_stack_is_told_what_to_write_in_it(
    capsys: pytest.CaptureFixture[str], command: list[str], target: str, hint: str
) -> None:
    text = named(QWEN).replace("name: own", f"name: own\ntarget: {{{target}}}")
    if "gpus" in target:
        text = text.replace("source: ./w", "source: ./w, instances: {kind: gpu, gpus: [3]}")
    Path("tritonrepo.yaml").write_text(text, "utf-8")
    assert run(command) in {1, 2}
    said = "".join(capsys.readouterr())
    assert hint in said
    assert "--image" not in said
    assert "--gpus" not in said


@pytest.mark.usefixtures("own")
def test_an_option_over_a_stack_is_told_as_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tritonrepo.yaml").write_text(named(QWEN), "utf-8")
    assert run(["validate", ".", "--image", "py3"]) == 1
    assert "--image vllm-python-py3" in capsys.readouterr().out


EXPLAINED = {
    "a family": ("scheduling", 0, "dynamic-preferred-above-max"),
    "a family of one module": ("ignores", 0, "ignore-unused"),
    "words that names begin with": ("dynamic-preferred", 0, "dynamic-preferred-above-max"),
    "the words of one name alone": ("pytorch-platform", 0, "\nGood\n"),
    "a name near": ("dynamic-prefered-above-max", 2, 'Did you mean "dynamic-preferred-above-max"?'),
    "a family near": ("schedulin", 2, 'Did you mean "scheduling"?'),
    "letters that names begin with": ("dyn", 2, "tritonrepo explain --all"),
    "a name like none": ("nosuch", 2, "tritonrepo explain --all"),
}


@pytest.mark.parametrize(("word", "code", "shown"), EXPLAINED.values(), ids=EXPLAINED)
def test_explain_takes_names_words_and_families(
    capsys: pytest.CaptureFixture[str], word: str, code: int, shown: str
) -> None:
    assert run(["explain", word]) == code
    said = capsys.readouterr()
    assert shown in (said.err if code else said.out)
    assert not code or len(said.err) < 400


SELECTED = {
    "a family that speaks": (["--select", "fields"], 1, 1),
    "a family that does not": (["--select", "scheduling"], 0, 0),
    "words": (["--select", "backend-not"], 1, 1),
    "a family left out": (["--ignore", "fields"], 0, 0),
    "words left out of a family": (["--select", "fields", "--ignore", "backend"], 0, 0),
}


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(("options", "code", "count"), SELECTED.values(), ids=SELECTED)
def test_rules_are_selected_by_names_words_and_families(
    capsys: pytest.CaptureFixture[str], options: list[str], code: int, count: int
) -> None:
    assert run(["validate", "models", "--release", "26.08", *options]) == code
    assert capsys.readouterr().out.count("error:") == count


@pytest.mark.usefixtures("model")
def test_a_rule_that_is_none_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "models", "--select", "nosuch"]) == 2
    said = capsys.readouterr().err
    assert 'unknown rule "nosuch"' in said
    assert len(said) < 400


def test_of_many_names_the_nearest_few_are_told() -> None:
    models = [f"model_{number}" for number in range(1000)]
    assert closest("model_70", models) == 'Did you mean "model_70"?'
    told = closest("xyz_el_7", models)
    assert told.startswith("Use one of 1,000 names. The closest are: ")
    assert told.count(", ") == 5
    assert closest("q", ["a", "b"]) == "Use one of: a, b."
