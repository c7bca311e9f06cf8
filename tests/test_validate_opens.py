"""What `validate` opens: the weights of a repository are known by name and size alone, however large they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WEIGHTS = 300 << 20
"""Bytes of all weights together; they are holes, which take no room on the disk."""

CHILD = """
import sys

opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
from tritonrepo.cli import run

code = run(["validate", sys.argv[1], "--release", "24.10", "--gpus", "1", *sys.argv[2:]])
names = [name for name in map(str, opened) if name.startswith(sys.argv[1])]
print(code, *names, sep="\\n", file=sys.stderr)
"""
"""Says on stderr which of the repository's files were opened, in whatever way: Python itself reports each."""

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
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(models), *arguments], capture_output=True, text=True, check=True
    )
    code, *opened = done.stderr.splitlines()
    names = {str(Path(name).relative_to(models)) for name in opened}
    assert code == "1", done.stdout
    assert names >= {f"{name}/config.pbtxt" for name in CONFIGS if CONFIGS[name]}
    assert not names & set(LARGE)
