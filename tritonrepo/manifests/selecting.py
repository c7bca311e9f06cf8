"""Which labels a selector selects, and in which namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tritonrepo.manifests.objects import Manifests, Object, Pod, items, mapping, text
from tritonrepo.spec.nodes import Node, Scalar

ADDED = re.compile(
    r"^(?:(?:leaderworkerset|jobset)\.[a-z0-9.-]{0,40}/|batch\.kubernetes\.io/|statefulset\.kubernetes\.io/"
    r"|(?:job-name|controller-uid|apps\.kubernetes\.io/pod-index|controller-revision-hash|pod-template-hash)$)"
)
"""Labels that controllers add to the pods of a workload. Source: Kubernetes, documentation of well-known labels; lws,
api/leaderworkerset/v1, leaderworkerset_types.go."""


def has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether something has the labels that are wanted, or will have them."""
    return all(
        labels.get(name) == value or (name not in labels and ADDED.match(name)) for name, value in wanted.items()
    )


def likely(found: Manifests, wanted: Mapping[str, str], namespace: str = "") -> Sequence[Pod]:
    """Return the pods that may have these labels: all that do, and others; see `Manifests.labelled`."""
    for name, value in wanted.items():
        if not ADDED.match(name):
            return found.labelled(name, value, namespace)
    return found.pods


def is_empty(selector: Node | None) -> bool:
    """Return whether a label selector selects everything, or nothing is said."""
    return not mapping(selector, "matchLabels") and not items(selector, "matchExpressions")


def selects(selector: Node | None, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector selects these labels."""
    wanted = has(labels, mapping(selector, "matchLabels"))
    return wanted and all(_expression(each, labels) for each in items(selector, "matchExpressions"))


def _expression(node: Node, labels: Mapping[str, str]) -> bool:
    value = labels.get(text(node, "key"))
    values = {each.text for each in items(node, "values") if isinstance(each, Scalar)}
    match text(node, "operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True


def is_beside(one: Object, other: Object) -> bool:
    """Return whether two objects are in one namespace; that of an object without one is not known."""
    return one.namespace == other.namespace or not (one.namespace and other.namespace)
