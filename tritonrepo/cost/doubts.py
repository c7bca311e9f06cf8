"""What makes a cost doubtful: inputs without a date or source, old ones, and what is not counted at all."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from tritonrepo.cost.formulas import FORMULAS, Line
from tritonrepo.cost.inputs import Input, Inputs, Option
from tritonrepo.cost.keys import KEYS
from tritonrepo.diagnostics import Diagnostic, Severity, Span, counted

DAYS = 90
"""A price that is older than this is doubtful."""

NEARLY_ALWAYS = 720
"""Hours a month from which on GPUs are on all the time."""

LEFT_OUT = {
    "storage_month": "storage of weights, indexes and logs",
    "egress_month": "traffic out of the provider's network",
    "other_month": "embedder, reranker, vector store, control plane, on-call",
    "peak_rate": "redundancy: the replicas that a peak and a failure need",
}
"""Input → what is not counted without it."""


def doubts(inputs: Inputs, today: datetime.date) -> Iterator[Diagnostic]:
    """Yield what is to be doubted: of dates and sources, then of what each option leaves out."""
    named = _named(inputs)
    for date, title, hint in (
        (lambda each: each.date is None, "no date", "Add date: the day on which the value held."),
        (lambda each: each.date is not None and each.date > today, "a date in the future", "Correct the date."),
        (
            lambda each: each.date is not None and (today - each.date).days > DAYS,
            f"a date more than {DAYS} days ago",
            "Look the value up again, and set its date.",
        ),
    ):
        yield from _several("cost-date", [each for each in named if date(each[0])], title, hint)
    unsourced = [each for each in named if not each[0].source]
    yield from _several("cost-source", unsourced, "no source", "Add source: where anyone can look the value up.")
    yield from _left_out(inputs)


def _named(inputs: Inputs) -> list[tuple[Input, str]]:
    """Return the inputs that are prices or facts, each once, with what messages call it."""
    found: dict[Span, tuple[Input, str]] = {}
    for option in inputs.options.values():
        for name, each in option.inputs.items():
            if KEYS[name].sourced:
                found.setdefault(each.at, (each, f"{name} of {'shared' if each.shared else option.name}"))
    return sorted(found.values(), key=lambda each: each[0].at)


def _several(rule: str, found: Sequence[tuple[Input, str]], title: str, hint: str) -> Iterator[Diagnostic]:
    if found:
        message = f"{counted(len(found), 'input')} {'has' if len(found) == 1 else 'have'} {title}"
        lines = [_where(each, what) for each, what in found]
        yield Diagnostic(rule, Severity.WARNING, found[0][0].at, message, "\n".join([*lines, hint]))


def _where(each: Input, what: str) -> str:
    dated = f", {each.date}" if each.date else ""
    return f"line {each.at.line}: {what}{dated}" if each.at.line else f"{each.at.path}: {what}{dated}"


def _left_out(inputs: Inputs) -> Iterator[Diagnostic]:
    missing: dict[tuple[str, ...], list[Option]] = {}
    for option in inputs.options.values():
        missing.setdefault(tuple(_missing(option)), []).append(option)
    for said, options in missing.items():
        if said:
            names = ", ".join(f'"{option.name}"' for option in options)
            message = f"the cost of {names} leaves out {counted(len(said), 'thing')}"
            hint = "\n".join([*said, "State them, or 0 for what costs nothing."])
            yield Diagnostic("cost-left-out", Severity.WARNING, options[0].at, message, hint)


def _missing(option: Option) -> Iterator[str]:
    inputs = option.inputs
    if "tokens_per_second" not in inputs:
        yield "throughput, so the cost of a token is not known (tokens_per_second)"
    if "utilization" not in inputs and option.range("hours").mid >= NEARLY_ALWAYS:
        yield "idle time: the GPUs are paid for all the time, but not used all the time (utilization)"
    if "care_hours" not in inputs:
        yield "an engineer's hours after setup (care_hours)"
    if "engineer_hour" not in inputs and (option.range("setup_hours").mid or option.range("care_hours").mid):
        yield "the price of the hours of work (engineer_hour)"
    for name, what in LEFT_OUT.items():
        if name not in inputs:
            yield f"{what} ({name})"


def short(option: Option, lines: Sequence[Line]) -> Iterator[Diagnostic]:
    """Yield that fewer replicas are paid for than a peak needs."""
    needed = {line.formula.name: line.value for line in lines}.get("peak_replicas")
    paid = option.range("replicas").mid
    if needed is not None and needed.mid > paid:
        message = f'"{option.name}" pays for {counted(int(paid), "replica")}, but the peak needs {needed.mid}'
        hint = f"Set replicas to {needed.mid}: {FORMULAS['peak_replicas'].text}."
        yield Diagnostic("cost-replicas", Severity.WARNING, option.inputs["replicas"].at, message, hint)
