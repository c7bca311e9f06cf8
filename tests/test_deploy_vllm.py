"""`tritonrepo deploy vllm`: a generator of a repository as the manifests of a vLLM server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.crds import faults
from tests.test_kube import built, misnamed
from tritonrepo.cli import run
from tritonrepo.deploy.kube.wanted import Wanted
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.deploy_nim import NimOptions, plan_nim
from tritonrepo.flows.deploy_vllm import VllmOptions, plan_vllm
from tritonrepo.flows.deployment import Deployment, apply_deploy
from tritonrepo.flows.workspace import Workspace

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
NEWEST = VllmOptions(version="0.32.0")


def repository(tmp_path: Path, adapters: dict[str, str] | None = None, **arguments: object) -> Path:
    made = tmp_path / "model_repository"
    version = made / "llm" / "1"
    version.mkdir(parents=True, exist_ok=True)
    (made / "llm" / "config.pbtxt").write_text('backend: "vllm"\n')
    (version / "model.json").write_text(json.dumps({"model": MODEL, **arguments}))
    if adapters is not None:
        (version / "multi_lora.json").write_text(json.dumps(adapters))
    return made


def planned(tmp_path: Path, made: Path, wanted: VllmOptions = NEWEST) -> Deployment:
    return plan_vllm(made, tmp_path / "out", Workspace(), wanted)


def written(tmp_path: Path, made: Path, wanted: VllmOptions = NEWEST) -> dict[str, Any]:
    """Return the objects of production by kind."""
    apply_deploy(planned(tmp_path, made, wanted))
    return {each["kind"]: each for each in built(tmp_path / "out" / "overlays" / "prod")}


def container(found: dict[str, Any]) -> Any:  # noqa: ANN401  YAML
    (only,) = found["spec"]["template"]["spec"]["containers"]
    return only


def test_the_engine_arguments_are_options_and_what_production_needs_is_added(tmp_path: Path) -> None:
    made = repository(
        tmp_path, max_model_len=8192, tensor_parallel_size=2, enable_prefix_caching=False, max_num_seqs=32
    )
    found = written(tmp_path, made)
    one = container(found["Deployment"])
    assert (one["command"], one["image"]) == (["vllm", "serve"], "vllm/vllm-openai:v0.32.0")
    assert one["args"] == [
        MODEL,
        "--served-model-name=llm",
        "--max-model-len=8192",
        "--tensor-parallel-size=2",
        "--no-enable-prefix-caching",
        "--max-num-seqs=32",
        "--gpu-memory-utilization=0.9",
        "--max-num-queued-reqs=64",
        "--shutdown-timeout=60",
        "--disable-access-log-for-endpoints=/health,/metrics,/v1/models",
    ]
    assert one["resources"]["limits"]["nvidia.com/gpu"] == "2"
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert not pod["enableServiceLinks"]
    assert pod["terminationGracePeriodSeconds"] > 60
    shm = next(each for each in pod["volumes"] if each["name"] == "shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert found["Service"]["spec"]["ports"] == [{"name": "http", "port": 8000, "targetPort": "http"}]
    assert {"PodDisruptionBudget", "NetworkPolicy", "PersistentVolumeClaim"} <= found.keys()
    assert "HorizontalPodAutoscaler" not in found


def test_an_older_version_has_no_option_that_it_does_not_know(tmp_path: Path) -> None:
    found = written(tmp_path, repository(tmp_path), VllmOptions(version="0.15.1"))
    assert container(found["Deployment"])["args"] == [MODEL, "--served-model-name=llm", "--gpu-memory-utilization=0.9"]


def test_readiness_asks_for_the_models_with_the_key_if_one_is_needed(tmp_path: Path) -> None:
    made = repository(tmp_path)
    asked = container(written(tmp_path, made)["Deployment"])
    assert asked["readinessProbe"]["exec"]["command"][:2] == ["python3", "-c"]
    compile(asked["readinessProbe"]["exec"]["command"][2], "probe", "exec")
    keys = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in asked["env"]}
    assert keys["VLLM_API_KEY"] == {"name": "llm", "key": "VLLM_API_KEY"}
    assert keys["HF_TOKEN"] == {"name": "llm", "key": "HF_TOKEN", "optional": True}
    example = yaml.safe_load((tmp_path / "out" / "secrets.example.yaml").read_text())
    assert example["stringData"] == {"VLLM_API_KEY": "", "HF_TOKEN": ""}

    keyless = VllmOptions(version="0.32.0", choices=Choices(keyless=True))
    one = container(written(tmp_path, made, keyless)["Deployment"])
    assert one["readinessProbe"]["httpGet"] == {"path": "/v1/models", "port": "http"}
    assert "VLLM_API_KEY" not in {each["name"] for each in one["env"]}


def test_adapters_and_paths_are_served_from_claims(tmp_path: Path) -> None:
    made = repository(tmp_path, {"support": "/mnt/lora/support", "$(HOME)": "org/adapter"}, model="/mnt/llama")
    deployment = planned(tmp_path, made)
    assert [(each.rule, each.message) for each in deployment.warnings] == [
        ("deploy-path", "the generator reads /mnt/llama, which the container does not have"),
        ("deploy-path", "the generator reads /mnt/lora/support, which the container does not have"),
    ]
    kube = Wanted(replicas=1, volumes=(("weights", "/mnt"),))
    wanted = VllmOptions(version="0.32.0", choices=Choices(kube))
    assert planned(tmp_path, made, wanted).warnings == ()
    found = written(tmp_path, made, wanted)
    one = container(found["Deployment"])
    assert one["args"][-4:] == ["--enable-lora", "--lora-modules", "support=/mnt/lora/support", "$$(HOME)=org/adapter"]
    assert one["volumeMounts"][-1] == {"name": "read-1", "mountPath": "/mnt", "readOnly": True}
    assert "PersistentVolumeClaim" not in found


def test_replicas_are_counted_by_the_requests_that_wait(tmp_path: Path) -> None:
    kube = Wanted(replicas=1, scale=(1, 4), keda="http://prometheus:9090", monitor=True)
    found = written(tmp_path, repository(tmp_path), VllmOptions(choices=Choices(kube), version="0.32.0"))
    (trigger,) = found["ScaledObject"]["spec"]["triggers"]
    assert trigger["metadata"]["query"] == 'sum(vllm:num_requests_waiting{model_name="llm"})'
    assert "replicas" not in found["Deployment"]["spec"]
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert found["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["port"] == "http"


def test_an_engine_on_several_nodes_is_a_group_whose_leader_serves(tmp_path: Path) -> None:
    made = repository(tmp_path, tensor_parallel_size=8, pipeline_parallel_size=2)
    found = written(tmp_path, made)
    group = found["LeaderWorkerSet"]
    assert [*faults(group)] == []
    text = (tmp_path / "out" / "base" / "leaderworkerset.yaml").read_text()
    assert text.count("With 1 replica of 2 pods, that is 16 GPUs in all.") == 2
    template = group["spec"]["leaderWorkerTemplate"]
    assert template["size"] == 2
    leader, worker = ({"spec": {"template": template[name]}} for name in ("leaderTemplate", "workerTemplate"))
    assert container(leader)["args"][-3:] == ["--nnodes=2", "--master-addr=$(LWS_LEADER_ADDRESS)", "--node-rank=0"]
    assert container(worker)["args"][-2:] == ["--node-rank=$(LWS_WORKER_INDEX)", "--headless"]
    assert container(leader)["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert "exec" in container(leader)["readinessProbe"]
    assert "readinessProbe" not in container(worker)
    labels = template["workerTemplate"]["metadata"]["labels"]
    assert not found["Service"]["spec"]["selector"].items() <= labels.items()
    assert found["Service"]["spec"]["selector"].items() <= template["leaderTemplate"]["metadata"]["labels"].items()
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]


REFUSED: tuple[tuple[dict[str, Any], VllmOptions, str, str], ...] = (
    ({"max_model_length": 1}, NEWEST, 'no option for "max_model_length"', "model.json"),
    ({"hf_token": "hf_secret"}, NEWEST, "hf_token", "model.json"),
    ({"model": "--trust-remote-code"}, NEWEST, "would be an option of vLLM", "model.json"),
    ({"model": ""}, NEWEST, "names no model", "model.json"),
    ({}, VllmOptions(version="latest"), '"latest" is not a version of vLLM', "latest"),
    ({}, VllmOptions(version="0.4.0"), '"0.4.0" is not a version of vLLM', "0.4.0"),
    ({}, VllmOptions(model="nobody"), '"nobody" is not a generator', "model_repository"),
    ({}, VllmOptions(choices=Choices(name="vllm")), "VLLM_PORT", "vllm"),
    ({"tensor_parallel_size": 16}, VllmOptions(version="0.10.2"), "only with Ray", "model.json"),
)


def test_what_vllm_could_not_serve_is_refused(tmp_path: Path) -> None:
    for arguments, wanted, said, at in REFUSED:
        with pytest.raises(Stop) as stop:
            planned(tmp_path, repository(tmp_path, **arguments), wanted)
        (diagnostic,) = stop.value.diagnostics
        assert said in diagnostic.message, arguments
        assert str(diagnostic.at.path).endswith(at), arguments
        assert "hf_secret" not in str(diagnostic)


def test_what_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    made = repository(tmp_path)
    for text, said in (("{", 'the engine arguments of "llm" cannot be read'), ("", "cannot be read")):
        (made / "llm" / "1" / "model.json").write_text(text)
        with pytest.raises(Stop) as stop:
            planned(tmp_path, made)
        assert said in stop.value.diagnostics[0].message
    (made / "llm" / "config.pbtxt").write_text('backend: "python"\n')
    with pytest.raises(Stop) as stop:
        planned(tmp_path, made)
    assert "the models have no generator among them" in stop.value.diagnostics[0].message


def test_the_version_is_that_of_the_release_and_another_one_is_doubted(tmp_path: Path) -> None:
    made = repository(tmp_path)
    text = written(tmp_path, made, VllmOptions())
    assert container(text["Deployment"])["image"] == "vllm/vllm-openai:v0.27.1"
    (doubt,) = planned(tmp_path, made, VllmOptions(version="0.30.0")).warnings
    assert "were not read; those of 0.27.1 and 0.32.0" in doubt.message
    assert "--vllm 0.32.0" in doubt.hint


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    made = repository(tmp_path)
    apply_deploy(planned(tmp_path, made))
    assert not planned(tmp_path, made).plan


def test_a_start_has_twice_the_time_that_it_takes(tmp_path: Path) -> None:
    """The model has 8.03 billion weights of two bytes: 307 s from the Hub, 77 from the disk, 240 for vLLM itself."""
    one = container(written(tmp_path, repository(tmp_path))["Deployment"])
    startup = one["startupProbe"]
    assert startup["httpGet"]["path"] == one["livenessProbe"]["httpGet"]["path"] == "/health"
    assert startup["periodSeconds"] * startup["failureThreshold"] == pytest.approx(2 * (307 + 77 + 240), rel=0.05)


NIM = NimOptions("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.12.0")
STACK = """name: support
models:
  chat:
    role: generator
    engine: openai
    endpoint: {url: "URL", model: served-llama, api_key: {env: LLM_API_KEY}}
    source: hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659
    args: {max_model_len: 8192}
