"""Selectors and labels: whether a workload selects the pods that it makes."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.manifests.objects import Manifests, Object, Pod, find, mapping, place, pods
from tritonrepo.manifests.selecting import is_empty, selects
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Keys

SELECTING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
LABELS = "spec.selector.matchLabels"
MOVING = ("version", "app.kubernetes.io/version", "chart", "helm.sh/chart", "revision", "release-version", "image-tag")
"""Labels that change with a release. Source: Kubernetes and Helm, their recommended labels."""


@manifest_rule("selector-missing", Severity.ERROR, *SELECTING)
def selector_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A workload must have a selector that matches the labels of its pods."""
    if not is_empty(find(of.node, "spec.selector")):
        return
    message = f"{of} has no selector, so the API server refuses it"
    labels = next((pod.labels for pod in pods(of)), {})
    hint = "Set spec.selector.matchLabels and spec.template.metadata.labels to the same labels."
    if labels:
        first = next(iter(labels.items()))
        hint = f"Add `selector: {{matchLabels: {{{first[0]}: {first[1]}}}}}` to spec."
    yield Finding(place(of.node, "spec.selector"), message, hint=hint, reason="spec.selector: Required value")


@manifest_rule("selector-mismatch", Severity.ERROR, *SELECTING)
def selector_mismatch(of: Object, _: Manifests) -> Iterator[Finding]:
    """The selector of a workload must select the pods of its template."""
    selector = find(of.node, "spec.selector")
    for pod in pods(of):
        if is_empty(selector) or selects(selector, pod.labels):
            continue
        wrong = next((name for name, value in mapping(of.node, LABELS).items() if pod.labels.get(name) != value), "")
        yield Finding(
            _label(of, LABELS, wrong) if wrong else place(of.node, "spec.selector"),
            _mismatch(of, pod, wrong),
            hint="Use the same labels in spec.selector and in spec.template.metadata.labels.",
            reason="`selector` does not match template `labels`",
        )


def _label(of: Object, path: str, name: str) -> Span:
    labels = find(of.node, path)
    return labels.keys[name][0] if isinstance(labels, Keys) else of.at


def _mismatch(of: Object, pod: Pod, wrong: str) -> str:
    if not wrong:
        return f"the selector of {of} does not select the pods of its template"
    wanted, found = mapping(of.node, LABELS)[wrong], pod.labels.get(wrong)
    have = f"its pods have {wrong}: {found}" if found is not None else f"its pods do not have the label {wrong}"
    return f"{of} selects pods with {wrong}: {wanted}, but {have}"


@manifest_rule("selector-version-label", Severity.WARNING, "Deployment", "StatefulSet", "DaemonSet", "Service")
def version_label(of: Object, _: Manifests) -> Iterator[Finding]:
    """A selector should not contain a label that changes with each release."""
    path = "spec.selector" if of.kind == "Service" else LABELS
    for name in mapping(of.node, path):
        if name in MOVING:
            service = of.kind == "Service"
            effect = "it selects no pod during a rollout" if service else "the next version cannot be applied"
            message = f"the selector of {of} has the label {name}: when it changes, {effect}"
            hint = "Select by labels that stay, such as app.kubernetes.io/instance."
            yield Finding(_label(of, path, name), message, hint=hint)
