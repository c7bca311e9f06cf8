"""Queries of scalers and alerts: labels, counters and names of metrics as the servers have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from tritonrepo.diagnostics import Severity
from tritonrepo.llm.gpus import version
from tritonrepo.manifests.objects import Manifests, Object
from tritonrepo.manifests.queries import Metric, metrics, queries
from tritonrepo.manifests.servers import Family, running
from tritonrepo.packaged import facts
from tritonrepo.repository.once import once
from tritonrepo.rules.registry import Finding, manifest_rule

ASKING = ("ScaledObject", "ScaledJob", "HorizontalPodAutoscaler", "PrometheusRule")
SCALING = ASKING[:3]
ENDINGS = ("_sum", "_count", "_bucket")
UTILIZATION = ("nv_gpu_utilization", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE")


@cache
def catalog() -> Mapping[str, list[dict[str, Any]]]:
    """Return what data/metrics.json knows of each name: who has it, its kind, and until which version."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key, metric in facts("metrics")["metrics"].items():
        for each in metric["names"]:
            found.setdefault(each["name"], []).append({**each, "kind": metric["kind"], "means": key})
    return found


def known(name: str) -> list[dict[str, Any]]:
    """Return what is known of a metric, or of the histogram whose series it is."""
    plain = next((name.removesuffix(each) for each in ENDINGS if name.endswith(each)), name)
    return catalog().get(name) or catalog().get(plain, [])


def counts(metric: Metric) -> bool:
    """Return whether a metric only grows: a counter, or a series of a histogram."""
    return any(each["kind"] == "counter" or metric.name.endswith(ENDINGS) for each in known(metric.name))


@manifest_rule("query-label-unknown", Severity.WARNING, *ASKING)
def query_label_unknown(of: Object, among: Manifests) -> Iterator[Finding]:
    """A query should use the label that the server has for the name of a model."""
    triton = _triton(among)
    for query in queries(of):
        for metric in metrics(query.text):
            by_backend = triton or any(each["of"] == "vllm_backend" for each in known(metric.name))
            wrong = metric.name.startswith("vllm:") and "model" in metric.labels and not by_backend
            other = metric.name.startswith("nv_") and "model_name" in metric.labels
            if wrong or other:
                has, label = ("model_name", "model") if wrong else ("model", "model_name")
                message = f'{metric.name} has no label "{label}", so the query never finds anything'
                yield Finding(query.at, message, hint=f"Use {has} in place of {label}.")


@manifest_rule("query-of-lifetime", Severity.WARNING, *ASKING)
def query_of_lifetime(of: Object, _: Manifests) -> Iterator[Finding]:
    """A query should not divide counters as they are, which is the mean since the server started."""
    for query in queries(of):
        instant = [metric for metric in metrics(query.text) if not metric.ranged and counts(metric)]
        for metric, after in pairwise(instant):
            if "/" in query.text[metric.end : after.end - len(after.name)] and not _smoothed(metric, after):
                message = f"{metric.name} divided by {after.name} is the mean since the server started"
                hint = "Use rate() of both, such as over 5 minutes, so that the last minutes count."
                yield Finding(query.at, message, hint=hint)
                break


def _smoothed(*found: Metric) -> bool:
    return any(each.function in {"rate", "increase", "irate", "delta"} for each in found)


@manifest_rule("query-delta-of-counter", Severity.WARNING, *ASKING)
def query_delta_of_counter(of: Object, _: Manifests) -> Iterator[Finding]:
    """A query should use rate() or increase() of a counter, not delta()."""
    for query in queries(of):
        for metric in metrics(query.text):
            if metric.function in {"delta", "idelta", "deriv"} and metric.ranged and counts(metric):
                message = f"{metric.function}() of the counter {metric.name} is negative when a server restarts"
                yield Finding(query.at, message, hint="Use rate() or increase(), which know of restarts.")


@manifest_rule("query-metric-gone", Severity.WARNING, *ASKING)
def query_metric_gone(of: Object, among: Manifests) -> Iterator[Finding]:
    """A query should use the names that metrics have in the version that runs."""
    triton, versions = _triton(among), _versions(among)
    for query in queries(of) if not triton else ():
        for metric in metrics(query.text):
            gone = [each for each in known(metric.name) if each["of"] == "vllm" and "until" in each]
            if not gone or any(each["of"] == "vllm_backend" for each in known(metric.name)):
                continue
            until, now = gone[0]["until"], _now(gone[0]["means"])
            if now in query.text or (versions and min(versions) <= version(until)):
                continue
            yield Finding(query.at, f"vLLM newer than {until} has no metric {metric.name}", hint=f"Use {now}.")


@once
def _triton(among: Manifests) -> bool:
    return any(each.family is Family.TRITON for each in running(among))


@once
def _versions(among: Manifests) -> frozenset[tuple[int, ...]]:
    """Return the versions of vLLM that run, as far as they are known."""
    found = (each.image.version for each in running(among) if each.family is Family.VLLM)
    return frozenset(version for version in found if version)


def _now(means: str) -> str:
    names = facts("metrics")["metrics"][means]["names"]
    return str(next(each["name"] for each in names if each["of"] == "vllm" and "until" not in each))


@manifest_rule("scales-on-gpu-utilization", Severity.WARNING, *SCALING)
def scales_on_gpu_utilization(of: Object, _: Manifests) -> Iterator[Finding]:
    """A scaler should not use the utilization of GPUs, which an engine keeps near 100 % at any load."""
    for query in queries(of):
        named = [name for name in UTILIZATION if name in query.text]
        if named and query.scales:
            message = f"{named[0]} is near 100 % whenever an engine has any request, so it does not show the load"
            hint = "Scale on what waits: vllm:num_requests_waiting, or the queue time of Triton's models."
            yield Finding(query.at, message, hint=hint)
