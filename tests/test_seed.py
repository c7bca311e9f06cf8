"""The published repository that cannot start, and its repaired twin: what `validate` says about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import ROOT
from tritonrepo.cli import run

SEED = ROOT / "examples" / "models" / "seed"
PUBLISHED = ["--release", "24.05", "--image", "vllm-python-py3", "--gpus", "2", "--gpu-memory", "80GiB"]
REPAIRED = ["--release", "25.05", "--image", "py3", "--image", "vllm-python-py3", "--gpus", "2"]
ROWS = {
    "embedding-model/config.pbtxt": "warning [gpu-memory-shared]",
    "embedding-model/config.pbtxt:2:11": "error [backend-not-available]",
    "embedding-model/config.pbtxt:5:3": "warning [encoder-without-tokenizer]",
    "llama-70b/1/model.json:2:3": "error [vllm-llama31-too-old]",
    "llama-70b/1/model.json:7:3": "warning [vllm-max-num-seqs-kv]",
    "llama-70b/config.pbtxt": "warning [vllm-no-instance-group]",
    "llama-70b/config.pbtxt:3:39": "error [vllm-decoupled-false]",
    "llama-70b/llama-70b-config.yaml": "warning [settings-file-not-read]",
    "reranker/1/model.pt": "error [pytorch-load-failed]",
    "reranker/config.pbtxt:2:11": "error [backend-not-available]",
    "reranker/config.pbtxt:5:3": "warning [encoder-without-tokenizer]",
}
"""What is said of each place; the README shows the messages."""


MANIFESTS = {
    "nim.yaml:5:1": "error [selector-missing]",
    "nim.yaml:9:11": (
        "warning [probes-missing], info [runs-as-root], warning [shared-memory-missing], warning [weights-not-kept]"
    ),
    "nim.yaml:19:11": "warning [resources-not-requested]",
    "nim.yaml:10:18": "warning [image-without-version], warning [pull-secret-missing]",
    "triton.yaml:5:1": "error [selector-missing]",
    "triton.yaml:9:11": "info [ports-undeclared], warning [probes-missing], info [runs-as-root]",
    "triton.yaml:10:18": "info [drivers-differ]",
    "triton.yaml:14:15": "info [one-model-stops-server], warning [poll-in-production]",
    "triton.yaml:15:15": "info [poll-reads-bucket]",
    "triton.yaml:16:11": "warning [resources-not-requested]",
    "triton.yaml:19:11": "warning [shared-memory-missing]",
    "triton.yaml:20:21": "error [mount-without-volume]",
    "vllm.yaml:28:11": "warning [resources-not-requested]",
    "vllm.yaml:5:1": "error [selector-missing]",
    "vllm.yaml:6:3": "info [gpus-in-all]",
    "vllm.yaml:10:11": "info [runs-as-root], warning [shared-memory-missing]",
    "vllm.yaml:13:15": "warning [hub-token-missing], warning [weights-not-kept]",
    "vllm.yaml:33:15": "info [readiness-by-health]",
    "vllm.yaml:35:13": "warning [delay-instead-of-startup]",
}
"""What is said of places of the three published manifests."""


def test_each_fault_of_the_published_manifests_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether Kubernetes takes them, whether they can start, and what goes wrong later."""
    files = sorted(SEED.joinpath("k8s", "published").glob("*.yaml"))
    assert run(["validate", "-v", *map(str, files)]) == 1
    found: dict[str, list[str]] = {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith(str(SEED)):
            place, severity, _ = line.split(": ", 2)
            found.setdefault(Path(place).name, []).append(f"{severity} {line.rpartition(' ')[2]}")
    missing = {
        place: says for place, says in MANIFESTS.items() if not set(says.split(", ")) <= set(found.get(place, []))
    }
    assert missing == {}


BESIDE = {
    "triton.yaml:10:18": (
        "this server does not load 3 of 3 models: embedding-model (backend-not-available), llama-70b"
        " (vllm-decoupled-false), reranker (backend-not-available); and so it does not start [manifest-model-refused]"
    ),
    "triton.yaml:9:11": (
        'meta-llama/Llama-3.1-70B-Instruct is gated, and container "triton" has no token of the Hugging Face Hub'
        " [manifest-token-missing]"
    ),
    "triton.yaml:19:11": "/dev/shm has 64.0 MiB, but the models need about 2.1 GiB [manifest-shared-memory-small]",
}


def test_the_published_manifest_is_checked_against_its_repository(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = SEED / "k8s" / "published" / "triton.yaml"
    assert run(["validate", str(manifest), "--stack", str(SEED / "repository"), "--select", "manifest"]) == 1
    lines = capsys.readouterr().out.splitlines()
    found = [line.split(": ", 2) for line in lines if line.startswith(str(SEED))]
    assert {Path(place).name: says for place, _, says in found} == BESIDE
    hint = f"tritonrepo validate {SEED / 'repository'} --release 24.05 --image vllm-python-py3 --gpus 2"
    assert sum(hint in line for line in lines) == 1


def test_the_repaired_manifests_have_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    files = map(str, SEED.joinpath("k8s", "repaired").glob("*.yaml"))
    assert run(["validate", *files, "--stack", str(SEED / "repaired")]) == 0
    assert capsys.readouterr().out == "9 Kubernetes objects: no problems found\n"


def test_each_fault_of_the_published_repository_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else: its engine arguments, for one, are all known to the vLLM of this release."""
    repository = str(SEED / "repository")
    assert run(["validate", repository, *PUBLISHED]) == 1
    said = [line.removeprefix(f"{repository}/") for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    found = [[*line.split(": ", 2)[:2], line.rpartition(" ")[2]] for line in said[:-1]]
    assert {place: f"{severity} {rule}" for place, severity, rule in found} == ROWS
    assert said[-1] == "3 models: 5 errors, 6 warnings"


@pytest.mark.parametrize("memory", [[], ["--gpu-memory", "80GiB"]], ids=["", "memory"])
def test_the_repaired_repository_has_no_fault(capsys: pytest.CaptureFixture[str], memory: list[str]) -> None:
    assert run(["validate", str(SEED / "repaired"), *REPAIRED, *memory]) == 0
    assert capsys.readouterr().out == "7 models: no problems found; not looked at: TorchScript of 1 model\n"
