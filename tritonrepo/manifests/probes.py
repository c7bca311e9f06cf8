"""What a kubelet asks a container: the path, the port and the times of its probes, and the ports of the servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.objects import find, items, place, text
from tritonrepo.manifests.servers import Family, Server
from tritonrepo.spec.nodes import Keys

NAMES = ("startupProbe", "livenessProbe", "readinessProbe")
PERIOD_S, FAILURES = 10, 3
"""Source: Kubernetes, pkg/apis/core/v1/defaults.go, SetDefaults_Probe."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe of a container; `port` is None if it is not known to be a number of TCP."""

    name: str
    node: Keys
    at: Span
    path: str = ""
    port: int | None = None
    port_at: Span | None = None

    @property
    def path_at(self) -> Span:
        """Where its path is written."""
        return place(self.node, "httpGet.path")

    @property
    def by_http(self) -> bool:
        """Whether it is a GET request."""
        return find(self.node, "httpGet") is not None

    @property
    def by_port(self) -> bool:
        """Whether it only connects."""
        return find(self.node, "tcpSocket") is not None

    def number(self, key: str, default: int) -> int:
        """Return one of its times or counts."""
        value = text(self.node, key)
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else default  # noqa: PLR2004

    @property
    def delay_s(self) -> int:
        """Seconds until it asks for the first time."""
        return self.number("initialDelaySeconds", 0)

    @property
    def allows_s(self) -> int:
        """Seconds until it gives up on a container that has not answered yet."""
        return self.delay_s + self.number("periodSeconds", PERIOD_S) * self.number("failureThreshold", FAILURES)


def probes(of: Server) -> Mapping[str, Probe]:
    """Return the probes of a container by their names."""
    return {name: found for name in NAMES if (found := _probe(of, name)) is not None}


def _probe(of: Server, name: str) -> Probe | None:
    node = find(of.node, name)
    if not isinstance(node, Keys):
        return None
    at = of.node.keys[name][0]
    how = "httpGet" if find(node, "httpGet") is not None else "tcpSocket"
    typed = text(node, f"{how}.port")
    port = int(typed) if typed.isdecimal() and typed.isascii() and len(typed) < 6 else declared(of).get(typed)  # noqa: PLR2004
    return Probe(name, node, at, text(node, "httpGet.path") or "/", port, place(node, f"{how}.port"))


def declared(of: Server) -> Mapping[str, int]:
    """Return the ports that a container declares, by name; those without a name by their number."""
    return dict(_ports(of.node))


def _ports(container: Keys) -> Iterator[tuple[str, int]]:
    for each in items(container, "ports"):
        number = text(each, "containerPort")
        if number.isascii() and number.isdecimal() and len(number) < 6:  # noqa: PLR2004
            yield text(each, "name") or number, int(number)


def beside(of: Server) -> set[int]:
    """Return the ports that the other containers of the pod declare, and those that it calls a sidecar's."""
    others = [
        *of.pod.containers,
        *(each for each in items(of.pod.node, "spec.initContainers") if isinstance(each, Keys)),
    ]
    return {number for each in others if each is not of.node for _, number in _ports(each)}


def listens(of: Server) -> Mapping[str, int] | None:
    """Return the ports at which a server listens, by what it does there; None if they are not known.

    Source: server, src/command_line_parser.h; vllm, cli_args.py, port; NVIDIA NIM for LLMs, Configure Your NIM.
    """
    asked = {
        Family.TRITON: {"HTTP": ("http-port", 8000), "gRPC": ("grpc-port", 8001), "metrics": ("metrics-port", 8002)},
        Family.VLLM: {"HTTP": ("port", 8000)},
        Family.NIM: {},
    }[of.family]
    found = {kind: of.number(option, default=default) for kind, (option, default) in asked.items()}
    if of.family is Family.NIM:
        variables = {"HTTP": ("NIM_SERVER_PORT", "8000"), "health": ("NIM_HEALTH_PORT", "8000")}
        said = {kind: _said(of, name, default) for kind, (name, default) in variables.items()}
        found = {kind: int(value) if value.isascii() and value.isdecimal() else None for kind, value in said.items()}
    known = {kind: number for kind, number in found.items() if number is not None}
    return known if len(known) == len(found) and not of.imports else None


def _said(of: Server, name: str, default: str) -> str:
    variable = of.variable(name)
    return default if variable is None else text(variable, "value")
