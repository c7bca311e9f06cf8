"""What is known of Triton's releases: data and source agree, code holds no release, every fact is asked for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.update_releases import DATA, SOURCE, data
from tests.pages import files, judged, sections
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span
from tritonrepo.releases import RELEASES, newest, runnable
from tritonrepo.rules import RULES
from tritonrepo.rules.backends.vllm_arguments import keys
from tritonrepo.tree import Tree

PACKAGE = Path(__file__).parent.parent / "tritonrepo"
RELEASE = re.compile(r"2[2-9]\.(0[1-9]|1[0-2])")


def source() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SOURCE.read_text("utf-8"))
    return found


@cache
def values() -> Sequence[tuple[Path, ast.Constant | ast.Tuple]]:
    """Return the constants and tuples of the code."""
    trees = ((path, ast.parse(path.read_text("utf-8"))) for path in sorted(PACKAGE.rglob("*.py")))
    found = ((path, node) for path, tree in trees for node in ast.walk(tree))
    return [(path, node) for path, node in found if isinstance(node, ast.Constant | ast.Tuple)]


def test_data_and_source_agree() -> None:
    for path, content in data(source()).items():
        assert path.read_text("utf-8") == content, "python -m scripts.update_releases"


@tabled(
    ("change", "said"),
    [
        (
            lambda found: found["releases"].update({"26.13": dict(found["releases"]["26.08"])}),
            "'26.13' is not a release",
        ),
        (
            lambda found: found["releases"].update({27.01: dict(found["releases"]["26.08"])}),
            "27.01 is not a release: put it in quotes",
        ),
        (lambda found: found["releases"]["26.08"].pop("vllm"), "26.08: vllm is missing"),
        (lambda found: found["releases"]["26.08"].update(pyhton="3.12"), "26.08: unknown fact pyhton"),
        (
            lambda found: found["releases"]["26.08"].update(python=3.12),
            "26.08: python: 3.12 is not a string: put it in quotes",
        ),
        (lambda found: found["releases"]["26.08"].update(source=[]), "26.08: source is empty"),
        (lambda found: found["differences"]["vllm-lora"].pop("since"), "vllm-lora: since or until is missing"),
        (
            lambda found: found["differences"]["vllm-lora"].update(since="27.1"),
            "vllm-lora: since: '27.1' is not a release",
        ),
        (
            lambda found: found["differences"]["vllm-lora"].update(until=27.01),
            "vllm-lora: until: 27.01 is not a release: put it in quotes",
        ),
        (lambda found: found["differences"]["vllm-lora"].update(source=""), "vllm-lora: source is empty"),
        (lambda found: found["vllm_tensors"]["tensors"][0].pop("dims"), "text_input: dims is missing"),
    ],
)
def test_a_fact_without_source_or_place_is_refused(change: Any, said: str) -> None:  # noqa: ANN401  a lambda over YAML
    found = source()
    change(found)
    with pytest.raises(ValueError, match=f"^{said}$"):
        data(found)


def test_no_release_stands_in_the_code() -> None:
    """A release in a text that is shown is its example; any other is a fact that belongs to the data."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, node in values()
        if (isinstance(node, ast.Constant) and isinstance(node.value, str) and RELEASE.fullmatch(node.value))
        or (isinstance(node, ast.Tuple) and re.fullmatch(r"\(2, [4-9]\d\)", ast.unparse(node)))
    ]
    assert found == []


