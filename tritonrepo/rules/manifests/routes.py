"""What routes requests and scrapes to Services and pods: the Services that are named, and their ports."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, closest, either
from tritonrepo.manifests.objects import Manifests, Object, find, items, text
from tritonrepo.manifests.pods import key_at, listed, port_names
from tritonrepo.manifests.selecting import is_beside, is_empty
from tritonrepo.rules.manifests.references import MOST, Labelled, candidates, chosen, may_make_pods
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Items, Keys, Scalar

MONITORS = {"ServiceMonitor": "spec.endpoints", "PodMonitor": "spec.podMetricsEndpoints"}
"""Where monitors list what they scrape. Source: prometheus-operator, pkg/apis/monitoring/v1."""

ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
GATEWAY = "gateway.networking.k8s.io/"


class Backend(NamedTuple):
    """A Service that a route names, its namespace, and its port by name or number, None if that is not said."""

    node: Keys
    name: str
    namespace: str
    port: Scalar | None

    def has(self, service: Object) -> bool:
        """Return whether a Service has the port."""
        ports = items(service.node, "spec.ports")
        key = "name" if self.port is not None and self.port.kind == "str" else "port"
        return self.port is None or any(text(each, key) == self.port.text for each in ports)


def _backends(of: Object) -> Iterator[Backend]:
    """Yield the Services to which an Ingress or a route sends. Source: Kubernetes, networking/v1; Gateway API, v1."""
    if of.kind == "Ingress":
        for node in _services(of):
            port = find(node, "port.name") or find(node, "port.number")
            yield Backend(node, text(node, "name"), of.namespace, port if isinstance(port, Scalar) else None)
    for rule in items(of.node, "spec.rules") if of.kind in ROUTES and of.api.startswith(GATEWAY) else ():
        for ref in items(rule, "backendRefs"):
            if isinstance(ref, Keys) and (text(ref, "kind") or "Service") == "Service" and not text(ref, "group"):
                port = find(ref, "port")
                namespace = text(ref, "namespace") or of.namespace
                yield Backend(ref, text(ref, "name"), namespace, port if isinstance(port, Scalar) else None)


def _services(of: Object) -> Iterator[Keys]:
    every = [find(of.node, "spec.defaultBackend.service")]
    for rule in items(of.node, "spec.rules"):
        every += [find(path, "backend.service") for path in items(rule, "http.paths")]
    yield from (each for each in every if isinstance(each, Keys))


@manifest_rule("backend-port-missing", Severity.ERROR, "Ingress", *ROUTES)
def backend_port_missing(of: Object, found: Manifests) -> Iterator[Finding]:
    """An Ingress or a route must send to a port that the Service has."""
    for each in _backends(of):
        there = found.named("Service", each.name, each.namespace) if each.name else ()
        listing = there and all(items(service.node, "spec.ports") for service in there)
        if each.port is None or not listing or any(each.has(service) for service in there):
            continue
        ports = [port for port in items(there[0].node, "spec.ports") if isinstance(port, Keys)]
        has = [text(port, "name") if each.port.kind == "str" else text(port, "port") for port in ports]
        message = f"{of} sends to port {each.port.text} of Service {each.name}, which does not have it"
        hint = f"It has {either(sorted(filter(None, has)))}." if any(has) else "Use the number of the port."
        yield Finding(each.port.at, message, hint=hint)


@manifest_rule("backend-missing", Severity.WARNING, "Ingress", *ROUTES)
def backend_missing(of: Object, found: Manifests) -> Iterator[Finding]:
    """An Ingress or a route should send to a Service that the files define."""
    for each in _backends(of) if found.whole and not may_make_pods(found) else ():
        if not each.name or found.named("Service", each.name, each.namespace):
            continue
        within = (other for other in found.of("Service") if not each.namespace or other.namespace == each.namespace)
        names = [other.name for other in islice(within, MOST)]
        if names:
            message = f"{of} sends to Service {each.name}, which the files do not define"
            yield Finding(key_at(each.node, "name"), message, hint=closest(each.name, names))


@manifest_rule("monitor-port-missing", Severity.WARNING, *MONITORS)
def monitor_port_missing(of: Object, found: Manifests) -> Iterator[Finding]:
    """A monitor should scrape a port that what it selects has."""
    names = _ports(of, found)
    for each in listed(of.node, MONITORS[of.kind], "port") if names is not None else ():
        if names is not None and each.value not in names:
            what = "Service" if of.kind == "ServiceMonitor" else "pod"
            message = f'{of} scrapes port "{each.value}", which no {what} that it selects has'
            hint = closest(each.value, sorted(names)) if names else f"Add a name to the port of the {what}."
            yield Finding(each.at, message, hint=hint)


def _ports(of: Object, found: Manifests) -> frozenset[str] | None:
    """Return the names of ports of what a monitor selects; None if it is not known, or selects nothing."""
    selector = find(of.node, "spec.selector")
    if not found.whole or is_empty(selector) or may_make_pods(found):
        return None
    everywhere = find(of.node, "spec.namespaceSelector") is not None
    there = candidates(of, found, "" if everywhere else of.namespace)
    names = [_named(each) for each in there if _reaches(of, each.of) and chosen(of, each.labels)]
    return frozenset().union(*names) if names else None


def _named(each: Labelled) -> frozenset[str]:
    """Return the names of the ports of a pod or a Service."""
    if each.pod is not None:
        return frozenset(port_names(each.pod))
    return frozenset(port.value for port in listed(each.of.node, "spec.ports", "name"))


def _reaches(of: Object, other: Object) -> bool:
    """Return whether a monitor looks for objects in the namespace of another one."""
    wanted = find(of.node, "spec.namespaceSelector")
    if wanted is None:
        return is_beside(of, other)
    names = find(wanted, "matchNames")
    among = {each.text for each in names.items if isinstance(each, Scalar)} if isinstance(names, Items) else {""}
    return text(wanted, "any").lower() == "true" or not other.namespace or other.namespace in among
