"""The pages beside the rules: what to do about each alert, and the flags that turn tracing on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tritonrepo.deploy.observe.alert import Group
from tritonrepo.deploy.observe.exposed import Exposed
from tritonrepo.deploy.observe.servers import Server, System

COLLECTOR = "http://otel-collector:4318/v1/traces"
RATE = 100


def runbook(head: str, groups: Iterable[Group]) -> str:
    """Return the page about the alerts: each once, with what its threshold means and what to do."""
    alerts = {alert.name: alert for group in groups for alert in group.alerts}
    lines = ["# What to do about each alert", "", head]
    for name, alert in sorted(alerts.items()):
        lines += ["", f"## {name}", "", f"{alert.severity.capitalize()}, after {alert.holds}. {alert.why}", ""]
        lines += [f"{number}. {step}" for number, step in enumerate(alert.steps, 1)]
    return "\n".join([*lines, ""])


def tracing(head: str, stack: str, release: str, servers: Sequence[Server]) -> str:
    """Return the page about tracing."""
    systems = {server.system for server in servers}
    lines = ["# Tracing", "", head]
    if System.TRITON in systems:
        lines += _triton(stack, release)
    if System.VLLM in systems:
        lines += _vllm(stack)
    return "\n".join([*lines, ""])


def _triton(stack: str, release: str) -> Iterator[str]:
    yield from ("", f"## Triton {release}", "", "Add these options to the command of the server:", "", "```text")
    yield from (
        f"--trace-config {option}"
        for option in (
            "mode=opentelemetry",
            "level=TIMESTAMPS",
            f"rate={RATE}",
            f"opentelemetry,url={COLLECTOR}",
            f"opentelemetry,resource=service.name={stack}",
        )
    )
    yield from (
        *("```", "", f"- `rate={RATE}` traces one request of {RATE}; `rate=1` traces every request."),
        "- A request with a `traceparent` header is always traced, as a part of its client's trace; with `rate=0`, no",
        "  other request is.",
        "- `url` is the OTLP/HTTP endpoint of a collector. Triton does not speak OTLP over gRPC.",
        "- Spans wait in a queue. The defaults are `opentelemetry,bsp_max_queue_size=2048`,",
        "  `opentelemetry,bsp_schedule_delay=5000` (ms) and `opentelemetry,bsp_max_export_batch_size=512`. A batch",
        "  must be smaller than the queue.",
        "- The level TENSORS does not exist in this mode, and the settings cannot be changed while the server runs.",
        "- An ensemble has a span for each of its steps. What a Python model calls by itself has one only if the model",
        "  passes `trace=request.trace()` on.",
        *("", "Source: triton-inference-server/server, docs/user_guide/trace.md."),
    )


def _vllm(stack: str) -> Iterator[str]:
    yield from ("", "## vLLM", "", "```sh", f"OTEL_SERVICE_NAME={stack}-vllm vllm serve MODEL \\")
    yield f"    --otlp-traces-endpoint={COLLECTOR.replace('4318/v1/traces', '4317')} --collect-detailed-traces=all"
    yield from (
        *(
            "```",
            "",
            "- The image needs the packages opentelemetry-sdk, opentelemetry-api, opentelemetry-exporter-otlp and",
        ),
        "  opentelemetry-semantic-conventions-ai.",
        "- `--collect-detailed-traces` costs time in every step of the engine: leave it out unless you look for it.",
        "- The endpoint is that of OTLP over gRPC; `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf` changes that.",
        *("", "Source: vllm-project/vllm, vllm/config/observability.py and vllm/tracing."),
    )


def needed(servers: Iterable[Server]) -> tuple[str, ...]:
    """Return what servers must be started with to have the metrics that their rules ask for."""
    return tuple(dict.fromkeys(when for server in servers for when in _needed(server.metrics)))


def _needed(on: Exposed) -> Iterator[str]:
    if on.seen is None and on.has("first_response") and (when := on.when("first_response")):
        yield when
