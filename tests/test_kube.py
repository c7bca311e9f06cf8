"""The kit of Kubernetes manifests: what every server's objects have in common, whatever it is."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages import server
from tests.servers.packages import kustomize
from tritonrepo import repository
from tritonrepo.deploy.endpoints import endpoints, near, service
from tritonrepo.deploy.kube import around, pods, scaling
from tritonrepo.deploy.kube.layers import Layers, by_kind, tree
from tritonrepo.deploy.kube.signals import signals
from tritonrepo.deploy.kube.workload import (
    Ending,
    Needs,
    Placing,
    Port,
    Probe,
    Probes,
    Reach,
    Scaling,
    Signal,
    Workload,
    named,
    quantity,
)
from tritonrepo.deploy.manifests import noted, text
from tritonrepo.deploy.sums import GIB, MIB, Sum, Term
from tritonrepo.tree import File, of_bytes

SIGNAL = Signal("waiting", "sum(waiting)", 8, "Waiting.")
LIVE = Probe({"httpGet": {"path": "/live", "port": "http"}}, "Lives.")


def bytes_of(size: int) -> Sum:
    return Sum((Term(size, "models"),), GIB)


WORKLOAD = Workload(
    name="rag",
    stack="support",
    kind="triton",
    version="26.07",
    image=noted("nvcr.io/x:1", "The image."),
    args=["serve"],
    ports=(Port("http", 8000), Port("grpc", 8001, around.H2C), Port("metrics", 8002)),
    metrics="metrics",
    probes=Probes(LIVE, LIVE, LIVE),
    needs=Needs(
        2, Sum((Term(3, "models"),), 1), bytes_of(4 * GIB), bytes_of(5), bytes_of(1), Sum((Term(300, "load"),), 60, 2)
    ),
    volumes=(
        pods.shared(bytes_of(1), "Tensors."),
        pods.empty("scratch", "/scratch", bytes_of(1), "Copies."),
        pods.claim("models", "/models", "claimed", "Models.", read_only=True),
    ),
    placing=Placing("NVIDIA-L4", "amd64", "reader", ("pull",)),
    ending=Ending("for requests"),
    replicas=2,
    scaling=Scaling(1, 4, (SIGNAL,)),
    reaches=(Reach(443, "Bucket."),),
)


def read(*documents: dict[str, object]) -> Any:  # noqa: ANN401  YAML
    found = [*yaml.safe_load_all(text(documents))]
    return found[0] if len(found) == 1 else found


def built(path: Path) -> list[Any]:
    """Return the objects that kustomize makes of a directory."""
    done = subprocess.run([str(kustomize()), "build", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [*yaml.safe_load_all(done.stdout)]


def misnamed(out: Path) -> list[str]:
    """Return the files of a base and of production that have something else than objects of the kind in their name."""
    files = {each for layer in ("base", "overlays/prod") for each in (out / layer).glob("*.yaml")}
    kinds = {each: {of["kind"] for of in yaml.safe_load_all(each.read_text("utf-8"))} for each in files}
    return [f"{each}: {kinds[each]}" for each in files if {kind.lower() for kind in kinds[each]} != {each.stem}]


def test_selectors_find_the_pods_and_never_change() -> None:
    labels = read(around.deployment(WORKLOAD))["spec"]["template"]["metadata"]["labels"]
    selected = [
        read(around.deployment(WORKLOAD))["spec"]["selector"]["matchLabels"],
        *[each["spec"]["selector"] for each in read(*around.services(WORKLOAD))],
        read(around.budget(WORKLOAD))["spec"]["selector"]["matchLabels"],
        read(around.network(WORKLOAD))["spec"]["podSelector"]["matchLabels"],
        read(around.monitor(WORKLOAD))["spec"]["selector"]["matchLabels"],
    ]
    assert all(each.items() <= labels.items() and each == selected[0] for each in selected)
    other = replace(WORKLOAD, version="26.08", image="y", stack="s", replicas=1)
    assert read(around.deployment(other))["spec"]["selector"]["matchLabels"] == selected[0]


def test_a_rollout_has_more_time_than_a_start_and_needs_no_spare_gpu() -> None:
    spec = read(around.deployment(WORKLOAD))["spec"]
    pod = spec["template"]["spec"]
    (one,) = pod["containers"]
    assert one["startupProbe"]["periodSeconds"] * one["startupProbe"]["failureThreshold"] == 600
    assert spec["progressDeadlineSeconds"] >= 600 + pod["terminationGracePeriodSeconds"] + pods.PULL_S
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert pod["terminationGracePeriodSeconds"] == 10 + 30 + 15
    assert one["lifecycle"]["preStop"]["exec"]["command"] == ["/bin/sleep", "10"]


def test_a_pod_is_restricted_and_has_what_it_mounts() -> None:
    """As the profile "restricted" of the Pod Security Standards wants it."""
    pod = read(around.deployment(WORKLOAD))["spec"]["template"]["spec"]
    (one,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("reader", [{"name": "pull"}])
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64", "nvidia.com/gpu.product": "NVIDIA-L4"}
    assert [each["name"] for each in one["volumeMounts"]] == [each["name"] for each in pod["volumes"]]
    assert one["resources"]["limits"] == {"memory": "5Gi", "nvidia.com/gpu": "2"}
    assert one["resources"]["requests"] == {"cpu": "3", "memory": "5Gi", "ephemeral-storage": "1Gi"}
    bare = replace(WORKLOAD, needs=WORKLOAD.needs._replace(gpus=0), placing=Placing("NVIDIA-L4"), volumes=())
    pod = read(around.deployment(bare))["spec"]["template"]["spec"]
    assert {"nodeSelector", "tolerations", "volumes", "serviceAccountName", "imagePullSecrets"}.isdisjoint(pod)
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]


def test_grpc_has_a_headless_service_and_metrics_are_for_prometheus_alone() -> None:
    first, headless = read(*around.services(WORKLOAD))
    assert [port["name"] for port in first["spec"]["ports"]] == ["http", "grpc"]
    assert (headless["metadata"]["name"], headless["spec"]["clusterIP"]) == ("rag-headless", "None")
    assert headless["spec"]["ports"] == [
        {"name": "grpc", "port": 8001, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}
    ]
    clients, prometheus = read(around.network(WORKLOAD))["spec"]["ingress"]
    assert clients["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "support"}}}]
    assert clients["ports"] == [{"port": 8000}, {"port": 8001}]
    assert prometheus["ports"] == [{"port": 8002}]
    alone = replace(WORKLOAD, ports=(Port("http", 8000),), metrics="http")
    assert [each["spec"]["ports"][0]["name"] for each in [read(*around.services(alone))]] == ["http"]
    assert [each["ports"] for each in read(around.network(alone))["spec"]["ingress"]] == [[{"port": 8000}]] * 2


@pytest.mark.parametrize("prometheus", ["", "http://prometheus:9090"])
def test_replicas_are_counted_by_the_workload(prometheus: str) -> None:
    spec = read(scaling.autoscaler(WORKLOAD, Scaling(1, 4, (SIGNAL,), prometheus)))["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "rag"}
    if prometheus:
        (trigger,) = spec["triggers"]
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        assert (trigger["metadata"]["query"], trigger["metadata"]["threshold"]) == ("sum(waiting)", "8")
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 4)
    else:
        assert spec["metrics"][0]["pods"]["target"] == {"type": "AverageValue", "averageValue": "8"}
        assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)


def test_overlays_are_built_by_kustomize(tmp_path: Path) -> None:
    claimed = around.kept(WORKLOAD, "cache", bytes_of(1), "fast", "Weights.")
    layers = Layers(
        by_kind([around.deployment(WORKLOAD), claimed]),
        by_kind([around.budget(WORKLOAD)]),
        [{"apiVersion": "v1", "kind": "Secret"}],
        "serving",
        others={"Dockerfile": "FROM x\n"},
    )
    files = tree(WORKLOAD, layers, "tritonrepo deploy k8s")
    assert {"Dockerfile", "secrets.example.yaml"} <= files.keys()
    for path, each in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(each, File)
        (tmp_path / path).write_bytes(each.content())
    found = {name: built(tmp_path / "overlays" / name) for name in ("dev", "prod")}
    for name, namespace in (("dev", "serving-dev"), ("prod", "serving")):
        assert {each["metadata"]["namespace"] for each in found[name]} == {namespace}
    replicas = {
        name: [each["spec"].get("replicas") for each in found[name] if each["kind"] == "Deployment"] for name in found
    }
    assert replicas == {"dev": [1], "prod": [None]}
    assert {each["kind"] for each in found["prod"]} - {each["kind"] for each in found["dev"]} == {"PodDisruptionBudget"}
    assert read(claimed)["spec"]["accessModes"] == ["ReadWriteMany"]


def test_names_and_sizes_are_those_of_kubernetes() -> None:
    given = {
        "Über RAG": "ber-rag",
        "7b": "triton-7b",
        "模型": "triton",
        "a" * 99: "a" * 40,
        "a--b_": "a-b",
        "x" * 39 + "-y": "x" * 39,
    }
    assert {text: named(text, "triton") for text in given} == given
    assert [quantity(size) for size in (GIB, 3 * MIB, 1)] == ["1Gi", "3Mi", "1Mi"]


def test_an_endpoint_has_the_port_of_its_url_or_of_its_scheme() -> None:
    urls = {"http://a.b/v1": 80, "https://a.b/v1": 443, "http://a.b:8000/v1": 8000, "https://[::1]:1/v1": 1}
    said: dict[str, object] = {"model": "m", "api_key": None, "headers": {}, "timeouts": {}}
    files = {
        f"m{number}/{path}": of_bytes(text.encode())
        for number, url in enumerate(urls)
        for path, text in {
            "config.pbtxt": 'backend: "python"',
            "1/model.py": "",
            "1/settings.json": json.dumps({"url": url, **said}),
        }.items()
    }
    assert [each.port for each in endpoints(repository.read(files, server("")))] == [*urls.values()]


def test_a_host_of_this_machine_is_near_and_no_service() -> None:
    names = {"llm": "llm", "llm.ns": "llm", "localhost": "", "127.0.0.1": "", "::1": "", "api.example.com": ""}
    assert {host: service(host) for host in names} == names
    assert [host for host in names if not near(host)] == ["api.example.com"]


def test_replicas_are_counted_by_what_may_wait_for_the_largest_model() -> None:
    def target(**batches: str) -> int:
        files = {
            f"{name}/config.pbtxt": of_bytes(f"{config}\ninstance_group {{ kind: KIND_CPU count: 2 }}".encode())
            for name, config in batches.items()
        }
        (signal,) = signals(repository.read(files, server("")), "rag")
        assert signal.query == 'sum(nv_inference_pending_request_count{job="rag"})'
        return int(signal.target)

    python = 'backend: "python"\nmax_batch_size: '
    assert target(a=f"{python}8", b=f"{python}3") == 16
    assert target(a=f"{python}1000") == 256
    assert target(a=f"{python}0") == target() == 4
    assert target(a=f"{python}3", b='backend: "vllm"\nmax_batch_size: 64') == 6
    assert target(a=f"{python}3", b='platform: "ensemble"\nmax_batch_size: 64') == 6
