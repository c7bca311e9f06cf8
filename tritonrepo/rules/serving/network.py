"""Services and ports of servers: variables that Services set, and ports that are not declared."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests, Object, items, text
from tritonrepo.manifests.servers import ELSEWHERE, KINDS, Family, Server, servers
from tritonrepo.plain import inline
from tritonrepo.rules.registry import Finding, manifest_rule

TRAPS = {Family.VLLM: ("vllm", "VLLM_PORT"), Family.NIM: ("nim-server", "NIM_SERVER_PORT")}
"""Names of Services, and the variables that they set for the pods of their namespace, which servers read as numbers.

Source: vllm, envs.py, get_vllm_port; Kubernetes, pkg/kubelet/envvars/envvars.go.
"""


@manifest_rule("service-sets-port", Severity.ERROR, *KINDS)
def service_sets_port(of: Object, among: Manifests) -> Iterator[Finding]:
    """A Service cannot have a name by which it sets a variable that the server reads."""
    for each in servers(of):
        name, variable = TRAPS.get(each.family, ("", ""))
        for service in among.named("Service", name, of.namespace) if name else ():
            if service.namespace == of.namespace and _links(each, service, variable):
                message = f"Service {name} sets {variable}=tcp://… in this pod, which {each.family} reads as a number"
                message += " and refuses"
                hint = f"Add `enableServiceLinks: false` to the spec of the pod, or rename Service {name}."
                yield Finding(each.at, message, hint=hint, reason=f"{variable} 'tcp://…' appears to be a URI.")


def _links(each: Server, service: Object, variable: str) -> bool:
    headless = text(service.node, "spec.clusterIP") == "None" or text(service.node, "spec.type") == "ExternalName"
    off = text(each.pod.node, "spec.enableServiceLinks").lower() == "false"
    return not headless and not off and each.variable(variable) is None


@manifest_rule("ports-undeclared", Severity.INFO, *KINDS)
def ports_undeclared(of: Object, _: Manifests) -> Iterator[Finding]:
    """A container declares no ports, whose names Services, probes and monitors could use."""
    for each in servers(of) if of.kind not in ELSEWHERE else ():
        if not items(each.node, "ports") and each.answers:
            named = "http 8000, grpc 8001 and metrics 8002" if each.family is Family.TRITON else "http 8000"
            message = f"{each} declares no ports, so Services and probes cannot use their names"
            yield Finding(
                each.at, message, hint=f"Add ports with names: {named}, or those that {each.family} is given."
            )


@manifest_rule("grace-too-short", Severity.WARNING, *KINDS)
def grace_too_short(of: Object, _: Manifests) -> Iterator[Finding]:
    """A pod should have the time to finish its requests when it ends."""
    for each in servers(of) if not of.kind.endswith("ServingRuntime") else ():  # the service has the grace period
        grace = _number(text(each.pod.node, "spec.terminationGracePeriodSeconds"), 30)
        option = each.argument(*ENDING.get(each.family, ("",))[:1])
        takes = _number(option.value or "", 0) if option else ENDING.get(each.family, ("", 0))[1]
        sleeps = _sleep(each)
        if (sleeps or option) and sleeps + takes > grace:
            parts = [f"preStop {sleeps} s"] * bool(sleeps) + [f"the server up to {takes} s"] * bool(takes)
            message = f"the pod is killed after {grace} s, but {' and '.join(parts)} need {sleeps + takes} s"
            at = option.at if option else each.at
            yield Finding(at, message, hint=f"Set terminationGracePeriodSeconds above {sleeps + takes}.")


ENDING: dict[Family, tuple[str, int]] = {
    Family.TRITON: ("exit-timeout-secs", 30),
    Family.VLLM: ("shutdown-timeout", 0),
}
"""How long each server waits for requests. Source: server, src/command_line_parser.h; vllm 0.18, cli_args.py."""

DRAINS_SINCE = (0, 18)


def _sleep(each: Server) -> int:
    """Return the seconds that preStop sleeps; 0 if it does something else."""
    words = [
        text(node, "x") or getattr(node, "text", "") for node in items(each.node, "lifecycle.preStop.exec.command")
    ]
    typed = text(each.node, "lifecycle.preStop.sleep.seconds")
    if words and words[-1].rpartition(" ")[0].endswith("sleep"):
        typed = words[-1].rpartition(" ")[2]
    elif len(words) == 2 and words[0].endswith("sleep"):  # noqa: PLR2004
        typed = words[1]
    return _number(typed, 0)


def _number(typed: str, default: int) -> int:
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 10 else default  # noqa: PLR2004


@manifest_rule("requests-dropped-at-end", Severity.INFO, *KINDS)
def requests_dropped_at_end(of: Object, _: Manifests) -> Iterator[Finding]:
    """A pod of vLLM drops the requests that it has when it ends, unless it is given time."""
    for each in servers(of):
        if each.family is Family.VLLM and each.image.version >= DRAINS_SINCE and not each.argument("shutdown-timeout"):
            message = f"when a pod of {inline(str(of))} ends, as in each rollout, vLLM drops the requests that it has"
            hint = "Add --shutdown-timeout 60, a preStop that sleeps, and terminationGracePeriodSeconds above both."
            yield Finding(each.image.at, message, hint=hint)
