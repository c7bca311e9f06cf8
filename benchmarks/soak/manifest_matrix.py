"""Manifests of Triton in every form, held against Kubernetes, the schemas of custom resources, kustomize and our rules.

`python -m benchmarks.soak.manifest_matrix [WORD]` needs kubernetes-validate and kustomize; with WORD, such as gateway,
only forms whose name has it are checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.crds import faults, schemas
from tests.servers.packages import kustomize
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.service import Control
from tritonrepo.flows.deployment import Deployment, apply_deploy
from tritonrepo.flows.kubernetes import KubeOptions, plan_k8s
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores import is_remote, open_store
from tritonrepo.stores.directory import DirectoryStore

RELEASES = ("1.28", "1.37")
GPUS = (0, 1, 2, 8)
BUCKETS = ("s3://models/prod", "s3://https://minio.example:9000/models/prod", "gs://models/prod", "pvc://claim/prod")
MODES: Mapping[str, Control | None] = {
    "usual": None,
    "immutable": Control(),
    "pushable": Control("poll", 15),
    "explicit": Control("explicit"),
}
WANTED = {
    "one": Wanted(replicas=1),
    "scaled": Wanted(scale=(1, 4), monitor=True, namespace="serving", product="NVIDIA-H100-80GB-HBM3"),
    "keda": Wanted(scale=(2, 8), keda="http://prometheus.monitoring:9090", storage_class="shared", pull="registry"),
    "role": Wanted(account="reader", volumes=(("adapters", "/mnt/adapters"),), variables=("DATABASE_URL",)),
}
KINDS = ("stack", "directory", "uri", "own")
PYTHON = """backend: "python"
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }
"""
ROOT = Path(__file__).parent.parent.parent


class Form(NamedTuple):
    """A form of the matrix: its name and its files."""

    name: str
    plan: Deployment


def main() -> int:
    """Check all forms, and return 1 if one is wrong; a URI leads to a directory here."""
    warnings.simplefilter("error")
    found, number = list[str](), 0
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        store = DirectoryStore(Path(directory))
        patch.setattr(
            "tritonrepo.flows.deployed.open_store",
            lambda uri, *more: (store, "prod") if is_remote(uri) else open_store(uri, *more),
        )
        patch.setattr("tritonrepo.flows.kubernetes.open_store", lambda *_: None)
        for form in forms(Path(directory), *sys.argv[1:]):
            number += 1
            found += [f"{form.name}: {fault}" for fault in judged(form)]
    print(*found, f"{number} forms, {len(found)} faults", sep="\n")
    return int(bool(found))


def forms(directory: Path, word: str = "") -> Iterator[Form]:
    """Yield the forms whose name has a word."""
    rows = product(KINDS, GPUS, BUCKETS, [*MODES.items(), ("usual", None)])
    for number, (kind, gpus, bucket, (mode, control)) in enumerate(rows):
        if (kind == "uri" and bucket.startswith("pvc:")) or (kind == "stack" and gpus != 1):
            continue
        kserve, (how, wanted) = (
            number % len([*MODES, ""]) == len(MODES),
            [*WANTED.items()][number * 7 // 5 % len(WANTED)],
        )
        front = not kserve and number % 2 == 0
        name = f"{kind} {gpus} {bucket} {mode} {how}{' kserve' * kserve}{' gateway' * front}"
        if word not in name:
            continue
        where = repository(directory, kind, gpus)
        chosen = wanted._replace(image_name="registry.example/rag:1")
        image = "registry.example/gateway:1" if front else ""
        options = KubeOptions(chosen, "" if kind == "uri" else bucket, control, kserve=kserve, gateway=image)
        out = directory / "out" / str(number)
        yield Form(name, plan_k8s(bucket if kind == "uri" else where, out, Workspace(), options))


def repository(directory: Path, kind: str, gpus: int) -> str:
    """Return a stack, or a directory with a pipeline in Python, a model for ONNX Runtime and an engine on all GPUs."""
    if kind == "stack":
        return str(ROOT / "examples" / "models" / "rag")
    place = directory / ("prod" if kind == "uri" else f"{kind}-{gpus}")
    count = f"instance_group {{ kind: {'KIND_GPU' if gpus else 'KIND_CPU'} count: 2 }}\n"
    target = {"release": "26.07", "gpus": gpus, "images": ["vllm-python-py3", "py3"]}
    files: dict[str, Any] = {
        "tritonrepo.json": {"schema": 1, "name": kind, "files": {}, "local": {}, "target": target},
        "a/config.pbtxt": PYTHON + count,
        "a/1/model.py": "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n",
    }
    if gpus and kind != "own":
        files["llm/config.pbtxt"] = 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n'
        files["llm/1/model.json"] = {"model": "meta-llama/Llama-3.1-8B-Instruct", "tensor_parallel_size": gpus}
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(place)


def judged(form: Form) -> Iterator[str]:
    """Yield what is wrong with the files of a form."""
    from kubernetes_validate import validate  # noqa: PLC0415  not among the tests' packages

    apply_deploy(form.plan)
    out = form.plan.out
    for layer in ("overlays/dev", "overlays/prod"):
        done = subprocess.run(
            [str(kustomize()), "build", str(out / layer)], capture_output=True, text=True, check=False
        )
        if done.returncode or done.stderr:
            yield f"{layer}: {done.stderr}"
            continue
        for each in yaml.safe_load_all(done.stdout):
            if (each["apiVersion"], each["kind"]) in schemas():
                yield from (f"{layer}: {fault}" for fault in faults(each))
                continue
            for release in RELEASES:
                try:
                    validate(each, release, strict=True)
                except Exception as error:  # noqa: BLE001  of that package
                    yield f"{layer}: {release}: {each['kind']}: {error}"
        yield from ours(layer, done.stdout)


def ours(layer: str, text: str) -> Iterator[str]:
    """Yield what our own rules find, from info up except for counts of GPUs."""
    from tritonrepo.cli import run  # noqa: PLC0415  the command itself

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "all.yaml")
        path.write_text(text, "utf-8")
        if run(["validate", str(path), "--strict", "-q"]):
            yield f"{layer}: our own rules find something"


if __name__ == "__main__":
    sys.exit(main())
