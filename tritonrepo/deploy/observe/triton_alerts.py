"""Alerts about the requests to Triton: whether they fail, wait, pile up or take too long."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.deploy.observe.alert import Alert, Case, Record
from tritonrepo.deploy.observe.exposed import Exposed, quoted
from tritonrepo.deploy.observe.server_alerts import down, states
from tritonrepo.deploy.observe.watched import ANY, Watched

QUEUE, REQUEST, BACKLOG = "model:triton_queue_ms:mean5m", "model:triton_request_ms:mean5m", "model:triton_backlog:limit"

FLAT = "{0}x60"
GROWING = "0+{0}x60"
M = {"model": ANY, "version": "1"}


def records(on: Exposed, seen: Watched) -> Iterator[Record]:
    """Yield the queries that alerts build on."""
    for name, meaning, what in (
        (QUEUE, "queue_duration", "waits in the queue"),
        (REQUEST, "request_duration", "takes from its arrival to its last response"),
    ):
        if on.has(meaning, "requests_succeeded"):
            succeeded = f"clamp_min({on.rate('requests_succeeded', '5m', 'model')}, 1e-9)"
            why = f"Milliseconds that a request {what}, on average."
            yield Record(name, f"1e-3 * {on.rate(meaning, '5m', 'model')} / {succeeded}", why)
    for limit in seen.limits if on.has("requests_pending") else ():
        why = f"Requests that may wait for it in one server: {limit.why}."
        yield Record(BACKLOG, f"vector({limit.requests})", why, {"model": limit.model})


def alerts(on: Exposed, seen: Watched, of: str) -> Iterator[Alert]:
    """Yield the alerts of a server that has their metrics; `of` is the selector of what is recorded."""
    yield down(on, "Triton")
    if on.has("requests_failed"):
        yield _failures(on)
    if on.has("queue_duration", "requests_succeeded"):
        yield _queue(on, seen, of)
    if on.has("request_duration", "requests_succeeded"):
        yield _latency(on, seen, of)
    if on.has("requests_pending") and seen.limits:
        yield _backlog(on, seen, of)
    if on.has("first_response") and seen.streaming:
        yield _first(on, seen)
    yield from states(on, seen)


def _failures(on: Exposed) -> Alert:
    canceled = f'{on.label("reason")}!="CANCELED"'

    def case(reason: str) -> dict[str, str]:
        return {on.series("requests_failed", model=M["model"], reason=reason): GROWING.format(1)}

    return Alert(
        name="TritonModelFailures",
        expr=f"{on.increase('requests_failed', '5m', 'model', 'reason', where=(canceled,))} > 0",
        holds="5m",
        severity="critical",
        summary="Requests to {{ $labels.model }} fail",
        description='{{ printf "%.0f" $value }} requests to model {{ $labels.model }} failed in 5 minutes, with reason'
        " {{ $labels.reason }}. Read the server's log: it has the error of each request.",
        why="No request should fail. Requests that clients cancel are not counted. If a step of an ensemble fails, both"
        " the step and the ensemble count it.",
        steps=(
            "BACKEND: the model raised an error, or its Python process died. Triton does not restart such a process.",
            "If a process died, reload the model or restart the server, whatever its readiness says.",
            "REJECTED: the queue was full (max_queue_size), or a request waited too long. Add instances or replicas.",
            "OTHER: a step of the ensemble failed, or the request does not fit the model. Find the step that fails.",
            "`tritonrepo smoke URL` sends a request to every model and prints what each of them answers.",
        ),
        fires=Case(case("BACKEND"), on.labels(model=M["model"], reason="BACKEND"), "5"),
        quiet=Case(case("CANCELED")),
    )


def _timed(on: Exposed, meaning: str, ms: int) -> dict[str, str]:
    """Return the series of requests that took so many milliseconds each."""
    return {
        on.series(meaning, **M): GROWING.format(ms * 60_000),
        on.series("requests_succeeded", **M): GROWING.format(60),
    }


def _queue(on: Exposed, seen: Watched, of: str) -> Alert:
    limit = seen.queue_ms
    return Alert(
        name="TritonQueueLong",
        expr=f"{QUEUE}{of} > {limit}",
        holds="10m",
        severity="warning",
        summary="Requests to {{ $labels.model }} wait too long",
        description='A request to model {{ $labels.model }} waits {{ printf "%.0f" $value }} ms in the queue, more than'
        f" {limit} ms. Add instances or replicas, or let batches fill for a shorter time.",
        why=f"{limit} ms is a quarter of the {seen.slo.latency} ms that a request may take: a pipeline has several"
        " queues. An ensemble has no queue of its own, so its steps show it.",
        steps=(
            "If batches are as large as max_batch_size, the model needs more instances, another GPU or more replicas.",
            "If batches are small, lower max_queue_delay_microseconds of dynamic_batching.",
            "If only one step of a pipeline waits, it is the bottleneck: scale that one.",
        ),
        fires=Case(_timed(on, "queue_duration", 2 * limit), on.labels(model=M["model"]), str(2 * limit)),
        quiet=Case(_timed(on, "queue_duration", limit // 2)),
    )


def _latency(on: Exposed, seen: Watched, of: str) -> Alert:
    limit, label = seen.slo.latency, on.label("model")
    others = ", ".join([of[1:-1], *([f"{label}!~{quoted(any_of(seen.streaming))}"] if seen.streaming else [])])
    return Alert(
        name="TritonLatency",
        expr=f"{REQUEST}{{{others}}} > {limit}",
        holds="10m",
        severity="warning",
        summary="Requests to {{ $labels.model }} are slow",
        description='A request to model {{ $labels.model }} takes {{ printf "%.0f" $value }} ms on average, more than'
        f" {limit} ms. Compare its time in the queue with its time to compute.",
        why=f"{limit} ms is what a request may take (--slo-latency). Models that stream answers are left out, because"
        " their time depends on the length of the answer.",
        steps=(
            "If the queue takes the time, follow TritonQueueLong.",
            "If computing takes it, look for larger inputs or batches, or for another process on the same GPU.",
        ),
        fires=Case(_timed(on, "request_duration", 2 * limit), on.labels(model=M["model"]), str(2 * limit)),
        quiet=Case(_timed(on, "request_duration", limit // 2)),
    )


def any_of(names: tuple[str, ...]) -> str:
    """Return a regular expression for exactly these names, which PromQL anchors.

    `$` is in brackets: Grafana would take it and what follows for one of its variables.
    """
    escaped = (re.sub(r"([^\w\s$-])", r"\\\1", name, flags=re.ASCII).replace("$", "[$]") for name in names)
    return "|".join(escaped)


def _backlog(on: Exposed, seen: Watched, of: str) -> Alert:
    limit = seen.limits[0]

    def case(requests: int) -> dict[str, str]:
        return {on.series("requests_pending", model=limit.model, version="1"): FLAT.format(requests)}

    return Alert(
        name="TritonBacklog",
        expr=f"{on.highest('requests_pending', 'model')} > on ({on.label('model')}) {BACKLOG}{of}",
        holds="5m",
        severity="warning",
        summary="Requests pile up for {{ $labels.model }}",
        description='{{ printf "%.0f" $value }} requests wait for model {{ $labels.model }} in one server, more than'
        " two full batches for each of its instances. Add replicas, or reject requests earlier with max_queue_size.",
        why="Whatever waits beyond two full batches for each instance will not be computed soon. The limit of each"
        f" model is recorded as {BACKLOG}.",
        steps=(
            "Add replicas or instances. If there is an autoscaler, check why it has not done so.",
            "Set default_queue_policy { max_queue_size } so that clients get an error instead of a timeout.",
        ),
        fires=Case(case(limit.requests + 1), on.labels(model=limit.model), str(limit.requests + 1)),
        quiet=Case(case(limit.requests)),
    )


def _first(on: Exposed, seen: Watched) -> Alert:
    limit, model = seen.slo.ttft, seen.streaming[0]
    streams = f"{on.label('model')}=~{quoted(any_of(seen.streaming))}"  # newer releases measure all models
    needs = f" Triton must be started with {on.when('first_response')}." if on.when("first_response") else ""
    return Alert(
        name="RagTtftP95",
        expr=f"{on.quantile('0.95', 'first_response', '5m', 'model', where=(streams,))} > {limit}",
        holds="10m",
        severity="warning",
        summary="Answers of {{ $labels.model }} start late",
        description='The first response of {{ $labels.model }} comes after {{ printf "%.0f" $value }} ms for 1 of 20'
        f" requests, later than {limit} ms. Compare the steps of the pipeline: queue, retrieval, prompt, engine.",
        why=f"{limit} ms is when the first token may come (--slo-ttft).{needs}",
        steps=(
            "If an earlier step waits in its queue, scale that step.",
            "If the engine waits or its KV cache is full, follow the alerts of vLLM.",
            "Long prompts take long to compute: lower max_context_tokens of the prompt, or top_k.",
        ),
        fires=Case(_late(on, model, limit, 21 * limit), on.labels(model=model), str(20 * limit)),
        quiet=Case(_late(on, model, limit // 2, limit) | _late(on, ANY, limit, 21 * limit)),
    )


def _late(on: Exposed, model: str, low: int, high: int) -> dict[str, str]:
    """Return the histogram of requests to a model whose first response comes between two times."""
    counts = {str(low): 0, str(high): 60, "+Inf": 60}
    labels = {"model": model, "version": "1"}
    return {on.series("first_response", "_bucket", le=le, **labels): GROWING.format(n) for le, n in counts.items()}
