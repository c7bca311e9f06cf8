"""What is wrong with the result of a load, as diagnostics."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.bench.claim import State
from tritonrepo.bench.measures import BOUND, too_many_failed
from tritonrepo.bench.result import INTERRUPTED, Result
from tritonrepo.diagnostics import Diagnostic, Severity, Span, some


def found(result: Result) -> Iterator[Diagnostic]:
    """Yield what is wrong with a result, errors first; an error is a reason not to use its figures."""
    at, figures = Span(result.target), result.figures
    if result.ended_early and result.ended_early != INTERRUPTED:
        hint = "Check that the target is the server that you mean, and that it serves the model."
        yield Diagnostic("bench-stopped", Severity.ERROR, at, f"the run gave up: {result.ended_early}", hint)
    elif too_many_failed(figures) and result.ended_early != INTERRUPTED:
        failed = figures.sent - figures.succeeded
        message = f"{failed:,} of {figures.sent:,} requests failed, more than 1 %"
        hint = f"The reasons: {some(list(figures.errors), 3)}" if figures.errors else ""
        yield Diagnostic("bench-failed", Severity.ERROR, at, message, hint)
    broken = [judged for judged in result.judgements if judged.state is State.BROKEN]
    for judged in broken:
        message = f"the figures cannot be true: {judged.check}: {judged.left}, but {judged.right}"
        yield Diagnostic("bench-implausible", Severity.ERROR, at, message, judged.instead or judged.says)
    if result.client_bound:
        message = f"the client was too slow: its own delay is {BOUND:.0%} or more of what it measures"
        hint = "Run it on a machine with a faster or idle core, or with fewer requests in flight."
        yield Diagnostic("bench-client-bound", Severity.WARNING, at, message, hint)
