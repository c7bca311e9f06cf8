"""Probes of servers: the paths and ports that each kind of server answers, and what its readiness means."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests, Object
from tritonrepo.manifests.probes import Probe, beside, listens, probes
from tritonrepo.manifests.servers import ELSEWHERE, KINDS, Family, Server, servers
from tritonrepo.plain import inline
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.rules.serving.triton import FALSE, mode, triton

PATHS = {
    Family.TRITON: re.compile(
        r"/v2(/?|/health/(live|ready)|/models/[^/?]+(/versions/[^/?]+)?(/ready|/config|/stats)?)"
    ),
    Family.VLLM: re.compile(
        r"/(health|ping|load|version|metrics|v1/models|docs|openapi\.json|is_sleeping|server_info|tokenizer_info"
        r"|is_scaling_elastic_ep|get_tokenizer_info)"
    ),
}
"""Source: server, src/http_server.cc; vllm, entrypoints/serve and entrypoints/openai/models/api_router.py."""

NOT_NIM = {"/", "/healthz", "/readyz", "/livez", "/ready", "/live", "/v2/health/live", "/v2/health/ready"}
"""Paths that other servers have. Source: NVIDIA NIM for LLMs, API reference."""

READY = {Family.TRITON: "/v2/models/NAME/ready", Family.VLLM: "/v1/models", Family.NIM: "/v1/health/ready"}
LIVE = {Family.TRITON: "/v2/health/live", Family.VLLM: "/health", Family.NIM: "/v1/health/live"}
OPENING = {"allow-vertex-ai", "allow-sagemaker", "root-path", "middleware"}
"""Options that add paths, or put others in front."""


@manifest_rule("probe-path-unknown", Severity.ERROR, *KINDS)
def probe_path_unknown(of: Object, _: Manifests) -> Iterator[Finding]:
    """A probe must ask for a path that the server has."""
    for each in servers(of):
        if any(each.argument(name) for name in OPENING):
            continue
        for probe in probes(each).values():
            if probe.by_http and _at_http(each, probe) and not _has(each.family, probe.path):
                path = inline(probe.path)
                means = (READY if probe.name == "readinessProbe" else LIVE)[each.family]
                message = f"{each.family} has no path {path}, so {probe.name} never succeeds"
                yield Finding(probe.path_at, message, hint=f"Use {means}.")


def _has(family: Family, path: str) -> bool:
    path = path.partition("?")[0]
    if family is Family.NIM:
        return path not in NOT_NIM
    return PATHS[family].fullmatch(path) is not None


def _at_http(each: Server, probe: Probe) -> bool:
    """Return whether a probe goes to the server's port for requests, as far as this is known."""
    ports = listens(each)
    return probe.port is None or ports is None or probe.port == ports["HTTP"]


@manifest_rule("probe-port-closed", Severity.ERROR, *KINDS)
def probe_port_closed(of: Object, _: Manifests) -> Iterator[Finding]:
    """A probe must ask a port at which the server answers it."""
    for each in servers(of):
        ports = listens(each)
        for probe in probes(each).values() if ports is not None else ():
            if probe.port is None or probe.port_at is None or probe.port in beside(each) or ports is None:
                continue
            kind = next((name for name, number in ports.items() if number == probe.port), "")
            wrong = probe.by_http and (kind == "gRPC" or (kind == "metrics" and probe.path != "/metrics"))
            if not kind and (probe.by_http or probe.by_port):
                said = ", ".join(f"{number} for {name}" for name, number in ports.items())
                message = f"{probe.name} asks port {probe.port}, but {each.family} listens at {said}"
                yield Finding(probe.port_at, message, hint=f"Use port {ports['HTTP']}.")
            elif wrong:
                message = f"{probe.name} sends a request to port {probe.port}, which is for {kind}"
                yield Finding(probe.port_at, message, hint=f"Use port {ports['HTTP']}, which is for HTTP.")


@manifest_rule("probes-missing", Severity.WARNING, *KINDS)
def probes_missing(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server should have a readiness probe."""
    for each in servers(of) if of.kind not in ELSEWHERE else ():
        found = probes(each)
        if "readinessProbe" not in found and each.starts and each.answers:
            lacks = "no probes" if not found else "no readiness probe"
            message = f"{each} has {lacks}: requests reach it while it loads its models"
            hint = f"Add readinessProbe for {READY[each.family]}, and startupProbe and livenessProbe for "
            yield Finding(each.at, message, hint=f"{hint}{LIVE[each.family]}.")


@manifest_rule("readiness-of-all-models", Severity.WARNING, *KINDS)
def readiness_of_all_models(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server that is updated in place should not turn unready because of one model."""
    for each in triton(of):
        if mode(each) not in {"poll", "explicit"} or each.value("strict-readiness").lower() in FALSE:
            continue
        for name, probe in probes(each).items():
            if probe.path == "/v2/health/ready" and name != "livenessProbe":
                effect = "takes the pod out of its Service" if name == "readinessProbe" else "restarts the pod"
                message = f"{name} asks whether every model is ready: one that does not load {effect}"
                hint = f"Use {LIVE[Family.TRITON]}."
                if name == "readinessProbe":
                    hint = f"Ask for the pipeline, or the models that must be there, with {READY[Family.TRITON]}."
                yield Finding(probe.path_at, message, hint=hint)


@manifest_rule("liveness-of-models", Severity.WARNING, *KINDS)
def liveness_of_models(of: Object, _: Manifests) -> Iterator[Finding]:
    """The liveness of Triton should not depend on its models."""
    for each in triton(of):
        probe = probes(each).get("livenessProbe")
        if probe is not None and probe.path.startswith("/v2/") and probe.path.endswith("/ready"):
            message = "livenessProbe asks whether models are ready, so each load or update of one can restart the pod"
            yield Finding(probe.path_at, message, hint=f"Use {LIVE[Family.TRITON]}.")


@manifest_rule("readiness-by-health", Severity.INFO, *KINDS)
def readiness_by_health(of: Object, _: Manifests) -> Iterator[Finding]:
    """The health of vLLM does not say that it serves a model."""
    for each in servers(of):
        probe = probes(each).get("readinessProbe")
        if each.family is Family.VLLM and probe is not None and probe.path == "/health":
            message = "/health says that the engine has not ended, not that a model is served"
            yield Finding(probe.path_at, message, hint=f"Use {READY[Family.VLLM]} for readiness.")


@manifest_rule("readiness-of-port", Severity.INFO, *KINDS)
def readiness_of_port(of: Object, _: Manifests) -> Iterator[Finding]:
    """An open port does not say that a server answers."""
    for each in servers(of):
        probe = probes(each).get("readinessProbe")
        if probe is not None and probe.by_port and of.kind not in ELSEWHERE:
            message = f"{probe.name} only connects, and a server that hangs still accepts connections"
            yield Finding(probe.at, message, hint=f"Use httpGet with {READY[each.family]}.")
