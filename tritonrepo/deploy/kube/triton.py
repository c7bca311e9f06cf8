"""Triton on Kubernetes: its arguments, environment, probes and volumes, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from tritonrepo.deploy.endpoints import endpoints
from tritonrepo.deploy.environment import MOUNTS
from tritonrepo.deploy.kube import sizes
from tritonrepo.deploy.kube.around import H2C
from tritonrepo.deploy.kube.asking import probes
from tritonrepo.deploy.kube.pods import claim, empty, shared
from tritonrepo.deploy.kube.serving import KIND, Serving
from tritonrepo.deploy.kube.signals import signals
from tritonrepo.deploy.kube.starting import KEY_FILE, SECRETS, arguments, environment
from tritonrepo.deploy.kube.workload import (
    Ending,
    Needs,
    Placing,
    Port,
    Reach,
    Scaling,
    Volume,
    Workload,
)
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.service import CACHE, MODELS, SCRATCH
from tritonrepo.deploy.sums import Sum

PORTS = (Port("http", 8000), Port("grpc", 8001, H2C), Port("metrics", 8002))
ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
LINK_LOCAL = "169.254.0.0/16"
"""Source: docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html (169.254.170.23), and the metadata server
of GKE, cloud.google.com/kubernetes-engine/docs/concepts/workload-identity (169.254.169.254)."""


def workload(serving: Serving) -> Workload:
    """Return Triton as a workload."""
    service, wanted = serving.service, serving.wanted
    placing = Placing(
        wanted.product, ARCHES.get(service.arch, ""), wanted.account, (wanted.pull,) if wanted.pull else ()
    )
    scaling = None
    if wanted.scale:
        scaling = Scaling(*wanted.scale, signals(serving.found, serving.name), wanted.keda)
    return Workload(
        name=serving.name,
        stack=serving.name,
        kind=KIND,
        version=service.release.name,
        image=noted(wanted.image_name or service.runs.image, service.runs.why),
        args=[*arguments(service)],
        env=[*environment(serving)],
        ports=PORTS,
        metrics="metrics",
        probes=probes(serving),
        needs=needs(serving),
        volumes=tuple(volumes(serving)),
        placing=placing,
        ending=Ending("Triton finishes requests in flight (--exit-timeout-secs)"),
        replicas=wanted.replicas,
        scaling=scaling,
        reaches=tuple(reaches(serving)),
    )


def needs(serving: Serving) -> Needs:
    """Return what a pod needs."""
    service, found = serving.service, serving.found
    return Needs(
        max(0, service.gpus.number),
        sizes.cores(found, service.engines),
        sizes.memory(found, service.engines, pushed=serving.pushed),
        sizes.disk(found, _on_node(serving)),
        _shared(serving),
        service.start,
        serving.holds,
    )


def _shared(serving: Serving) -> Sum:
    memory = serving.service.memory
    return Sum(memory.terms, memory.multiple, 2) if serving.pushed else memory


def _on_node(serving: Serving) -> Sequence[Sum]:
    service, wanted = serving.service, serving.wanted
    found = [sizes.scratch(serving.found, pushed=serving.pushed)] if service.reads.scheme in MOUNTS else []
    return found + (
        [sizes.cache(service.engines)] if service.engines and not (wanted.cache or wanted.storage_class) else []
    )


def volumes(serving: Serving) -> Iterator[Volume]:
    """Yield the volumes."""
    service, wanted = serving.service, serving.wanted
    twice = " Twice the sum, because a push loads new versions next to the old ones." if serving.pushed else ""
    yield shared(_shared(serving), f"Through it, Python models exchange tensors with the server.{twice}")
    if service.reads.scheme in MOUNTS:
        size = sizes.scratch(serving.found, pushed=serving.pushed)
        why = "The server copies each model from the bucket before it loads it."
        yield empty("scratch", SCRATCH, _larger(size), f"{why} {LARGER}")
    if serving.claimed:
        yield claim(
            "models", MODELS, serving.claimed, "The model repository, which the server only reads.", read_only=True
        )
    if service.engines:
        yield _cache(serving)
    if service.reads.scheme == "gs" and not wanted.account:
        keys: dict[str, object] = {"secretName": serving.secret, "items": [{"key": KEY_FILE, "path": KEY_FILE}]}
        yield Volume("bucket", SECRETS, {"secret": keys}, "The key file that reads the bucket.", read_only=True)
    for number, (claimed, path) in enumerate(dict.fromkeys(wanted.volumes), 1):
        yield claim(f"volume-{number}", path, claimed, "Read by models, as --volume says.", read_only=True)


LARGER = f"A pod that writes {sizes.LARGER} times as much as today is evicted before it fills the disk of the node."


def _larger(size: Sum) -> Sum:
    return Sum(size.terms, size.multiple, sizes.LARGER)


def _cache(serving: Serving) -> Volume:
    what = "Weights from the Hub and compiled kernels"
    if claimed := cache_claim(serving):
        return claim("cache", CACHE, claimed, f"{what}, so that the next start does not fetch them again.")
    alone = "They are lost with the pod: --storage-class or --cache-claim keeps them."
    return empty("cache", CACHE, _larger(sizes.cache(serving.service.engines)), f"{what}. {alone} {LARGER}")


def cache_claim(serving: Serving) -> str:
    """Return the claim of the cache; "" for a directory of the pod."""
    wanted = serving.wanted
    if not serving.service.engines:
        return ""
    return wanted.cache or (f"{serving.name}-cache" if wanted.storage_class else "")


def reaches(serving: Serving) -> Iterator[Reach]:
    """Yield the ports that pods connect to."""
    service = serving.service
    ports = dict[int, str]()
    if service.reads.scheme in MOUNTS:
        ports[_port(service.reads.models)] = "The bucket."
    if service.hub:
        ports.setdefault(443, "The Hugging Face Hub.")
    for called in endpoints(serving.found):
        ports.setdefault(called.port, f"The endpoint that {called.name} calls: {called.host}.")
    yield from (Reach(port, why) for port, why in ports.items())
    if serving.wanted.account and service.reads.scheme in MOUNTS:
        if 443 not in ports:  # noqa: PLR2004  HTTPS
            yield Reach(443, "The cloud's token service.")
        yield Reach(0, "The cloud's services for credentials, which are on the node.", LINK_LOCAL)


def _port(uri: str) -> int:
    """Return the port of a bucket, whose URI can name an endpoint."""
    _, _, inner = uri.partition("://")
    found = urlsplit(inner if "://" in inner else f"https://{inner}")
    return (found.port if "://" in inner or ":" in inner.partition("/")[0] else None) or (
        80 if found.scheme == "http" else 443
    )
