"""`tritonrepo deploy nim`: a generator of a repository as the manifests of a NIM, plain or for its operator."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.crds import faults
from tests.test_deploy_vllm import container, repository
from tests.test_kube import built
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.serving.nim import nim
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.deploy_nim import NimOptions, plan_nim
from tritonrepo.flows.deployment import Deployment, apply_deploy
from tritonrepo.flows.workspace import Workspace

OLD = "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.12.0"
ANY = "nvcr.io/nim/nvidia/model-free-nim:2.1.6"


def planned(tmp_path: Path, made: Path, wanted: NimOptions) -> Deployment:
    return plan_nim(made, tmp_path / "out", Workspace(), wanted)


def written(tmp_path: Path, made: Path, wanted: NimOptions) -> dict[str, Any]:
    """Return the objects of production by kind."""
    apply_deploy(planned(tmp_path, made, wanted))
    return {each["kind"]: each for each in built(tmp_path / "out" / "overlays" / "prod")}


def variables(one: Any) -> dict[str, Any]:  # noqa: ANN401  YAML
    return {each["name"]: each.get("value", each.get("valueFrom", {}).get("secretKeyRef")) for each in one["env"]}


def rules(deployment: Deployment) -> list[str]:
    return [each.rule for each in deployment.warnings]


def test_two_passes_the_engine_arguments_on_and_needs_no_key(tmp_path: Path) -> None:
    made = repository(tmp_path, max_model_len=8192, hf_overrides={"a": "b c$(HOME)"}, tensor_parallel_size=2)
    found = written(tmp_path, made, NimOptions(ANY, choices=Choices(Wanted(replicas=2, monitor=True))))
    one = container(found["Deployment"])
    env = variables(one)
    passed = shlex.split(env["NIM_PASSTHROUGH_ARGS"].replace("$$", "$"))
    assert passed == ["--max-model-len=8192", '--hf-overrides={"a": "b c$(HOME)"}', "--tensor-parallel-size=2"]
    assert env["NIM_MODEL_PATH"] == "hf://meta-llama/Llama-3.1-8B-Instruct"
    assert env["NIM_SERVED_MODEL_NAME"] == "llm"
    assert env["NGC_API_KEY"]["optional"]
    assert "args" not in one
    assert one["image"] == ANY
    assert one["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert one["readinessProbe"]["httpGet"] == {"path": "/v1/health/ready", "port": "http"}
    assert one["livenessProbe"]["httpGet"]["path"] == "/v1/health/live"
    assert {each["mountPath"] for each in one["volumeMounts"]} == {"/dev/shm", "/opt/nim/.cache"}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert "imagePullSecrets" not in pod
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (1000, 2000)
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert found["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["path"] == "/v1/metrics"


def test_one_takes_what_it_has_a_variable_for_and_the_rest_is_said(tmp_path: Path) -> None:
    made = repository(tmp_path, max_model_len=8192, gpu_memory_utilization=0.8, tensor_parallel_size=2, max_num_seqs=4)
    deployment = planned(tmp_path, made, NimOptions(OLD))
    assert rules(deployment) == ["deploy-nim-argument", "deploy-nim-license"]
    (decided, _) = planned(tmp_path, repository(tmp_path, tensor_parallel_size=2), NimOptions(OLD)).warnings
    assert "takes no tensor_parallel_size: its profile decides" in decided.message
    repository(tmp_path, max_model_len=8192, gpu_memory_utilization=0.8, tensor_parallel_size=2, max_num_seqs=4)
    assert "no setting for max_num_seqs, tensor_parallel_size" in deployment.warnings[0].message.replace(
        "tensor_parallel_size, max_num_seqs", "max_num_seqs, tensor_parallel_size"
    )
    found = written(tmp_path, made, NimOptions(OLD, profile="abc"))
    env = variables(container(found["Deployment"]))
    assert (env["NIM_MAX_MODEL_LEN"], env["NIM_KVCACHE_PERCENT"], env["NIM_MODEL_PROFILE"]) == ("8192", "0.8", "abc")
    assert "NIM_MODEL_PATH" not in env
    assert "NIM_PASSTHROUGH_ARGS" not in env
    assert env["NGC_API_KEY"] == {"name": "llm", "key": "NGC_API_KEY"}
    keys, registry = yaml.safe_load_all((tmp_path / "out" / "secrets.example.yaml").read_text())
    assert keys["stringData"] == {"NGC_API_KEY": ""}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": registry["metadata"]["name"]}] == [{"name": "llm-registry"}]
    assert registry["type"] == "kubernetes.io/dockerconfigjson"


def test_the_operator_gets_a_cache_and_a_service(tmp_path: Path) -> None:
    kube = Wanted(replicas=1, scale=(1, 3), pull="ngc", product="NVIDIA-L40S", monitor=True)
    made = repository(tmp_path, tensor_parallel_size=2)
    spec: dict[str, Any] = {}
    for image, kinds in ((OLD, {"NIMCache", "NIMService"}), (ANY, {"NIMService"})):
        out = tmp_path / image.rpartition("/")[2]
        wanted = NimOptions(image, operated=True, choices=Choices(kube))
        apply_deploy(plan_nim(made, out, Workspace(), wanted))
        found = {each["kind"]: each for each in built(out / "overlays" / "prod")}
        assert {kind for kind in found if kind.startswith("NIM")} == kinds
        assert [fault for kind in kinds for fault in faults(found[kind])] == []
        spec = found["NIMService"]["spec"]
        assert (spec["image"]["tag"], spec["scale"]["hpa"]["maxReplicas"]) == (image.rpartition(":")[2], 3)
        assert "replicas" not in spec
        assert "NIM_CACHE_PATH" not in {each["name"] for each in spec["env"]}
        assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == {"app": "llm"}
    assert spec["storage"]["pvc"]["create"]


WARNED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("nvcr.io/nim/meta/llama-3.3-70b-instruct:2.1.6", {}, "deploy-nim-model"),
    (ANY, {"adapters": {"a": "/x/a", "b": "/y/b"}}, "deploy-nim-adapters"),
)


def test_what_the_image_does_otherwise_is_said(tmp_path: Path) -> None:
    for image, arguments, rule in WARNED:
        assert rule in rules(planned(tmp_path, repository(tmp_path, **arguments), NimOptions(image)))
    made = repository(tmp_path, {"a": "/x/a", "b": "/x/b"})
    kube = Wanted(replicas=1, volumes=(("adapters", "/x"),))
    found = written(tmp_path, made, NimOptions(ANY, choices=Choices(kube)))
    assert variables(container(found["Deployment"]))["NIM_PEFT_SOURCE"] == "/x"


REFUSED: tuple[tuple[NimOptions, dict[str, Any], str], ...] = (
    (NimOptions("nvcr.io/nim/meta/llama-3.1-8b-instruct:latest"), {}, "names no version"),
    (NimOptions("nvcr.io/nim/meta/llama-3.1-8b-instruct"), {}, "names no version"),
    (NimOptions("nvcr.io/nim/x:1.2.3@sha256:abc"), {}, "names no version"),
    (NimOptions("nvcr.io/nim/x\n:1.2.3"), {}, "names no version"),
    (NimOptions(ANY), {"tensor_parallel_size": 16}, "16 GPUs are more than the 8 of a node"),
    (NimOptions(ANY), {"nonsense": 1}, 'no option for "nonsense"'),
    (NimOptions(ANY, choices=Choices(name="nim-server")), {}, 'a Service named "nim-server"'),
    (NimOptions(ANY, choices=Choices(name="vllm")), {}, 'a Service named "vllm"'),
)


def test_what_nim_could_not_serve_is_refused(tmp_path: Path) -> None:
    for wanted, arguments, said in REFUSED:
        with pytest.raises(Stop) as stop:
            planned(tmp_path, repository(tmp_path, **arguments), wanted)
        assert said in stop.value.diagnostics[0].message, wanted


def test_a_production_branch_needs_its_key(tmp_path: Path) -> None:
    image = "nvcr.io/nim/nvidia/nemotron-3.5-lightning-30b-a3b-pb7:2.1.5-pb7.0"
    found = written(tmp_path, repository(tmp_path), NimOptions(image))
    assert "optional" not in variables(container(found["Deployment"]))["NGC_API_KEY"]


def test_the_version_of_an_image_decides_what_it_takes() -> None:
    rows = {
        OLD: ((1, 12, 0), False, False),
        "x/y:1.2.34": ((1, 2, 34), False, False),
        ANY: ((2, 1, 6), True, True),
        "x/y:2.0.0": ((2, 0, 0), True, False),
        "x/y-pb7:2.1.5": ((2, 1, 5), True, False),
    }
    found = {text: nim(text) for text in rows}
    assert {text: (one.version, one.engines, one.keyless) for text, one in found.items() if one} == rows
    assert [nim(text) for text in ("x", "x:latest", "x:1.2", "x:1.2.3@sha256:0", "")] == [None] * 5
