"""What `validate` opens: most weights of a repository are known by name and size alone, however large they are.

Of the files whose kind is told from a few bytes, no more than these are read: see test_contents.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.opens import watched
from tritonrepo.cli import run

WEIGHTS = 300 << 20
"""Bytes of all weights together; they are holes, which take no room on the disk."""

IO = """\
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
"""
CONFIGS = {
    "net": f'backend: "onnxruntime"\n{IO}',
    "engine": f'platform: "tensorrt_plan"\n{IO}',
    "script": f'platform: "pytorch_libtorch"\n{IO}',
    "step": f'backend: "python"\n{IO}',
    "chat": 'backend: "vllm"\nmodel_transaction_policy { decoupled: true }\ninstance_group { kind: KIND_MODEL }\n',
    "warm": 'backend: "identity"\ninput { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }\n'
    'output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }\n'
    'model_warmup { name: "w" batch_size: 1 inputs { key: "IN" '
    'value { data_type: TYPE_STRING dims: [ 1 ] input_data_file: "in" } } }\n',
    "own": f'backend: "own"\n{IO}',
    "bare": "",
    "broken": 'backend "onnxruntime"',
}
LARGE = (
    *("net/1/model.onnx", "net/1/model.onnx.data", "net/2/model.onnx", "engine/1/model.plan", "script/1/model.pt"),
    *("step/1/weights.npz", "chat/1/hf/model.safetensors", "own/1/weights.bin", "warm/warmup/in"),
    *("own/libtriton_own.so", "warm/1/weights"),
    *("bare/1/model.onnx", "broken/1/model.onnx", "net/labels.txt"),
)
TOLD_APART = {"engine/1/model.plan", "script/1/model.pt", "net/2/model.onnx", "bare/1/model.onnx"}
"""Files of which the beginning is read, which says what they are."""
SMALL = {
    "step/1/model.py": "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n",
    "chat/1/model.json": '{"model": "/models/chat/1/hf"}\n',
}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository of every kind of model, with large weights."""
    root = tmp_path / "models"
    for name in LARGE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
        os.truncate(root / name, WEIGHTS // len(LARGE))
    for name, text in SMALL.items():
        (root / name).write_text(text)
    for name, text in CONFIGS.items():
        if text:
            (root / name / "config.pbtxt").write_text(text)
    return root


@pytest.mark.parametrize(
    "arguments",
    [[], ["--no-auto-complete"], ["--format", "json"], ["-v"]],
    ids=["plain", "without auto-complete", "as json", "all that is good to know"],
)
def test_weights_are_not_opened(models: Path, arguments: list[str]) -> None:
    with watched(models) as opened:
        assert run(["validate", str(models), "--release", "24.10", "--gpus", "1", *arguments]) == 1
        names = opened()
    assert names >= {f"{name}/config.pbtxt" for name in CONFIGS if CONFIGS[name]}
    assert not names & set(LARGE) - TOLD_APART
