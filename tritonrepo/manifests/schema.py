"""The fields of Kubernetes objects, and what of an object is not as they say.

Source: the OpenAPI documents of Kubernetes; see scripts/update_kubernetes.py, which also describes the types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.objects import TEMPLATES, Object, find
from tritonrepo.packaged import facts
from tritonrepo.repository.once import once
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar

REQUIRED = "!"
ANY = "*"
NAMES = {
    "s": "a string",
    "i": "an integer",
    "n": "a number",
    "b": "true or false",
    "q": "a quantity",
    "p": "a number or a name",
}
KINDS = {
    "s": {"str"},
    "i": {"int"},
    "n": {"int", "float"},
    "b": {"bool"},
    "q": {"str", "int", "float"},
    "p": {"str", "int"},
}
POD = "core.v1.PodTemplateSpec"


class Fault(StrEnum):
    """What is wrong with a field."""

    UNKNOWN = "unknown"
    TYPE = "type"
    MISSING = "missing"
    VALUE = "value"


class Wrong(NamedTuple):
    """A field that is wrong: where, its path, the values or names that it could have, and what is there or needed."""

    fault: Fault
    at: Span
    path: str
    choices: Sequence[str] = ()
    needed: str = ""
    node: Node | None = None


VALUES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("core.v1.Container", "imagePullPolicy"): ("Always", "IfNotPresent", "Never"),
    ("core.v1.PodSpec", "restartPolicy"): ("Always", "OnFailure", "Never"),
    ("core.v1.PodSpec", "dnsPolicy"): ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
    ("core.v1.ContainerPort", "protocol"): ("TCP", "UDP", "SCTP"),
    ("core.v1.ServicePort", "protocol"): ("TCP", "UDP", "SCTP"),
    ("core.v1.ServiceSpec", "type"): ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
    ("core.v1.ServiceSpec", "sessionAffinity"): ("ClientIP", "None"),
    ("core.v1.Toleration", "operator"): ("Exists", "Equal", "Lt", "Gt"),
    ("core.v1.Toleration", "effect"): ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    ("core.v1.TopologySpreadConstraint", "whenUnsatisfiable"): ("DoNotSchedule", "ScheduleAnyway"),
    ("core.v1.HTTPGetAction", "scheme"): ("HTTP", "HTTPS"),
    ("core.v1.SeccompProfile", "type"): ("RuntimeDefault", "Unconfined", "Localhost"),
    ("apps.v1.DeploymentStrategy", "type"): ("RollingUpdate", "Recreate"),
    ("apps.v1.StatefulSetUpdateStrategy", "type"): ("RollingUpdate", "OnDelete"),
    ("autoscaling.v2.MetricSpec", "type"): ("Resource", "ContainerResource", "Pods", "Object", "External"),
    ("autoscaling.v2.MetricTarget", "type"): ("Utilization", "Value", "AverageValue"),
    ("meta.v1.LabelSelectorRequirement", "operator"): ("In", "NotIn", "Exists", "DoesNotExist"),
    ("networking.v1.HTTPIngressPath", "pathType"): ("Exact", "Prefix", "ImplementationSpecific"),
    ("core.v1.PersistentVolumeClaimSpec", "accessModes"): (
        *("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"),
    ),
    ("core.v1.PersistentVolumeClaimSpec", "volumeMode"): ("Filesystem", "Block"),
    ("networking.v1.NetworkPolicySpec", "policyTypes"): ("Ingress", "Egress"),
}
"""The values that the API server accepts. Source: Kubernetes, staging/src/k8s.io/api, types.go of each group."""


def known(api: str, kind: str) -> str:
    """Return the type of an object; "" if Kubernetes itself does not have it."""
    found: Mapping[str, str] = facts("kubernetes")["kinds"]
    return found.get(f"{api} {kind}", "")


def apis(kind: str) -> tuple[str, ...]:
    """Return the apiVersions that have a kind, the stable and newest one first."""
    having = [api for api, each in (name.split(" ") for name in facts("kubernetes")["kinds"]) if each == kind]
    return tuple(sorted(having, key=_age))


def _age(api: str) -> tuple[bool, str]:
    version = api.rpartition("/")[2]
    return "alpha" in version or "beta" in version, "".join(chr(255 - ord(each)) for each in version)


@cache
def groups() -> frozenset[str]:
    """Return the groups of Kubernetes itself; that of `v1` is empty."""
    return frozenset(_group(name.split(" ")[0]) for name in facts("kubernetes")["kinds"])


def _group(api: str) -> str:
    return api.rpartition("/")[0]


def is_own(api: str) -> bool:
    """Return whether a group is one of Kubernetes itself, not of a custom resource."""
    return _group(api) in groups()


@once
def wrong(of: Object) -> tuple[Wrong, ...]:
    """Return what is wrong with the fields of an object, as far as their types are known, in the order of the text."""
    return tuple(_wrong(of))


def _wrong(of: Object) -> Iterator[Wrong]:
    kind = known(of.api, of.kind)
    if kind:
        yield from _typed(of.node, kind, "")
    elif of.kind == "LeaderWorkerSet":
        for path in TEMPLATES[of.kind]:
            template = find(of.node, path)
            if template is not None:
                yield from _typed(template, POD, path)


def _typed(node: Node, kind: str, path: str) -> Iterator[Wrong]:
    """Yield what is wrong with a value; `kind` is its type."""
    if kind == "o" or (isinstance(node, Scalar) and node.kind == "null"):
        return  # null in a list or a mapping is a value without content
    if kind[0] == "[":
        if isinstance(node, Items):
            for number, item in enumerate(node.items):
                yield from _typed(item, kind[1:], f"{path}[{number}]")
        else:
            yield Wrong(Fault.TYPE, node.at, path, needed="a list", node=node)
    elif len(kind) > 1:
        yield from _mapping(node, kind, path)
    elif not (isinstance(node, Scalar) and _fits(node, kind)):
        yield Wrong(Fault.TYPE, node.at, path, needed=NAMES[kind], node=node)


def _mapping(node: Node, kind: str, path: str) -> Iterator[Wrong]:
    if kind[0] != "{" and ANY in facts("kubernetes")["types"][kind]:
        return
    if not isinstance(node, Keys):
        yield Wrong(Fault.TYPE, node.at, path, needed="a mapping", node=node)
    elif kind[0] == "{":
        for name, (_, value) in node.keys.items():
            yield from _typed(value, kind[1:], f"{path}.{name}")
    else:
        for name, (at, value) in node.keys.items():
            yield from _field(Wrong(Fault.UNKNOWN, at, f"{path}.{name}".lstrip("."), node=value), name, kind)
        yield from _absent(node, facts("kubernetes")["types"][kind], path)


def _fits(node: Scalar, kind: str) -> bool:
    whole = kind == "i" and node.kind == "float" and node.text.removesuffix(".0").isdecimal()
    return node.kind in KINDS[kind] or whole


def _field(found: Wrong, name: str, kind: str) -> Iterator[Wrong]:
    """Yield what is wrong with the field of a type."""
    fields: Mapping[str, str] = facts("kubernetes")["types"][kind]
    required, value = fields.get(name + REQUIRED), found.node
    of = required or fields.get(name)
    if of is None or value is None:
        yield found._replace(choices=tuple(each.removesuffix(REQUIRED) for each in fields))
    elif isinstance(value, Scalar) and value.kind == "null":
        if required:
            above = found.path.rpartition(".")[0]
            yield found._replace(fault=Fault.MISSING, path=above, needed=name)
    else:
        yield from _typed(value, of, found.path)
        yield from _valued(value, (kind, name), found.path)


def _absent(node: Keys, fields: Mapping[str, str], path: str) -> Iterator[Wrong]:
    for field in fields:
        name = field.removesuffix(REQUIRED)
        if name != field and name not in node.keys:
            yield Wrong(Fault.MISSING, _first(node), path, needed=name)


def _first(node: Keys) -> Span:
    return next((at for at, _ in node.keys.values()), node.at)


def _valued(node: Node, field: tuple[str, str], path: str) -> Iterator[Wrong]:
    choices = VALUES.get(field, ())
    for each in (node.items if isinstance(node, Items) else (node,)) if choices else ():
        if isinstance(each, Scalar) and each.kind == "str" and each.text not in choices:
            yield Wrong(Fault.VALUE, each.at, path, choices, node=each)
