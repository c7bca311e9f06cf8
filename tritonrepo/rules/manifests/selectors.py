"""Selectors and labels: whether a workload selects the pods that it makes."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests, Object, find, mapping, place, pods
from tritonrepo.rules.registry import Finding, manifest_rule

SELECTING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@manifest_rule("selector-missing", Severity.ERROR, *SELECTING)
def selector_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A workload must have a selector that matches the labels of its pods."""
    if not mapping(of.node, "spec.selector.matchLabels") and find(of.node, "spec.selector.matchExpressions") is None:
        message = f"{of} has no selector, so the API server refuses it"
        labels = next((pod.labels for pod in pods(of)), {})
        hint = "Set spec.selector.matchLabels and spec.template.metadata.labels to the same labels."
        if labels:
            first = next(iter(labels.items()))
            hint = f"Add `selector: {{matchLabels: {{{first[0]}: {first[1]}}}}}` to spec."
        yield Finding(place(of.node, "spec.selector"), message, hint=hint, reason="spec.selector: Required value")
