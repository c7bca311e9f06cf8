"""`deploy k8s` writes manifests that kustomize builds, with what the models need, and no value that is secret."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import EXAMPLE
from tests.crds import faults, schemas
from tests.pushes import CODE
from tests.test_deploy import ENSEMBLE, PYTHON, bucket, engine, here, made, one  # noqa: F401  a fixture
from tests.test_kube import built, misnamed
from tritonrepo.cli import run
from tritonrepo.cli.gateway import command as gateway
from tritonrepo.flows import kubernetes
from tritonrepo.flows.deployment import RECORD
from tritonrepo.flows.frozen import frozen
from tritonrepo.flows.validate import declared
from tritonrepo.releases import NVIDIA

S3 = "s3://https://minio.example:9000/models/rag"
ONNX = 'backend: "onnxruntime"\nmax_batch_size: 16\ninstance_group { kind: KIND_GPU count: 2 }\n'


def k8s(*words: str, out: str = "out") -> int:
    return run(["deploy", "k8s", "-o", out, *words])


def objects(layer: str = "base", out: str = "out") -> dict[str, Any]:
    """Return the objects of the base, or those that kustomize builds of an overlay, by kind; Services by name."""
    files = (each.read_text("utf-8") for each in sorted(Path(out, layer).glob("*.yaml")))
    read = (each for file in files for each in yaml.safe_load_all(file) if each["kind"] != "Kustomization")
    found = {}
    for each in read if layer == "base" else built(Path(out) / layer):
        name = each["metadata"]["name"] if each["kind"] == "Service" else each["kind"]
        assert name not in found
        found[name] = each
    return found


def pod(layer: str = "base", out: str = "out") -> dict[str, Any]:
    found: dict[str, Any] = objects(layer, out)["Deployment"]["spec"]["template"]["spec"]
    return found


def container(layer: str = "base", out: str = "out") -> dict[str, Any]:
    (found,) = pod(layer, out)["containers"]
    assert isinstance(found, dict)
    return found


def variables() -> dict[str, Any]:
    """Return name → value, or the Secret, its key and whether it is optional."""
    found = {}
    for each in container().get("env", []):
        ref = each.get("valueFrom", {}).get("secretKeyRef")
        found[each["name"]] = each["value"] if ref is None else (ref["name"], ref["key"], ref.get("optional", False))
    return found


def text(name: str = "base/deployment.yaml", out: str = "out") -> str:
    return (Path(out) / name).read_text("utf-8")


def test_a_directory_is_served_once_from_a_bucket() -> None:
    one()
    assert k8s("models", "--uri", S3) == 0
    found = container()
    assert found["image"] == f"{NVIDIA}:26.08-py3"
    assert found["args"] == [
        "tritonserver",
        f"--model-repository={S3}",
        "--model-control-mode=none",
        "--strict-readiness=true",
        "--exit-on-error=true",
        "--metrics-config=histogram_latencies=true",
        "--exit-timeout-secs=30",
    ]
    assert "command" not in found  # the image's entrypoint sets up CUDA's compatibility
    assert found["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert found["startupProbe"]["httpGet"] == {"path": "/v2/health/live", "port": "http"}
    assert {each["mountPath"] for each in found["volumeMounts"]} == {"/dev/shm", "/scratch"}
    assert variables() == {
        "HOME": "/tmp",
        "TRITON_AWS_MOUNT_DIRECTORY": "/scratch",
        "AWS_ACCESS_KEY_ID": ("models", "AWS_ACCESS_KEY_ID", False),
        "AWS_SECRET_ACCESS_KEY": ("models", "AWS_SECRET_ACCESS_KEY", False),
        "AWS_DEFAULT_REGION": ("models", "AWS_DEFAULT_REGION", True),
        "AWS_SESSION_TOKEN": ("models", "AWS_SESSION_TOKEN", True),
    }
    secret = yaml.safe_load(text("secrets.example.yaml"))
    assert secret["metadata"]["name"] == "models"
    assert {*secret["stringData"].values()} == {""}
    names = {name for name, value in variables().items() if isinstance(value, tuple)}
    assert names == {*secret["stringData"]}
    assert {each["kind"] for each in built(Path("out/overlays/prod"))}.isdisjoint({"Secret"})


def test_what_is_at_a_uri_is_served_as_it_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(monkeypatch)
    one(root="prod")
    made("prod", {"rag/config.pbtxt": ENSEMBLE, "rag/1/.keep": ""})
    for words, flags in (
        ([], ["--model-control-mode=poll", "--repository-poll-secs=15"]),
        (["--poll", "5"], ["--model-control-mode=poll", "--repository-poll-secs=5"]),
        (["--explicit"], ["--model-control-mode=explicit", "--load-model=*"]),
    ):
        assert k8s("s3://models/prod", *words) == 0
        assert container()["args"][2:6] == [*flags, "--strict-readiness=false", "--exit-on-error=false"]
        assert container()["readinessProbe"]["httpGet"]["path"] == "/v2/models/rag/ready"
    shm = {each["name"]: each for each in pod()["volumes"]}["shm"]["emptyDir"]
    assert shm == {"medium": "Memory", "sizeLimit": "128Mi"}  # both versions during a push
    made("prod", {"b c/config.pbtxt": PYTHON % (0, 4, 4), "b c/1/model.py": CODE})
    assert k8s("s3://models/prod") == 0
    probe = container()["readinessProbe"]
    assert probe["exec"]["command"][-3:] == [
        "--fail-early",
        "http://127.0.0.1:8000/v2/models/b%20c/ready",
        "http://127.0.0.1:8000/v2/models/rag/ready",
    ]
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]
    assert k8s("s3://models/prod", "--immutable") == 0
    assert "--model-control-mode=none" in container()["args"]


def test_a_bucket_is_read_with_keys_or_with_a_role() -> None:
    one()
    assert k8s("models", "--uri", "gs://models/rag", "--secret", "reader") == 0
    assert variables()["GOOGLE_APPLICATION_CREDENTIALS"] == "/run/secrets/bucket/google.json"
    (volume,) = (each["secret"] for each in pod()["volumes"] if "secret" in each)
    assert volume == {"secretName": "reader", "items": [{"key": "google.json", "path": "google.json"}]}
    assert [*yaml.safe_load(text("secrets.example.yaml"))["stringData"]] == ["google.json"]
    for uri, left in (("gs://models/rag", {"TRITON_GCS_MOUNT_DIRECTORY"}), (S3, {"TRITON_AWS_MOUNT_DIRECTORY"})):
        assert k8s("models", "--uri", uri, "--service-account", "reader") == 0
        assert pod()["serviceAccountName"] == "reader"
        assert {*variables()} - {"AWS_DEFAULT_REGION"} == {"HOME", *left}
        egress = objects("overlays/prod")["NetworkPolicy"]["spec"]["egress"]
        assert {"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}]} in egress


@pytest.mark.parametrize(
    ("uri", "port"),
    [
        (S3, 9000),
        ("s3://models/rag", 443),
        ("s3://minio:9001/models/rag", 9001),
        ("gs://models/rag", 443),
    ],
)
def test_the_network_policy_lets_pods_reach_the_bucket(uri: str, port: int) -> None:
    one()
    assert k8s("models", "--uri", uri) == 0
    assert [each["ports"] for each in objects("overlays/prod")["NetworkPolicy"]["spec"]["egress"][1:]] == [
        [{"port": port}]
    ]


def test_a_claim_is_mounted_for_reading_only() -> None:
    one()
    assert k8s("models", "--uri", "pvc://repositories/teams/rag/", "--gpus", "0") == 0
    assert "--model-repository=/models/teams/rag" in container()["args"]
    assert k8s("models", "--uri", "pvc://repositories/$(HOME)/$x", "--gpus", "0", out="odd") == 0
    assert "--model-repository=/models/$$(HOME)/$$x" in container(out="odd")["args"]  # as Kubernetes reads it
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in container()["volumeMounts"]
    claims = [each["persistentVolumeClaim"] for each in pod()["volumes"] if "persistentVolumeClaim" in each]
    assert claims == [{"claimName": "repositories", "readOnly": True}]
    assert variables() == {"HOME": "/tmp"}
    assert not Path("out/secrets.example.yaml").exists()
    assert "nvidia.com/gpu" not in container()["resources"]["limits"]
    assert k8s("models", "--uri", "pvc://repositories") == 0
    assert "--model-repository=/models" in container()["args"]


def test_production_is_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(monkeypatch)
    one(ONNX, root="prod")
    words = ["--namespace", "serving", "--replicas", "3", "--autoscale", "2:6", "--gpu-product", "NVIDIA-L4"]
    words += ["--pull-secret", "registry", "--image-name", "mine.example/t:1", "--pod-monitor", "--gpus", "2"]
    assert k8s("s3://models/prod", *words, "--volume", "adapters:/mnt/adapters", "--env", "DATABASE_URL") == 0
    prod, dev = objects("overlays/prod"), objects("overlays/dev")
    assert {*prod} - {*dev} == {"HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor"}
    assert {each["metadata"]["namespace"] for each in prod.values()} == {"serving"}
    assert {each["metadata"]["namespace"] for each in dev.values()} == {"serving-dev"}
    assert ("replicas" in prod["Deployment"]["spec"], dev["Deployment"]["spec"]["replicas"]) == (False, 1)
    scaler = prod["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 6)
    metric = scaler["metrics"][0]["pods"]
    assert (metric["metric"]["name"], metric["target"]["averageValue"]) == ("nv_inference_pending_request_count", "64")
    spec = pod()
    assert spec["nodeSelector"]["nvidia.com/gpu.product"] == "NVIDIA-L4"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert (container()["image"], container()["resources"]["limits"]["nvidia.com/gpu"]) == ("mine.example/t:1", "2")
    assert "With up to 6 replicas, that is 12 GPUs in all." in text()
    assert variables()["DATABASE_URL"] == ("prod", "DATABASE_URL", False)
    assert {"name": "volume-1", "mountPath": "/mnt/adapters", "readOnly": True} in container()["volumeMounts"]
    assert container()["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"  # no process of Python can die
    assert k8s("s3://models/prod", "--autoscale", "1:2", "--keda", "http://prometheus:9090") == 0
    (trigger,) = objects("overlays/prod")["ScaledObject"]["spec"]["triggers"]
    assert trigger["metadata"]["query"] == 'sum(nv_inference_pending_request_count{job="prod"})'


def test_a_stack_is_deployed_with_its_engine_and_its_image(capsys: pytest.CaptureFixture[str]) -> None:
    stack = str(EXAMPLE.parent / "vllm-llama")
    assert k8s(stack, "--uri", S3, "--autoscale", "1:4", "--storage-class", "shared") == 0
    said = capsys.readouterr().err
    assert "--volume CLAIM:/mnt/adapters/support" in said
    assert "wait in vLLM, whose queue the metrics of Triton do not show [deploy-autoscale]" in said
    assert "deploy-not-built" not in said
    assert variables()["HF_TOKEN"][2]
    assert variables()["HF_HOME"] == "/cache/huggingface"
    claim = objects()["PersistentVolumeClaim"]
    assert (claim["spec"]["accessModes"], claim["spec"]["storageClassName"]) == (["ReadWriteMany"], "shared")
    assert claim["metadata"]["name"] in str(pod()["volumes"])
    assert k8s(stack, "--uri", S3, "--cache-claim", "hub", "--volume", "a:/mnt/adapters") == 0
    assert {"name": "cache", "persistentVolumeClaim": {"claimName": "hub"}} in pod()["volumes"]
    assert capsys.readouterr().err == ""
    assert k8s(str(EXAMPLE), "--uri", S3) == 2
    assert "--image-name REGISTRY/NAME:TAG" in capsys.readouterr().err
    assert k8s(str(EXAMPLE), "--uri", S3, "--image-name", "mine/rag:1") == 0
    assert text("Dockerfile").startswith("# Written by tritonrepo deploy k8s")
    assert container()["image"] == "mine/rag:1"


def test_what_a_pod_needs_is_added_up() -> None:
    one(f"{PYTHON % (8, 1 << 20, 1 << 20)}instance_group {{ kind: KIND_GPU count: 2 }}\n")
    engine("meta-llama/Llama-3.1-8B-Instruct", tensor_parallel_size=2)
    assert k8s("models", "--gpus", "2", "--release", "26.07", "--uri", S3) == 0
    found, written = container(), text()
    for line in (
        "516.0 MiB: a, 4 instances of 129.0 MiB",
        "2.0 GiB: llm, an engine on 2 GPUs: messages of its workers, NCCL",
        "3.0 GiB: CUDA, its libraries, and 2 GPUs",
    ):
        assert f"#   {line}" in written
    memory = int(found["resources"]["requests"]["memory"].removesuffix("Gi"))
    assert found["resources"]["limits"]["memory"] == f"{memory}Gi"
    assert 25 <= memory <= 45  # 2 workers, their files of weights, processes of Python, shared memory
    (budget,) = re.findall(r"startupProbe:\n(?:.*\n)*?.*#   60 s: CUDA(?:.*\n)*?\s+failureThreshold: (\d+)", written)
    seconds = [int(line.split()[1]) for line in written.partition("startupProbe")[2].splitlines() if " s: " in line]
    assert int(budget) * 10 == -(-2 * sum(seconds) // 60) * 60
    assert objects()["Deployment"]["spec"]["progressDeadlineSeconds"] > int(budget) * 10


def test_an_endpoint_is_reached_with_the_key_of_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """And what only looks like the settings of one is no reason to fail."""
    settings = {"url": "http://llm.serving:8000/v1", "model": "m", "api_key": "LLM_KEY", "timeouts": {}}
    one()
    odd: list[Any] = [{"url": 1}, [], {**settings, "headers": 1, "api_key": "a b", "url": "http://[x:y"}]
    away = [{**settings, "headers": {}, "url": f"http://{host}:8000/v1"} for host in ("localhost", "models-headless")]
    for number, content in enumerate([{**settings, "headers": {"X-Team": "TEAM"}}, *odd, *away]):
        made("models", {f"m{number}/config.pbtxt": PYTHON % (0, 4, 4), f"m{number}/1/model.py": CODE})
        Path(f"models/m{number}/1/settings.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert k8s("models", "--uri", "pvc://claim") == 0
    told = capsys.readouterr().err
    assert 'models/m4: warning: in a container, localhost is the container itself, where "m4" finds no endpoint' in told
    assert 'models/m5: warning: "m5" calls the endpoint models-headless, which is the name of Triton\'s own' in told
    assert "m0" not in told
    assert "# m0 sends it to the endpoint that it calls: llm.serving." in text("secrets.example.yaml")
    assert variables()["LLM_KEY"] == ("models", "LLM_KEY", False)
    assert {*variables()} == {"HOME", "LLM_KEY", "TEAM"}
    assert [*yaml.safe_load(text("secrets.example.yaml"))["stringData"]] == ["LLM_KEY", "TEAM"]
    egress = objects("overlays/prod")["NetworkPolicy"]["spec"]["egress"]
    assert [each["ports"] for each in egress[1:]] == [[{"port": 8000}]]
    assert run(["deploy", "docker", "models", "-o", "compose"]) == 0
    assert "deploy-address" in capsys.readouterr().err
    key, _, rest = text(".env.example", "compose").partition("LLM_KEY=\n")
    assert all(f"{name} sends it to the endpoint" in key.replace("\n# ", " ") for name in ("m0", "m4", "m5"))
    assert rest == "\n# m0 sends it to the endpoint that it calls: llm.serving.\nTEAM=\n"
    assert 'LLM_KEY: ""' not in text("compose.yaml", "compose")


def test_a_gateway_is_deployed_in_front() -> None:
    """Its options are those of the command, its probes those of the gateway, and clients need a key."""
    one()
    assert k8s("models", "--uri", S3, "--gateway", "registry.example/gateway:1", "--replicas", "3") == 0
    triton, front = (each for each in built(Path("out", "overlays", "prod")) if each["kind"] == "Deployment")
    if triton["metadata"]["name"].endswith("-gateway"):
        triton, front = front, triton
    assert front["metadata"]["name"] == f"{triton['metadata']['name']}-gateway" == "models-gateway"
    assert front["spec"]["replicas"] == 3
    assert front["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (found,) = front["spec"]["template"]["spec"]["containers"]
    assert (found["image"], found["command"]) == ("registry.example/gateway:1", ["tritonrepo", "gateway"])
    (key,) = found["env"]
    assert key == {"name": "GATEWAY_KEYS", "valueFrom": {"secretKeyRef": {"name": "models", "key": "GATEWAY_KEYS"}}}
    assert 'GATEWAY_KEYS: ""' in text("secrets.example.yaml")
    given = gateway.make_context("gateway", [*found["args"]])
    assert given.params["url"] == "grpc://models-headless:8001"
    assert (given.params["host"], given.params["port"]) == ("0.0.0.0", found["ports"][0]["containerPort"])
    assert given.params["api_key_env"] == "GATEWAY_KEYS"
    grace = front["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > given.params["drain"] + int(found["lifecycle"]["preStop"]["exec"]["command"][-1])
    paths = [found[f"{each}Probe"]["httpGet"]["path"] for each in ("startup", "liveness", "readiness")]
    assert paths == ["/health", "/health", "/ready"]
    assert not re.search("shared memory|unload models", text("base/gateway.yaml"))
    assert [each["spec"]["replicas"] for each in built(Path("out/overlays/dev")) if each["kind"] == "Deployment"] == [
        1,
        1,
    ]


def test_a_gateway_reaches_triton_and_is_watched(capsys: pytest.CaptureFixture[str]) -> None:
    one()
    assert k8s("models", "--uri", S3, "--gateway", "registry.example/gateway:1", "--pod-monitor") == 0
    every = built(Path("out", "overlays", "prod"))
    (front,) = (each for each in every if each["kind"] == "Deployment" and each["metadata"]["name"] == "models-gateway")
    selected = [each for each in every if each["kind"] == "NetworkPolicy"]
    assert len(selected) == len([each for each in every if each["kind"] == "PodMonitor"]) == 2
    (reached,) = (each for each in selected if each["metadata"]["name"] == "models-gateway")
    assert [port["port"] for rule in reached["spec"]["egress"] for port in rule["ports"]] == [53, 53, 8001]
    labels = front["spec"]["template"]["metadata"]["labels"].items()
    policy = next(each for each in selected if each is not reached)
    assert policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].items() <= labels
    assert [each["spec"]["replicas"] for each in built(Path("out/overlays/dev")) if each["kind"] == "Deployment"] == [
        1,
        1,
    ]
    capsys.readouterr()
    assert run(["validate", "out/base", "out/overlays/prod", "--strict"]) == 0, capsys.readouterr().out
    fronts = [Path("out", layer, "gateway.yaml").read_text("utf-8") for layer in ("base", "overlays/prod")]
    assert "shm" not in fronts[0]  # which it does not have, as it loads no models
    assert "unload" not in fronts[0]
    kinds = ["Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"]
    assert [each["kind"] for text in fronts for each in yaml.safe_load_all(text)] == kinds


def test_files_under_names_that_are_no_longer_used_are_removed_or_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """An older version named some files otherwise; its record says which ones it wrote."""
    one()
    assert k8s("models", "--uri", S3) == 0
    record, prod = Path("out", RECORD), Path("out", "overlays", "prod")
    before = {path: path.read_text("utf-8") for path in Path("out").rglob("*.yaml")}
    older = record.read_text("utf-8")
    for new, old in (("base/service", "base/services"), ("policy", "-policy"), ("poddisruption", "disruption-")):
        older = older.replace(new, old)
    record.write_text(older, "utf-8")
    Path("out/base/service.yaml").rename("out/base/services.yaml")
    (prod / "networkpolicy.yaml").rename(prod / "network-policy.yaml")
    edited = f"{(prod / 'poddisruptionbudget.yaml').rename(prod / 'disruption-budget.yaml').read_text('utf-8')}# mine\n"
    (prod / "disruption-budget.yaml").write_text(edited, "utf-8")
    capsys.readouterr()
    assert k8s("models", "--uri", S3) == 0
    said = capsys.readouterr()
    for path in ("base/services.yaml", "overlays/prod/network-policy.yaml"):
        assert f"- {path}  no longer needed" in said.out
    assert "! overlays/prod/disruption-budget.yaml  changed by hand" in said.out
    assert "is kept, but deploy no longer needs it [deploy-hand-edited]\n  Make the change where it is" in said.err
    assert {path: path.read_text("utf-8") for path in Path("out").rglob("*.yaml")} == before | {
        prod / "disruption-budget.yaml": edited
    }
    assert k8s("models", "--uri", S3, "--overwrite") == 0
    assert {path: path.read_text("utf-8") for path in Path("out").rglob("*.yaml")} == before


REASONED = {
    *("progressDeadlineSeconds", "rollingUpdate", "selector", "automountServiceAccountToken", "enableServiceLinks"),
    *("terminationGracePeriodSeconds", "securityContext", "image", "cpu", "memory", "ephemeral-storage", "preStop"),
    *("nvidia.com/gpu", "startupProbe", "livenessProbe", "readinessProbe"),
}


def test_what_an_alert_asks_for_is_measured_where_the_release_can() -> None:
    one()
    for release, measured in (("24.10", False), ("24.11", True), ("26.07", True)):
        assert k8s("models", "--uri", S3, "--release", release) == 0
        assert ("--metrics-config=histogram_latencies=true" in container()["args"]) == measured


def test_each_value_has_its_reason() -> None:
    """That is not obvious: a comment stands above it."""
    one()
    assert k8s("models", "--uri", S3) == 0
    lines = [line.strip() for line in text().splitlines()]
    reasoned = {line.partition(":")[0] for above, line in itertools.pairwise(lines) if above.startswith("#")}
    assert reasoned >= REASONED
    arguments = [line for above, line in itertools.pairwise(lines) if line.startswith("- --") and above.startswith("#")]
    assert [each.partition("=")[0] for each in arguments] == [
        "- --model-control-mode",
        "- --strict-readiness",
        "- --metrics-config",
    ]
    volumes = lines[lines.index("volumes:") :]
    assert [above.startswith("#") for above, line in itertools.pairwise(volumes) if line.startswith("- name: ")] == [
        True
    ] * 2


def test_our_own_rules_find_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """In what kustomize builds of production, by Kubernetes' own schema among others."""
    one()
    engine()
    words = ["--autoscale", "1:4", "--storage-class", "shared", "--pod-monitor", "--pull-secret", "p", "--gpus", "1"]
    for more in (["--immutable"], ["--pushable"], ["--service-account", "a", "--keda", "http://p:9090"]):
        assert k8s("models", "--uri", S3, "--release", "26.07", *words, *more) == 0
        found = built(Path("out/overlays/prod"))
        custom = [each for each in found if (each["apiVersion"], each["kind"]) in schemas()]
        assert {each["kind"] for each in custom} >= {"PodMonitor"}
        assert misnamed(Path("out")) == []
        assert [fault for each in custom for fault in faults(each)] == []
        Path("prod.yaml").write_text(yaml.safe_dump_all(found), "utf-8")
        capsys.readouterr()
        assert run(["validate", "prod.yaml", "--strict"]) == 0, capsys.readouterr()
        assert ": no problems found" in capsys.readouterr().out


