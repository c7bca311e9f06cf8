"""What is known of a server before its files are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.deploy.engines import Engine
from tritonrepo.deploy.sums import Sum
from tritonrepo.releases import Release
from tritonrepo.server.catalogue import catalogue

MODELS, CACHE, SCRATCH = "/models", "/cache", "/scratch"
"""Directories in the container: the repository, what is kept for the next start, copies of models from a bucket."""


MEASURED = "Triton measures the time to the first response, which the alert RagTtftP95 of deploy observe asks for."
"""Source: server, docs/user_guide/metrics.md, "Histograms"; core, src/metric_model_reporter.cc, r24.10 to r26.06: 24.10
and earlier take the option and do nothing."""


class Ports(NamedTuple):
    """The host's address and ports for HTTP, gRPC and metrics."""

    bind: str = "127.0.0.1"
    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002


class Mount(NamedTuple):
    """A directory of the host that the container reads, where it has it, and why."""

    source: str
    target: str
    why: str


class Reads(NamedTuple):
    """What the server reads: `models` is the path or URI that it is given; `scheme` is "" for a directory."""

    models: str
    scheme: str
    mounts: tuple[Mount, ...]


class Control(NamedTuple):
    """When the server loads models: `mode` is none, poll or explicit; `seconds` is the time between two polls."""

    mode: str = "none"
    seconds: int = 0

    @property
    def changes(self) -> bool:
        """Whether models change while the server runs."""
        return self.mode != "none"


class Gpus(NamedTuple):
    """The GPUs of a container: how many, or which ones of the host."""

    number: int
    ids: tuple[str, ...] = ()


class Runs(NamedTuple):
    """The image that runs, why it is that one, and its Dockerfile if it is built, otherwise ""."""

    image: str
    why: str
    dockerfile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server to deploy. `variables` are those that its models read, besides that of the Hub, and what for.

    `complete`: the configs are complete, so that the server need not complete any. `asked` are the models that show
    whether it serves. `again` is the command that writes the files again.
    """

    name: str
    release: Release
    runs: Runs
    arch: str
    gpus: Gpus
    reads: Reads
    control: Control
    ports: Ports
    complete: bool
    asked: tuple[str, ...]
    engines: tuple[Engine, ...]
    memory: Sum
    start: Sum
    again: str
    variables: Mapping[str, str]

    @property
    def measured(self) -> tuple[str, ...]:
        """The options with which Triton measures what alerts ask for, if the release can."""
        release, needed = self.release.name, catalogue()["first_response"].names
        return tuple("=".join(name.when.split(maxsplit=1)) for name in needed if name.since <= release)

    @property
    def hub(self) -> tuple[str, ...]:
        """The models that are loaded from the Hugging Face Hub."""
        return tuple(dict.fromkeys(each.source for each in self.engines if each.from_hub))

    @property
    def volumes(self) -> tuple[str, ...]:
        """The names of the volumes that the server writes."""
        cache, scratch = ("cache",) if self.engines else (), ("scratch",) if self.reads.scheme else ()
        return cache + scratch
