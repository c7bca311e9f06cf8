"""Requests and limits: quantities that the API server refuses, and pods that are evicted first."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.manifests.objects import Manifests, Object, find, place, pods
from tritonrepo.manifests.pods import title
from tritonrepo.manifests.quantities import quantity
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Keys, Scalar

GPU = "nvidia.com/"
ROOM = ("cpu", "memory")
BYTES = {"kb": "k", "mb": "M", "gb": "G", "tb": "T", "kib": "Ki", "mib": "Mi", "gib": "Gi", "tib": "Ti"}


class Amount(NamedTuple):
    """An amount of a resource in a container."""

    container: Keys
    side: str
    name: str
    value: Scalar


def _amounts(of: Object) -> Iterator[Amount]:
    for pod in pods(of):
        for container in pod.every:
            for side in ("limits", "requests"):
                found = find(container, f"resources.{side}")
                for name, (_, value) in found.keys.items() if isinstance(found, Keys) else ():
                    if isinstance(value, Scalar):
                        yield Amount(container, side, name, value)


def _sizes(of: Object) -> Iterator[tuple[str, Scalar]]:
    """Yield the quantities of an object, with what they are called."""
    for each in _amounts(of):
        yield each.name, each.value
    for pod in pods(of):
        for volume in pod.volumes:
            size = find(volume, "emptyDir.sizeLimit")
            if isinstance(size, Scalar):
                yield "sizeLimit", size
    storage = find(of.node, "spec.resources.requests.storage") if of.kind == "PersistentVolumeClaim" else None
    if isinstance(storage, Scalar):
        yield "storage", storage


@manifest_rule("quantity-unreadable", Severity.ERROR)
def unreadable(of: Object, _: Manifests) -> Iterator[Finding]:
    """An amount must be a quantity of Kubernetes."""
    for name, value in _sizes(of):
        if quantity(value.text) is None:
            number = value.text.rstrip("bBiIkKmMgGtT ")
            meant = BYTES.get(value.text[len(number) :].strip().lower(), "")
            hint = (
                f"Write {number}{meant}."
                if meant and quantity(number) is not None
                else "Write a number with a suffix, such as 64Gi or 500m."
            )
            message = f'{name} cannot be "{value.text}"'
            yield Finding(value.at, message, hint=hint, reason="quantities must match the regular expression")


@manifest_rule("request-above-limit", Severity.ERROR)
def above_limit(of: Object, _: Manifests) -> Iterator[Finding]:
    """A request cannot be above its limit."""
    for each in _amounts(of):
        limit = _side(each.container, "limits", each.name)
        if each.side != "requests" or limit is None or _is_extended(each.name):
            continue
        asked, most = quantity(each.value.text), quantity(limit.text)
        if asked is not None and most is not None and asked > most:
            amounts = f"{each.value.text} of {each.name}, above the limit of {limit.text}"
            message = f"{title(each.container)} requests {amounts}"
            reason = f"must be less than or equal to {each.name} limit"
            yield Finding(each.value.at, message, hint="Raise the limit, or lower the request.", reason=reason)


def _side(container: Keys, side: str, name: str) -> Scalar | None:
    found = find(container, f"resources.{side}")
    value = found.keys[name][1] if isinstance(found, Keys) and name in found.keys else None
    return value if isinstance(value, Scalar) else None


def _is_extended(name: str) -> bool:
    return "/" in name and not name.startswith(("kubernetes.io/", "hugepages-"))


@manifest_rule("gpu-request-differs", Severity.ERROR)
def gpu_request_differs(of: Object, _: Manifests) -> Iterator[Finding]:
    """The request of a GPU must equal its limit."""
    for each in _amounts(of):
        limit = _side(each.container, "limits", each.name)
        if each.side != "requests" or not _is_extended(each.name):
            continue
        if limit is None or quantity(limit.text) != quantity(each.value.text):
            found = f"a limit of {limit.text}" if limit is not None else "no limit"
            message = f"{title(each.container)} requests {each.value.text} of {each.name} with {found}"
            hint = f"Set the limit to {each.value.text}, and leave out the request, which then equals it."
            reason = (
                f"must be equal to {each.name} limit" if limit else "Limit must be set for non overcommitable resources"
            )
            yield Finding(each.value.at, message, hint=hint, reason=reason)


@manifest_rule("gpu-fraction", Severity.ERROR)
def gpu_fraction(of: Object, _: Manifests) -> Iterator[Finding]:
    """The number of GPUs must be an integer."""
    for each in _amounts(of):
        amount = quantity(each.value.text)
        if _is_extended(each.name) and amount is not None and amount != int(amount):
            message = f"{each.value.text} of {each.name} is not a whole number"
            hint = "Use whole GPUs; a part of one is a resource of its own, such as nvidia.com/mig-3g.40gb."
            yield Finding(each.value.at, message, hint=hint, reason="must be an integer")


@manifest_rule("resources-not-requested", Severity.WARNING)
def not_requested(of: Object, _: Manifests) -> Iterator[Finding]:
    """A container with GPUs should request CPU and memory."""
    for pod in pods(of):
        for container in pod.containers:
            if not uses_gpus(container):
                continue
            missing = [
                name for name in ROOM if not any(_side(container, side, name) for side in ("requests", "limits"))
            ]
            if missing:
                message = f"{title(container)} has GPUs, but requests no {' and no '.join(missing)}"
                hint = "Add resources.requests: without them, the node can be full, and this pod is evicted first."
                yield Finding(_resources(container), message, hint=hint)


def _resources(container: Keys) -> Span:
    return place(container, "resources.requests")


def uses_gpus(container: Keys) -> bool:
    """Return whether a container has a GPU."""
    limits = find(container, "resources.limits")
    gpus = (
        (
            quantity(value.text)
            for name, (_, value) in limits.keys.items()
            if name.startswith(GPU) and isinstance(value, Scalar)
        )
        if isinstance(limits, Keys)
        else ()
    )
    return any(each is not None and each > Decimal(0) for each in gpus)
