"""What starting costs: no command's help loads a heavy library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import unmeasured
from tritonrepo.cli import COMMANDS

HEAVY = {"boto3", "botocore", "gguf", "google", "grpc", "jsonschema", "numpy", "obstore", "onnx", "onnxruntime", "rich"}
HEAVY |= {"httptools", "huggingface_hub", "safetensors", "starlette", "tokenizers", "tritonclient", "uvicorn"}


def loaded(*arguments: str) -> set[str]:
    script = (
        "import sys; from tritonrepo.cli import run; code = run(sys.argv[1:]);"
        "print(code, *{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, env=unmeasured()
    )
    code, *modules = done.stderr.split()
    assert code == "0"
    return set(modules)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_no_heavy_library(command: str) -> None:
    assert not loaded(*filter(None, [command]), "--help") & HEAVY


def test_importing_the_package_imports_nothing_else() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; before = set(sys.modules); import tritonrepo; print(*(set(sys.modules) - before))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) <= {"tritonrepo", "__future__"}
