"""Fields of objects: what the API server does not know, or refuses for its type or its value."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, closest, nearest
from tritonrepo.manifests.objects import Manifests, Object, place, text
from tritonrepo.manifests.schema import Fault, Wrong, apis, is_own, known, wrong
from tritonrepo.packaged import facts
from tritonrepo.rules.manifests.selectors import SELECTING
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Items, Scalar

REMOVED = {
    "1.16": (
        *("extensions/v1beta1 Deployment", "extensions/v1beta1 DaemonSet", "extensions/v1beta1 ReplicaSet"),
        *("extensions/v1beta1 NetworkPolicy", "apps/v1beta1 Deployment", "apps/v1beta1 StatefulSet"),
        *("apps/v1beta2 Deployment", "apps/v1beta2 StatefulSet", "apps/v1beta2 DaemonSet", "apps/v1beta2 ReplicaSet"),
    ),
    "1.22": (
        *("extensions/v1beta1 Ingress", "networking.k8s.io/v1beta1 Ingress", "networking.k8s.io/v1beta1 IngressClass"),
        *("apiextensions.k8s.io/v1beta1 CustomResourceDefinition", "apiregistration.k8s.io/v1beta1 APIService"),
        *("admissionregistration.k8s.io/v1beta1 MutatingWebhookConfiguration", "coordination.k8s.io/v1beta1 Lease"),
        "admissionregistration.k8s.io/v1beta1 ValidatingWebhookConfiguration",
        *("certificates.k8s.io/v1beta1 CertificateSigningRequest", "scheduling.k8s.io/v1beta1 PriorityClass"),
        *(f"rbac.authorization.k8s.io/v1beta1 {kind}" for kind in ("Role", "RoleBinding", "ClusterRole")),
        "rbac.authorization.k8s.io/v1beta1 ClusterRoleBinding",
        *(f"storage.k8s.io/v1beta1 {kind}" for kind in ("CSIDriver", "CSINode", "StorageClass", "VolumeAttachment")),
    ),
    "1.25": (
        *("batch/v1beta1 CronJob", "discovery.k8s.io/v1beta1 EndpointSlice", "events.k8s.io/v1beta1 Event"),
        *("autoscaling/v2beta1 HorizontalPodAutoscaler", "policy/v1beta1 PodDisruptionBudget"),
        *("policy/v1beta1 PodSecurityPolicy", "node.k8s.io/v1beta1 RuntimeClass"),
    ),
    "1.26": ("autoscaling/v2beta2 HorizontalPodAutoscaler",),
}
"""What releases of Kubernetes no longer serve. Source: Kubernetes, Deprecated API Migration Guide."""

GONE = {name: release for release, names in REMOVED.items() for name in names}


def removed(of: Object) -> str:
    """Return the release of Kubernetes that no longer has an object; "" if the newest one has it or never had."""
    name = f"{of.api} {of.kind}"
    last = facts("kubernetes")["until"].get(name)
    return f"1.{int(last.partition('.')[2]) + 1}" if last and name not in GONE else GONE.get(name, "")


@manifest_rule("kubernetes-api-removed", Severity.ERROR)
def api_removed(of: Object, _: Manifests) -> Iterator[Finding]:
    """The apiVersion must be one that Kubernetes still serves."""
    if release := removed(of):
        now = apis(of.kind)
        hint = f"Use {now[0]}, and check its fields." if now else "Nothing replaces it."
        message = f"Kubernetes {release} and later do not have {of.kind} in {of.api}"
        reason = f'no matches for kind "{of.kind}" in version "{of.api}"'
        yield Finding(place(of.node, "apiVersion"), message, hint=hint, reason=reason)


@manifest_rule("kubernetes-kind-unknown", Severity.ERROR)
def kind_unknown(of: Object, _: Manifests) -> Iterator[Finding]:
    """An object must have an apiVersion and a kind that belong together."""
    for key in ("apiVersion", "kind"):
        if not text(of.node, key):
            message = f"the object has no {key}, so kubectl cannot apply it"
            yield Finding(place(of.node, "kind"), message, hint=f"Add {key}.", reason=f"{key} not set")
            return
    if is_own(of.api) and not known(of.api, of.kind) and not removed(of) and not of.kind.endswith("List"):
        yield Finding(
            of.at,
            f"{of.api} has no kind {of.kind}",
            hint=_kind_hint(of),
            reason=f'no matches for kind "{of.kind}" in version "{of.api}"',
        )


def _kind_hint(of: Object) -> str:
    if now := apis(of.kind):
        return f"Use apiVersion {now[0]}."
    near = nearest(of.kind, {name.split(" ")[1] for name in facts("kubernetes")["kinds"]})
    return f'Did you mean "{near}"?' if near else "Correct the kind or the apiVersion."


@manifest_rule("kubernetes-name-missing", Severity.ERROR)
def name_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """An object must have a name."""
    if known(of.api, of.kind) and not of.name and not text(of.node, "metadata.generateName"):
        message = f"the {of.kind} has no name, so the API server refuses it"
        reason = "resource name may not be empty"
        yield Finding(place(of.node, "metadata"), message, hint="Add metadata.name.", reason=reason)


@manifest_rule("kubernetes-field-unknown", Severity.ERROR)
def field_unknown(of: Object, _: Manifests) -> Iterator[Finding]:
    """A field must be one that the object has."""
    for each in _wrong(of, Fault.UNKNOWN):
        above, name = each.path.rpartition(".")[::2]
        message = f"{_where(of, above)} has no field {name}"
        yield Finding(each.at, message, hint=closest(name, each.choices), reason=f'unknown field "{each.path}"')


FOUND = {"str": "a string", "int": "a number", "float": "a number", "bool": "a bool", "null": "null"}


@manifest_rule("kubernetes-field-type", Severity.ERROR)
def field_type(of: Object, _: Manifests) -> Iterator[Finding]:
    """A field must have a value of its type."""
    for each in _wrong(of, Fault.TYPE):
        kind = each.node.kind if isinstance(each.node, Scalar) else ""
        other = "a list" if isinstance(each.node, Items) else "a mapping"
        message = f"{each.path} must be {each.needed}, not {FOUND.get(kind, other)}"
        yield Finding(each.at, message, hint=_type_hint(each, kind), reason="cannot unmarshal")


def _type_hint(of: Wrong, kind: str) -> str:
    if of.needed == "a string" and kind in {"int", "float", "bool"}:
        return "Put it in quotes."
    quoted = isinstance(of.node, Scalar) and of.node.at.end_column - of.node.at.column == len(of.node.text) + 2
    return "Remove the quotes." if kind == "str" and quoted else f"Write {of.needed}."


@manifest_rule("kubernetes-field-missing", Severity.ERROR)
def field_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A field that Kubernetes requires must be set."""
    for each in _wrong(of, Fault.MISSING):
        if each.needed == "selector" and of.kind in SELECTING:
            continue  # selector-missing says it, with what to write
        path = f"{each.path}.{each.needed}".lstrip(".")
        message = f"{_where(of, each.path)} needs {each.needed}"
        yield Finding(each.at, message, hint=f"Add {each.needed}.", reason=f"{path}: Required value")


@manifest_rule("kubernetes-value-unknown", Severity.ERROR)
def value_unknown(of: Object, _: Manifests) -> Iterator[Finding]:
    """A field with a fixed set of values must have one of them."""
    for each in _wrong(of, Fault.VALUE):
        value = each.node.text if isinstance(each.node, Scalar) else ""
        message = f'{each.path} cannot be "{value}"'
        yield Finding(each.at, message, hint=f"Use one of {', '.join(each.choices)}.", reason="Unsupported value")


def _wrong(of: Object, fault: Fault) -> Iterator[Wrong]:
    return (each for each in wrong(of) if each.fault is fault)


def _where(of: Object, path: str) -> str:
    return path or f"{of}"