def test_a_dead_process_of_a_python_model_ends_the_container() -> None:
    one()
    assert k8s("models", "--uri", S3) == 0
    shell, flag, script = container()["livenessProbe"]["exec"]["command"]
    assert (shell, flag) == ("sh", "-c")
    first, second = script.splitlines()
    assert shlex.split(first)[-2:] == ["http://127.0.0.1:8000/v2/health/live", "&&"]
    pattern = re.search("'(.*)'", second)
    assert pattern
    for line, dead in (
        ("31 (triton_python_b) Z 1 1 1 0", True),
        ("31 (triton_python_b) S 1 1 1 0", False),
        ("31 (triton_python_b) Z 30 1 1 0", False),
        ("31 (python) Z 1 1 1 0", False),
    ):
        assert bool(re.search(pattern[1], line)) == dead


def test_a_revision_has_a_prefix_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for elements in (4, 5):
        one(PYTHON % (0, elements, elements), root="m")
        assert run(["push", "m", "served/prod", "--settle", "0"]) == 0
    found = frozen("served/prod@1", declared)
    assert (found.uri, [*found.found.models], found.name) == ("served/prod-r1", ["a"], "prod")
    (warning,) = found.warnings
    assert warning.hint.endswith("`tritonrepo pull served/prod@1 DIR`, then `tritonrepo push DIR served/prod-r1`.")
    assert run(["pull", "served/prod@1", "copy"]) == 0
    assert run(["push", "copy", "served/prod-r1", "--settle", "0"]) == 0
    assert frozen("served/prod@1", declared).warnings == ()
    monkeypatch.setattr(kubernetes, "is_revision", lambda _: True)
    assert k8s("served/prod@1") == 0
    assert "--model-repository=served/prod-r1" in container()["args"]
    assert "--model-control-mode=none" in container()["args"]
    capsys.readouterr()
    assert k8s("served/prod@1", "--pushable") == 2
    assert "a revision never changes" in capsys.readouterr().err


