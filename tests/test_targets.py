"""One target for all commands: options over record over stack over settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.releases import is_own, newest
from tritonrepo.repository import NOTHING, Said, target
from tritonrepo.repository.target import recorded

OUTSIDE = """backend: "identity"
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "../labels.txt" }
"""
COMPLETING = {
    "m/1/model.py": "import completions\nfrom completions import TritonPythonModel\n",
    "m/1/completions.py": "TritonPythonModel = globals()['Model']\n",
}


def made(place: Path, files: Mapping[str, str], asked: Mapping[str, Any]) -> str:
    """Write a repository with the record of a build for this target; give its path."""
    record = {"schema": 1, "name": "x", "target": asked, "files": {}, "local": {}}
    for path, content in {**files, **({"tritonrepo.json": json.dumps(record)} if asked else {})}.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content, "utf-8")
    return str(place)


def codes(place: str, tmp_path: Path, *options: str) -> tuple[int, int]:
    """Return the exit codes of `validate` and of `push`."""
    return run(["validate", place, *options]), run(["push", place, str(tmp_path / "bucket" / "r"), "--dry-run"])


@pytest.mark.parametrize(("release", "code"), [("24.10", 0), ("26.01", 0), ("26.02", 1)])
def test_validate_and_push_judge_a_directory_for_the_release_of_its_record(
    tmp_path: Path, release: str, code: int
) -> None:
    files = {"m/config.pbtxt": OUTSIDE, "m/1/weights": "x", "labels.txt": "cat"}
    place = made(tmp_path / "r", files, {"release": release})
    assert codes(place, tmp_path) == (code, code)
    assert run(["validate", place, "--release", "26.02"]) == 1
    assert run(["validate", place, "--release", "24.10"]) == 0


@pytest.mark.parametrize("asked", [{}, {"release": "24.10"}], ids=["by hand", "built"])
def test_validate_and_push_judge_for_a_server_that_completes_configs_unless_told(
    tmp_path: Path, asked: dict[str, str]
) -> None:
    """As servers do by themselves: what was built may have been edited since."""
    config = 'backend: "python"\noutput { name: "OUT" }\n'
    place = made(tmp_path / "r", {"m/config.pbtxt": config, **COMPLETING}, asked)
    assert codes(place, tmp_path) == (0, 0)
    assert run(["validate", place, "--no-auto-complete"]) == 1


def test_validate_says_that_a_record_is_for_a_release_of_the_future(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = made(tmp_path / "r", COMPLETING, {"release": "99.01"})
    assert codes(place, tmp_path) == (2, 2)
    said = capsys.readouterr().err
    assert said.count(f'{place}/tritonrepo.json: fatal: the repository was built for release "99.01"') == 2
    assert run(["validate", place, "--release", "24.10", "--no-auto-complete"]) == 1


def test_an_own_image_is_built_from_the_images_named_with_it_or_else_by_the_next_place() -> None:
    """And what it has is not known; a registry, a tag or a digest tells it from an image of the release."""
    whole, record = tuple(newest().images), Said(images=("py3",))
    for names, images in ((("mine:1",), ("py3",)), (("a.b/c", "vllm-python-py3"), ("vllm-python-py3",))):
        own = target(Said(images=names), record=record)
        assert (own.own, own.images, own.backends) == (names[:1], images, newest().backends(images))
    assert target(Said(images=("a@sha256:0f",))).images == whole
    assert not target(record=record).own
    assert not is_own("nvcr.io/nvidia/tritonserver:24.10-py3")
    assert not target(Said(images=("py3",)), record=Said(images=("mine:1",))).own


OPTIONS, RECORD, STACK, SETTINGS = (Said(f"24.0{n}", (f"image{n}",), n, n % 2 == 0, f"arch{n}") for n in range(1, 5))


@pytest.mark.parametrize("field", ["images", "gpus", "auto_complete", "arch"])
def test_each_thing_is_what_the_first_says_that_says_it(field: str) -> None:
    said = {"options": OPTIONS, "record": RECORD, "stack": STACK, "settings": SETTINGS}
    for name in list(said):
        assert getattr(target(**said), field) == getattr(said[name], field)
        assert target(**said).release.name == said[name].release
        said[name] = NOTHING
    said_all = target(Said(newest().name, tuple(newest().images), 1, auto_complete=True, arch="x86_64"))
    assert target() == replace(said_all, gpus_said=False)


@pytest.mark.parametrize("options", [Said("24.10"), Said(images=("py3",)), Said(gpus=0)])
def test_hints_name_the_stack_where_no_option_spoke(options: Said) -> None:
    assert target(stack=STACK).counts_gpus == "gpus in target"
    assert target(options, stack=STACK).counts_gpus == "--gpus"
    assert target(Said(auto_complete=False), stack=STACK).in_stack
    assert not target(record=RECORD).in_stack


ODD: dict[str, tuple[dict[str, Any], Said]] = {
    "none": ({}, NOTHING),
    "a release alone": ({"release": "24.10"}, Said("24.10", where="r")),
    "no list, no number": (
        {"release": "24.10", "images": "py3", "gpus": "two", "arch": 3},
        Said("24.10", where="r"),
    ),
}


@pytest.mark.parametrize(("asked", "said"), ODD.values(), ids=ODD)
def test_a_record_may_be_written_by_anybody(asked: dict[str, Any], said: Said) -> None:
    assert recorded(asked, "r") == said


def test_a_record_without_a_release_is_told() -> None:
    with pytest.raises(Stop, match='was built for release "None"'):
        target(record=recorded({"gpus": 2}, "r"))
