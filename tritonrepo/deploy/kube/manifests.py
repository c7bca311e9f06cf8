"""The files of Triton on Kubernetes: its objects in a base, and those of production alone in an overlay."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.deploy.environment import AWS
from tritonrepo.deploy.kube import sizes
from tritonrepo.deploy.kube.around import budget, deployment, kept, monitor, network, services
from tritonrepo.deploy.kube.gateway import KEYS, gateway
from tritonrepo.deploy.kube.layers import Layers, Objects, by_kind, tree
from tritonrepo.deploy.kube.scaling import autoscaler
from tritonrepo.deploy.kube.serving import Serving
from tritonrepo.deploy.kube.starting import KEY_FILE, OPTIONAL
from tritonrepo.deploy.kube.triton import cache_claim, workload
from tritonrepo.deploy.kube.workload import Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.tree import Tree

GATEWAY = "gateway.yaml"
"""All that a gateway has in a layer, so that it can be read, or left out, by itself."""


def files(serving: Serving) -> Tree:
    """Return the files by their paths."""
    made, wanted = workload(serving), serving.wanted
    base = by_kind([deployment(made), *services(made), *caches(made, serving)])
    prod = by_kind(production(made, monitored=wanted.monitor))
    along: tuple[str, ...] = ()
    if serving.gateway:
        front = gateway(made, serving.gateway, serving.secret)
        base[GATEWAY] = [deployment(front), *services(front)]
        prod[GATEWAY] = production(front, monitored=wanted.monitor)
        along = (front.name,)
    dockerfile = serving.service.runs.dockerfile
    others = {"Dockerfile": dockerfile} if dockerfile else {}
    layers = Layers(base, prod, example(serving), wanted.namespace, others=others, along=along)
    return tree(made, layers, serving.service.again)


def caches(made: Workload, serving: Serving) -> Objects:
    """Return the claim of the cache, if one is to be written."""
    name, wanted = cache_claim(serving), serving.wanted
    if not (wanted.storage_class and name):
        return []
    why = "Weights from the Hub, and compiled kernels."
    return [kept(made, name, sizes.cache(serving.service.engines), wanted.storage_class, why)]


def production(made: Workload, *, monitored: bool) -> Objects:
    """Return the objects that only production has."""
    scaled = [autoscaler(made, made.scaling)] if made.scaling else []
    return [budget(made), network(made), *scaled, *([monitor(made)] if monitored else [])]


def example(serving: Serving) -> Objects:
    """Return the Secret that is to be created, without values; none if it would be empty."""
    keys = dict(_keys(serving))
    if not keys:
        return []
    metadata = {"name": serving.secret}
    return [{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": keys}]


def _keys(serving: Serving) -> Iterator[tuple[str, object]]:
    service, wanted = serving.service, serving.wanted
    if service.reads.scheme == "s3":
        for each in AWS:
            if not wanted.account or each.name == "AWS_DEFAULT_REGION":
                optional = "Optional: leave it out if it is not needed." if each.name in OPTIONAL else ""
                yield each.name, noted("", each.asked, optional)
    elif service.reads.scheme == "gs" and not wanted.account:
        why = "Key file of an account that can read objects and the bucket's metadata: roles/storage.objectViewer and"
        yield KEY_FILE, noted("", why, "roles/storage.legacyBucketReader.")
    if service.hub:
        names = ", ".join(service.hub)
        yield "HF_TOKEN", noted("", f"Optional: token of the Hugging Face Hub. Loaded from there: {names}.")
    for name, why in service.variables.items():
        yield name, noted("", why)
    if serving.gateway:
        yield KEYS, noted("", "API keys that clients of the gateway send, with spaces between them.")
