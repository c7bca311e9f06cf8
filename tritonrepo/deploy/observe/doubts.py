"""Warnings about what cannot be watched, or not as it is wanted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tritonrepo.deploy.observe.files import Observed
from tritonrepo.deploy.observe.servers import Server, System
from tritonrepo.deploy.observe.watched import METRICS
from tritonrepo.diagnostics import Diagnostic, Severity, Span, counted
from tritonrepo.plain import inline
from tritonrepo.releases import Release

LAST_BUCKET = 5000
"""Milliseconds: the largest bucket of the time to the first response, unless a model's config says otherwise.

Source: server, docs/user_guide/metrics.md, "Histograms": 100, 500, 2000 and 5000.
"""

SHOWN = 3


def doubts(where: str, release: Release, made: Observed) -> Iterator[Diagnostic]:
    """Yield the warnings about what is to be written."""
    triton = next((server for server in made.servers if server.system is System.TRITON), None)
    if triton is not None:
        yield from _silent(where, release, made, triton)
        yield from _buckets(where, made, triton)
        yield from _outside(where, made)
    yield from (_lacking(server, names) for server, names in made.left_out)


def _silent(where: str, release: Release, made: Observed, triton: Server) -> Iterator[Diagnostic]:
    models = made.seen.silent
    if models and triton.backend is None and len(made.servers) == 1:
        names = ", ".join(f'"{name}"' for name in models[:SHOWN]) + (" and others" if len(models) > SHOWN else "")
        plural = "models do not report" if len(models) > 1 else "model does not report"
        message = f"the vLLM {plural} the metrics of vLLM, so nothing watches the engine: {names}"
        yield Diagnostic("observe-engine-silent", Severity.WARNING, Span(where), message, _reporting(release))


def _reporting(release: Release) -> str:
    """Return what makes Triton's vLLM backend report the metrics of an engine."""
    if not release.has("vllm-metrics"):
        return f"The vLLM backend of Triton {release.name} has none. Use 24.08 or later, or a vLLM of its own."
    value = "true" if release.has("vllm-metrics-as-boolean") else "yes"
    hint = f'Add the parameter {METRICS} with the string_value "{value}" to the config of the model'
    cost = "; the engine then runs in the process of the model" if release.has("vllm-metrics-in-process") else ""
    return f"{hint}{cost}. With disable_log_stats in model.json, it does nothing."


def _buckets(where: str, made: Observed, triton: Server) -> Iterator[Diagnostic]:
    slo = made.seen.slo.ttft
    if slo >= LAST_BUCKET and made.seen.streaming and triton.metrics.has("first_response"):
        message = (
            f"Triton's largest bucket for the first response is {LAST_BUCKET} ms, so RagTtftP95 never sees {slo} ms"
        )
        hint = "Set larger buckets with model_metrics in the configs of the models, or lower --slo-ttft."
        yield Diagnostic("observe-buckets", Severity.WARNING, Span(where), message, hint)


def _outside(where: str, made: Observed) -> Iterator[Diagnostic]:
    """Yield the endpoints of others, if no engine is watched: what is not ours shows its metrics to nobody."""
    for name, host in made.outside if len(made.servers) == 1 else ():
        message = f'"{name}" calls {inline(host)}, which may be a service of others, so nothing watches its engine'
        hint = "If you can scrape its metrics, add `--system triton --system vllm`, or nim in place of vllm."
        yield Diagnostic("observe-endpoint", Severity.WARNING, Span(where), message, hint)


def _lacking(server: Server, names: tuple[str, ...]) -> Diagnostic:
    message = f"the server lacks the metrics of {counted(len(names), 'alert')}, which is left out: {', '.join(names)}"
    if len(names) > 1:
        message = message.replace("which is", "which are")
    whole = server.whole.metrics
    hint = "If it is to have them, check its options for metrics."
    if "RagTtftP95" in names and (when := whole.when("first_response")):
        hint = f"RagTtftP95 needs {shlex.join(when.split())}."
    return Diagnostic("observe-metrics-missing", Severity.WARNING, Span(server.urls[0]), message, hint)
