"""The files of a generator's server: what is around its pods, by kustomize layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube import around
from tritonrepo.deploy.kube.layers import Layers, Objects, by_kind, tree
from tritonrepo.deploy.kube.scaling import autoscaler
from tritonrepo.deploy.kube.workload import Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.serving import wanted as serving
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.tree import Tree


def of_one_pod(one: Generator, made: Workload, choices: Choices, keys: Mapping[str, str]) -> Tree:
    """Return the files of a server whose replicas are single pods; `keys` are those of its Secret, and their use."""
    base = [around.deployment(made), *around.services(made), *claims(one, made, choices)]
    prod = production(made, choices, "apps/v1/Deployment")
    return tree(made, layers(made, choices, keys, (base, prod)), choices.again)


def layers(
    made: Workload,
    choices: Choices,
    keys: Mapping[str, str],
    objects: tuple[Objects, Objects],
    kind: str = "Deployment",
) -> Layers:
    """Return the files of the base and of production by layer; `kind` is the kind that has the replicas."""
    base, prod = map(by_kind, objects)
    return Layers(base, prod, [*_secrets(made, choices, keys)], choices.kube.namespace, kind)


def production(made: Workload, choices: Choices, kind: str) -> Objects:
    """Return what only production has; `kind` is the kind of what is scaled, with its API."""
    scaled = [autoscaler(made, made.scaling, kind)] if made.scaling else []
    return [around.budget(made), around.network(made), *scaled, *monitors(made, choices)]


METRICS = {"nim": "/v1/metrics"}
"""Where servers have their metrics, if it is not /metrics."""


def monitors(made: Workload, choices: Choices) -> Objects:
    """Return the PodMonitor, if the user wants one."""
    return [around.monitor(made, METRICS.get(made.kind, ""))] if choices.kube.monitor else []


def claims(one: Generator, made: Workload, choices: Choices) -> Objects:
    """Return the claim of the volume with the weights, unless the user has one."""
    if choices.kube.cache or "cache" not in {each.name for each in made.volumes}:
        return []
    why = "Room for the weights."
    return [around.kept(made, f"{made.name}-cache", serving.weights(one), choices.kube.storage_class, why)]


def _secrets(made: Workload, choices: Choices, keys: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    if keys:
        data = {key: noted("", why) for key, why in keys.items()}
        name = choices.kube.secret or made.name
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "stringData": data}
    if made.kind == "nim" and made.placing.secrets:
        yield _registry(made.placing.secrets[0])


def _registry(name: str) -> Mapping[str, object]:
    """Return the Secret with which images are pulled from NVIDIA's registry, whose user is always the same."""
    create = f"kubectl create secret docker-registry {name} --docker-server=nvcr.io"
    why = f"The key of NGC: {create} --docker-username='$oauthtoken' --docker-password=KEY"
    data = {".dockerconfigjson": noted("", why)}
    kind = "kubernetes.io/dockerconfigjson"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data}
