"""`deploy kserve` writes a runtime of its own and a service that uses it, as KServe's own schemas have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.crds import faults, schemas
from tests.test_deploy import bucket, engine, here, one  # noqa: F401  a fixture
from tests.test_k8s import S3, text
from tests.test_kube import built, misnamed
from tritonrepo.cli import run


def kserve(*words: str) -> dict[str, Any]:
    """Return the objects of production by kind; custom ones are as their projects want them."""
    assert run(["deploy", "kserve", *words, "-o", "out"]) == 0
    found = built(Path("out/overlays/prod"))
    assert [fault for each in found if (each["apiVersion"], each["kind"]) in schemas() for fault in faults(each)] == []
    return {each["kind"]: each for each in found}


def test_a_runtime_has_what_the_models_need_and_a_service_uses_it() -> None:
    one()
    engine()
    words = ["--gpus", "2", "--release", "26.07", "--replicas", "3", "--gpu-product", "NVIDIA-L4", "--pod-monitor"]
    found = kserve("models", "--uri", S3, *words)
    runtime, predictor = found["ServingRuntime"]["spec"], found["InferenceService"]["spec"]["predictor"]
    (container,) = runtime["containers"]
    assert (container["name"], container["args"][:3]) == (
        "kserve-container",
        ["tritonserver", "--model-repository=/mnt/models", "--model-control-mode=none"],
    )
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
    assert {each["name"] for each in runtime["volumes"]} == {"shm", "cache"}
    assert {each["name"] for each in container["env"]} == {"HOME", "HF_HOME", "VLLM_CACHE_ROOT", "HF_TOKEN"}
    assert predictor["model"]["runtime"] == found["ServingRuntime"]["metadata"]["name"]
    assert predictor["model"]["storageUri"] == "s3://models/rag"
    assert (predictor["minReplicas"], predictor["maxReplicas"], predictor["terminationGracePeriodSeconds"]) == (
        3,
        3,
        55,
    )
    assert predictor["deploymentStrategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert predictor["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    labels = runtime["labels"]
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        assert found[kind]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {"ports": [{"port": 9000}]} in found["NetworkPolicy"]["spec"]["egress"]
    (dev,) = (each for each in built(Path("out/overlays/dev")) if each["kind"] == "InferenceService")
    assert dev["spec"]["predictor"]["minReplicas"] == 1


@pytest.mark.parametrize(
    ("uri", "stored", "endpoint"),
    [
        (S3, "s3://models/rag", ("minio.example:9000", "1")),
        ("s3://http://10.0.0.5:9000/models/rag", "s3://models/rag", ("10.0.0.5:9000", "0")),
        ("s3://models/a/b", "s3://models/a/b", None),
        ("gs://models/rag", "gs://models/rag", None),
        ("pvc://claim/a/b", "pvc://claim/a/b", None),
        ("pvc://claim", "pvc://claim", None),
    ],
)
def test_kserve_finds_the_models_where_they_are(uri: str, stored: str, endpoint: tuple[str, str] | None) -> None:
    one()
    found = kserve("models", "--uri", uri)
    assert found["InferenceService"]["spec"]["predictor"]["model"]["storageUri"] == stored
    keyed = not uri.startswith("pvc:")
    assert ("ServiceAccount" in found, Path("out/secrets.example.yaml").exists()) == (keyed, keyed)
    if keyed:
        secret = yaml.safe_load(text("secrets.example.yaml"))
        assert found["ServiceAccount"]["secrets"] == [{"name": secret["metadata"]["name"]}]
        assert {*secret["stringData"].values()} == {""}
        said = secret["metadata"].get("annotations", {}).values()
        assert tuple(said) == (endpoint or ())
    assert "ServiceAccount" not in kserve("models", "--uri", uri, "--service-account", "reader")


def test_a_signal_of_its_own_scales_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(monkeypatch)
    one(root="prod")
    for words, kind in (([], "HorizontalPodAutoscaler"), (["--keda", "http://p:9090"], "ScaledObject")):
        found = kserve("s3://models/prod", "--autoscale", "2:6", *words)
        assert found[kind]["spec"]["scaleTargetRef"]["name"] == "prod-predictor"
        service = found["InferenceService"]
        assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
        predictor = service["spec"]["predictor"]
        assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 6)
        (container,) = found["ServingRuntime"]["spec"]["containers"]
        assert "--model-control-mode=none" in container["args"]  # what is copied once cannot be pushed to
        Path("prod.yaml").write_text(yaml.safe_dump_all(found.values()), "utf-8")
        assert run(["validate", "prod.yaml", "--strict"]) == 0
        assert misnamed(Path("out")) == []
