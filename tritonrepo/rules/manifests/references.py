"""What objects name or select among the others: pods, Services and workloads that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span, closest
from tritonrepo.manifests.lookup import Lookup
from tritonrepo.manifests.objects import TEMPLATES, Manifests, Object, Pod, find, mapping, place, text
from tritonrepo.manifests.pods import key_at, number
from tritonrepo.manifests.schema import is_own
from tritonrepo.manifests.selecting import has, is_beside, is_empty, likely, selects
from tritonrepo.repository.once import once
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Keys, Node

SELECTORS = {
    "Service": "spec.selector",
    "PodDisruptionBudget": "spec.selector",
    "NetworkPolicy": "spec.podSelector",
    "PodMonitor": "spec.selector",
    "ServiceMonitor": "spec.selector",
}
TARGETS = {"HorizontalPodAutoscaler": "Deployment", "ScaledObject": "Deployment", "VerticalPodAutoscaler": "Deployment"}
"""Autoscalers, and what they scale if they do not say its kind. Source: KEDA, apis/keda/v1alpha1, ScaleTarget."""


WORKLOADS = ("Deployment", "StatefulSet")
"""Kinds that each autoscaler can scale."""

WITHOUT_PODS = (
    *("keda.sh/", "gateway.networking.k8s.io/", "cert-manager.io/", "networking.istio.io/", "security.istio.io/"),
    *("autoscaling.k8s.io/", "inference.networking.", "external-secrets.io/", "kustomize.config.k8s.io/"),
    *("networking.gke.io/", "cloud.google.com/", "monitoring.googleapis.com/", "kueue.x-k8s.io/"),
    "monitoring.coreos.com/",
)
"""Groups of custom resources that make no pods."""


MOST = 100
"""How many are looked at to say what was meant."""


class Labelled(NamedTuple):
    """Something that can be selected: labels, the object that has them, or makes the pod that has them."""

    labels: Mapping[str, str]
    of: Object
    pod: Pod | None = None


def candidates(of: Object, found: Manifests, namespace: str = "") -> Iterator[Labelled]:
    """Yield what may have the labels that an object selects; see `Manifests.labelled`."""
    if of.kind == "ServiceMonitor":
        yield from (Labelled(mapping(each.node, "metadata.labels"), each) for each in _services(of, found, namespace))
    else:
        yield from (Labelled(pod.labels, pod.owner, pod) for pod in likely(found, _wanted(of), namespace))


def _services(of: Object, found: Manifests, namespace: str) -> Sequence[Object]:
    label = next(iter(_wanted(of).items()), None)
    return found.of("Service") if label is None else _by_label(found).get(label, namespace)


@once
def _by_label(found: Manifests) -> Lookup[Object]:
    """Return the Services by each of their labels."""
    every = ((each, mapping(each.node, "metadata.labels")) for each in found.of("Service"))
    return Lookup((label, each.namespace, each) for each, labels in every for label in labels.items())


def _others(of: Object, found: Manifests) -> Iterator[Labelled]:
    """Yield what an object could select, whatever its labels are."""
    if of.kind == "ServiceMonitor":
        every = (Labelled(mapping(each.node, "metadata.labels"), each) for each in found.of("Service"))
    else:
        every = (Labelled(pod.labels, pod.owner) for pod in found.pods)
    yield from (each for each in every if is_beside(of, each.of))


def chosen(of: Object, labels: Mapping[str, str]) -> bool:
    """Return whether an object selects what has these labels."""
    if of.kind == "Service":
        return has(labels, mapping(of.node, "spec.selector"))
    return selects(find(of.node, SELECTORS[of.kind]), labels)


def _says(of: Object) -> bool:
    """Return whether an object selects some, not all or none."""
    selector = find(of.node, SELECTORS[of.kind])
    return bool(mapping(of.node, "spec.selector")) if of.kind == "Service" else not is_empty(selector)


@manifest_rule("selects-nothing", Severity.WARNING, *SELECTORS)
def selects_nothing(of: Object, found: Manifests) -> Iterator[Finding]:
    """A selector should select something that the files define."""
    everywhere = find(of.node, "spec.namespaceSelector") is not None
    if not found.whole or not _says(of) or may_make_pods(found) or _selects(of, found, everywhere=everywhere):
        return
    what, path = ("Service" if of.kind == "ServiceMonitor" else "pod"), SELECTORS[of.kind]
    elsewhere = next((each.of for each in candidates(of, found) if chosen(of, each.labels)), None)
    if elsewhere is not None:
        other = elsewhere
        message = f"{of} selects no {what} in namespace {of.namespace}; {other} is in namespace {other.namespace}"
        yield Finding(_selector_at(of, path), message, hint="Use the same namespace in both.")
    elif beside := list(islice(_others(of, found), MOST)):
        message = f"{of} selects no {what} that the files define"
        yield Finding(_selector_at(of, path), message, hint=_label_hint(of, beside))


def _selects(of: Object, found: Manifests, *, everywhere: bool) -> bool:
    """Return whether an object selects something in its namespace, or anywhere."""
    there = candidates(of, found, "" if everywhere else of.namespace)
    return any(chosen(of, each.labels) and (everywhere or is_beside(of, each.of)) for each in there)


@once
def may_make_pods(found: Manifests) -> bool:
    """Return whether there may be pods that are not known, since a custom resource makes them."""
    return any(_makes_pods(*each) for each in found.kinds)


def _makes_pods(api: str, kind: str) -> bool:
    """Return whether a kind may make pods that are not known: a custom resource, unless it is known to make none."""
    return not is_own(api) and kind not in TEMPLATES and not api.startswith(WITHOUT_PODS)


def _selector_at(of: Object, path: str) -> Span:
    """Return where the first label of a selector is written."""
    for each in (f"{path}.matchLabels", path):
        labels = find(of.node, each)
        if isinstance(labels, Keys) and labels.keys:
            return next(iter(labels.keys.values()))[0]
    return place(of.node, path)


def _wanted(of: Object) -> Mapping[str, str]:
    path = SELECTORS[of.kind]
    return mapping(of.node, path if of.kind == "Service" else f"{path}.matchLabels")


def _label_hint(of: Object, beside: Sequence[Labelled]) -> str:
    """Return the hint with the labels of what was most likely meant: what has most of them."""
    wanted = _wanted(of).items()
    near = max(beside, key=lambda each: len(wanted & each.labels.items()))
    labels = ", ".join(f"{name}: {value}" for name, value in near.labels.items())
    return f"{near.of} has {labels}." if labels else f"{near.of} has no labels."


def _target(of: Object) -> tuple[Node | None, str, str]:
    """Return what an autoscaler scales: where it says so, the kind, and the name."""
    path = "spec.targetRef" if of.kind == "VerticalPodAutoscaler" else "spec.scaleTargetRef"
    node = find(of.node, path)
    return node, text(node, "kind") or TARGETS[of.kind], text(node, "name")


@manifest_rule("scale-target-missing", Severity.WARNING, *TARGETS)
def scale_target_missing(of: Object, found: Manifests) -> Iterator[Finding]:
    """An autoscaler should scale a workload that the files define."""
    node, kind, name = _target(of)
    if not found.whole or not name or not isinstance(node, Keys) or found.named(kind, name, of.namespace):
        return
    beside = list(islice((each for each in found.of(kind) if is_beside(of, each)), MOST))
    wrong = next((each for each in WORKLOADS if found.named(each, name, of.namespace)), "")
    if wrong:
        message = f"{of} scales {kind} {name}, which is a {wrong}"
        yield Finding(key_at(node, "name"), message, hint=f"Set kind to {wrong}.")
    elif elsewhere := found.named(kind, name):
        other = elsewhere[0]
        message = f"{of} is in namespace {of.namespace}, but {other} in namespace {other.namespace}"
        yield Finding(key_at(node, "name"), message, hint="Use the same namespace in both.")
    elif beside:
        message = f"{of} scales {kind} {name}, which the files do not define"
        yield Finding(key_at(node, "name"), message, hint=closest(name, [each.name for each in beside]))


@manifest_rule("replicas-with-autoscaler", Severity.INFO, "Deployment", "StatefulSet")
def replicas_with_autoscaler(of: Object, found: Manifests) -> Iterator[Finding]:
    """Each time the manifest is applied, replicas undoes what the autoscaler has set."""
    if find(of.node, "spec.replicas") is None:
        return
    for each in _scalers(found).get((of.kind, of.name), of.namespace):
        message = f"{of} sets replicas, which {each} changes as well"
        hint = "Remove replicas: each apply would set it again, whatever the load is."
        yield Finding(place(of.node, "spec.replicas"), message, hint=hint)


@once
def _scalers(found: Manifests) -> Lookup[Object]:
    """Return the autoscalers by what they scale; a VerticalPodAutoscaler changes no replicas."""
    scaling = ((each, _target(each)) for each in found.of(*TARGETS) if each.kind != "VerticalPodAutoscaler")
    return Lookup(((kind, name), each.namespace, each) for each, (_, kind, name) in scaling)


@manifest_rule("autoscaler-bounds", Severity.ERROR, "HorizontalPodAutoscaler")
def autoscaler_bounds(of: Object, _: Manifests) -> Iterator[Finding]:
    """The lower bound of an autoscaler cannot be above the upper one."""
    least, most = number(of.node, "spec.minReplicas", 1), number(of.node, "spec.maxReplicas", 1)
    if most < max(least, 1):
        message = f"{of} has at least {least} replicas and at most {most}"
        reason = "must be greater than or equal to `minReplicas`"
        yield Finding(place(of.node, "spec.maxReplicas"), message, hint="Raise maxReplicas.", reason=reason)


@manifest_rule("keda-metric-name", Severity.WARNING, "ScaledObject", "ScaledJob")
def keda_metric_name(of: Object, _: Manifests) -> Iterator[Finding]:
    """A trigger of KEDA should not have a metricName, which newer versions do not have."""
    triggers = find(of.node, "spec.triggers")
    for each in getattr(triggers, "items", ()):
        if text(each, "type") == "prometheus" and text(each, "metadata.metricName"):
            message = "KEDA has not read metricName since 2.12"
            metadata = find(each, "metadata")
            at = place(metadata, "metricName") if isinstance(metadata, Keys) else of.at
            yield Finding(at, message, hint="Remove it; set `name` of the trigger to refer to its metric.")


@manifest_rule("object-twice", Severity.WARNING)
def object_twice(of: Object, found: Manifests) -> Iterator[Finding]:
    """The files should define an object once."""
    first = found.first(of)
    if first.node is not of.node and of.name:
        message = f"{of} is defined twice, and the one that is applied last counts"
        yield Finding(key_at(of.node, "metadata.name"), message, hint=f"The other one is at {first.at}.")