def test_every_difference_is_asked_for() -> None:
    texts = {node.value for _, node in values() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    unasked = source()["differences"].keys() - texts
    assert not unasked, f"no code asks release.has({' or '.join(map(repr, unasked))})"


@tabled(
    ("fact", "without", "has"),
    [
        ("configs-by-name", "24.04", "24.05"),
        ("counted-request-strings", "24.05", "24.06"),
        ("early-end-of-strings", "24.08", "24.09"),
        ("bounded-element-counts", "26.02", "26.03"),
        ("tensorflow-backend", "25.03", "25.02"),
        ("tensorflow-backend", "26.08", "24.01"),
    ],
)
def test_a_release_has_what_others_have_not(fact: str, without: str, has: str) -> None:
    assert RELEASES[has].has(fact)
    assert not RELEASES[without].has(fact)


def test_an_unknown_fact_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        RELEASES["24.10"].has("nothing")


def test_the_release_that_runs_here_is_the_one_of_the_wheel() -> None:
    assert (runnable().name, runnable().server_version) == ("24.10", "2.51.0")
    assert runnable().server_wheel.replace(" ", "==") in (PACKAGE.parent / "pyproject.toml").read_text("utf-8")


def test_the_arguments_of_every_vllm_are_known() -> None:
    builds = {name: None for release in RELEASES.values() for name in release.vllm_builds}
    known = json.loads((DATA / "vllm_arguments.json").read_text("utf-8"))["versions"]
    assert list(builds) == known, (
        "edit vllm_arguments.json by hand: versions as in releases.yaml, keys with since, until"
    )
    assert all(keys().of(release) for release in RELEASES.values() if release.vllm)


NEWEST = "26.08"
"""The default."""
NEW = ("26.09", "26.10", "26.11")
"""Releases of which not all is known."""


def test_the_newest_release_is_the_last_one_of_which_all_is_known() -> None:
    assert newest().name == NEWEST, "another default: write it to NEWEST, and run python -m scripts.docs"
    assert tuple(name for name, release in RELEASES.items() if release.unknown) == NEW, "write them to NEW"
    assert all((RELEASES[name].python, RELEASES[name].vllm, RELEASES[name].images) == (None, None, {}) for name in NEW)
    assert all(release.server_version for release in RELEASES.values())


UNKNOWN = "image backends, Python version, vLLM version, ONNX Runtime version"
SAID = f"info: some facts about Triton {NEW[-1]} are unknown: {UNKNOWN} [release-incomplete]"


@pytest.mark.parametrize("options", [[], ["--image", "py3"]], ids=["all images", "an image"])
def test_validate_says_what_is_unknown_of_a_release_and_checks_the_rest(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, backend in (("m", "Python"), ("n", "identity")):
        (tmp_path / name / "1").mkdir(parents=True)
        config = f'backend: "{backend}"\ninput {{ name: "IN" dims: [ 1 ] }}\n'
        (tmp_path / name / "config.pbtxt").write_text(config, "utf-8")
    assert run(["validate", str(tmp_path), "--release", NEW[-1], *options]) == 1
    said = capsys.readouterr().out
    hint = f"Checks that depend on them are skipped. Use release {NEWEST} for all checks."
    assert f"{tmp_path}: {SAID}\n  {hint}\n" in said
    assert "backend-not-available" not in said
    assert "io-data-type-missing" in said
    assert run(["validate", str(tmp_path), "--release", NEWEST]) == 1
    said = capsys.readouterr().out
    assert "release-incomplete" not in said
    assert "backend-not-available" in said


def test_of_a_release_that_is_not_known_in_full_nothing_is_invented() -> None:
    """What is found for it on any rule's page is found for the newest release that is known, too."""
    for rule in RULES.values():
        page = sections(rule.page)
        for kind in ("Bad", "Good"):
            tree = files(page[kind])
            found, known = (found_in(tree, f"--gpus 1 --release {name}") for name in (NEW[-1], NEWEST))
            assert found <= known, rule.name


def found_in(tree: Tree, options: str) -> set[tuple[str, Span]]:
    return {(each.rule, each.at) for each in judged(tree, options).diagnostics}


def test_a_stack_is_built_and_pushed_for_a_release_that_is_not_known_in_full(
    rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = rag / "tritonrepo.yaml", tmp_path / "out"
    path.write_text(path.read_text("utf-8").replace('"26.07"', f'"{NEW[-1]}"'), "utf-8")
    assert run(["build", "-f", str(path), "-o", str(out)]) == 0
    assert f"{path}:4:19: {SAID}" in capsys.readouterr().err
    assert json.loads((out / "tritonrepo.json").read_text("utf-8"))["target"]["release"] == NEW[-1]
    assert run(["validate", str(path)]) == 0
    assert run(["push", str(out), str(tmp_path / "bucket" / "r"), "--dry-run"]) == 0
    assert f"{out}: {SAID}" in capsys.readouterr().err
