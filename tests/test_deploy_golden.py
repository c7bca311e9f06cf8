"""What `deploy k8s`, `kserve`, `vllm`, `nim` and `observe` write: golden files, read as a reviewer reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.test_deploy import engine, here, one  # noqa: F401  a fixture
from tests.test_deploy_vllm import STACK, repository
from tritonrepo.cli import run

GOLDEN = Path(__file__).parent / "golden" / "deploy"
S3 = "s3://https://minio.example:9000/models/rag"
RELEASE = "--release 26.07"
SCALED = "--autoscale 1:4 --keda http://prometheus:9090"
PLACED = "--namespace apart --gpu-product NVIDIA-L40S --secret keys --pull-secret puller --pod-monitor --env OWN"
KEPT = "--cache-claim weights --volume adapters:/mnt"
ACCOUNT = "--service-account reader"
CASES = {
    "k8s-once": f"k8s models --uri {S3} {RELEASE}",
    "k8s-pushed": f"k8s models --uri gs://models/rag --pushable {PLACED} {KEPT} {SCALED} --gateway own/gateway:1"
    f" {RELEASE}",
    "k8s-claim": f"k8s models --uri pvc://models/rag --immutable --autoscale 2:3 --image-name own/triton:1 {RELEASE}",
    "kserve": f"kserve models --uri {S3} {PLACED} {KEPT} {ACCOUNT} --replicas 3 {RELEASE}",
    "vllm-endpoint": "vllm endpoint.yaml",
    "vllm": "vllm one-node --vllm 0.32.0",
    "vllm-scaled": f"vllm one-node --vllm 0.32.0 {PLACED} {SCALED} --name served --storage-class fast --no-api-key",
    "vllm-nodes": "vllm two-nodes --vllm 0.32.0 --volume adapters:/mnt --replicas 3",
    "nim": f"nim one-node --image nvcr.io/nim/x:1.12.0 --profile p7 {PLACED} --replicas 2",
    "nim-any": "nim one-node --image nvcr.io/nim/nvidia/model-free-nim:2.1.6",
    "observe": "observe models --system triton --system vllm --slo-ttft 2000 --slo-latency 9000 --release 26.07"
    " --job vllm=engine",
    "nim-operator": "nim one-node --image nvcr.io/nim/x:2.1.0 --operator --profile p7 --autoscale 1:4",
}
TWO: dict[str, object] = {"tensor_parallel_size": 8, "pipeline_parallel_size": 2, "cpu_offload_gb": 2}
LEFT_OUT = (".tritonrepo-deploy.json", "rules-test.yaml", "prometheusrule.yaml")
"""The record, the cases that promtool runs in tests/test_observe.py, and the same rules as in rules.yaml."""

ADAPTERS = {"support": "/mnt/support", "a,b": "org/adapter", "c=d": "org/other"}


def repositories() -> None:
    """Write a repository for Triton, and generators for one node and for two."""
    one()
    engine("org/llm", max_model_len=4096)
    Path("endpoint.yaml").write_text(STACK.replace("URL", "http://llm:8000/v1"), "utf-8")
    for name, arguments in {"two": TWO, "one": {}}.items():
        made = repository(Path(), ADAPTERS, **{"max_model_len": 8192, "max_num_seqs": 32, **arguments})
        made.rename(f"{name}-node{'s' * (name == 'two')}")


def test_what_is_written_is_as_reviewed(capsys: pytest.CaptureFixture[str]) -> None:
    """GOLDEN=1 in the environment writes the golden files: review the difference."""
    repositories()
    differ = []
    for name, words in CASES.items():
        assert run(["deploy", *words.split(), "-o", name]) == 0, capsys.readouterr().err
        files = sorted(path for path in Path(name).rglob("*") if path.is_file() and path.name not in LEFT_OUT)
        text = "".join(f"-- {path.relative_to(name)} --\n{path.read_text('utf-8')}" for path in files)
        golden = GOLDEN / f"{name}.txt"
        if os.environ.get("GOLDEN"):
            golden.write_text(text, "utf-8")
        differ += [name] if text != golden.read_text("utf-8") else []
    assert differ == []
    assert {path.stem for path in GOLDEN.glob("*.txt")} == CASES.keys()
