"""A generator by NVIDIA's NIM Operator: a NIMCache with the model, and a NIMService that serves it.

Source: NVIDIA/k8s-nim-operator, api/apps/v1alpha1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube import around, pods
from tritonrepo.deploy.kube.layers import tree
from tritonrepo.deploy.kube.pods import EVERY_S, GPU
from tritonrepo.deploy.kube.scaling import DOWN_S
from tritonrepo.deploy.kube.workload import Workload, quantity
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.serving import nim
from tritonrepo.deploy.serving import wanted as serving
from tritonrepo.deploy.serving.files import layers, monitors
from tritonrepo.deploy.serving.nim import Nim
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.tree import Tree

API = "apps.nvidia.com/v1alpha1"
OWN = {"NGC_API_KEY", "NIM_CACHE_PATH"}
"""Variables that the operator sets by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operated(Workload):
    """A server whose pods the operator makes."""

    @property
    def selector(self) -> dict[str, object]:
        """The label of its pods. Source: nimservice_types.go, GetStandardSelectorLabels."""
        return {"app": self.name}


def operated(made: Workload) -> Operated:
    """Return a server as the operator's."""
    return Operated(**{name: getattr(made, name) for name in Workload.__dataclass_fields__})


def of_operator(one: Generator, made: Operated, image: Nim, profile: str, choices: Choices) -> Tree:
    """Return the files."""
    base = [_service(one, made, image, profile, choices)]
    if not image.any_model and not choices.kube.cache:
        base = [_cache(one, made, image, profile, choices), *base]
    prod = [around.budget(made), around.network(made), *monitors(replace(made, metrics="api"), choices)]
    files = layers(made, choices, nim.keys(image, choices), (base, prod), "NIMService")
    return tree(_fixed(made), files, choices.again)


def _fixed(made: Operated) -> Operated:
    """Return it without its scaling, which is in the NIMService and not in an overlay."""
    values = {name: getattr(made, name) for name in Workload.__dataclass_fields__}
    return Operated(**{**values, "scaling": None, "replicas": 1 if made.scaling else made.replicas})


def _cache(one: Generator, made: Operated, image: Nim, profile: str, choices: Choices) -> dict[str, object]:
    ngc = {
        "modelPuller": noted(
            image.text, "The image downloads its own model. It cannot be changed: delete the NIMCache."
        ),
        "pullSecret": choices.kube.pull or None,
        "authSecret": noted(_keys(made, choices), "The Secret with NGC_API_KEY, which the operator needs for a cache."),
        "model": {"profiles": [profile]} if profile else None,
    }
    return made.object(API, "NIMCache", {"source": {"ngc": ngc}, "storage": {"pvc": _claim(one, made, choices)}})


def _keys(made: Operated, choices: Choices) -> str:
    return choices.kube.secret or made.name


def _claim(one: Generator, made: Operated, choices: Choices) -> dict[str, object]:
    many = made.replicas > 1 or made.scaling is not None
    size = serving.weights(one)
    return {
        "create": True,
        "storageClass": choices.kube.storage_class or None,
        "size": noted(quantity(size.total), "Room for the weights.", rows=size.bytes()),
        "volumeAccessMode": "ReadWriteMany" if many else "ReadWriteOnce",
    }


def _service(one: Generator, made: Operated, image: Nim, profile: str, choices: Choices) -> dict[str, object]:
    of_key = "The Secret with NGC_API_KEY."
    part = {"app.kubernetes.io/component": made.kind, "app.kubernetes.io/part-of": made.stack}
    spec = {
        "labels": noted(part, "Of the pods, as those of other servers have them."),
        "image": {
            "repository": noted(image.name, "The tag is a version: what runs changes only with this file."),
            "tag": f"{image.tag}{image.digest}",
            "pullPolicy": "IfNotPresent",
            "pullSecrets": [choices.kube.pull] if choices.kube.pull else None,
        },
        "authSecret": None if image.keyless and image.any_model else noted(_keys(made, choices), of_key),
        "storage": _storage(one, made, image, profile, choices),
        "replicas": None if made.scaling else made.replicas,
        "scale": _scale(made),
        "env": [each for each in made.env if _name(each) not in OWN] or None,
        "resources": pods.resources(made),
        "nodeSelector": {f"{GPU}.product": choices.kube.product} if choices.kube.product else None,
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        "expose": {"service": {"type": "ClusterIP", "port": nim.PORT}},
        "startupProbe": _started(made),
        "userID": nim.USER,
        "groupID": nim.GROUP,
    }
    return made.object(API, "NIMService", spec)


def _name(variable: object) -> object:
    value = getattr(variable, "value", variable)
    return value["name"] if isinstance(value, Mapping) else None


def _storage(one: Generator, made: Operated, image: Nim, profile: str, choices: Choices) -> dict[str, object]:
    shared = made.needs.shared
    limit = noted(quantity(shared.total), "Shared memory of the workers.", rows=shared.bytes())
    if choices.kube.cache:
        return {"pvc": {"name": choices.kube.cache}, "sharedMemorySizeLimit": limit}
    if image.any_model:
        return {"pvc": _claim(one, made, choices), "sharedMemorySizeLimit": limit}
    return {"nimCache": {"name": made.name, "profile": profile or None}, "sharedMemorySizeLimit": limit}


def _scale(made: Operated) -> dict[str, object] | None:
    if made.scaling is None:
        return None
    (signal,) = made.scaling.signals
    target = {"type": "AverageValue", "averageValue": str(signal.target)}
    metric = noted({"type": "Pods", "pods": {"metric": {"name": signal.metric}, "target": target}}, signal.why)
    return {
        "enabled": True,
        "hpa": {
            "minReplicas": made.scaling.least,
            "maxReplicas": made.scaling.most,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": DOWN_S}},
        },
    }


def _started(made: Operated) -> dict[str, object]:
    needs = made.needs.start
    why = f"Times {EVERY_S} s, {needs.factor} times what a start may take. The operator itself would allow 20 minutes."
    probe = {
        "httpGet": {"path": "/v1/health/ready", "port": "api"},
        "periodSeconds": EVERY_S,
        "failureThreshold": noted(-(-needs.total // EVERY_S), why, rows=needs.seconds()),
        "timeoutSeconds": 5,
    }
    return {"enabled": True, "probe": probe}