"""


def test_an_endpoint_of_a_stack_is_served_and_its_address_is_compared(tmp_path: Path) -> None:
    stack = tmp_path / "tritonrepo.yaml"
    stack.write_text(STACK.replace("URL", "http://llm:8000/v1"))
    assert [each for each in planned(tmp_path, stack).warnings if each.rule == "deploy-endpoint"] == []
    found = written(tmp_path, stack)
    assert found["Service"]["metadata"]["name"] == "llm"
    example = (tmp_path / "out" / "secrets.example.yaml").read_text("utf-8")
    assert "Triton has it as LLM_API_KEY," in example.replace("\n  # ", " ")
    args = container(found["Deployment"])["args"]
    assert args[:4] == [
        MODEL,
        "--revision=0e9e39f249a16976918f6564b8830bc894c89659",
        "--served-model-name=served-llama",
        "--max-model-len=8192",
    ]
    stack.write_text(STACK.replace("URL", "https://api.example.com/v1"))
    (doubt,) = (each for each in planned(tmp_path, stack).warnings if each.rule == "deploy-endpoint")
    assert (doubt.at.line, "http://chat:8000/v1" in doubt.hint) == (6, True)
    stack.write_text(STACK.replace("URL", "http://support:8000/v1"))
    for warnings in (planned(tmp_path, stack).warnings, plan_nim(stack, tmp_path / "n", Workspace(), NIM).warnings):
        (doubt,) = (each for each in warnings if each.rule == "deploy-endpoint")
        assert (doubt.at.line, 'the name of the stack, "support", as that of Triton' in doubt.message) == (6, True)
    stack.write_text(STACK.replace("URL", "http://llm:8000/v1").replace("max_model_len", "max_model_length"))
    with pytest.raises(Stop) as stop:
        planned(tmp_path, stack, VllmOptions(model="chat", version="0.32.0"))
    assert (stop.value.diagnostics[0].at.line, stop.value.diagnostics[0].at.column) == (8, 30)


OPTIONS = {
    "--name": "served",
    "--namespace": "apart",
    "--replicas": "3",
    "--gpu-product": "NVIDIA-L40S",
    "--secret": "keys-of-it",
    "--pull-secret": "puller",
    "--cache-claim": "weights",
    "--volume": "adapters:/mnt/adapters",
    "--env": "OWN_VARIABLE",
}
SHOWN = {
    "--name": "name: served",
    "--namespace": "namespace: apart",
    "--replicas": "replicas: 3",
    "--gpu-product": "nvidia.com/gpu.product: NVIDIA-L40S",
    "--secret": "name: keys-of-it",
    "--pull-secret": "name: puller",
    "--cache-claim": "claimName: weights",
    "--volume": "mountPath: /mnt/adapters",
    "--env": "name: OWN_VARIABLE",
}


def test_every_option_is_in_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = [word for pair in OPTIONS.items() for word in pair]
    own = {
        "vllm": (
            ["--vllm", "0.32.0", "--image-name", "own/vllm:1", "--no-api-key", "--pod-monitor"],
            "image: own/vllm:1",
        ),
        "nim": (["--image", "nvcr.io/nim/x:1.12.0", "--profile", "p7", "--pod-monitor"], "value: p7"),
    }
    for server, (more, said) in own.items():
        assert run(["deploy", server, "model_repository", "--model", "llm", *words, *more]) == 0
        text = "".join(path.read_text() for path in sorted((tmp_path / "deploy" / server).rglob("*.yaml")))
        assert [option for option, shown in SHOWN.items() if shown not in text] == []
        assert said in text
        assert "kind: PodMonitor" in text
        assert ("VLLM_API_KEY" in text, "PersistentVolumeClaim" in text) == (False, False)
    scaled = ["--autoscale", "1:4", "--keda", "http://prometheus:9090", "--storage-class", "fast", "-o", "scaled"]
    assert run(["deploy", "vllm", "model_repository", *scaled, "--gpus-per-node", "4"]) == 0
    text = "".join(path.read_text() for path in sorted((tmp_path / "scaled").rglob("*.yaml")))
    assert "maxReplicaCount: 4" in text
    assert "storageClassName: fast" in text
    assert run(["deploy", "nim", "model_repository", "--image", "nvcr.io/nim/x:1.12.0", "--operator", "-o", "o"]) == 0
    assert (tmp_path / "o" / "base" / "nimservice.yaml").exists()
    capsys.readouterr()
    for words, wrong in (
        ([], "--image"),
        (["--image", "nvcr.io/nim/x:1.12.0", "--operator", "--volume", "c:/mnt"], "a NIMService takes neither"),
        (["--image", "nvcr.io/nim/x:1.12.0", "--operator", *scaled[:4]], "a NIMService takes neither"),
    ):
        assert run(["deploy", "nim", "model_repository", *words]) == 2
        assert wrong in capsys.readouterr().err


def test_our_own_rules_find_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also not in a worker of a group, which serves nothing and has no probes."""
    repository(tmp_path, tensor_parallel_size=8, pipeline_parallel_size=2)
    monkeypatch.chdir(tmp_path)
    image = ["--image", "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.12.0", "--gpus-per-node", "16"]
    for server, words in (("vllm", ["--vllm", "0.32.0"]), ("nim", image), ("nim", [*image, "--operator"])):
        out = f"{server}{len(words)}"
        assert run(["deploy", server, "model_repository", "-o", out, *words]) == 0
        capsys.readouterr()
        assert run(["validate", f"{out}/overlays/prod/kustomization.yaml", "--strict"]) == 0, capsys.readouterr().out
        assert misnamed(Path(out)) == []
