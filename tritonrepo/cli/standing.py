"""What a server serves and how it fares, for `status`: tables, lines of a watch, JSON. Names are foreign text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from tritonrepo.diagnostics import Diagnostic, Severity, some
from tritonrepo.plain import printable
from tritonrepo.report import json
from tritonrepo.report.table import table
from tritonrepo.server.look import Group
from tritonrepo.server.standing import Fare, Gpu, Machine, ServerStatus
from tritonrepo.server.statistics import Counted
from tritonrepo.server.tokens import Tokens
from tritonrepo.tree import amount

PARTS = {
    "ms": "success",
    "queue": "queue",
    "input": "compute_input",
    "infer": "compute_infer",
    "output": "compute_output",
}
"""Column → the part of a request whose mean time it has, in milliseconds."""

MODELS = ("model", "version", "state", "backend", "instances")
COUNTS = ("requests", "failed", *PARTS, "executions", "batches", "pending")
GPUS = ("GPU", "used", "of", "busy", "watts", "executions")
FEW = 6
"""How many batch sizes a line lists."""


def text(status: ServerStatus, *, verbose: bool = False) -> Iterator[str]:
    """Yield the lines: the server, its models, its GPUs and memory, and what is wrong.

    With an earlier look, requests and failures are those of a second, and times those of the requests since then.
    """
    yield printable(_title(status))
    if status.seconds:
        yield f"a second, over the last {status.seconds:.1f} s; times are means of a request in ms"
    if verbose:
        yield printable(f"extensions: {', '.join(status.extensions)}")
    if status.models:
        rows = [(*_model(fare), *_counts(fare, status.seconds)) for fare in status.models]
        yield from ("", *table((*MODELS, *COUNTS), rows).split("\n"))
    if spoken := [*_spoken(status)]:
        yield from ("", *spoken)
    if status.gpus:
        yield from ("", *table(GPUS, [_gpu(gpu) for gpu in status.gpus]).split("\n"))
    yield from ("", printable(_machine(status)), *(printable(f"not shown: {what}") for what in status.closed))
    for diagnostic in status.found:
        yield from ("", *diagnostic.lines)


def changes(before: ServerStatus | None, now: ServerStatus) -> Iterator[str]:
    """Yield the lines of a watch: what happened since the status before, one line for each model with requests."""
    states = {} if before is None else {_key(fare): fare.state.state for fare in before.models}
    for fare in now.models:
        was, state = states.pop(_key(fare), None), fare.state.state
        if was != state:
            yield printable(f"{_called(fare)}: {_state(state)}{f', was {_state(was)}' if was is not None else ''}")
        if fare.later and (fare.later.requests or fare.later.failed):
            told = dict(zip(COUNTS, _counts(fare, now.seconds), strict=True))
            spent = ", ".join(f"{name} {told[name]}" for name in PARTS if name != "ms")
            more = f", batches {told['batches']}" if told["batches"] else ""
            more += f", {told['pending']} pending" if told["pending"] else ""
            more += f"; {_tokens(fare.tokens, now.seconds)}" if fare.tokens and fare.tokens.answer else ""
            rate = f"{told['requests']} requests and {told['failed']} failed a second"
            yield printable(f"{_called(fare)}: {rate}, {told['ms']} ms ({spent}){more}")
    yield from (printable(f"{' '.join(gone)}: no longer in the index") for gone in states)
    known = set(before.found) if before else set()
    for diagnostic in now.found:
        if diagnostic not in known:
            yield from diagnostic.lines


def document(status: ServerStatus | None, url: str, found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/status-server.schema.json` describes; without a status, what ended it."""
    found = [*(status.found if status else ()), *found]
    severities = Counter(diagnostic.severity for diagnostic in found)
    server = None
    if status:
        keys = ("name", "version", "releases", "extensions", "live", "ready")
        server = {key: getattr(status, key) for key in keys}
    return json.document(
        found,
        {
            "url": url,
            "server": server,
            "seconds": round(status.seconds, 3) if status else 0,
            "models": [_object(fare) for fare in status.models] if status else [],
            "gpus": [gpu._asdict() for gpu in status.gpus] if status else [],
            "machine": status.machine._asdict() if status and status.machine else None,
            "unread": status.unread if status else "",
            "closed": list(status.closed) if status else [],
            "summary": {str(severity): severities[severity] for severity in Severity},
        },
    )


def _spoken(status: ServerStatus) -> Iterator[str]:
    for fare in status.models:
        if fare.tokens is not None:
            yield printable(f"{_called(fare)}: {_tokens(fare.tokens, status.seconds)}")


