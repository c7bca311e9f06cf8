"""Ports of containers, Services and probes: numbers and names that resolve."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, closest, either
from tritonrepo.manifests.objects import Manifests, Object, Pod, find, items, mapping, place, pods, text
from tritonrepo.manifests.pods import PROBES, Listed, key_at, listed, number, numbers, port_names, title
from tritonrepo.manifests.selecting import has, is_beside, likely
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Keys, Scalar

HIGHEST = 65_535
NAME = re.compile(r"(?=[0-9-]*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?")
"""Source: Kubernetes, apimachinery, pkg/util/validation/validation.go, IsValidPortName."""

HANDLERS = ("httpGet", "tcpSocket", "grpc")
GRPC = re.compile(r"grpc", re.IGNORECASE)


def _ports(of: Object) -> Iterator[tuple[Keys, str]]:
    """Yield what of an object has a port, with the key of the port."""
    for each in items(of.node, "spec.ports") if of.kind == "Service" else ():
        if isinstance(each, Keys):
            yield from ((each, key) for key in ("port", "targetPort", "nodePort"))
    for pod in pods(of):
        for container in pod.every:
            yield from ((each.node, "containerPort") for each in listed(container, "ports", "containerPort"))
            yield from ((each.node, "hostPort") for each in listed(container, "ports", "hostPort"))
            for probe in PROBES:
                found = (find(container, f"{probe}.{handler}") for handler in HANDLERS)
                yield from ((each, "port") for each in found if isinstance(each, Keys))


@manifest_rule("port-out-of-range", Severity.ERROR)
def out_of_range(of: Object, _: Manifests) -> Iterator[Finding]:
    """A port must be between 1 and 65535."""
    for each, key in _ports(of):
        value = find(each, key)
        if isinstance(value, Scalar) and value.kind == "int" and not 1 <= number(each, key, HIGHEST + 1) <= HIGHEST:
            message = f"{key} {value.text} is not a port"
            hint = f"Use a number between 1 and {HIGHEST}."
            yield Finding(value.at, message, hint=hint, reason="must be between 1 and 65535, inclusive")


@manifest_rule("port-name-unusable", Severity.ERROR)
def name_unusable(of: Object, _: Manifests) -> Iterator[Finding]:
    """The name of a container's port must have at most 15 characters: lower-case letters, digits and hyphens."""
    for pod in pods(of):
        for container in pod.every:
            for each in listed(container, "ports", "name"):
                if not NAME.fullmatch(each.value):
                    message = f'a port cannot have the name "{each.value}"'
                    hint = "Use at most 15 lower-case letters, digits and single hyphens, with at least one letter."
                    yield Finding(each.at, message, hint=hint, reason="must contain only alpha-numeric characters")


@manifest_rule("port-name-unresolved", Severity.ERROR)
def name_unresolved(of: Object, _: Manifests) -> Iterator[Finding]:
    """A probe or hook that names a port must name one of its container."""
    for pod in pods(of):
        for container in pod.every:
            names = [each.value for each in listed(container, "ports", "name")]
            for where in (*PROBES, "lifecycle.preStop", "lifecycle.postStart"):
                for handler in ("httpGet", "tcpSocket"):
                    path = f"{where}.{handler}.port"
                    value = find(container, path)
                    if isinstance(value, Scalar) and value.kind == "str" and value.text not in names:
                        message = f'{where} asks port "{value.text}", which {title(container)} does not have'
                        hint = closest(value.text, names) if names else f'Add a port with the name "{value.text}".'
                        yield Finding(value.at, message, hint=hint)


def _selected(of: Object, found: Manifests) -> list[Pod]:
    selector = mapping(of.node, "spec.selector")
    there = likely(found, selector, of.namespace) if selector else ()
    return [each for each in there if is_beside(of, each.owner) and has(each.labels, selector)]


