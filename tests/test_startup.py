"""What starting costs: no command's help loads a heavy library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import unmeasured
from tritonrepo.cli import COMMANDS

HEAVY = {"boto3", "botocore", "gguf", "google", "grpc", "jsonschema", "numpy", "obstore", "onnx", "onnxruntime", "rich"}
HEAVY |= {"httptools", "huggingface_hub", "safetensors", "starlette", "tokenizers", "tritonclient", "uvicorn"}


OF_OTHERS = {"yaml", "xml.etree", "tomllib", "socket", "subprocess", "ctypes"}
OF_OTHERS |= {f"tritonrepo.{name}" for name in ("deploy", "fixes", "generate", "manifests", "smoke", "spec", "server")}
OF_OTHERS |= {f"tritonrepo.flows.{name}" for name in ("changed", "fixing", "manifests", "remarks", "stack", "upgrade")}
OF_OTHERS |= {"tritonrepo.rules.manifests", "tritonrepo.rules.serving", "tritonrepo.settings.read"}
OF_OTHERS |= {"tritonrepo.stores.s3", "tritonrepo.stores.gcs", "tritonrepo.sync.revision"}
OF_OTHERS |= {"hashlib", "shutil", "tempfile", "tarfile", "secrets", "difflib", "pyexpat", "importlib.resources"}
OF_OTHERS |= {f"tritonrepo.llm.{name}" for name in ("facts", "fitting", "memory")} | {"tritonrepo.sync.plan"}
OF_OTHERS |= {f"tritonrepo.report.{name}" for name in ("json", "sarif", "junit")} | {"tritonrepo.flows.baseline"}
"""What `validate` needs for stacks, manifests, buckets, settings, fixes, digests, archives, memory and documents."""


MODEL = b"class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"


def loaded(*arguments: str) -> set[str]:
    """Return the modules that a command has imported, and the packages that they are in."""
    script = (
        "import sys; from tritonrepo.cli import run; code = run(sys.argv[1:]);"
        "print(code, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, env=unmeasured()
    )
    code, *modules = done.stderr.split()
    assert code == "0"
    return {".".join(parts[:count]) for parts in map(_parts, modules) for count in range(1, len(parts) + 1)}


def _parts(module: str) -> list[str]:
    return module.split(".")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_no_heavy_library(command: str) -> None:
    assert not loaded(*filter(None, [command]), "--help") & HEAVY


def test_validating_a_repository_imports_only_what_that_needs(tmp_path: Path) -> None:
    (tmp_path / "m/1").mkdir(parents=True)
    (tmp_path / "m/1/model.py").write_bytes(MODEL)
    (tmp_path / "m/config.pbtxt").write_text('backend: "python"\n')
    found = loaded("validate", str(tmp_path))
    assert "tritonrepo.rules.judge" in found
    assert found & (HEAVY | OF_OTHERS) == set()


STACK = """\
name: own
models:
  topic:
    backend: python
    source: ./topic.py
    config:
      input: [{name: x, data_type: TYPE_FP32, dims: [3]}]
      output: [{name: y, data_type: TYPE_FP32, dims: [1]}]
"""


def test_a_build_imports_no_client_of_servers(tmp_path: Path) -> None:
    (tmp_path / "topic.py").write_bytes(MODEL)
    (tmp_path / "tritonrepo.yaml").write_text(STACK)
    found = loaded("build", "-f", str(tmp_path / "tritonrepo.yaml"), "-o", str(tmp_path / "models"))
    assert "tritonrepo.parts.embedder" in found
    assert not found & (HEAVY | {"tritonrepo.server.client", "tritonrepo.smoke.asking"})


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
