"""The published repository that cannot start, and its repaired twin: what `validate` says about them."""

from __future__ import annotations

import pytest

from tests.documents import ROOT
from tritonrepo.cli import run

SEED = ROOT / "examples" / "models" / "seed"
ROWS = [
    'embedding-model/config.pbtxt:2:11: error: no selected Triton 24.05 image has the backend "onnxruntime"',
    'embedding-model/config.pbtxt:5:3: warning: model "embedding-model" takes token numbers, but no model of the',
    "llama-70b/config.pbtxt:3:39: error: decoupled is false, but a vLLM model must be decoupled",
    "llama-70b/llama-70b-config.yaml: warning: neither Triton nor the vllm backend reads llama-70b-config.yaml",
    'reranker/config.pbtxt:2:11: error: no selected Triton 24.05 image has the backend "pytorch"',
    'reranker/config.pbtxt:5:3: warning: model "reranker" takes token numbers, but no model of the repository',
]


def test_each_fault_of_the_published_repository_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    repository = str(SEED / "repository")
    assert run(["validate", repository, "--release", "24.05", "--image", "vllm-python-py3", "--gpus", "2"]) == 1
    lines = [line.removeprefix(f"{repository}/") for line in capsys.readouterr().out.splitlines()]
    assert [row for row in ROWS if not any(line.startswith(row) for line in lines)] == []


def test_the_repaired_repository_has_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    images = ["--image", "py3", "--image", "vllm-python-py3"]
    assert run(["validate", str(SEED / "repaired"), "--release", "25.05", *images, "--gpus", "2"]) == 0
    assert capsys.readouterr().out == "7 models: no problems found\n"
