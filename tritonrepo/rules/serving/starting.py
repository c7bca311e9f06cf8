"""Time to start: probes that end a server while it loads, and delays in place of a startup probe."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.llm.config import read
from tritonrepo.llm.loading import bits
from tritonrepo.llm.table import known_config
from tritonrepo.manifests.objects import Manifests, Object, place
from tritonrepo.manifests.probes import probes
from tritonrepo.manifests.servers import ELSEWHERE, KINDS, Family, Server, servers
from tritonrepo.plain import inline
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.tree import amount

FASTEST = 1 << 30
"""Bytes a second from a disk or a network; few read weights faster, so less time is surely too little."""

ENGINE_S = {Family.TRITON: 20, Family.VLLM: 60, Family.NIM: 60}
"""Seconds of a start besides the weights: an engine takes 60 to 180 s to compile and to capture CUDA graphs."""

LONG_S = 60
"""A delay that is meant to cover the load of a model."""


def weights(each: Server) -> tuple[str, int]:
    """Return the model that vLLM loads, and the bytes of its weights, 0 if they are not known."""
    named = each.model.text if each.model else each.value("model")
    config = known_config(named) if named else None
    facts = read(config) if config is not None else None
    if facts is None or facts.parameters is None:
        return named, 0
    return named, int(facts.parameters * bits(facts, each.value("quantization")).low / 8)


def needs(each: Server) -> tuple[int, str]:
    """Return the seconds that the start of a server takes at least, and why."""
    base = ENGINE_S[each.family]
    name, size = weights(each) if each.family is Family.VLLM else ("", 0)
    if not size:
        return base, f"{each.family} takes at least {base} s"
    total = base + -(-size // FASTEST)
    return total, f"{amount(size)} of {inline(name)} take at least {total} s to load and compile"


@manifest_rule("startup-too-short", Severity.WARNING, *KINDS)
def startup_too_short(of: Object, _: Manifests) -> Iterator[Finding]:
    """A probe should not end a server while it loads its models."""
    for each in servers(of):
        found = probes(each)
        merged = of.kind in ELSEWHERE  # with a template that has a startup probe
        probe = found.get("startupProbe") or (None if merged else found.get("livenessProbe"))
        least, why = needs(each)
        if probe is not None and probe.allows_s < least:
            message = f"{probe.name} ends the container after {probe.allows_s} s, but {why}"
            how = "Add a startupProbe" if probe.name == "livenessProbe" else "Raise failureThreshold"
            hint = f"{how}, so that periodSeconds × failureThreshold is well above {least} s."
            yield Finding(probe.at, message, hint=f"{hint} A slow disk takes ten times as long.")


@manifest_rule("delay-instead-of-startup", Severity.WARNING, *KINDS)
def delay_instead_of_startup(of: Object, _: Manifests) -> Iterator[Finding]:
    """A startup probe should cover the start of a server, not a fixed delay."""
    for each in servers(of) if of.kind not in ELSEWHERE else ():
        found = probes(each)
        late = [probe for probe in found.values() if probe.delay_s >= LONG_S]
        if "startupProbe" in found or not late:
            continue
        probe = late[0]
        message = f"{probe.name} waits {probe.delay_s} s: a faster start gains nothing, and a slower one "
        if probe.name == "livenessProbe":
            message += "is ended"
        else:
            message += "is not told from a failure"
            message += "" if "livenessProbe" in found else ", while no livenessProbe restarts a server that hangs"
        hint = "Use a startupProbe in place of the delay, and a livenessProbe for the time after it."
        yield Finding(place(probe.node, "initialDelaySeconds"), message, hint=hint)
