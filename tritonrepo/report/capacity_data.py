"""A plan as JSON and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tritonrepo.bench.capacity import Busy, Capacity, Point
from tritonrepo.bench.planning import Alternative, Costs, Expense, Memory, Plan
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.plain import inline
from tritonrepo.report import json
from tritonrepo.report.capacity import answer, derived, remarks, tables

DIGITS = 6


def document(plan: Plan | None, found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/plan.schema.json` describes; without a plan, what ended the command."""
    found = [*(plan.found if plan else ()), *found]
    severities = Counter(diagnostic.severity for diagnostic in found)
    rest: dict[str, object] = {
        "plan": _plan(plan) if plan is not None else None,
        "summary": {str(severity): severities[severity] for severity in Severity},
    }
    return json.document(found, rest)


def markdown(plan: Plan) -> str:
    """Return a plan as a document in Markdown."""
    return "\n".join(_markdown(plan))


def _markdown(plan: Plan) -> Iterator[str]:
    first, *more = answer(plan)
    yield f"# {_plain(first)}"
    yield from (f"\n{_plain(each)}." for each in more)
    if lines := derived(plan):
        yield from ("\n## How it follows\n", *_rows(("number", "value", "from"), lines))
    for title, (head, rows) in tables(plan).items():
        yield from (f"\n## {_plain(title)}\n", *_rows(head, rows))
    for title, said in remarks(plan).items():
        yield f"\n## {title}\n"
        yield from (f"- {_plain(each)}" for each in said)
    if plan.commands:
        yield "\n".join(("\n## To measure\n", "```sh", *map(inline, plan.commands), "```"))


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_plain, head))} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(map(_plain, row))} |" for row in rows)


def _plain(text: str) -> str:
    """Return text of others as text in Markdown and not as its marks."""
    text = inline(text)
    for mark in ("\\", "|", "`", "*", "_", "<", "[", "]", "#"):
        text = text.replace(mark, f"\\{mark}")
    return text


def _number(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _plan(plan: Plan) -> dict[str, object]:
    asked, spared = plan.asked, plan.headroom(1)
    return {
        "name": plan.name,
        "met": plan.met,
        "wrong": list(plan.wrong),
        "peak_per_s": _number(asked.peak.per_s),
        "mean_per_s": _number(asked.mean.per_s) if asked.mean is not None else None,
        "slo_ms": {metric: _number(most_ms) for metric, most_ms in asked.slo.most_ms.items()},
        "share": _number(asked.share),
        "spare": asked.spare,
        "replicas": plan.replicas,
        "carrying": plan.carrying,
        "gpu": plan.gpu,
        "gpus_of_a_replica": plan.gpus,
        "gpus_behind_endpoints": plan.others,
        "gpus": plan.total_gpus,
        "headroom": _number(plan.headroom()),
        "headroom_one_lost": _number(spared),
        "rate_per_s": _number(plan.rate_per_s),
        "bounds": [{"by": name, "per_s": _number(per_s)} for name, per_s in plan.bounds],
        "measured": _measured(plan.capacity) if plan.capacity is not None else None,
        "memory": [_memory(each, plan.waits(each)) for each in plan.memory],
        "steps": [_step(each) for each in plan.busy],
        "alternatives": [_alternative(each) for each in plan.alternatives],
        "costs": _costs(plan.costs) if plan.costs is not None else None,
        "derivation": [each._asdict() for each in derived(plan)],
        "assumed": list(plan.assumed),
        "not_measured": list(plan.unmeasured),
        "commands": list(plan.commands),
    }


def _measured(found: Capacity) -> dict[str, object]:
    return {
        "rate_per_s": _number(found.rate_per_s),
        "at_least": found.at_least,
        "arrivals": "random" if found.opened else "closed loop",
        "usable": _number(found.usable),
        "from": found.below.number if found.below is not None else None,
        "latency_s": _number(found.latency_s),
        "points": [_point(each) for each in found.points],
        "left_out": [{"result": each.number, "why": each.why} for each in found.left],
    }


def _point(each: Point) -> dict[str, object]:
    return {
        "result": each.number,
        "arrivals": "random" if each.opened else "closed loop",
        "concurrency": each.concurrency,
        "offered_per_s": _number(each.offered_per_s),
        "served_per_s": _number(each.served_per_s),
        "share": {"least": _number(each.share.least), "most": _number(each.share.most)},
        "latency_s": _number(each.latency_s),
        "requests": each.requests,
    }


def _memory(each: Memory, waits: float | None) -> dict[str, object]:
    tokens = each.tokens
    return {
        "model": each.model,
        "gpu": each.gpu,
        "gpus": each.gpus,
        "state": str(each.state),
        "tokens": {"low": int(tokens.low), "high": int(tokens.high)} if tokens is not None else None,
        "tokens_of_a_request": each.each or None,
        "requests_at_a_time": each.slots,
        "limited_by": each.by,
        "behind_endpoint": each.elsewhere,
        "why": each.why,
        "waiting_share_estimate": _number(waits),
    }


def _step(each: Busy) -> dict[str, object]:
    step = each.step
    return {
        "model": step.model,
        "instances": each.instances,
        "busy": _number(each.busy),
        "mean_batch": _number(step.batch),
        "execution_ms": _number(step.input_ms + step.infer_ms + step.output_ms),
        "saturates_per_s": _number(each.saturates_per_s),
    }


def _alternative(each: Alternative) -> dict[str, object]:
    return {
        "gpu": each.gpu,
        "gpus": each.gpus,
        "state": str(each.state),
        "requests_at_a_time": each.sequences,
        "kv_cache_bytes": round(each.left) if each.left is not None else None,
        "month": _expense(each.month) if each.month is not None else None,
        "note": each.note,
    }


def _costs(found: Costs) -> dict[str, object]:
    rows = [{"name": each.name, "formula": each.formula, **_expense(each)} for each in found.expenses]
    return {"currency": found.currency, "path": found.path, "option": found.option, "expenses": rows}


def _expense(each: Expense) -> dict[str, object]:
    return {"low": _number(each.low), "mid": _number(each.mid), "high": _number(each.high)}
