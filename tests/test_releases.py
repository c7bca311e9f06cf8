"""What is known of Triton's releases: data and source agree, code holds no release, every fact is asked for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.update_releases import DATA, SOURCE, data
from tritonrepo.releases import RELEASES, runnable
from tritonrepo.rules.backends.arguments import keys

PACKAGE = Path(__file__).parent.parent / "tritonrepo"
RELEASE = re.compile(r"2[2-9]\.(0[1-9]|1[0-2])")


def source() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SOURCE.read_text("utf-8"))
    return found


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield from ((path, node) for node in ast.walk(ast.parse(path.read_text("utf-8"))))


def test_data_and_source_agree() -> None:
    for path, content in data(source()).items():
        assert path.read_text("utf-8") == content, "python -m scripts.update_releases"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found["releases"].update({"26.13": dict(found["releases"]["26.08"])}), "26.13: no release"),
        (lambda found: found["releases"]["26.08"].pop("vllm"), "26.08: look at vllm"),
        (lambda found: found["releases"]["26.08"].update(pyhton="3.12"), "26.08: look at pyhton"),
        (lambda found: found["releases"]["26.08"].update(source=[]), "26.08: look at source"),
        (lambda found: found["differences"]["vllm-lora"].pop("since"), "vllm-lora: look at since, until"),
        (lambda found: found["differences"]["vllm-lora"].update(source=""), "vllm-lora: look at source"),
        (lambda found: found["vllm_tensors"]["tensors"][0].pop("dims"), "text_input: look at dims"),
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
        for path, node in nodes()
        if (isinstance(node, ast.Constant) and isinstance(node.value, str) and RELEASE.fullmatch(node.value))
        or (isinstance(node, ast.Tuple) and re.fullmatch(r"\(2, [4-9]\d\)", ast.unparse(node)))
    ]
    assert found == []


def test_every_difference_is_asked_for() -> None:
    texts = {node.value for _, node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not source()["differences"].keys() - texts


@pytest.mark.parametrize(
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
    assert list(builds) == json.loads((DATA / "vllm_arguments.json").read_text("utf-8"))["versions"]
    assert all(keys().of(release) for release in RELEASES.values() if release.vllm)
