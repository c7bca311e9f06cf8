"""What changes the number of replicas: a HorizontalPodAutoscaler, or a ScaledObject of KEDA."""

from __future__ import annotations

from tritonrepo.deploy.kube.workload import Scaling, Signal, Workload
from tritonrepo.deploy.manifests import noted

DOWN_S = 600
"""Seconds for which fewer replicas must be enough: a replica that is removed too early takes minutes to come back."""


def autoscaler(made: Workload, scaling: Scaling, kind: str = "apps/v1/Deployment") -> dict[str, object]:
    """Return what scales a workload; `kind` is what it is, with its API."""
    api, _, name = kind.rpartition("/")
    target: dict[str, object] = {"apiVersion": api, "kind": name, "name": made.name}
    return _keda(made, scaling, target) if scaling.prometheus else _hpa(made, scaling, target)


def _behavior() -> object:
    why = "Replicas are removed slowly, because a new one takes minutes to load."
    return noted({"scaleDown": {"stabilizationWindowSeconds": DOWN_S}}, why)


def _hpa(made: Workload, scaling: Scaling, target: dict[str, object]) -> dict[str, object]:
    spec = {
        "scaleTargetRef": target,
        "minReplicas": scaling.least,
        "maxReplicas": scaling.most,
        "metrics": noted(
            [_pods(each) for each in scaling.signals],
            "They need an adapter for Prometheus, such as prometheus-adapter. GPU utilization is no signal:"
            " it is high at any load.",
        ),
        "behavior": _behavior(),
    }
    return made.object("autoscaling/v2", "HorizontalPodAutoscaler", spec)


def _pods(signal: Signal) -> object:
    target = {"type": "AverageValue", "averageValue": str(signal.target)}
    return noted({"type": "Pods", "pods": {"metric": {"name": signal.metric}, "target": target}}, signal.why)


def _keda(made: Workload, scaling: Scaling, target: dict[str, object]) -> dict[str, object]:
    spec = {
        "scaleTargetRef": target,
        "minReplicaCount": noted(scaling.least, "Zero would need a gateway that holds requests until a pod is ready."),
        "maxReplicaCount": scaling.most,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior()}},
        "triggers": [_trigger(each, scaling.prometheus) for each in scaling.signals],
    }
    return made.object("keda.sh/v1alpha1", "ScaledObject", spec)


def _trigger(signal: Signal, prometheus: str) -> object:
    metadata = {
        "serverAddress": prometheus,
        "query": signal.query,
        "threshold": str(signal.target),
        "ignoreNullValues": noted("false", "Without a value, the number of replicas stays as it is."),
    }
    return noted({"type": "prometheus", "metadata": metadata}, signal.why)
