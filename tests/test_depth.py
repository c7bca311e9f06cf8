"""What nests without end, wherever others can nest: told in one message or passed over, never a bug of ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.speaking import Said, speaking
from tests.test_own_stacks import ANSWER, own
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.smoke import index
from tritonrepo.stores import open_store
from tritonrepo.tree import File, files, of_bytes, of_text

__all__ = ["own"]

DEPTHS = [900, 20_000]
"""Of these Python's own reader of JSON takes the first; what goes through such a value again may not."""

SCRIPT = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "1" / "model.py").write_text(SCRIPT, "utf-8")
    (tmp_path / "models" / "m" / "config.pbtxt").write_text('backend: "python"\n', "utf-8")
    return tmp_path / "models"


@contextmanager
def deepened(top: Path, depth: int) -> Iterator[None]:
    """Make a directory of that depth, step by step, for its path may be longer than a call takes."""
    step = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=step)
        deeper = os.open("d", os.O_RDONLY, dir_fd=step)
        os.close(step)
        step = deeper
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=step))
    os.close(step)
    try:
        yield
    finally:  # the library's own way to remove a tree, and so pytest's, calls itself once a level
        subprocess.run(["rm", "-rf", top, top.parents[2] / "bucket"], check=True)


@pytest.fixture(params=[1_200])
def deep(request: pytest.FixtureRequest, repository: Path) -> Iterator[int]:
    depth = request.param
    with deepened(repository / "m" / "1", depth):
        yield depth


def test_a_deep_tree_is_scanned(deep: int, repository: Path) -> None:
    store, prefix = open_store(str(repository))
    assert "m/1/" + "d/" * deep + "f" in files(store.scan(prefix))


@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize("command", [["validate", "models"], ["push", "models", "bucket/p", "--settle", "0"]])
def test_a_deep_tree_is_no_bug(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert run(command) < 3, capsys.readouterr().err


def test_a_path_that_is_too_long_is_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with deepened(repository / "m" / "1", 3_000):
        assert run(["validate", "models"]) in {0, 1, 2}
        assert "bug" not in capsys.readouterr().err


PLACES = {
    "what a build wrote": (
        "tritonrepo.json",
        '{"schema": 1, "name": "x", "target": {"a": %s}, "files": {}, "local": {}}',
    ),
    "a target of a known release": (
        "tritonrepo.json",
        '{"schema": 1, "name": "x", "target": {"release": "24.10", "a": %s}, "files": {}, "local": {}}',
    ),
    "images of a target": (
        "tritonrepo.json",
        '{"schema": 1, "name": "x", "target": {"release": "24.10", "images": %s}, "files": {}, "local": {}}',
    ),
    "the record itself": ("tritonrepo.json", "%s"),
    "calls of a step": ("m/1/calls.json", "%s"),
    "arguments of vLLM": ("v/1/model.json", '{"model": %s}'),
    "a config": ("m/config.pbtxt", 'backend: "python" parameters { key: "%s" }'),
    "a list in a config": ("m/config.pbtxt", 'backend: "python" input %s'),
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("path", "text"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("command", [["validate", "models"], ["push", "models", "bucket/p", "--settle", "0"]])
def test_deep_files_of_a_repository_are_no_bug(
    repository: Path, capsys: pytest.CaptureFixture[str], path: str, text: str, depth: int, command: list[str]
) -> None:
    place = repository / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text.replace("%s", nested(depth)), "utf-8")
    if place.name == "model.json":
        (repository / "v" / "config.pbtxt").write_text('backend: "vllm"\n', "utf-8")
    assert run(command) < 3, capsys.readouterr().err


STACK = {
    "the stack file": ("tritonrepo.yaml", "a: %s"),
    "blocks of the stack file": ("tritonrepo.yaml", "a:\n" + "- " * 5000),
    "the lock": ("tritonrepo.lock", "%s"),
    "a source of the lock": (
        "tritonrepo.lock",
        '{"schema": 1, "sources": {"a": {"file": %s}}, "indexes": {}, "models": {}}',
    ),
    "a number of the lock": (
        "tritonrepo.lock",
        '{"schema": 2, "sources": {}, "indexes": {}, "models": {"a": {"version": 1, "contents": {"1": %s}}}}',
    ),
    "documents": ("d/a.jsonl", '{"id": "x", "text": "a", "more": %s}'),
    "the encoder's config": ("w/config.json", "%s"),
    "the encoder's modules": ("w/modules.json", "%s"),
    "the encoder's tokenizer": ("w/tokenizer.json", "%s"),
    "the encoder's pooling": ("w/1_Pooling/config.json", "%s"),
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("path", "text"), STACK.values(), ids=STACK)
@pytest.mark.parametrize("command", ["index", "build"])
def test_deep_files_of_a_stack_are_no_bug(
    own: Path, capsys: pytest.CaptureFixture[str], path: str, text: str, depth: int, command: str
) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    (own / path).write_text(text.replace("%s", nested(depth)), "utf-8")
    assert run([command]) < 3, capsys.readouterr().err


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_passages_of_an_index_are_no_passages(depth: int) -> None:
    with pytest.raises(ValueError, match=r"passages\.jsonl must have JSON with id and text|rows"):
        index.load(_vectors(), of_text(nested(depth)))


def _vectors() -> File:
    from io import BytesIO

    import numpy as np

    buffer = BytesIO()
    np.save(buffer, np.zeros((1, 2), np.float32))
    return of_bytes(buffer.getvalue())


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_answers_of_a_server_are_told(depth: int) -> None:
    with speaking(lambda _: Said(nested(depth).encode())) as here:
        client = Client(Endpoint(here.url, 10))
        asked: list[Any] = [
            client.index,
            lambda: client.metadata("m"),
            lambda: client.config("m"),
            lambda: client.generate("m", {}),
            lambda: list(client.stream("m", {})),
        ]
        for ask in asked:
            with pytest.raises(Stop):
                ask()