REFUSED = {
    "no place": (["models"], "pods cannot read a directory of this machine"),
    "a path": (["models", "--uri", "/models"], "this is neither the URI of a bucket nor that of a claim"),
    "what Triton misreads": (["models", "--uri", "s3://https://minio/models/rag"], "the endpoint has no port"),
    "a revision as a place": (["models", "--uri", "s3://models/rag@3"], "a revision is deployed itself"),
    "a place that is not UTF-8": (["models", "--uri", "s3://models/\udcff"], "the name is not UTF-8"),
    "a volume that is not UTF-8": (["models", "--uri", S3, "--volume", "a:/x\udcff"], "the name is not UTF-8"),
    "below the repository": (
        ["models", "--uri", S3, "-o", "models/x"],
        "the output directory is in the model repository",
    ),
    "a claim that leads out": (["models", "--uri", "pvc://a/../b"], "this is not the URI of a claim"),
    "a claim without a name": (["models", "--uri", "pvc:///b"], "this is not the URI of a claim"),
    "a place over the server": (["models", "--uri", S3, "--volume", "a:/opt"], "the container has something else"),
    "a volume without a path": (["models", "--uri", S3, "--volume", "a"], "is not CLAIM:PATH"),
    "a range": (["models", "--uri", S3, "--autoscale", "4:1"], "is not a range of replicas"),
    "keda alone": (["models", "--uri", S3, "--keda", "http://p:9090"], "--keda needs --autoscale"),
    "a password": (
        ["models", "--uri", S3, "--autoscale", "1:2", "--keda", "http://u:p@h"],
        "is not the URL of a server",
    ),
    "a Secret": (["models", "--uri", S3, "--secret", "A b"], "is not a name of Kubernetes"),
    "two caches": (
        ["models", "--uri", S3, "--cache-claim", "a", "--storage-class", "b"],
        "--cache-claim names a claim",
    ),
    "two modes": (["models", "--uri", S3, "--immutable", "--poll", "1"], "--immutable cannot be combined"),
    "poll and explicit": (["models", "--uri", S3, "--explicit", "--poll", "1"], "Triton has one model control mode"),
    "nothing": (["empty", "--uri", S3], "has no models"),
}


