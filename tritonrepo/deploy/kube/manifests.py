"""The files of Triton on Kubernetes: its objects in a base, and those of production alone in an overlay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonrepo.deploy.environment import AWS
from tritonrepo.deploy.kube import sizes
from tritonrepo.deploy.kube.around import budget, deployment, kept, monitor, network, services
from tritonrepo.deploy.kube.gateway import KEYS, gateway
from tritonrepo.deploy.kube.layers import Layers, Objects, tree
from tritonrepo.deploy.kube.scaling import autoscaler
from tritonrepo.deploy.kube.serving import Serving
from tritonrepo.deploy.kube.starting import KEY_FILE, OPTIONAL
from tritonrepo.deploy.kube.triton import cache_claim, workload
from tritonrepo.deploy.kube.workload import Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.tree import Tree


def files(serving: Serving) -> Tree:
    """Return the files by their paths."""
    made, wanted = workload(serving), serving.wanted
    base: dict[str, Objects] = {"deployment.yaml": [deployment(made)], "services.yaml": services(made)}
    base |= caches(made, serving)
    dockerfile = serving.service.runs.dockerfile
    prod = production(made, monitored=wanted.monitor)
    along: tuple[str, ...] = ()
    if serving.gateway:
        front = gateway(made, serving.gateway, serving.secret)
        base["gateway.yaml"] = [deployment(front), *services(front)]
        prod = {name: [*each, *_beside(front, name)] for name, each in prod.items()}
        along = (front.name,)
    others = {"Dockerfile": dockerfile} if dockerfile else {}
    layers = Layers(base, prod, example(serving), wanted.namespace, others=others, along=along)
    return tree(made, layers, serving.service.again)


def _beside(front: Workload, name: str) -> Objects:
    """Return what a gateway has in a file of production."""
    made = {"disruption-budget.yaml": budget, "network-policy.yaml": network, "pod-monitor.yaml": monitor}
    return [made[name](front)] if name in made else []


def caches(made: Workload, serving: Serving) -> Mapping[str, Objects]:
    """Return the claim of the cache, if one is to be written."""
    name, wanted = cache_claim(serving), serving.wanted
    if not (wanted.storage_class and name):
        return {}
    why = "Weights from the Hub, and compiled kernels."
    return {"cache.yaml": [kept(made, name, sizes.cache(serving.service.engines), wanted.storage_class, why)]}


def production(made: Workload, *, monitored: bool) -> Mapping[str, Objects]:
    """Return the objects that only production has."""
    found: dict[str, Objects] = {"disruption-budget.yaml": [budget(made)], "network-policy.yaml": [network(made)]}
    if made.scaling:
        found["autoscaler.yaml"] = [autoscaler(made, made.scaling)]
    if monitored:
        found["pod-monitor.yaml"] = [monitor(made)]
    return found


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
    for name in dict.fromkeys((*service.variables, *wanted.variables)):
        yield name, noted("", "Read by a model.")
    if serving.gateway:
        yield KEYS, noted("", "API keys that clients of the gateway send, with spaces between them.")