@manifest_rule("service-port-unresolved", Severity.ERROR, "Service")
def service_unresolved(of: Object, found: Manifests) -> Iterator[Finding]:
    """A targetPort that is a name must be the name of a port of the selected pods."""
    selected = _selected(of, found)
    for each in items(of.node, "spec.ports") if selected else ():
        value = find(each, "targetPort")
        if not isinstance(value, Scalar) or value.kind != "str":
            continue
        names = {name for pod in selected for name in port_names(pod)}
        if value.text not in names:
            message = f'{of} sends to port "{value.text}", which no pod that it selects has'
            hint = closest(value.text, sorted(names)) if names else "Use the number of the port, or name it in the pod."
            yield Finding(value.at, message, hint=hint)


@manifest_rule("service-port-not-listed", Severity.WARNING, "Service")
def service_not_listed(of: Object, found: Manifests) -> Iterator[Finding]:
    """A Service should send to a port that its pods list, if they list any."""
    selected = _selected(of, found)
    for each in items(of.node, "spec.ports") if selected else ():
        key = "targetPort" if text(each, "targetPort") else "port"
        value = find(each, key)
        listing = {port for pod in selected for one in pod.every for port in numbers(one)}
        unlisted = isinstance(value, Scalar) and value.kind == "int" and listing and value.text not in listing
        if isinstance(value, Scalar) and unlisted and not any(_names_port(pod, value.text) for pod in selected):
            message = f"{of} sends to port {value.text}, but its pods only have port {either(sorted(listing))}"
            yield Finding(value.at, message, hint="Correct the port, or add it to the ports of the container.")


def _names_port(pod: Pod, port: str) -> bool:
    """Return whether the command line or the environment of a pod has a port that it does not list."""
    words = [each for one in pod.every for key in ("command", "args") for each in items(one, key)]
    words += [each for one in pod.every for env in items(one, "env") if (each := find(env, "value")) is not None]
    number_of = re.compile(rf"(?<![0-9]){re.escape(port)}(?![0-9])")
    return any(isinstance(each, Scalar) and number_of.search(each.text) for each in words)


@manifest_rule("service-port-unnamed", Severity.ERROR, "Service")
def service_unnamed(of: Object, _: Manifests) -> Iterator[Finding]:
    """The ports of a Service with several must have different names."""
    ports = [each for each in items(of.node, "spec.ports") if isinstance(each, Keys)]
    seen: set[str] = set()
    for each in ports if len(ports) > 1 else ():
        name = text(each, "name")
        if not name or name in seen:
            message = f'{of} has two ports "{name}"' if name else f"{of} has several ports, and this one has no name"
            reason = f'Duplicate value: "{name}"' if name else "spec.ports[0].name: Required value"
            at = key_at(each, "name") if name else place(each, "port")
            yield Finding(at, message, hint="Use a different name for each port.", reason=reason)
        seen.add(name)


@manifest_rule("grpc-through-cluster-ip", Severity.INFO, "Service")
def grpc_through_cluster_ip(of: Object, found: Manifests) -> Iterator[Finding]:
    """A client that uses gRPC through a cluster IP keeps one connection, so it uses one pod."""
    headless = text(of.node, "spec.clusterIP") == "None"
    several = any(number(pod.owner.node, "spec.replicas", 1) > 1 for pod in _selected(of, found))
    for each in listed(of.node, "spec.ports", "name") if several and not headless else ():
        if GRPC.search(each.value):
            message = f'{of} balances connections, not requests, so a client of "{each.value}" keeps to one pod'
            hint = "Use a headless Service with round robin in the client, or a proxy that knows HTTP/2."
            yield Finding(each.at, message, hint=hint)


@manifest_rule("port-listed-twice", Severity.WARNING)
def listed_twice(of: Object, _: Manifests) -> Iterator[Finding]:
    """The containers of a pod should listen on different ports."""
    for pod in pods(of):
        seen: dict[tuple[str, str], Listed] = {}
        for container in pod.containers:
            for each in listed(container, "ports", "containerPort"):
                key = (each.value, text(each.node, "protocol") or "TCP")
                if key in seen:
                    message = f"port {each.value} is listed twice in this pod, whose containers share one address"
                    yield Finding(each.at, message, hint=f"Remove it, or the one on line {seen[key].at.line}.")
                seen.setdefault(key, each)
