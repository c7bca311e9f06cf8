"""Manifests against the stack or repository that their Triton serves: `validate FILE --stack PATH`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLE
from tests.pages import files, with_stack
from tritonrepo.cli import run
from tritonrepo.flows.manifest_stack import given_by
from tritonrepo.manifests.objects import Object
from tritonrepo.manifests.servers import servers
from tritonrepo.spec.nodes import parse

SEED = EXAMPLE.parent / "seed" / "repository"
IMAGE = "nvcr.io/nvidia/tritonserver"
MODEL = """-- models/{0}/config.pbtxt --
backend: "identity"
max_batch_size: 8
input {{ name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }}
output {{ name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }}
-- models/{0}/1/weights --
"""
TWO = MODEL.format("a") + MODEL.format("b").replace("identity", "no_such_backend")


def pod(container: str, args: str = "--model-repository=/m", tag: str = "24.10-py3", more: str = "") -> str:
    image = tag if "/" in tag else f"{IMAGE}:{tag}"
    head = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n{more}"
    return f'{head}  containers: [{{name: c, image: "{image}", args: [tritonserver, {args}], {container}}}]\n'


def said(manifest: str, repository: str = TWO) -> list[str]:
    """Return the rules of what is found against the repository, with the message."""
    found = with_stack(files(f"-- k.yaml --\n{manifest}{repository}"), "models")
    return [f"{each.rule}: {each.message}" for each in found if each.rule.startswith("manifest-")]


def rules(manifest: str, repository: str = TWO) -> set[str]:
    return {each.partition(":")[0].removeprefix("manifest-") for each in said(manifest, repository)}


def test_the_models_that_a_server_loads_must_load_there() -> None:
    refused = "manifest-model-refused: this server does not load 1 of "
    explicit = "--model-repository=/m, --model-control-mode=explicit"
    rows = {
        "--model-repository=/m": [f"{refused}2 models: b (backend-library-not-found); and so it does not start"],
        "--model-repository=/m, --exit-on-error=false": [f"{refused}2 models: b (backend-library-not-found)"],
        f"{explicit}, --load-model=a": [],
        f"{explicit}, --load-model=*": [f"{refused}2 models: b (backend-library-not-found); and so it does not start"],
        f"{explicit}, --load-model=b": [f"{refused}1 model: b (backend-library-not-found); and so it does not start"],
        explicit: [],
    }
    assert {args: said(pod("env: []", args)) for args in rows} == rows


def test_the_server_is_the_one_that_the_manifest_describes() -> None:
    vllm = """-- models/m/config.pbtxt --
backend: "vllm"
instance_group { kind: KIND_MODEL }
-- models/m/1/model.json --
{"model": "/weights/m", "tensor_parallel_size": 2}
"""
    one = "resources: {limits: {nvidia.com/gpu: 1}}"
    two, mounted = "resources: {limits: {nvidia.com/gpu: 2}}", "volumeMounts: [{name: w, mountPath: /weights}]"
    rows = {
        pod(f"{two}, {mounted}", tag="24.10-vllm-python-py3"): set[str](),
        pod(f"{one}, {mounted}", tag="24.10-vllm-python-py3"): {"model-refused"},  # too few GPUs
        pod(f"{two}, {mounted}"): {"model-refused"},  # the image has no vLLM
        pod(f"{two}, {mounted}", tag="own/triton:24.10-mine"): set[str](),
        pod(f"{two}, {mounted}", tag="own/triton:mine"): set[str](),
        pod(two, tag="24.10-vllm-python-py3"): {"path-not-mounted"},
    }
    late = {"startup-short", "shared-memory-small"}
    assert {manifest: rules(manifest, vllm) - late for manifest in rows} == rows
    described = {
        pod("env: []", "--disable-auto-complete-config"): "--release 24.10 --image py3 --gpus 0 --no-auto-complete",
        pod(f"{two}, env: []", tag="26.11-trtllm-python-py3"): "--release 26.11 --gpus 2",
        pod("resources: {limits: {nvidia.com/mig-1g.10gb: 1}}", tag="mine/triton:1"): "",
    }
    for manifest, options in described.items():
        (server,) = servers(Object(parse(manifest.encode(), "k.yaml")))
        assert given_by(server).options == options


def test_names_of_models_are_those_of_the_repository() -> None:
    one = MODEL.format("a")

    def ask(path: str) -> str:
        return f"readinessProbe: {{httpGet: {{path: {path}, port: 8000}}}}"

    rows = {
        pod(ask("/v2/models/a/ready")): set[str](),
        pod(ask("/v2/models/x/versions/1/ready")): {"model-unknown"},
        pod(ask("/v2/health/ready")): set[str](),
        pod(ask("/v2/models")): set[str](),
        pod("env: []", "--model-repository=/m, --model-control-mode=explicit, --load-model=x"): {"model-unknown"},
        pod("env: []", "--model-repository=/m, --model-control-mode=explicit, --load-model=*"): set[str](),
    }
    assert {manifest: rules(manifest, one) for manifest in rows} == rows


def test_memory_and_time_are_those_that_the_models_need() -> None:
    one = MODEL.format("a").replace("identity", "python").replace("1/weights", "1/model.py")
    one = one.replace("[ 4 ]", "[ 4096, 4096 ]")
    mount = "volumeMounts: [{name: s, mountPath: /dev/shm}]"
    shm = "  volumes: [{name: s, emptyDir: {medium: Memory%s}}]\n"
    small = {"shared-memory-small"}
    rows = {
        pod(mount, more=shm % ", sizeLimit: 64Mi"): small,
        pod(mount, more=shm % ", sizeLimit: 8Gi"): set[str](),
        pod(mount, more=shm % ""): set[str](),
        pod(mount): set[str](),
        pod("env: []", more="  hostIPC: true\n"): set[str](),
        pod("env: []"): small,
    }
    assert {manifest: rules(manifest, one) & small for manifest in rows} == rows
    times = {
        "startupProbe: {failureThreshold: 5}": {"startup-short"},
        "startupProbe: {failureThreshold: 7}": set[str](),
        "livenessProbe: {initialDelaySeconds: 10}": {"startup-short"},
        "readinessProbe: {failureThreshold: 1}": set[str](),
    }
    assert {probe: rules(pod(probe), MODEL.format("a")) for probe in times} == times


ENDPOINT = """-- models/g/config.pbtxt --
backend: "python"
input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
-- models/g/1/model.py --
class TritonPythonModel:
    def execute(self, requests):
        return [None for request in requests]
