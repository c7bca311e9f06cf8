"""Probes and grace periods: what the API server refuses, and what kills or never admits a model that loads slowly."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests, Object, find, items, place, pods, text
from tritonrepo.manifests.pods import DIGITS, PROBES, key_at, number, title
from tritonrepo.manifests.servers import servers
from tritonrepo.rules.manifests.resources import uses_gpus
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Keys, Scalar

HANDLERS = ("httpGet", "tcpSocket", "grpc", "exec")
PERIOD, TIMEOUT, FAILURES, GRACE, DEADLINE = 10, 1, 3, 30, 600
"""Defaults, the first three and the deadline in seconds. Source: Kubernetes, pkg/apis/core/v1/defaults.go and
pkg/apis/apps/v1/defaults.go."""

NUMBERS = ("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold", "initialDelaySeconds")


def _probes(of: Object) -> Iterator[tuple[Keys, str, Keys]]:
    """Yield the probes of an object, with their container and name."""
    for pod in pods(of):
        for container in pod.every:
            for name in PROBES:
                probe = find(container, name)
                if isinstance(probe, Keys):
                    yield container, name, probe


def _period_s(probe: Keys) -> int:
    return number(probe, "periodSeconds", 0) or PERIOD


def _budget_s(probe: Keys) -> int:
    """Return after how long a container counts as failed if it never answers, in seconds; 0 means a default."""
    failures = number(probe, "failureThreshold", 0) or FAILURES
    return number(probe, "initialDelaySeconds", 0) + _period_s(probe) * failures


@manifest_rule("probe-unusable", Severity.ERROR)
def unusable(of: Object, _: Manifests) -> Iterator[Finding]:
    """A probe must have one handler, and no negative number."""
    for _container, name, probe in _probes(of):
        found = [each for each in HANDLERS if find(probe, each) is not None or each in probe.keys]
        at = place(probe, found[1]) if len(found) > 1 else probe.at
        if len(found) != 1:
            message = f"{name} has {'no handler' if not found else ' and '.join(found)}"
            reason = "may not specify more than 1 handler type" if found else "must specify a handler type"
            yield Finding(at, message, hint=f"Use exactly one of {', '.join(HANDLERS)}.", reason=reason)
        for key in NUMBERS:
            if number(probe, key, 0) < 0:
                message = f"{key} of {name} cannot be {text(probe, key)}"
                reason = "must be greater than or equal to 0"
                yield Finding(key_at(probe, key), message, hint="Use a positive number.", reason=reason)
        if name != "readinessProbe" and number(probe, "successThreshold", 1) > 1:
            message = f"successThreshold of {name} must be 1"
            yield Finding(key_at(probe, "successThreshold"), message, hint="Remove it.", reason="must be 1")


@manifest_rule("probe-timeout-above-period", Severity.WARNING)
def timeout_above_period(of: Object, _: Manifests) -> Iterator[Finding]:
    """The timeout of a probe should not be above its period."""
    for _container, name, probe in _probes(of):
        timeout, period = (number(probe, "timeoutSeconds", 0) or TIMEOUT), _period_s(probe)
        if timeout > period > 0:
            message = f"{name} waits {timeout} s for an answer, but is due every {period} s, so it runs late"
            hint = "Raise periodSeconds, or lower timeoutSeconds."
            yield Finding(key_at(probe, "timeoutSeconds"), message, hint=hint)


@manifest_rule("liveness-without-startup", Severity.WARNING)
def liveness_without_startup(of: Object, _: Manifests) -> Iterator[Finding]:
    """A container with GPUs that has a liveness probe should have a startup probe."""
    for container, name, probe in _probes(of):
        if name != "livenessProbe" or any(servers(of)):
            continue  # startup-too-short knows how long these servers take
        if find(container, "startupProbe") is None and uses_gpus(container):
            budget = _budget_s(probe)
            message = (
                f"{title(container)} is killed if it does not answer {budget} s after its start, and again after that"
            )
            hint = "Add a startupProbe whose periodSeconds × failureThreshold covers the load of the models."
            yield Finding(place(container, name), message, hint=hint)


def _startup_s(of: Object) -> int:
    """Return how long the startup probes of an object let its containers start, in seconds."""
    budgets = (_budget_s(probe) for _, name, probe in _probes(of) if name == "startupProbe")
    return max(budgets, default=0)


@manifest_rule("deadline-below-startup", Severity.WARNING, "Deployment")
def deadline_below_startup(of: Object, _: Manifests) -> Iterator[Finding]:
    """The deadline of a rollout should be above what the startup probe allows."""
    deadline, budget = number(of.node, "spec.progressDeadlineSeconds", DEADLINE), _startup_s(of)
    if deadline <= budget:
        said = find(of.node, "spec.progressDeadlineSeconds") is not None
        message = f"a rollout fails after {deadline} s, but the startup probe allows {budget} s"
        hint = f"Set progressDeadlineSeconds above {budget}{'' if said else f'; it is {DEADLINE} by default'}."
        yield Finding(place(of.node, "spec.progressDeadlineSeconds"), message, hint=hint)


@manifest_rule("grace-below-pre-stop", Severity.WARNING)
def grace_below_pre_stop(of: Object, _: Manifests) -> Iterator[Finding]:
    """The grace period should be longer than the preStop hook takes."""
    for pod in pods(of) if not any(servers(of)) else ():  # grace-too-short knows how long they need
        grace = number(pod.node, "spec.terminationGracePeriodSeconds", GRACE)
        for container in pod.containers:
            hook = _sleep_s(container)
            if hook >= grace:
                message = (
                    f"the preStop hook sleeps {hook} s, but {title(container)} is killed {grace} s after it begins"
                )
                hint = "Set terminationGracePeriodSeconds to the sleep and the time that open requests need."
                yield Finding(place(container, "lifecycle.preStop"), message, hint=hint)


def _sleep_s(container: Keys) -> int:
    """Return how long a preStop hook sleeps, in seconds; 0 if it does not, or does something else."""
    words = [each.text for each in items(container, "lifecycle.preStop.exec.command") if isinstance(each, Scalar)]
    typed = " ".join(words).split()
    at = next((place for place, word in enumerate(typed) if word.rpartition("/")[2] == "sleep"), len(typed))
    said = typed[at + 1] if at + 1 < len(typed) else ""
    whole = said.isdecimal() and len(said) < DIGITS
    return int(said) if whole else number(container, "lifecycle.preStop.sleep.seconds", 0)