def _tokens(tokens: Tokens, seconds: float) -> str:
    prompt, answer = (_often(round(count), seconds) for count in (tokens.prompt, tokens.answer))
    first = "" if tokens.first_ms is None else f", the first after {tokens.first_ms:.1f} ms"
    gap = "" if tokens.gap_ms is None else f", {tokens.gap_ms:.1f} ms between two"
    return f"{prompt} tokens of prompts and {answer} of answers{' a second' if seconds else ''}{first}{gap}"


def _title(status: ServerStatus) -> str:
    releases = f" (release {', '.join(status.releases)})" if status.releases else ""
    state = "ready" if status.ready else "live, but not ready" if status.live else "not live"
    count = len({fare.state.name for fare in status.models})
    named = f"{status.name} {status.version}".strip() or "a server"
    return f"{status.url}: {named}{releases}, {state}, {count:,} model{'' if count == 1 else 's'}"


def _key(fare: Fare) -> tuple[str, str]:
    return fare.state.name, fare.state.version


def _called(fare: Fare) -> str:
    return " ".join(_key(fare)).strip()


def _state(state: str) -> str:
    return state.lower() or "not loaded"


def _model(fare: Fare) -> tuple[str, ...]:
    loaded = fare.loaded
    groups = ", ".join(map(_group, loaded.groups)) if loaded else ""
    return fare.state.name, fare.state.version, _state(fare.state.state), loaded.backend if loaded else "", groups


def _group(group: Group) -> str:
    kind = group.kind.removeprefix("KIND_")
    if kind == "GPU":
        return f"{group.instances} GPU {some([str(gpu) for gpu in group.gpus], FEW)}".strip()
    return f"{group.instances} {kind}"


def _counts(fare: Fare, seconds: float) -> tuple[str, ...]:
    """Return the columns of COUNTS: of a second if there was an earlier look, otherwise since the model was loaded."""
    if fare.counted is None:
        return ("",) * len(COUNTS)
    counted = fare.later if seconds else fare.counted
    pending = "" if fare.pending is None else f"{fare.pending:.0f}"
    if counted is None:
        return (*["-"] * (len(COUNTS) - 1), pending)
    times = [counted.mean_ms(part) for part in PARTS.values()]
    return (
        *(_often(count, seconds) for count in (counted.requests, counted.failed)),
        *("-" if time is None else f"{time:.1f}" for time in times),
        _often(counted.executions, seconds),
        _batches(counted),
        pending,
    )


def _often(count: int, seconds: float) -> str:
    """Return a count, or how often a second something happened; what is rare is not 0."""
    if not seconds or not count:
        return f"{count:,}"
    rate = count / seconds
    return f"{rate:,.1f}" if rate >= 0.05 else f"{rate:.1g}"  # noqa: PLR2004  what would be shown as 0.0


def _batches(counted: Counted) -> str:
    return some([str(size) for size, count in sorted(counted.batches.items()) if count], FEW)


def _gpu(gpu: Gpu) -> tuple[str, ...]:
    busy = "" if gpu.utilization is None else f"{gpu.utilization:.0%}"
    watts, executions = ("" if value is None else f"{value:,.0f}" for value in (gpu.watts, gpu.executions))
    return gpu.uuid, _bytes(gpu.used), _bytes(gpu.total), busy, watts, executions


def _bytes(count: float | None) -> str:
    return "" if count is None else amount(int(count))


def _machine(status: ServerStatus) -> str:
    if status.machine is None:
        return f"not shown: GPUs, memory, pending requests and reasons of failures: {status.unread}"
    return f"{'' if status.gpus else 'no GPU: the metrics name none; '}{_memory(status.machine)}"


def _memory(machine: Machine) -> str:
    if machine.used is None:
        return "memory of the machine: unknown"
    busy = "" if machine.utilization is None else f", CPUs {machine.utilization:.0%} busy"
    return f"memory of the machine: {_bytes(machine.used)} of {_bytes(machine.total)} used{busy}"


def _object(fare: Fare) -> dict[str, object]:
    return {
        **fare.state._asdict(),
        "backend": fare.loaded.backend if fare.loaded else None,
        "instance_groups": [group._asdict() for group in fare.loaded.groups] if fare.loaded else [],
        "since_load": _numbers(fare.counted),
        "since_last": _numbers(fare.later),
        "pending": fare.pending,
        "tokens": fare.tokens._asdict() if fare.tokens else None,
        "failures_by_reason": dict(fare.reasons),
    }


def _numbers(counted: Counted | None) -> Mapping[str, object] | None:
    if counted is None:
        return None
    spent = {part: {"count": each.times, "ns": each.ns} for part, each in counted.spent.items()}
    batches = {str(size): count for size, count in sorted(counted.batches.items())}
    return {
        **asdict(counted),
        "spent": spent,
        "batches": batches,
        "requests": counted.requests,
        "failed": counted.failed,
    }
