"""Alerts of engines for language models: vLLM, NIM, and Triton's vLLM backend, which all have some of these metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.deploy.observe.alert import Alert, Case
from tritonrepo.deploy.observe.exposed import Exposed
from tritonrepo.deploy.observe.watched import ANY, Slo

GAP_MS = 100
"""Milliseconds between two tokens: 10 tokens a second are about as fast as people read."""

FULL = "0.95"
FLAT = "{0}x60"
GROWING = "0+{0}x60"
M = {"model": ANY}


def alerts(on: Exposed, prefix: str, slo: Slo) -> Iterator[Alert]:
    """Yield the alerts of an engine that has their metrics; `prefix` begins their names."""
    if on.has("kv_cache_usage", "requests_waiting"):
        yield _full(on, prefix)
    if on.has("requests_running", "requests_waiting"):
        yield _backlog(on, prefix)
    if on.has("preemptions"):
        yield _preemptions(on, prefix)
    if on.has("first_token"):
        yield _first(on, prefix, slo.ttft)
    if on.has("token_gap"):
        yield _gap(on, prefix)
    if on.has("answer_queue_duration"):
        yield _queue(on, prefix, max(1, slo.ttft // 2))
    if on.has("prefix_cache_hits", "prefix_cache_queries"):
        yield _cache(on, "" if prefix == "Vllm" else prefix)


def _shown(on: Exposed) -> str:
    """Return the model as the texts of an alert name it."""
    return f"{{{{ $labels.{on.label('model')} }}}}"


def _full(on: Exposed, prefix: str) -> Alert:
    waiting = on.total("requests_waiting", "model")

    def case(usage: str, waits: int) -> dict[str, str]:
        return {
            on.series("kv_cache_usage", **M): FLAT.format(usage),
            on.series("requests_waiting", **M): FLAT.format(waits),
        }

    return Alert(
        name=f"{prefix}KvFull",
        expr=f"({on.highest('kv_cache_usage', 'model')} > {FULL}) and on ({on.label('model')}) ({waiting} > 0)",
        holds="10m",
        severity="warning",
        summary=f"The KV cache of {_shown(on)} is full",
        description='{{ printf "%.2f" $value }} of the KV cache of '
        f"{_shown(on)} is used, and requests wait for room in it. Add replicas, or raise gpu_memory_utilization.",
        why="A full cache is what a busy engine should have; with requests that wait, it is the bottleneck.",
        steps=(
            "Raise gpu_memory_utilization, or use a larger GPU; `tritonrepo fit` shows how many sequences fit.",
            "Lower max_model_len, or use an FP8 KV cache (kv_cache_dtype): more sequences fit.",
            "Add replicas.",
        ),
        fires=Case(case("0.97", 3), on.labels(**M), "0.97"),
        quiet=Case(case("0.97", 0)),
    )


def _backlog(on: Exposed, prefix: str) -> Alert:
    waiting, running = (on.total(meaning, "model") for meaning in ("requests_waiting", "requests_running"))

    def case(waits: int) -> dict[str, str]:
        return {
            on.series("requests_waiting", **M): FLAT.format(waits),
            on.series("requests_running", **M): FLAT.format(8),
        }

    return Alert(
        name=f"{prefix}Backlog",
        expr=f"{waiting} > {running}",
        holds="5m",
        severity="warning",
        summary=f"More requests wait for {_shown(on)} than it works on",
        description='{{ printf "%.0f" $value }} requests wait for '
        f"{_shown(on)}, more than it works on. Add replicas, or limit the requests that are let in.",
        why="A request that waits behind as many as are running waits for a whole answer.",
        steps=(
            "Add replicas. If there is an autoscaler, check its query and the label of the model in it.",
            "If the KV cache has room, raise max_num_seqs.",
        ),
        fires=Case(case(9), on.labels(**M), "9"),
        quiet=Case(case(8)),
    )


def _preemptions(on: Exposed, prefix: str) -> Alert:
    def case(per_minute: int) -> dict[str, str]:
        return {on.series("preemptions", **M): GROWING.format(per_minute)}

    return Alert(
        name=f"{prefix}Preemptions",
        expr=f"{on.rate('preemptions', '10m', 'model')} > 0.1",
        holds="10m",
        severity="warning",
        summary=f"{_shown(on)} interrupts answers",
        description='{{ printf "%.1f" $value }} answers of '
        f"{_shown(on)} are interrupted every second, because the KV cache has no room to go on. Lower max_num_seqs.",
        why="An interrupted answer is computed again from its beginning. Above 0.1 per second, users notice the gaps.",
        steps=("Lower max_num_seqs or max_model_len.", "Raise gpu_memory_utilization, or add replicas."),
        fires=Case(case(12), on.labels(**M), "0.2"),
        quiet=Case(case(3)),
    )


def _late(on: Exposed, meaning: str, ms: int, *, late: bool) -> dict[str, str]:
    """Return a histogram in seconds: 19 of 20 of its values lie between `ms` and 20 times that, or all below `ms`."""
    bounds = (ms, 21 * ms) if late else (ms / 2, ms)
    counts = {str(bounds[0] / 1000): 0, str(bounds[1] / 1000): 60, "+Inf": 60}
    return {on.series(meaning, "_bucket", le=le, **M): GROWING.format(count) for le, count in counts.items()}


class Texts(NamedTuple):
    """What an alert says."""

    name: str
    summary: str
    description: str
    why: str
    steps: tuple[str, ...]


def _timed(on: Exposed, meaning: str, ms: int, texts: Texts) -> Alert:
    """Return the alert that the 95th percentile of a time is above `ms`."""
    return Alert(
        expr=f"1000 * {on.quantile('0.95', meaning, '5m', 'model')} > {ms}",
        holds="10m",
        severity="warning",
        fires=Case(_late(on, meaning, ms, late=True), on.labels(**M), str(20 * ms)),
        quiet=Case(_late(on, meaning, ms, late=False)),
        **texts._asdict(),
    )


def _first(on: Exposed, prefix: str, ms: int) -> Alert:
    return _timed(
        on,
        "first_token",
        ms,
        Texts(
            name=f"{prefix}TtftP95",
            summary=f"Answers of {_shown(on)} start late",
            description='The first token of 1 of 20 answers comes after {{ printf "%.0f" $value }} ms from '
            f"{_shown(on)}, later than {ms} ms. See whether requests wait, or whether long prompts take the time.",
            why=f"{ms} ms is when the first token may come (--slo-ttft).",
            steps=(
                f"If {prefix}QueueP95 or {prefix}Backlog fires as well, requests wait: add replicas.",
                "If not, prompts are long: use prefix caching and chunked prefill, or shorter prompts.",
            ),
        ),
    )


def _gap(on: Exposed, prefix: str) -> Alert:
    return _timed(
        on,
        "token_gap",
        GAP_MS,
        Texts(
            name=f"{prefix}ItlP95",
            summary=f"Answers of {_shown(on)} come slowly",
            description='1 of 20 gaps between two tokens takes {{ printf "%.0f" $value }} ms at '
            f"{_shown(on)}, more than {GAP_MS} ms. Fewer sequences at once are each faster: lower max_num_seqs.",
            why=f"{GAP_MS} ms are 10 tokens per second, about as fast as people read.",
            steps=(
                "Lower max_num_seqs, so that fewer sequences share the GPU, and add replicas.",
                "If prompts are long, limit max_num_batched_tokens: computing a prompt holds up the tokens of others.",
            ),
        ),
    )


def _queue(on: Exposed, prefix: str, ms: int) -> Alert:
    return _timed(
        on,
        "answer_queue_duration",
        ms,
        Texts(
            name=f"{prefix}QueueP95",
            summary=f"Requests wait for {_shown(on)}",
            description='1 of 20 requests waits {{ printf "%.0f" $value }} ms for '
            f"{_shown(on)}, more than {ms} ms. Add replicas, or let the engine work on more sequences at once.",
            why=f"{ms} ms is half of the time until the first token (--slo-ttft): the rest is for the prompt.",
            steps=(
                "If the KV cache is full, see what gives it more room.",
                "If it is not, raise max_num_seqs.",
                "Add replicas.",
            ),
        ),
    )


def _cache(on: Exposed, prefix: str) -> Alert:
    now, before = (
        f"{on.rate('prefix_cache_hits', '30m', 'model', offset=offset)}"
        f" / {on.rate('prefix_cache_queries', '30m', 'model', offset=offset)}"
        for offset in ("", "1d")
    )

    def case(hits: str) -> dict[str, str]:
        return {on.series("prefix_cache_hits", **M): hits, on.series("prefix_cache_queries", **M): "0+1000x180"}

    return Alert(
        name=f"{prefix}CacheHitDrop",
        expr=f"{now} < 0.5 * ({before} > 0.1)",
        holds="30m",
        severity="info",
        summary=f"The prefix cache of {_shown(on)} has half of yesterday's hits",
        description='{{ printf "%.2f" $value }} of the tokens of prompts are in the prefix cache of '
        f"{_shown(on)}, less than half of what it was a day ago. Check whether the prompt begins differently.",
        why="A prompt whose beginning changes with each request, such as by a date, is computed anew each time. Less"
        " than 0.1 a day ago is not compared.",
        steps=(
            "Compare the prompt template with yesterday's: what changes belongs at the end.",
            "After a restart or with new replicas, the cache is empty: wait.",
        ),
        fires=Case(case("0+800x145 116000+100x35"), on.labels(**M), "0.10", "29h", "10m"),
        quiet=Case(case("0+800x180"), None, "", "29h", "10m"),
    )