def test_what_cannot_be_served_is_refused_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    one()
    Path("empty").mkdir()
    for title, (words, message) in REFUSED.items():
        assert k8s(*words) == 2, title
        said = capsys.readouterr()
        assert (message in said.err, said.out) == (True, ""), (title, said.err)
    assert not Path("out").exists()


NAMES = [
    "a\"b'c",
    "${HOME}$x{{y}}",
    "a #b: c",
    "a\nb: [\rc\u2028d",
    "模型-\U0001f600",
    "\x1b[31mred\x1b[0m",
    "\u202eltr",
    "on",
]


def test_a_name_stays_where_it_belongs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bucket(monkeypatch)
    for name in NAMES:
        one(name=name, root="prod")
    assert k8s("s3://models/prod") == 0
    asked = container()["readinessProbe"]["exec"]["command"]
    assert len([each for each in asked if each.startswith("http://")]) == len(NAMES)
    assert all(each.isascii() and each.isprintable() for each in asked)
    assert "\x1b" not in text() + capsys.readouterr().out
    assert all(not line.startswith(("b: [", "c")) for line in text().splitlines())


def test_the_same_is_written_twice_and_hand_edits_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    one()
    for out in ("out", "again"):
        assert run(["deploy", "k8s", "models", "--uri", S3, "-o", out]) == 0
    names = sorted(path.relative_to("out") for path in Path("out").rglob("*.yaml"))
    assert len(names) == 8
    for name in names:
        assert text(str(name), "again").replace("again`", "out`") == text(str(name))
    assert k8s("models", "--uri", S3, "--check") == 0
    edited = text("overlays/prod/kustomization.yaml") + "images: [{name: x, newTag: y}]\n"
    Path("out/overlays/prod/kustomization.yaml").write_text(edited, "utf-8")
    capsys.readouterr()
    assert k8s("models", "--uri", S3, "--replicas", "4") == 0
    assert "overlays/prod/kustomization.yaml: warning: the file was changed by hand" in capsys.readouterr().err
    assert text("overlays/prod/kustomization.yaml") == edited
    assert objects()["Deployment"]["spec"]["replicas"] == 4


def test_a_store_at_an_address_of_this_machine_is_doubted(capsys: pytest.CaptureFixture[str]) -> None:
    one()
    rows = {"s3://http://localhost:9000/m/r": "localhost", "s3://https://127.0.0.1:9000/m/r": "127.0.0.1", S3: ""}
    rows |= {"s3://http://127.8.0.1:9000/m/r": "127.8.0.1", "s3://http://0.0.0.0:9000/m/r": "0.0.0.0"}
    for uri, host in {**rows, "s3://localhost/r": ""}.items():
        assert k8s("models", "--uri", uri, "--dry-run") == 0
        said = capsys.readouterr().err
        assert (f"in a pod, {host} is the pod itself" in said) is bool(host), uri
        assert ("[deploy-address]" in said) is bool(host), uri
