"""`validate` and `explain` as a user runs them: what is printed, which exit code, and what hostile input does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import EXAMPLE
from tritonrepo.cli import run
from tritonrepo.rules import RULES

SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "validate.schema.json").read_text("utf-8"))
CONFIG = """\
backend: "identity"
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
dynamic_batching { preferred_batch_size: [ 4, 16 ] }
"""
TARGET = ["--release", "24.10", "--gpus", "0"]


@pytest.fixture
def models(inside: Path) -> Path:
    """A repository with one model, whose config has one mistake."""
    (inside / "models" / "m" / "1").mkdir(parents=True)
    (inside / "models" / "m" / "1" / "weights").touch()
    (inside / "models" / "m" / "config.pbtxt").write_text(CONFIG)
    return inside / "models"


def test_a_finding_is_shown_with_its_line_a_caret_and_the_next_step(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", models.name, *TARGET]) == 1
    assert capsys.readouterr().out == (
        "models/m/config.pbtxt:5:47: error: preferred_batch_size 16 is above max_batch_size 8"
        " [dynamic-preferred-above-max]\n"
        "  5 | dynamic_batching { preferred_batch_size: [ 4, 16 ] }\n"
        "    |                                               ^\n"
        "  Raise max_batch_size to 16, or remove 16 from preferred_batch_size.\n"
        "1 model: 1 error\n"
    )


def test_json_says_findings_and_verdicts(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "n" / "1").mkdir(parents=True)
    (models / "n" / "1" / "weights").touch()
    (models / "n" / "config.pbtxt").write_text(CONFIG.replace(", 16", ""))
    assert run(["validate", models.name, *TARGET, "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)
    (finding,) = document["diagnostics"]
    assert (finding["path"], finding["line"], finding["column"]) == ("models/m/config.pbtxt", 5, 47)
    reason = "dynamic batching preferred size must be <= max batch size for m"
    assert document["verdicts"] == [
        {
            "model": "m",
            "verdict": "refused",
            "rule": "dynamic-preferred-above-max",
            "stage": "poll",
            "server_reason": reason,
        },
        {"model": "n", "verdict": "ready", "rule": "", "stage": "", "server_reason": ""},
    ]
    assert document["summary"] == {
        "models": 2,
        "fatal": 0,
        "error": 1,
        "warning": 0,
        "info": 0,
        "ignored": 0,
        "hidden": 0,
        "baselined": 0,
        "resolved": 0,
        "verdicts": {"ready": 1, "refused": 1},
    }


PICKED = {
    "ignored": (["--ignore", "dynamic-preferred-above-max"], 0, ""),
    "another selected": (["--select", "version-zero"], 0, ""),
    "selected": (["--select", "dynamic-preferred-above-max"], 1, "preferred_batch_size 16"),
    "an unknown rule": (["--ignore", "dynamic-prefered-above-max"], 2, 'Did you mean "dynamic-preferred-above-max"?'),
    "an unknown release": (["--release", "24.13"], 2, 'unknown Triton release "24.13". Use a release from 24.01 to'),
    "an unknown image": (
        ["--image", "vllm"],
        2,
        "Use one of: py3, trtllm-python-py3, vllm-python-py3. An image of your",
    ),
    "a misspelt image": (["--image", "vllm-pyton-py3"], 2, 'Did you mean "vllm-python-py3"?'),
    "no image": (["--image", ""], 2, 'Triton 24.10 has no image ""'),
    "a path": (["--image", "./py3"], 2, 'Triton 24.10 has no image "./py3"'),
    "an image on two lines": (["--image", "a/b\n:1"], 2, r'Triton 24.10 has no image "a/b\n:1"'),
    "an own image": (["--image", "registry.example.com:5000/team/triton:1", "--image", "py3"], 1, "preferred_batch"),
    "NVIDIA's name of an image": (["--image", "nvcr.io/nvidia/tritonserver:24.10-py3"], 1, "preferred_batch"),
    "that of another release": (["--image", "nvcr.io/nvidia/tritonserver:24.05-py3"], 2, "of Triton 24.05, not 24.10"),
    "that of an unknown image": (
        ["--image", "nvcr.io/nvidia/tritonserver:24.10-pi3"],
        2,
        'has no image "pi3". Did you',
    ),
    "fewer GPUs than none": (["--gpus", "-1"], 2, "--gpus"),
}


@pytest.mark.parametrize(("options", "code", "message"), PICKED.values(), ids=PICKED)
def test_options(models: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, message: str) -> None:
    assert run(["validate", models.name, *TARGET, *options]) == code
    said = capsys.readouterr()
    assert message in said.out + said.err


def test_the_verdict_stays_when_a_finding_is_not_shown(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", models.name, *TARGET, "--format", "json", "--ignore", "dynamic-preferred-above-max"])
    document = json.loads(capsys.readouterr().out)
    assert document["diagnostics"] == []
    assert document["verdicts"][0]["verdict"] == "refused"


def test_colour_is_for_terminals_or_when_forced(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["validate", models.name, *TARGET])
    assert "\033" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    run(["validate", models.name, *TARGET])
    assert "\033[1;31merror\033[0m" in capsys.readouterr().out


def test_the_built_example_is_clean(rag_repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--release", "26.07"], ["--release", "26.07", "--no-auto-complete", "--gpus", "0"]):
        assert run(["validate", str(rag_repository), "--strict", *options]) == 0
        assert capsys.readouterr().out == "9 models: no problems found\n"


def test_a_stack_is_judged_without_being_written(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(EXAMPLE), "--strict"]) == 0
    assert capsys.readouterr().out == "9 models: no problems found\n"
    assert not list(inside.iterdir())


DECLARED = {
    "nothing named": ([], 1),
    "the number of GPUs": (["--gpus", "2"], 1),
    "the number that is the default elsewhere": (["--gpus", "1"], 1),
    "the release": (["--release", "26.06"], 1),
    "no completion": (["--no-auto-complete"], 1),
    "the images": (["--image", "py3", "--image", "vllm-python-py3"], 0),
}


@pytest.mark.parametrize(("options", "code"), DECLARED.values(), ids=DECLARED)
def test_an_option_changes_of_a_stacks_target_only_what_it_names(
    rag: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int
) -> None:
    path = rag / "tritonrepo.yaml"
    path.write_text(path.read_text().replace("images: [py3, vllm-python-py3]", "images: [py3]"))
    assert run(["validate", str(path), *options]) == code
    assert ('backend "vllm"' in capsys.readouterr().out) == bool(code)


def test_a_finding_on_a_generated_file_is_at_the_stack_files_line(
    rag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rag / "tritonrepo.yaml"
    path.write_text(path.read_text().replace("max_batch_size: 64}", "max_batch_size: 64, preferred: [32, 128]}", 1))
    line = path.read_text()[: path.read_text().index("preferred:")].count("\n") + 1
    assert run(["build", "-f", str(path), "-o", str(rag / "out")]) == 1
    said = capsys.readouterr()
    assert f"{path}:{line}:" in said.err
    assert "preferred_batch_size 128 is above max_batch_size 64, in the generated embedder/config.pbtxt" in said.err
    assert said.out == ""
    assert not (rag / "out").exists()
    assert run(["validate", str(rag)]) == 1
    assert f"{path}:{line}:" in capsys.readouterr().out


def fifo(model: Path) -> None:
    (model / "config.pbtxt").unlink()
    os.mkfifo(model / "config.pbtxt")


def directory(model: Path) -> None:
    (model / "config.pbtxt").unlink()
    (model / "config.pbtxt").mkdir()


def write(content: bytes) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        (model / "config.pbtxt").write_bytes(content)

    return spoil


def link(name: str, target: str) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        (model / name).unlink(missing_ok=True)
        (model / name).symlink_to(target)

    return spoil


def huge(model: Path) -> None:
    with (model / "config.pbtxt").open("wb") as stream:
        stream.truncate(1 << 30)


def odd_name(model: Path) -> None:
    shutil.copytree(model, model.with_name("a\nb\x1b[31m"))


def deep(model: Path) -> None:
    place = model / "1"
    for _ in range(200):
        place /= "d"
    place.mkdir(parents=True)


HOSTILE: dict[str, tuple[Callable[[Path], None], int]] = {
    "a FIFO": (fifo, 1),
    "a directory": (directory, 1),
    "no text": (write(os.urandom(100_000)), 1),
    "NULs": (write(bytes(1000)), 1),
    "no UTF-8": (write(b'backend: "\xff\xfe"'), 1),
    "nested 100,000 deep": (write(b"ensemble_scheduling {" * 100_000), 1),
    "brackets 100,000 deep": (write(b"input [" * 100_000), 1),
    "one long line": (write(b'backend: "' + b"x" * 3_000_000 + b'"'), 1),
    "a gigabyte": (huge, 2),
    "a dangling link": (link("config.pbtxt", "nowhere"), 1),
    "a link in a circle": (link("config.pbtxt", "config.pbtxt"), 1),
    "a version that links to the root of the disk": (link("2", "/"), 1),
    "a version that links upwards": (link("2", "../.."), 1),
    "a name with control characters": (odd_name, 1),
    "directories 200 deep": (deep, 1),
}


@pytest.mark.parametrize(("spoil", "code"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_repositories_are_judged_and_never_crash_us(
    models: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], code: int
) -> None:
    spoil(models / "m")
    assert run(["validate", models.name, *TARGET]) == code
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert "Traceback" not in said.err


def test_an_absent_repository_is_told(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("nowhere: fatal: the repository does not exist")
    assert not list(inside.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["m/config.pbtxt", "m/1/model.py", "m/1/model.json", "n/config.pbtxt", "n/1/calls.json", "x"]),
        st.one_of(
            st.binary(max_size=60), st.sampled_from([CONFIG.encode(), b'platform: "ensemble" ensemble_scheduling {}'])
        ),
    )
)
def test_no_files_whatever_raise_anything(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    root = tmp_path_factory.mktemp("any")
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    assert run(["validate", str(root), "--format", "json"]) in {0, 1}


def test_every_rule_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for rule in RULES:
        assert run(["explain", rule]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{rule} (")
        assert "\nWhy\n" in out


EXPLAIN = {
    "nothing": ([], 2, "RULE or --all is required"),
    "an unknown rule": (["dynamic-prefered-above-max"], 2, "Did you mean"),
    "all": (["--all"], 0, "dynamic-preferred-above-max"),
}


@pytest.mark.parametrize(("arguments", "code", "message"), EXPLAIN.values(), ids=EXPLAIN)
def test_explain(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str) -> None:
    assert run(["explain", *arguments]) == code
    said = capsys.readouterr()
    assert message in said.out + said.err
