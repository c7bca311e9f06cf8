"""Which labels a selector selects, and in which namespace."""

from __future__ import annotations

from collections.abc import Mapping

from tritonrepo.manifests.objects import Object, find, items, mapping, text
from tritonrepo.spec.nodes import Node, Scalar


def is_empty(selector: Node | None) -> bool:
    """Return whether a label selector selects everything, or nothing is said."""
    return not mapping(selector, "matchLabels") and not items(selector, "matchExpressions")


def selects(selector: Node | None, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector selects these labels."""
    wanted = mapping(selector, "matchLabels").items() <= labels.items()
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


def has_any(of: Object, path: str) -> bool:
    """Return whether an object has something at a path."""
    return find(of.node, path) is not None
