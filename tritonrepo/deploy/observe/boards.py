"""The dashboards of Triton: its models, its machines, and its pipelines with their steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tritonrepo.deploy.observe.engine_board import engines, values
from tritonrepo.deploy.observe.exposed import WINDOW, Exposed, quoted
from tritonrepo.deploy.observe.panels import Board, Panel, Query, Row, Variable
from tritonrepo.deploy.observe.servers import Server, System
from tritonrepo.deploy.observe.triton_alerts import any_of
from tritonrepo.deploy.observe.watched import Pipeline, Watched

ANYWHERE = ('job=~"$job"', 'namespace=~"$namespace"')
"""A Prometheus outside Kubernetes has no label namespace: then the value for all, `.*`, matches its absence."""

MOST = 12
"""Pipelines of a dashboard."""

TIMES = {
    "queue_duration": "queue",
    "compute_input_duration": "inputs",
    "compute_infer_duration": "model",
    "compute_output_duration": "outputs",
}
"""What the time of a request consists of."""


def boards(servers: Mapping[System, Server], seen: Watched) -> dict[str, Board]:
    """Return file name → dashboard for the servers of a stack, without those that would be empty."""
    found = dict[str, Board]()
    triton = servers.get(System.TRITON)
    if triton is not None:
        found["triton"] = _triton(triton, seen)
    backend = triton.backend if triton is not None else None
    found |= engines(servers, backend, seen)
    if triton is not None and seen.pipelines:
        found["rag"] = _pipelines(triton, seen)
    return found


def _variables(server: Server) -> tuple[Variable, ...]:
    on = replace(server.metrics, where={})
    return (
        Variable("job", values(on, "requests_succeeded", "job"), server.job),
        Variable("namespace", values(on, "requests_succeeded", "namespace")),
    )


def _triton(server: Server, seen: Watched) -> Board:
    metrics = replace(server.metrics, where={})
    on = replace(metrics, matching=(*ANYWHERE, f'{metrics.label("model")}=~"$model"'))
    model = Variable("model", values(replace(metrics, matching=ANYWHERE), "requests_succeeded", metrics.label("model")))
    rows = (
        Row("Requests", [*_requests(on)]),
        Row("Where the time goes", [*_times(on)]),
        Row("Response cache", [*_cache(on)] if seen.cached or on.seen is not None else ()),
        Row("Machine", [*_machine(replace(metrics, matching=ANYWHERE), seen)]),
    )
    text = (
        "Requests, queues, batches and memory of Triton. Models that stream answers: see the dashboard of the engine."
    )
    return Board(f"{seen.uid}-triton", f"{seen.name}: Triton", text, (*_variables(server), model), rows)


def _requests(on: Exposed) -> Iterator[Panel]:
    model = f"{{{{{on.label('model')}}}}}"
    reason = f"{model} {{{{{on.label('reason')}}}}}"
    yield _rate(on, "requests_succeeded", "Requests that succeed", model)
    failed = on.rate("requests_failed", WINDOW, "model", "reason") if on.has("requests_failed") else ""
    if failed:
        text = "CANCELED is not a fault: a client gave up. A failed step of an ensemble counts for both."
        yield Panel("Requests that fail", "reqps", [Query(failed, reason)], text)
    if on.has("requests_pending"):
        waiting = [Query(on.total("requests_pending", "model"), model)]
        yield Panel("Requests that wait", "short", waiting, "Ensembles do not wait: their steps do.")
    if on.has("inferences", "executions"):
        rows, runs = (on.rate(meaning, WINDOW, "model") for meaning in ("inferences", "executions"))
        text = "Rows per execution. With max_batch_size as the limit, it shows how well batches fill."
        yield Panel("Batch size", "short", [Query(f"{rows} / {runs}", model)], text)
    if on.has("first_response"):
        shown = [
            Query(on.quantile(each, "first_response", WINDOW, "model"), f"{model} p{_percent(each)}")
            for each in ("0.5", "0.95")
        ]
        text = f"Time to the first response of models that stream. Needs {on.when('first_response')}."
        yield Panel("First response", "ms", shown, text)


def _percent(quantile: str) -> str:
    return f"{float(quantile) * 100:g}"


def _rate(on: Exposed, meaning: str, title: str, legend: str) -> Panel:
    return Panel(title, "reqps", [Query(on.rate(meaning, WINDOW, "model"), legend)])


def _per_request(on: Exposed, meaning: str) -> str:
    """Return the milliseconds of a request that a counter of microseconds adds up."""
    return f"1e-3 * {on.rate(meaning, WINDOW, 'model')} / {on.rate('requests_succeeded', WINDOW, 'model')}"


def _times(on: Exposed) -> Iterator[Panel]:
    legend = f"{{{{{on.label('model')}}}}}"
    whole = {"request_duration": "Whole request"} | {meaning: f"In: {says}" for meaning, says in TIMES.items()}
    for meaning, title in whole.items():
        if on.has(meaning):
            text = "Mean of a request. Models that stream do not count the time of their answers."
            yield Panel(title, "ms", [Query(_per_request(on, meaning), legend)], text)


def _cache(on: Exposed) -> Iterator[Panel]:
    if on.has("cache_hits", "cache_misses"):
        legend = f"{{{{{on.label('model')}}}}}"
        hits, misses = (on.rate(meaning, WINDOW, "model") for meaning in ("cache_hits", "cache_misses"))
        yield Panel("Hits", "percentunit", [Query(f"{hits} / ({hits} + {misses})", legend)], "", 12)


def _machine(on: Exposed, seen: Watched) -> Iterator[Panel]:
    gpu = f"{{{{instance}}}} {{{{{on.label('gpu')}}}}}"
    if seen.gpus > 0 or on.seen is not None:
        for title, unit, meaning, whole in (
            ("GPU: busy", "percentunit", "gpu_utilization", ""),
            ("GPU: memory", "percentunit", "gpu_memory_used", "gpu_memory_total"),
            ("GPU: power", "watt", "gpu_power_usage", ""),
        ):
            yield from _used(on, (title, unit, gpu), meaning, whole)
    where = "{{instance}}"
    yield from _used(on, ("CPU: busy", "percentunit", where), "cpu_utilization", "")
    yield from _used(on, ("Memory of the machine", "percentunit", where), "cpu_memory_used", "cpu_memory_total")
    yield from _used(on, ("Pinned memory", "percentunit", where), "pinned_memory_used", "pinned_memory_total")


def _used(on: Exposed, says: tuple[str, str, str], meaning: str, whole: str) -> Iterator[Panel]:
    """Yield the panel of a gauge, or of its share of another one, if the server has it."""
    title, unit, legend = says
    if on.has(meaning, *([whole] if whole else [])):
        share = f" / {on.gauge(whole)}" if whole else ""
        yield Panel(title, unit, [Query(f"{on.gauge(meaning)}{share}", legend)])


def _pipelines(server: Server, seen: Watched) -> Board:
    rows = [_pipeline(server, each) for each in seen.pipelines[:MOST]]
    text = "Each pipeline, and the models that it calls: where requests fail, and where their time goes."
    more = len(seen.pipelines) - MOST
    text += f" {more} more are not shown." if more > 0 else ""
    return Board(f"{seen.uid}-rag", f"{seen.name}: pipelines", text, _variables(server), rows)


def _pipeline(server: Server, pipeline: Pipeline) -> Row:
    metrics = replace(server.metrics, where={})
    label = metrics.label("model")
    model = f"{{{{{label}}}}}"

    def only(*names: str) -> Exposed:
        return replace(metrics, matching=(*ANYWHERE, f"{label}=~{quoted(any_of(names))}"))

    on, steps, every = only(pipeline.name, *pipeline.every), only(*pipeline.steps), only(*pipeline.every)
    panels = [_rate(on, "requests_succeeded", "Requests that succeed", model)]
    if on.has("requests_failed"):
        panels.append(_rate(on, "requests_failed", "Requests that fail", model))
    if on.has("request_duration"):
        text = "Mean time that each step adds. Steps that stream do not count the time of their answers."
        shown = [Query(_per_request(steps, "request_duration"), model)]
        panels.append(Panel("Time of each step", "ms", shown, text, stacked=True))
    if on.has("queue_duration"):
        panels.append(
            Panel("Time in queues", "ms", [Query(_per_request(every, "queue_duration"), model)], stacked=True)
        )
    if on.has("inferences", "executions"):
        rows, runs = (every.rate(meaning, WINDOW, "model") for meaning in ("inferences", "executions"))
        panels.append(Panel("Batch size of each step", "short", [Query(f"{rows} / {runs}", model)]))
    return Row(pipeline.name, panels)
