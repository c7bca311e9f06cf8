"""How Prometheus finds the servers: a scrape config, and PodMonitors of its operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.observe.rules import Document
from tritonrepo.deploy.observe.servers import Server

INTERVAL = "15s"
"""rate() over five minutes needs several scrapes, and a gauge that is read once a minute misses what piles up."""

MONITORING = "monitoring.coreos.com/v1"
RELEASE = "kube-prometheus-stack only reads what has its label release: add it, or select this label there."


def config(servers: Iterable[Server]) -> Document:
    """Return the scrape config of a Prometheus that is not in Kubernetes."""
    return {"scrape_configs": [_job(server) for server in servers]}


def _job(server: Server) -> Document:
    urls = [urlsplit(url) for url in server.urls or server.called]
    ways: dict[tuple[str, str], list[str]] = {}
    for url in urls:
        ways.setdefault((url.scheme, url.path), []).append(url.netloc)
    ways = ways or {("http", server.kind.path): [f"localhost:{server.kind.number}"]}
    (scheme, path), *others = ways
    why = "Where the metrics were read." if server.urls else "Replace it with the addresses of your servers."
    why = "What generators call. " + why if urls and not server.urls else why
    labels = {key: value for key, value in server.metrics.where.items() if key != "job"}
    return {
        "job_name": noted(server.job, f"{server.kind.says}. The rules ask for this name."),
        "scheme": scheme if scheme != "http" and not others else None,
        "metrics_path": path if not others else None,
        "scrape_interval": INTERVAL,
        "static_configs": [
            {"targets": noted(targets, why), "labels": _labels(labels, way if others else None)}
            for way, targets in ways.items()
        ],
    }


def _labels(labels: Mapping[str, str], way: tuple[str, str] | None) -> object:
    """Return the labels of targets, with scheme and path if those of one job differ.

    Source: Prometheus, scrape/target.go, PopulateLabels: the job's are used where targets have no such labels.
    """
    asked = noted(dict(labels), "The rules ask for them.") if labels else None
    if way is None:
        return asked
    scheme, path = way
    return noted({"__scheme__": scheme, "__metrics_path__": path, **labels}, "How Prometheus reads these targets.")


def monitor(server: Server, stack: str, namespace: str) -> Document:
    """Return the PodMonitor of a server, as `deploy k8s` labels its pods and names its ports."""
    labels = {"app.kubernetes.io/component": str(server.system), "app.kubernetes.io/part-of": stack}
    relabeling = {"action": "replace", "targetLabel": "job", "replacement": server.job}
    path = server.kind.path if server.kind.path != "/metrics" else None
    endpoints = [
        {
            "port": port,
            "path": path,
            "interval": INTERVAL,
            "relabelings": noted([relabeling], "The rules ask for this name."),
        }
        for port in server.kind.ports
    ]
    spec: Document = {
        "selector": noted({"matchLabels": labels}, "The labels that deploy gives to pods. Change them for other pods."),
        "podMetricsEndpoints": endpoints,
    }
    return _object("PodMonitor", server.job, stack, namespace, spec)


def rule(groups: list[Document], stack: str, namespace: str) -> Document:
    """Return the PrometheusRule with the same groups as the file of rules."""
    return _object("PrometheusRule", stack, stack, namespace, {"groups": groups})


def _object(kind: str, name: str, stack: str, namespace: str, spec: Document) -> Document:
    labels = noted({"app.kubernetes.io/part-of": stack, "app.kubernetes.io/managed-by": "tritonrepo"}, RELEASE)
    metadata = {"name": name, "namespace": namespace or None, "labels": labels}
    return {"apiVersion": MONITORING, "kind": kind, "metadata": metadata, "spec": spec}
