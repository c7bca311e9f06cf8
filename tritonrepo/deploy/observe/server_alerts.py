"""Alerts about what Triton's servers are: whether they answer, what they have loaded, and their memory."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.deploy.observe.alert import Alert, Case
from tritonrepo.deploy.observe.exposed import Exposed, quoted
from tritonrepo.deploy.observe.watched import ANY, Watched

FLAT = "{0}x60"


def states(on: Exposed, seen: Watched) -> Iterator[Alert]:
    """Yield the alerts about what servers have loaded and about their memory, if they have these metrics."""
    if on.has("requests_succeeded"):
        yield _silent(on)
        yield _gone(on)
        yield _mismatch(on)
    if on.has("gpu_memory_used", "gpu_memory_total") and (seen.gpus > 0 or on.seen is not None):
        yield _gpu_memory(on)
    if on.has("cpu_memory_used", "cpu_memory_total"):
        yield _memory(on)


def down(on: Exposed, prefix: str) -> Alert:
    """Return the alert for a server that does not answer."""
    up = f"up{on.selector}"
    labels = ",".join(f"{key}={quoted(value)}" for key, value in on.where.items())
    return Alert(
        name=f"{prefix}TargetDown",
        expr=f"{up} == 0 or absent({up})",
        holds="2m",
        severity="critical",
        summary="A server of job {{ $labels.job }} does not answer",
        description="Prometheus gets no metrics from {{ $labels.instance }} of job {{ $labels.job }}. Look at the"
        " state and the log of the server. Without an instance, Prometheus has no such target at all.",
        why="A server that starts is not counted for 2 minutes.",
        steps=(
            "Look at the pods or containers: crashed, still starting, or without a GPU?",
            "If it runs, check that Prometheus may connect to its port for metrics (NetworkPolicy).",
            "Without an instance, check that the labels of the PodMonitor are those of the pods.",
        ),
        fires=Case({f'up{{{labels},instance="i"}}': FLAT.format(0)}, {**on.where, "instance": "i"}),
        quiet=Case({f'up{{{labels},instance="i"}}': FLAT.format(1)}),
    )


def _silent(on: Exposed) -> Alert:
    model = on.label("model")

    def case(values: str) -> dict[str, str]:
        return {on.series("requests_succeeded", model=ANY, version="1"): values}

    now, before = (on.rate("requests_succeeded", "15m", "model", offset=offset) for offset in ("", "1h"))
    return Alert(
        name="ModelSilent",
        expr=f"({now} == 0) and on ({model}) ({before} > 0)",
        holds="30m",
        severity="info",
        summary="Nobody gets answers from {{ $labels.model }} any more",
        description="Model {{ $labels.model }} answered requests an hour ago, and none for 30 minutes. Check whether"
        " its clients still send requests.",
        why="A model without requests is no fault by itself, but often the first sign of one in front of it: a gateway,"
        " a wrong address, a pipeline that stops at an earlier step.",
        steps=(
            "If the pipeline that calls the model has requests, look for an earlier step that fails.",
            "If it has none either, ask in front of Triton: gateway, DNS, clients.",
        ),
        fires=Case(case("0+60x60 3600x60"), on.labels(model=ANY), after="110m"),
        quiet=Case(case("0+60x120"), after="110m"),
    )


def _gone(on: Exposed) -> Alert:
    model = on.label("model")
    before, now = (on.count("requests_succeeded", "model", offset=offset) for offset in ("1h", ""))

    def case(values: str) -> dict[str, str]:
        other = on.series("requests_succeeded", model="other", version="1")
        return {on.series("requests_succeeded", model=ANY, version="1"): values, other: "1x120"}

    return Alert(
        name="TritonModelGone",
        expr=f"({before} unless on ({model}) {now}) and on () {on.count('requests_succeeded')}",
        holds="10m",
        severity="critical",
        summary="{{ $labels.model }} is no longer loaded",
        description="An hour ago, a server had model {{ $labels.model }}; now none has. If it was not removed on"
        " purpose, read the server's log for why it was unloaded.",
        why="A server that polls a bucket unloads all models if one listing fails. The alert ends an hour after a model"
        " was removed on purpose.",
        steps=(
            "`tritonrepo status URL` lists what the server has and why a model is not ready.",
            "If the bucket could not be listed, check its credentials. The next poll loads the models again.",
            "If a push removed it, `tritonrepo rollback URI` brings it back.",
        ),
        fires=Case(case("1x60 stale _x59"), on.labels(model=ANY), after="100m"),
        quiet=Case(case("1x120"), after="100m"),
    )


def _mismatch(on: Exposed) -> Alert:
    model, version = on.label("model"), on.label("version")
    pairs = on.count("requests_succeeded", "model", "version", "instance")
    servers = on.count("requests_succeeded", "model", "instance")
    each = f"count by ({model}, {version}) ({pairs})"

    def case(*more: str) -> dict[str, str]:
        there = (("a", "1"), ("b", "1"), *(("b", version) for version in more))
        return {
            on.series("requests_succeeded", model=ANY, version=version, instance=instance): FLAT.format(1)
            for instance, version in there
        }

    return Alert(
        name="RevisionMismatch",
        expr=f"{each} < on ({model}) group_left () count by ({model}) ({servers})",
        holds="10m",
        severity="warning",
        summary="Servers have different versions of {{ $labels.model }}",
        description='Version {{ $labels.version }} of model {{ $labels.model }} is on {{ printf "%.0f" $value }} of'
        " the servers only. Restart or reload those that were left behind.",
        why="A server takes up a push within a poll, and a rollout replaces one pod at a time: 10 minutes are enough"
        " for both. Until then, the same request can get two different answers.",
        steps=(
            "`tritonrepo status URL` of each server names the versions that it has, and what failed to load.",
            "A server in control mode none or explicit does not see a push: restart it, or push with --reload URL.",
        ),
        fires=Case(case("2"), on.labels(model=ANY, version="2"), "1"),
        quiet=Case(case()),
    )


def _gpu_memory(on: Exposed) -> Alert:

    def case(used: int) -> dict[str, str]:
        where = {"gpu": "GPU-1", "instance": "i"}
        return {
            on.series("gpu_memory_used", **where): FLAT.format(used),
            on.series("gpu_memory_total", **where): FLAT.format(100),
        }

    gpu = on.label("gpu")
    return Alert(
        name="GpuMemoryHigh",
        expr=f"{on.gauge('gpu_memory_used')} / {on.gauge('gpu_memory_total')} > 0.97",
        holds="10m",
        severity="warning",
        summary=f"The memory of GPU {{{{ $labels.{gpu} }}}} is almost full",
        description=f'{{{{ printf "%.2f" $value }}}} of the memory of GPU {{{{ $labels.{gpu} }}}} at'
        " {{ $labels.instance }} is used. The next model that loads, or a larger batch, may not fit:"
        " compare with `tritonrepo fit`.",
        why="Above 0.97, the allocations of one more CUDA context or workspace fail. An engine of vLLM takes its share"
        " (gpu_memory_utilization) at the start and keeps it.",
        steps=(
            "`tritonrepo fit` shows what each model needs of each GPU.",
            "Lower gpu_memory_utilization of the engine, or instances of models on the same GPU.",
        ),
        fires=Case(case(98), {**on.where, **on.labels(gpu="GPU-1", instance="i")}, "0.98"),
        quiet=Case(case(96)),
    )


def _memory(on: Exposed) -> Alert:

    def case(used: int) -> dict[str, str]:
        return {
            on.series("cpu_memory_used", instance="i"): FLAT.format(used),
            on.series("cpu_memory_total", instance="i"): FLAT.format(100),
        }

    return Alert(
        name="TritonHostMemoryHigh",
        expr=f"{on.gauge('cpu_memory_used')} / {on.gauge('cpu_memory_total')} > 0.95",
        holds="10m",
        severity="warning",
        summary="The memory of the machine of {{ $labels.instance }} is almost full",
        description='{{ printf "%.2f" $value }} of the memory of the machine of {{ $labels.instance }} is used. The'
        " kernel may end processes of Python models, which Triton does not restart: find what takes the memory.",
        why="Triton reports the memory of the whole machine, not that of its container.",
        steps=(
            "Compare the limits of the container with what its processes use.",
            "If a Python model was killed, its requests fail (TritonModelFailures) until it is reloaded.",
        ),
        fires=Case(case(98), {**on.where, "instance": "i"}, "0.98"),
        quiet=Case(case(95)),
    )
