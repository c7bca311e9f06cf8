"""The pods of a server, as the template of a Deployment or of another kind that has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from tritonrepo.deploy.kube.workload import Probe, Volume, Workload, quantity
from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.sums import GIB, Sum, Term
from tritonrepo.diagnostics import counted
from tritonrepo.manifests.servers import DEFAULT_SHM, SHM

EVERY_S = 10
"""Seconds between two probes of the start."""

PULL_S = 900
"""Seconds to pull an image of 10 to 20 GiB: they count for a rollout, but not for the probe of the start."""

GPU = "nvidia.com/gpu"


def shared(size: Sum, why: str) -> Volume:
    """Return /dev/shm; `why` says what it is for, without the sum."""
    medium = {"medium": "Memory", "sizeLimit": noted(quantity(size.total), rows=size.bytes())}
    limit = f"Kubernetes gives {DEFAULT_SHM >> 20} MiB without it, and counts what is used as memory of the container."
    return Volume("shm", SHM, {"emptyDir": medium}, f"{why} {limit}")


def empty(name: str, path: str, size: Sum, why: str) -> Volume:
    """Return a directory that lives as long as the pod; a pod that writes more than the size is evicted."""
    return Volume(name, path, {"emptyDir": {"sizeLimit": noted(quantity(size.total), rows=size.bytes())}}, why)


def claim(name: str, path: str, claimed: str, why: str, *, read_only: bool = False) -> Volume:
    """Return a volume of a claim."""
    source = {"claimName": claimed, "readOnly": True if read_only else None}
    return Volume(name, path, {"persistentVolumeClaim": source}, why, read_only)


def template(made: Workload) -> dict[str, object]:
    """Return the pods of a server."""
    return {"metadata": {"labels": made.labels}, "spec": spec(made)}


def spec(made: Workload) -> dict[str, object]:
    """Return what a pod is made of."""
    placing = made.placing
    links = "Without it, Services of the namespace add variables such as VLLM_PORT, which a server takes for its own."
    return {
        "serviceAccountName": noted(placing.account, "The identity of the pods in the cloud.")
        if placing.account
        else None,
        "automountServiceAccountToken": noted(False, "The server never calls the API of Kubernetes."),  # noqa: FBT003
        "enableServiceLinks": noted(False, links),  # noqa: FBT003
        "terminationGracePeriodSeconds": _grace(made),
        "securityContext": _user(made),
        "imagePullSecrets": [{"name": name} for name in placing.secrets] or None,
        "nodeSelector": dict(_nodes(made)) or None,
        "tolerations": _tolerations(made) if made.needs.gpus else None,
        "topologySpreadConstraints": _spread(made),
        "containers": [container(made)],
        "volumes": [noted({"name": each.name, **each.source}, each.why) for each in made.volumes] or None,
    }


def container(made: Workload) -> dict[str, object]:
    """Return the one container of a pod."""
    return {
        "name": made.kind,
        "image": made.image,
        "command": made.command,
        "args": made.args or None,
        "env": made.env or None,
        "ports": [{"name": port.name, "containerPort": port.number} for port in made.ports],
        "resources": resources(made),
        "securityContext": noted(
            {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "It needs no capability and cannot gain any.",
        ),
        **probes(made),
        "lifecycle": _leaving(made),
        "volumeMounts": [_mount(each) for each in made.volumes] or None,
    }


def resources(made: Workload) -> dict[str, object]:
    """Return requests and limits, each with its sum."""
    needs = made.needs
    shm = [Term(needs.shared.total, "shared memory, the limit of the volume shm")] if needs.shared.total else []
    memory = Sum((*needs.memory.terms, *shm), GIB)
    gpus, (holds, rows) = str(needs.gpus) if needs.gpus else None, needs.holds
    same = "The limit of memory is the same: pods that use more than they request are the first to be evicted."
    return {
        "requests": {
            "cpu": noted(
                str(needs.cores.total),
                "Cores, without a limit: a limit would slow the server down when it has most to do.",
                rows=[f"{term.value}: {term.why}" for term in needs.cores.terms],
            ),
            "memory": noted(quantity(memory.total), same, rows=memory.bytes()),
            "ephemeral-storage": noted(quantity(needs.disk.total), "Disk of the node.", rows=needs.disk.bytes()),
        },
        "limits": {
            "memory": quantity(memory.total),
            GPU: noted(gpus, f"Whole GPUs, for this pod alone. {replicas(made)} {holds}", rows=rows) if gpus else None,
        },
    }


def replicas(made: Workload) -> str:
    """Return the sentence on how many GPUs all replicas take."""
    most = max(made.replicas, made.scaling.most if made.scaling else 0)
    many = f"{'up to ' if made.scaling else ''}{counted(most, 'replica')}"
    each = f" of {counted(made.pods, 'pod')}" if made.pods > 1 else ""
    gpus = counted(most * made.pods * made.needs.gpus, "GPU")
    return f"With {many}{each}, that is {gpus} in all."


def probes(made: Workload) -> dict[str, object]:
    """Return the three probes."""
    started, live, ready = made.probes
    needs = made.needs.start
    budget = noted(
        -(-needs.total // EVERY_S),
        f"Times {EVERY_S} s, {needs.factor} times what a start may take. Until it succeeds, the other probes wait.",
        rows=needs.seconds(),
    )
    return {
        "startupProbe": _probe(started, {"periodSeconds": EVERY_S, "failureThreshold": budget}),
        "livenessProbe": _probe(live, {"periodSeconds": 10, "failureThreshold": 6}),
        "readinessProbe": _probe(ready, {"periodSeconds": 5, "failureThreshold": 3}),
    }


def rollout(made: Workload) -> dict[str, object]:
    """Return how a Deployment replaces its pods, and how long that may take without progress."""
    spare = (
        "The old pod ends before the new one starts, because a new one beside it would need spare GPUs: in a full"
        " cluster, the rollout would never end. A single replica is away until the new one is ready."
    )
    late = (
        "A pod may take this long before the rollout counts as failed: to pull the image, start, and end the old pod."
    )
    takes = made.needs.start.total + PULL_S + made.ending.total
    how = noted({"maxSurge": 0, "maxUnavailable": 1}, spare)
    if not (made.needs.gpus or made.volumes):
        how = noted({"maxSurge": 1, "maxUnavailable": 0}, "The new pod serves before the old one ends.")
    return {
        "progressDeadlineSeconds": noted(-(-takes // 60) * 60, late),
        "strategy": {"rollingUpdate": how},
    }


def _probe(probe: Probe, often: Mapping[str, object]) -> object:
    return noted({**probe.handler, **often, "timeoutSeconds": probe.timeout}, probe.why)


def _grace(made: Workload) -> object:
    ending = made.ending
    rows = (
        f"{ending.leaving} s: until no client sends requests to the pod (preStop)",
        f"{ending.requests} s: {ending.how}",
        f"{ending.rest} s: {ending.last}",
    )
    return noted(ending.total, "Then the container is killed.", rows=rows)


def _leaving(made: Workload) -> object:
    waits = {"exec": {"command": [*made.ending.sleeps, str(made.ending.leaving)]}}
    why = "An ending pod still gets requests until every node knows of it, so the server ends a little later."
    return {"preStop": noted(waits, why)}


def _user(made: Workload) -> object:
    user, group = made.placing.user, made.placing.group
    who = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": group, "fsGroup": group}
    why = "Not root. Volumes belong to the group, so that the server can write to them."
    return noted({**who, "seccompProfile": {"type": "RuntimeDefault"}}, why)


def _nodes(made: Workload) -> Iterator[tuple[str, object]]:
    if made.placing.arch:
        yield "kubernetes.io/arch", noted(made.placing.arch, "The processor that the image is for.")
    if made.placing.product and made.needs.gpus:
        why = "The kind of GPU, as the NVIDIA GPU operator labels nodes: kubectl get nodes -L nvidia.com/gpu.product"
        yield f"{GPU}.product", noted(made.placing.product, why)


def _tolerations(made: Workload) -> list[object]:
    why = f"Nodes with GPUs often keep other pods away by this taint; {made.kind} belongs there."
    return [noted({"key": GPU, "operator": "Exists", "effect": "NoSchedule"}, why)]


def _spread(made: Workload) -> list[object]:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": made.selector},
    }
    return [noted(constraint, "On different nodes where possible: one node's failure then leaves replicas.")]


def _mount(volume: Volume) -> dict[str, object]:
    return {"name": volume.name, "mountPath": volume.path, "readOnly": True if volume.read_only else None}


def joined(sums: tuple[Sum, ...], multiple: int) -> Sum:
    """Return the sum of sums."""
    return Sum(tuple(chain.from_iterable(each.terms for each in sums)), multiple)