-- models/g/1/settings.json --
{"url": "http://h:1/v1", "model": "m", "api_key": "KEY", "headers": {"x-org": "ORG"}, "timeouts": {}}
"""


def test_the_variables_with_which_models_call_endpoints_must_be_set() -> None:
    rows = {
        "env: [{name: KEY, value: x}]": ["ORG"],
        "env: [{name: ORG}, {name: KEY}]": [],
        "env: []": ["KEY", "ORG"],
        "envFrom: [{secretRef: {name: s}}]": [],
    }
    start = 'manifest-variable-missing: model "g" reads '
    found = {
        env: [each[len(start) :][:3] for each in said(pod(env), ENDPOINT) if each.startswith(start)] for env in rows
    }
    assert found == rows
    other = "--model-repository=/m, --model-control-mode=explicit, --load-model=x"
    assert "variable-missing" not in rules(pod("env: []", other), ENDPOINT)


def validated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code = run(["validate", *arguments, "--format", "json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["diagnostics"]
    return code, found


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "k.yaml").write_text(text)
        return str(tmp_path / "k.yaml")

    return write


def test_a_stack_is_built_for_the_image_and_compared(
    manifest: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = manifest(pod("resources: {limits: {nvidia.com/gpu: 3}}", tag="25.05-vllm-python-py3"))
    stack = str(EXAMPLE / "tritonrepo.yaml")
    code, found = validated(capsys, file, "--stack", stack, "--select", "manifest")
    assert code == 1
    assert {each["rule"] for each in found} >= {"manifest-model-refused", "manifest-release-differs"}
    assert {each["path"] for each in found} == {file}
    code, found = validated(capsys, file, "--stack", stack, "--select", "manifest", "--ignore", "manifest")
    assert (code, found) == (0, [])


def test_what_cannot_be_compared_is_said_once(
    manifest: Callable[[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = manifest(pod("env: []"))
    code, found = validated(capsys, file, file, "--stack", str(tmp_path / "missing"))
    assert (code, [each["rule"] for each in found]) == (2, ["validate-path"])
    assert run(["validate", str(tmp_path), "--stack", str(tmp_path)]) == 2
    assert "--stack requires a manifest as PATH" in capsys.readouterr().err
    assert run(["validate", file, "--stack", ""]) == 2
    assert "--stack requires a path or a URI" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(file).read_bytes())))
    code, found = validated(capsys, "-", "--stack", str(SEED), "--select", "manifest-model-refused")
    assert (code, [(each["path"], each["line"]) for each in found]) == (1, [("stdin", 5)])
    other = manifest("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    assert validated(capsys, other, "--stack", str(tmp_path / "missing")) == (0, [])


def test_the_uri_of_a_repository_is_read_as_triton_reads_it(
    manifest: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {
        "s3://models/prod": False,
        "s3://https://s3.example:443/models/prod": False,
        "s3://s3.example/models/prod/../x": True,
        "s3://b": True,
        "gs://models/prod": False,
        "gs://UPPER/prod": True,
        "as://account/container": False,
        "https://example/models": True,
        "s3://$(BUCKET)/x": False,
        "s3://user:secret@host/x": True,
        "/models": False,
    }
    found = {}
    for uri in rows:
        file = manifest(pod("env: []", f"'--model-repository={uri}'"))
        found[uri] = validated(capsys, file, "--select", "manifest-repository-uri")[0] == 1
    assert found == rows
    run(["validate", manifest(pod("env: []", "--model-repository=s3://user:secret@host/x"))])
    assert "secret" not in capsys.readouterr().out
    elsewhere = pod("env: [{name: AWS_ENDPOINT_URL, value: x}]", "--model-repository=s3://models/prod")
    assert validated(capsys, manifest(elsewhere), "--select", "manifest-repository-uri")[0] == 1


def test_gpus_are_counted_against_what_is_paid(
    manifest: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = manifest("---\n".join(pod(f"resources: {{limits: {{nvidia.com/gpu: {n}}}}}") for n in (1, 2)))
    only = ("--select", "gpus-more-than-paid")
    code, found = validated(capsys, file, "--gpus", "2", *only)
    assert (code, [each["line"] for each in found]) == (1, [8])
    assert validated(capsys, file, "--gpus", "3", *only) == (0, [])
    assert validated(capsys, file, *only) == (0, [])
