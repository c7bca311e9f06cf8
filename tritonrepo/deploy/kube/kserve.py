"""Triton on KServe: a ServingRuntime with a container of our own, and the InferenceService that uses it.

Sources are those of KServe 0.21: pkg/constants/constants.go, pkg/credentials/s3/s3_secret.go and
pkg/controller/v1beta1/inferenceservice. Its own runtime for Triton has 2 GiB of memory, and no shared memory or probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from tritonrepo.deploy.kube import manifests, pods
from tritonrepo.deploy.kube.layers import Layers, Objects, by_kind, tree
from tritonrepo.deploy.kube.scaling import autoscaler
from tritonrepo.deploy.kube.serving import Serving
from tritonrepo.deploy.kube.triton import needs, reaches, workload
from tritonrepo.deploy.kube.workload import Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.service import MODELS, Reads
from tritonrepo.tree import Tree

PLACE = "/mnt/models"
"""Where KServe mounts what its storage initializer has copied."""

CONTAINER = "kserve-container"
FORMAT = {"name": "triton", "version": "2"}
GOOGLE = "gcloud-application-credentials.json"
PREFIX = "serving.kserve.io"


def files(serving: Serving) -> Tree:
    """Return the files by their paths."""
    made, wanted = _workload(serving), serving.wanted
    accounts = [_account(serving)] if _keyed(serving) else []
    base = [runtime(made), service(made, serving), *accounts, *manifests.caches(made, serving)]
    prod = manifests.production(replace(made, scaling=None), monitored=wanted.monitor)
    scaled = replace(made, name=f"{made.name}-predictor")
    scalers = [autoscaler(scaled, made.scaling)] if made.scaling else []
    dockerfile = serving.service.runs.dockerfile
    layers = Layers(
        by_kind(base),
        by_kind([*prod, *scalers]),
        _example(serving),
        wanted.namespace,
        kind="InferenceService",
        others={"Dockerfile": dockerfile} if dockerfile else {},
        replicas="/spec/predictor/minReplicas",
    )
    return tree(made, layers, serving.service.again)


def _workload(serving: Serving) -> Workload:
    """Return the server, which finds the models on its disk; what copies them there needs disk and the bucket too."""
    made = workload(_inside(serving)._replace(claimed=""))
    return replace(made, needs=made.needs._replace(disk=needs(serving).disk), reaches=tuple(reaches(serving)))


def _inside(serving: Serving) -> Serving:
    """Return the server as it finds the models, where KServe has copied them."""
    return serving._replace(service=replace(serving.service, reads=Reads(PLACE, "", ())))


def runtime(made: Workload) -> dict[str, object]:
    """Return the ServingRuntime."""
    pod = pods.spec(made)
    formats = [{**FORMAT, "autoSelect": noted(False, "Only a service that names this runtime uses it.")}]  # noqa: FBT003
    spec = {
        "supportedModelFormats": formats,
        "protocolVersions": ["v2", "grpc-v2"],
        "labels": noted(made.labels, "Of the pods."),
        "containers": [{**pods.container(made), "name": CONTAINER}],
        **{name: pod[name] for name in ("imagePullSecrets", "nodeSelector", "tolerations", "volumes")},
    }
    return made.object(f"{PREFIX}/v1alpha1", "ServingRuntime", spec)


def service(made: Workload, serving: Serving) -> dict[str, object]:
    """Return the InferenceService."""
    pod, scale = pods.spec(made), made.scaling
    account = serving.wanted.account or (made.name if _keyed(serving) else "")
    kept = ("automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds", "securityContext")
    once = "KServe copies it once, before a pod starts. A new revision is another URI, and a rollout."
    model = {
        "modelFormat": FORMAT,
        "runtime": made.name,
        "protocolVersion": "v2",
        "storageUri": noted(stored(serving), once),
    }
    predictor = {
        "minReplicas": scale.least if scale else made.replicas,
        "maxReplicas": scale.most if scale else made.replicas,
        "serviceAccountName": account or None,
        **{name: pod[name] for name in (*kept, "topologySpreadConstraints")},
        "deploymentStrategy": {"type": "RollingUpdate", **_rolling(made)},
        "model": model,
    }
    found = made.object(f"{PREFIX}/v1beta1", "InferenceService", {"predictor": predictor})
    metadata = {"name": made.name, "annotations": _modes(made), "labels": made.labels}
    return {**found, "metadata": metadata}


def _rolling(made: Workload) -> Mapping[str, object]:
    strategy = pods.rollout(made)["strategy"]
    assert isinstance(strategy, Mapping)  # noqa: S101  pods.rollout makes one
    return strategy


def _modes(made: Workload) -> dict[str, object]:
    raw = "A Deployment, without Knative, which newer versions of KServe call Standard; they know this name too."
    none = "KServe's own autoscaler counts CPU, which says nothing of a GPU."
    return {
        f"{PREFIX}/deploymentMode": noted("RawDeployment", raw),
        f"{PREFIX}/autoscalerClass": noted("external" if made.scaling else "none", none),
    }


def stored(serving: Serving) -> str:
    """Return the URI for KServe, in which no endpoint is: that of an S3 store is an annotation of the Secret."""
    models = serving.service.reads.models
    if serving.claimed:
        return f"pvc://{serving.claimed}{models.removeprefix(MODELS)}"
    scheme, _, rest = models.partition("://")
    host, path = _endpoint(models)
    return f"{scheme}://{path}" if host else f"{scheme}://{rest}"


def _endpoint(models: str) -> tuple[str, str]:
    """Return the host and port of an S3 store that a URI names, "" for that of AWS, and the bucket with its prefix."""
    _, _, rest = models.partition("://")
    host, _, path = rest.partition("://")[2].partition("/") if "://" in rest else rest.partition("/")
    return (host, path) if ":" in host else ("", rest)


def _keyed(serving: Serving) -> bool:
    """Return whether KServe reads a bucket with the keys of a Secret."""
    return not serving.claimed and not serving.wanted.account


def _account(serving: Serving) -> dict[str, object]:
    """Return the account through which KServe finds the keys of the bucket."""
    why = "KServe takes the keys of the bucket from the Secrets of the account."
    secrets = noted([{"name": f"{serving.name}-bucket"}], why)
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": serving.name}, "secrets": secrets}


def _example(serving: Serving) -> Objects:
    """Return the Secrets to create: the keys of the bucket as KServe wants them, and what the server itself needs."""
    own = manifests.example(_inside(serving))
    return [*own, _bucket(serving)] if _keyed(serving) else own


def _bucket(serving: Serving) -> dict[str, object]:
    models = serving.service.reads.models
    metadata: dict[str, object] = {"name": f"{serving.name}-bucket"}
    keys: dict[str, object] = {GOOGLE: noted("", "Key file of an account that can read the bucket.")}
    if models.startswith("s3://"):
        host, _ = _endpoint(models)
        secure = urlsplit(models.partition("://")[2]).scheme == "https"
        if host:
            used = noted("1" if secure else "0", "Whether the endpoint has TLS.")
            metadata["annotations"] = {f"{PREFIX}/s3-endpoint": host, f"{PREFIX}/s3-usehttps": used}
        keys = {
            "AWS_ACCESS_KEY_ID": noted("", "Key that reads the bucket."),
            "AWS_SECRET_ACCESS_KEY": noted("", "Its secret."),
        }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": keys}
