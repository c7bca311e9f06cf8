"""A server on Kubernetes before its manifests are written: what all kinds of servers have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.deploy.sums import GIB, MIB, Sum

TRITON = "triton"
"""The kind of the server that a stack is named after."""

NOT_OF_A_NAME = re.compile(r"[^a-z0-9]+")
LONGEST = 40
"""Characters of a name: with what is appended, it stays within the 63 of a label and the 63 of a Service.

Source: kubernetes.io/docs/concepts/overview/working-with-objects/names; KEDA calls the autoscaler `keda-hpa-NAME`.
"""


class Port(NamedTuple):
    """A port of the container; `protocol` is the appProtocol of its Service, "" for HTTP/1.1."""

    name: str
    number: int
    protocol: str = ""


class Volume(NamedTuple):
    """A volume: where it is mounted, what it is, such as `{"emptyDir": {}}`, and why."""

    name: str
    path: str
    source: Mapping[str, object]
    why: str
    read_only: bool = False


class Probe(NamedTuple):
    """What the kubelet asks, such as `{"httpGet": …}`, and why. `timeout` is in seconds."""

    handler: Mapping[str, object]
    why: str
    timeout: int = 5


class Probes(NamedTuple):
    """The three probes: of the start, whose budget is that of the needs, of life, and of readiness."""

    started: Probe
    live: Probe
    ready: Probe


class Needs(NamedTuple):
    """What a pod needs: GPUs, cores, bytes of memory without shared memory, of disk and of shared memory, seconds.

    `holds` is a sentence on what its GPUs hold, with the rows of its arithmetic.
    """

    gpus: int
    cores: Sum
    memory: Sum
    disk: Sum
    shared: Sum
    start: Sum
    holds: tuple[str, tuple[str, ...]] = ("", ())


class Placing(NamedTuple):
    """Where pods run and as whom: "" for a label or an account that does not matter.

    `arch` is that of Kubernetes, such as amd64. `secrets` are the names of Secrets with which images are pulled.
    """

    product: str = ""
    arch: str = ""
    account: str = ""
    secrets: tuple[str, ...] = ()
    user: int = 1000
    group: int = 1000


class Ending(NamedTuple):
    """Seconds of an end: until no more requests are sent, for requests in flight, for the rest; `sleeps` waits first.

    `how` says what the server does in the time for requests, and `last` what it does in the rest.
    """

    how: str
    sleeps: tuple[str, ...] = ("/bin/sleep",)
    leaving: int = 10
    requests: int = 30
    rest: int = 15
    last: str = "to unload models and end"

    @property
    def total(self) -> int:
        """The seconds until the container is killed."""
        return self.leaving + self.requests + self.rest


class Signal(NamedTuple):
    """What replicas are counted by: a metric of pods, a query for the sum over all pods, and how much a pod takes."""

    metric: str
    query: str
    target: int
    why: str


class Scaling(NamedTuple):
    """How many replicas there can be. `prometheus` is the URL that KEDA asks; "" for a HorizontalPodAutoscaler."""

    least: int
    most: int
    signals: tuple[Signal, ...]
    prometheus: str = ""


class Reach(NamedTuple):
    """A port that pods connect to, 0 for all, and why. `block` is a range of addresses, "" for any."""

    port: int
    why: str
    block: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A server on Kubernetes. `name` is that of its objects, and `stack` of what it is a part of.

    `kind` is the software, such as triton, and the name of its container. `image`, and each of `args` and `env`, can be
    noted. `command` is None for the entrypoint of the image. `metrics` is the name of the port with metrics. `pods` are
    those of a replica.
    """

    name: str
    stack: str
    kind: str
    version: str
    image: object
    args: Sequence[object]
    command: Sequence[object] | None = None
    env: Sequence[object] = ()
    ports: tuple[Port, ...]
    metrics: str
    probes: Probes
    needs: Needs
    volumes: tuple[Volume, ...]
    placing: Placing
    ending: Ending
    replicas: int
    pods: int = 1
    scaling: Scaling | None = None
    reaches: tuple[Reach, ...] = ()

    @property
    def selector(self) -> dict[str, object]:
        """The labels that select its pods: they never change, because a Deployment's selector cannot."""
        return {"app.kubernetes.io/instance": self.name, "app.kubernetes.io/component": self.kind}

    @property
    def labels(self) -> dict[str, object]:
        """The labels of its pods."""
        return {
            "app.kubernetes.io/name": self.kind,
            **self.selector,
            "app.kubernetes.io/part-of": self.stack,
            "app.kubernetes.io/version": self.version or None,
            "app.kubernetes.io/managed-by": "tritonrepo",
        }

    @property
    def job(self) -> str:
        """The job of its series in Prometheus."""
        return job(self.stack, self.kind)

    def object(self, api: str, kind: str, spec: Mapping[str, object], name: str = "") -> dict[str, object]:
        """Return an object that belongs to it."""
        metadata = {"name": name or self.name, "labels": self.labels}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def named(text: str, otherwise: str) -> str:
    """Return a name for objects, which is that of a Service too: it begins with a letter."""
    name = NOT_OF_A_NAME.sub("-", text.lower()).strip("-")
    name = name if name[:1].isalpha() else f"{otherwise}-{name}".strip("-")
    return name[:LONGEST].rstrip("-")


def of_stack(name: str) -> str:
    """Return the name of a stack as a label of its servers has it, whichever command deploys them."""
    return named(name, "stack")


def job(stack: str, kind: str) -> str:
    """Return the job that the servers of a kind have in Prometheus, however many generators they serve."""
    return stack if kind == TRITON else f"{stack}-{kind}"


def quantity(size: int) -> str:
    """Return bytes as Kubernetes writes them."""
    return f"{size // GIB}Gi" if size % GIB == 0 else f"{-(-size // MIB)}Mi"
