"""What Triton's replicas are counted by: requests that wait, under the names of the metric catalogue."""

from __future__ import annotations

from tritonrepo.deploy.kube.workload import Signal
from tritonrepo.deploy.needs import copies
from tritonrepo.repository import Repository
from tritonrepo.server.catalogue import catalogue

LEAST, MOST = 4, 256
"""Requests that may wait in a pod, whatever its models are."""


def signals(found: Repository, name: str) -> tuple[Signal, ...]:
    """Return what the replicas of a server are counted by.

    Ensembles do not queue, and vLLM has a queue of its own, which its backend's metrics do not show.
    """
    waiting = next(each.name for each in catalogue()["requests_pending"].names if each.exposer == "triton")
    models = [model for model in found.models.values() if not model.is_ensemble and model.backend != "vllm"]
    target = min(max([LEAST, *(copies(model) * max(1, model.max_batch_size) for model in models)]), MOST)
    why = (
        f"Requests that wait for an instance, of all models: with {target} in each pod, a full batch is waiting for"
        " each instance of the largest model."
    )
    return (Signal(waiting, f'sum({waiting}{{job="{name}"}})', target, why),)
