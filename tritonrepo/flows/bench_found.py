"""What is wrong with the result of a load, as diagnostics."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.bench.claim import State
from tritonrepo.bench.figures import Slo
from tritonrepo.bench.measures import BOUND, too_many_failed
from tritonrepo.bench.result import INTERRUPTED, Result
from tritonrepo.bench.running import UNSENDABLE
from tritonrepo.bench.target import Protocol
from tritonrepo.diagnostics import Diagnostic, Severity, Span, some
from tritonrepo.report.bench.shown import METRICS, unused

SPARE = 0.1


def found(result: Result, slo: Slo | None = None) -> Iterator[Diagnostic]:
    """Yield what is wrong with a result, errors first; an error is a reason not to use its figures.

    `slo` is what the result was to be judged by.
    """
    at, figures = Span(result.target), result.figures
    if result.ended_early and result.ended_early != INTERRUPTED:
        hint = "Check that the target is the server that you mean, and that it serves the model."
        hint = "Lower the rate." if UNSENDABLE in result.ended_early else hint
        yield Diagnostic("bench-stopped", Severity.ERROR, at, f"the run gave up: {result.ended_early}", hint)
    elif not figures.sent and result.ended_early != INTERRUPTED:
        hint = "Raise the duration or the rate."
        yield Diagnostic("bench-failed", Severity.ERROR, at, "no request was due before the end of the run", hint)
    elif too_many_failed(figures) and result.ended_early != INTERRUPTED:
        failed = figures.sent - figures.succeeded
        message = f"{failed:,} of {figures.sent:,} requests failed, more than 1 %"
        hint = f"The reasons: {some(list(figures.errors), 3)}{_elsewhere(result)}" if figures.errors else ""
        yield Diagnostic("bench-failed", Severity.ERROR, at, message, hint)
    broken = [judged for judged in result.judgements if judged.state is State.BROKEN]
    for judged in broken:
        message = f"the figures cannot be true: {judged.check}: {judged.left}, but {judged.right}"
        yield Diagnostic("bench-implausible", Severity.ERROR, at, message, judged.instead or judged.says)
    yield from _slow(result)
    yield from _lengths(result)
    if slo is not None and figures.succeeded and figures.goodput is None:
        of = {"ttft": figures.ttft_ms, "itl": figures.itl_ms, "tpot": figures.tpot_ms, "latency": figures.latency_ms}
        unknown = some([METRICS[metric] for metric in slo.most_ms if of[metric] is None], len(of))
        message = f"the SLO is not judged, because no answer has a value of {unknown}"
        hint = "Limit what this model has, such as latency=500, or ask for a stream."
        yield Diagnostic("bench-slo", Severity.WARNING, at, message, hint)


def _slow(result: Result) -> Iterator[Diagnostic]:
    """Yield whether the client was too slow."""
    if result.client_bound:
        few = unused(result)
        delay = f"its own delay is {BOUND:.0%} or more of what it measures"
        message = f"the client was too slow: {f'{few}, as it sent the next ones late' if few else delay}"
        hint = "Run it on a machine with a faster or idle core, or with fewer requests in flight."
        yield Diagnostic("bench-client-bound", Severity.WARNING, Span(result.target), message, hint)


def _lengths(result: Result) -> Iterator[Diagnostic]:
    """Yield whether an answer is longer than it may be, or shorter than it must be."""
    asked, made = result.prompts.max_tokens, result.figures.output_tokens
    if asked is None or made is None:
        return
    said = ""
    if made.most > asked + _spare(asked):
        cause = "the server does not keep the limit, or makes several answers to a request"
        said = f"an answer has {made.most:,.0f} tokens, but {asked:,} were the most that a request asked for: {cause}"
    elif result.prompts.exact and made.least < asked - _spare(asked):
        cause = "the server does not know ignore_eos and min_tokens"
        said = f"an answer has {made.least:,.0f} tokens, but each was to have {asked:,}: {cause}"
    if said:
        hint = "Do not compare its times and rates with those of answers that are as long as they were asked to be."
        yield Diagnostic("bench-answer-length", Severity.WARNING, Span(result.target), said, hint)


def _spare(tokens: int) -> float:
    """Return how many more or fewer tokens an answer may have: who counts them anew in its text can find some."""
    return max(1.0, SPARE * tokens)


def _elsewhere(result: Result) -> str:
    """Return what to do if the server does not know the path, as a Triton that is asked as if it had OpenAI's API."""
    unknown = all(reason.startswith("HTTP 404") for reason in result.figures.errors)
    if not unknown or Protocol(result.protocol).of_triton:
        return ""
    return ". Check the path and the model; of Triton, use `http://HOST:8000/v2/models/MODEL/generate_stream`."
