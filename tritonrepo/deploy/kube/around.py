"""What is around the pods of a server: its Deployment, Services, budget, network policy, monitor and claims."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.deploy.kube.pods import rollout, template
from tritonrepo.deploy.kube.workload import Port, Workload, quantity
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.sums import Sum

H2C = "kubernetes.io/h2c"
"""HTTP/2 without TLS. Source: kubernetes.io/docs/concepts/services-networking/service, "Application protocol"."""

MONITORING = "monitoring"
"""The namespace of Prometheus, as its operator's own charts and manifests call it."""


def deployment(made: Workload) -> dict[str, object]:
    """Return the Deployment."""
    labels = noted({"matchLabels": made.selector}, "It can never change, so no version is in it.")
    spec = {"replicas": made.replicas, **rollout(made), "selector": labels, "template": template(made)}
    return made.object("apps/v1", "Deployment", spec)


def services(made: Workload) -> list[dict[str, object]]:
    """Return the Service, and a headless one if there is a port of gRPC."""
    served = [port for port in made.ports if port.name != made.metrics] or [*made.ports]
    ports = [_port(port) for port in served]
    found = [made.object("v1", "Service", {"selector": made.selector, "ports": ports})]
    grpc = [_port(port) for port in served if port.protocol == H2C]
    if grpc:
        why = "The addresses of all pods, for clients of gRPC that balance by themselves (dns:///, round_robin)."
        none = "A client keeps one HTTP/2 connection: through a cluster IP, all its requests go to one pod."
        spec: dict[str, object] = {"clusterIP": noted("None", why, none), "selector": made.selector, "ports": grpc}
        found.append(made.object("v1", "Service", spec, headless(made.name)))
    return found


def headless(name: str) -> str:
    """Return the name of the headless Service of a server."""
    return f"{name}-headless"


def budget(made: Workload) -> dict[str, object]:
    """Return the PodDisruptionBudget."""
    why = "Draining nodes takes one replica at a time, and a single replica does not block it."
    spec = {"maxUnavailable": noted(1, why), "selector": {"matchLabels": made.selector}}
    return made.object("policy/v1", "PodDisruptionBudget", spec)


def network(made: Workload) -> dict[str, object]:
    """Return the NetworkPolicy: who may connect to the pods, and what they may connect to."""
    spec = {
        "podSelector": {"matchLabels": made.selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [*_ingress(made)],
        "egress": [*_egress(made)],
    }
    return made.object("networking.k8s.io/v1", "NetworkPolicy", spec)


def _ingress(made: Workload) -> Iterator[object]:
    client = {"app.kubernetes.io/part-of": made.stack}
    asked = [{"port": port.number} for port in made.ports if port.name != made.metrics or len(made.ports) == 1]
    yield noted(
        {"from": [{"podSelector": {"matchLabels": client}}], "ports": asked},
        f"Clients: pods of this namespace with the label app.kubernetes.io/part-of: {made.stack}. Add the namespace of"
        " your gateway if it has its own. The kubelet's probes are always let through.",
    )
    (metrics,) = (port.number for port in made.ports if port.name == made.metrics)
    space = {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}
    yield noted(
        {"from": [{"namespaceSelector": space}], "ports": [{"port": metrics}]},
        f"Prometheus, in the namespace {MONITORING}.",
    )


def _egress(made: Workload) -> Iterator[object]:
    dns = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    yield noted({"ports": dns}, "Names of hosts.")
    for reach in made.reaches:
        block = [{"ipBlock": {"cidr": reach.block}}] if reach.block else None
        yield noted({"to": block, "ports": [{"port": reach.port}] if reach.port else None}, reach.why)


def monitor(made: Workload, path: str = "") -> dict[str, object]:
    """Return the PodMonitor of the Prometheus operator; `path` is where the metrics are, "" for /metrics.

    Source: prometheus-operator, pkg/prometheus/promcfg.go, generatePodMonitorConfig: the job is NAMESPACE/NAME of the
    PodMonitor, then the value of the pods' label jobLabel, then what the endpoint's own relabelings make of it.
    """
    relabeling = {"action": "replace", "targetLabel": "job", "replacement": made.job}
    endpoint = {
        "port": made.metrics,
        "path": path or None,
        "interval": "15s",
        "relabelings": noted([relabeling], "What deploy observe writes asks for this job."),
    }
    spec = {"selector": {"matchLabels": made.selector}, "podMetricsEndpoints": [endpoint]}
    return made.object("monitoring.coreos.com/v1", "PodMonitor", spec)


def kept(made: Workload, name: str, size: Sum, storage_class: str, why: str) -> dict[str, object]:
    """Return the claim of a volume that outlives pods and that several of them share."""
    many = made.replicas > 1 or made.scaling is not None
    mode = noted(
        ["ReadWriteMany" if many else "ReadWriteOnce"], "All replicas write to it." if many else "One replica."
    )
    spec = {
        "accessModes": mode,
        "storageClassName": storage_class or None,
        "resources": {"requests": {"storage": noted(quantity(size.total), why, rows=size.bytes())}},
    }
    return made.object("v1", "PersistentVolumeClaim", spec, name)


def _port(port: Port) -> dict[str, object]:
    made: dict[str, object] = {"name": port.name, "port": port.number, "targetPort": port.name}
    return {**made, "appProtocol": port.protocol} if port.protocol else made
