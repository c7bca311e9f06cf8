"""A replica of vLLM on several nodes: a LeaderWorkerSet, whose leader serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tritonrepo.deploy.generators import Generator
from tritonrepo.deploy.kube import around, pods
from tritonrepo.deploy.kube.layers import tree
from tritonrepo.deploy.kube.workload import Workload
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.serving.files import claims, layers, production
from tritonrepo.deploy.serving.wanted import Choices
from tritonrepo.diagnostics import counted
from tritonrepo.tree import Tree

LWS = "leaderworkerset.x-k8s.io/v1"


def on_nodes(made: Workload, nodes: int) -> tuple[Workload, Workload]:
    """Return the leader and the worker of a replica on several nodes.

    Source: vLLM, docs/serving/parallelism_scaling.md, "Running vLLM with MultiProcessing"; the variables are those of
    LeaderWorkerSet, api/leaderworkerset/v1/leaderworkerset_types.go.
    """
    joined = f"{counted(nodes, 'pod')} are one engine. Their addresses and numbers come from the LeaderWorkerSet."
    both = [noted(f"--nnodes={nodes}", joined), "--master-addr=$(LWS_LEADER_ADDRESS)"]
    headless = noted("--headless", "A worker has no API: the leader answers.")
    made = replace(made, pods=nodes)
    leader = replace(made, args=[*made.args, *both, "--node-rank=0"])
    worker = replace(made, kind="vllm-worker", args=[*made.args, *both, "--node-rank=$(LWS_WORKER_INDEX)", headless])
    return leader, worker


def of_several_pods(
    one: Generator, pair: tuple[Workload, Workload], nodes: int, choices: Choices, keys: Mapping[str, str]
) -> Tree:
    """Return the files of a server whose replicas are groups of pods, a leader and workers each."""
    leader, worker = pair
    shared = claims(one, replace(leader, replicas=2), choices)  # the pods of one group are several, too
    base = [_group(leader, worker, nodes), *around.services(leader), *shared]
    prod = [*production(leader, choices, f"{LWS}/LeaderWorkerSet"), _between(leader, worker)]
    return tree(leader, layers(leader, choices, keys, (base, prod), "LeaderWorkerSet"), choices.again)


def _group(leader: Workload, worker: Workload, nodes: int) -> dict[str, object]:
    why = "One process of a group cannot go on without the others, so all of its pods start again."
    spare = "The old group ends before the new one starts, because a new one beside it would need spare GPUs."
    rolling = {
        "type": "RollingUpdate",
        "rollingUpdateConfiguration": noted({"maxUnavailable": 1, "maxSurge": 0}, spare),
    }
    spec = {
        "replicas": leader.replicas,
        "rolloutStrategy": rolling,
        "leaderWorkerTemplate": {
            "size": noted(nodes, "Pods of a group: a leader, which serves, and workers."),
            "restartPolicy": noted("RecreateGroupOnPodRestart", why),
            "leaderTemplate": pods.template(leader),
            "workerTemplate": _worker(worker),
        },
    }
    return leader.object(LWS, "LeaderWorkerSet", spec)


def _worker(worker: Workload) -> dict[str, object]:
    """Return the template of workers: they serve nothing, so that nothing can be probed."""
    made = pods.template(worker)
    spec = made["spec"]
    assert isinstance(spec, dict)  # noqa: S101  of the kit
    (container,) = spec["containers"]
    kept = {key: value for key, value in container.items() if key not in SERVED}
    return {**made, "spec": {**spec, "containers": [kept]}}


SERVED = {"ports", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"}


def _between(leader: Workload, worker: Workload) -> dict[str, object]:
    """Return the policy that lets the pods of a group talk to each other, on any port."""
    group = {"matchLabels": {"app.kubernetes.io/instance": leader.name}}
    spec = {
        "podSelector": group,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [noted({"from": [{"podSelector": group}]}, "NCCL and the engine use ports that they choose.")],
        "egress": [{"to": [{"podSelector": group}]}, *_downloads(leader)],
    }
    return worker.object("networking.k8s.io/v1", "NetworkPolicy", spec, f"{leader.name}-group")


def _downloads(leader: Workload) -> list[object]:
    """Return what workers connect to as the leader does."""
    dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    return [dns, *(noted({"ports": [{"port": each.port}]}, each.why) for each in leader.reaches)]
