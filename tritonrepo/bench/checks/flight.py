"""How many requests are in flight and how many sequences are decoded, and what that allows: checks 1 to 3."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tritonrepo.bench.checks.values import (
    EDGE,
    HALF,
    Figure,
    compared,
    down,
    lacking,
    length,
    mean,
    per_token,
    said,
    shown,
    up,
)
from tritonrepo.bench.claim import Claim, Judgement, State

MANY = 100
"""Tokens of an answer from which on its first one is less than 1 % of it."""

EXAMPLE = 128
"""Tokens of an answer for an example where a table does not say its length; the shortest that benchmarks use."""


def in_flight(claim: Claim) -> Iterator[Judgement]:
    """Yield whether requests per second times their latency are in flight: Little's law.

    In a run, requests * mean latency / duration is the mean number in flight, whatever the load is, so in a closed
    loop it cannot exceed the concurrency.
    """
    check, latency, most = "in-flight", mean(claim, "latency"), _most(claim)
    rate = said(claim, "requests_per_s")
    if rate is None or latency is None or most is None:
        yield lacking(check, *_without(rate=rate, latency=latency, concurrency=most))
        return
    found, limit, what = rate * latency.value / 1000, *most
    left = f"{shown(rate)} requests/s * {latency.seconds} ({latency.text}) = {shown(found)} in flight"
    spare = max(1.0, latency.value / max(latency.least, 1e-9)) * down(claim, "requests_per_s")
    instead = f"{shown(found)} requests in flight, or a latency of at most {shown(limit / rate * 1000)} ms on average"
    yield compared(check, (found, limit, limit * spare), (left, f"at most {shown(limit)}, {what}"), instead)


def in_flight_counted(claim: Claim) -> Iterator[Judgement]:
    """Yield whether Little's law gives what was counted in flight.

    The latency is that of all requests, and the count that of the window in which the load was whole: what was slower
    before or after it is in the one and not in the other.
    """
    check, latency, counted = "in-flight-counted", said(claim, "latency_mean"), said(claim, "in_flight")
    rate = said(claim, "steady_requests_per_s") or said(claim, "requests_per_s")
    if rate is None or latency is None or counted is None:
        return
    found, window = rate * latency / 1000, claim.window_s or claim.duration_s
    edges = 2 * latency / 1000 / window if window else HALF
    left = f"{shown(rate)} requests/s * {shown(latency / 1000)} s = {shown(found)}"
    right = f"{shown(counted)} counted in flight"
    if found <= counted * (EDGE + edges) + 1:
        yield Judgement(check, State.HOLDS, left, right, "")
    else:
        says = "more than was counted: requests outside of the window took longer than those in it"
        yield Judgement(check, State.WEAK, left, right, says)


def output_rate(claim: Claim) -> Iterator[Judgement]:
    """Yield whether the rate of output tokens is possible with so many requests in flight.

    Each request gives n tokens in TTFT + (n - 1) * ITL, or in its latency, so C of them at once give
    C * n / (TTFT + (n - 1) * ITL). That is below C / ITL, as the first token takes a step of the engine as well, unless
    the TTFT is below the ITL.
    """
    check, token, most, rate = "output-rate", per_token(claim), _most(claim), said(claim, "output_tokens_per_s")
    whole = said(claim, "latency_mean") if length(claim) else None
    if rate is None or most is None or (token is None and whole is None):
        yield lacking(check, *_without(output_tokens=rate, concurrency=most, ITL=token))
        return
    limit, ceiling, right = _whole(claim, most[0]) if whole else _by_token(claim, most[0], token)
    ceiling *= down(claim, "output_tokens_per_s") * up(claim)
    instead = _instead(claim, rate, token, most[0]) if token else f"{shown(rate / limit * most[0])} requests in flight"
    yield compared(check, (rate, limit, ceiling), (f"{shown(rate)} output tokens/s", right), instead)


def _whole(claim: Claim, most: float) -> tuple[float, float, str]:
    tokens, latency = length(claim) or 0.0, (claim.latency_mean or 0.0) / 1000
    limit = most * tokens / latency
    ceiling = limit * down(claim, "latency_mean")
    return limit, ceiling, f"{shown(most)} * {shown(tokens)} / {shown(latency)} s (latency) = {shown(limit)}"


def _by_token(claim: Claim, most: float, token: Figure | None) -> tuple[float, float, str]:
    token = token or Figure(math.inf, math.inf, "")
    first, tokens = mean(claim, "ttft") or token, length(claim)
    least, quick = min(first, token), min(first.least, token.least)
    plain = f"{shown(most)} / {least.seconds} ({least.text}) = {shown(most / least.value * 1000)}"
    if first is token and (tokens is None or tokens >= MANY):
        return most / token.value * 1000, _ceiling(most, token.least), plain
    n = tokens or EXAMPLE
    begin = first if first is not token else Figure(0.0, 0.0, "")
    took = begin.value + (n - 1) * token.value
    if took <= 0:
        return math.inf, math.inf, "no limit: answers of one token have no ITL"
    sharp = most * n / took * 1000
    sum_ = f"{shown(most)} * {shown(n)} / ({begin.seconds} + {shown(n - 1)} * {token.seconds}) = {shown(sharp)}"
    if tokens is None:
        example = f"{plain}; with {first.text} and answers of {EXAMPLE} tokens, {sum_}"
        return most / least.value * 1000, _ceiling(most, quick), example
    return sharp, _ceiling(most * n, begin.least + (n - 1) * token.least), f"{sum_}; {token.text}"


def _ceiling(above: float, below_ms: float) -> float:
    return above / below_ms * 1000 if below_ms > 0 else math.inf


def decoding(claim: Claim) -> Iterator[Judgement]:
    """Yield whether as many sequences can be decoded at once as the rate of tokens needs.

    Output tokens per second times the time of a token is the mean number of sequences that are decoded; of short
    answers, the first token does not count. It cannot be above the requests in flight, nor above max_num_seqs of all
    replicas.
    """
    check, token, rate = "decoding", per_token(claim), said(claim, "output_tokens_per_s")
    limits = [*filter(None, (_most(claim), _slots(claim)))]
    if rate is None or token is None or not limits:
        yield lacking(check, *_without(output_tokens=rate, ITL=token, concurrency=limits or None))
        return
    limit, what = min(limits)
    n = length(claim) or math.inf
    later = (n - 1) / n if n < MANY else 1.0
    found, without = rate * later * token.value / 1000, f" * {shown(n - 1)}/{shown(n)}" if later < 1 else ""
    left = f"{shown(rate)} tokens/s{without} * {token.seconds} ({token.text}) = {shown(found)} decoding"
    fewest = later if later == 1 else max(0.0, 1 - 1 / max(1.0, n - (up(claim) - 1) * n))
    spare = down(claim, "output_tokens_per_s") * (later / fewest if fewest > 0 else math.inf)
    ceiling = limit * token.value / token.least * spare if token.least > 0 else math.inf
    right = f"at most {shown(limit)}, {what}"
    yield compared(check, (found, limit, ceiling), (left, right), _instead(claim, rate * later, token, limit))


def _instead(claim: Claim, rate: float, token: Figure, limit: float) -> str:
    if rate <= 0:
        return ""
    found, slots = rate * token.value / 1000, _slots(claim)
    allowed = f" ({slots[1]} would allow it)" if slots and found <= slots[0] * EDGE else ""
    counted = "" if claim.total_tokens_per_s else ", or input tokens are counted as output"
    needed = shown(limit / rate * 1000)
    half = f" although half of the values are {shown(token.value)} ms or more" if "p50" in token.text else ""
    several = "" if "ITL" not in token.text or claim.tokens_per_step else _several(found / limit)
    given = f"{shown(found)} sequences decoding, not {shown(limit)}{allowed}{counted}"
    return f"{given}, or {needed} ms a token{half}{several}"


def _several(tokens: float) -> str:
    """Return that a gap between messages can be the time of several tokens."""
    return f", or {shown(tokens)} tokens a step, as with speculative decoding"


def _most(claim: Claim) -> tuple[float, str] | None:
    """Return the most requests that can be in flight, and what it is."""
    if (limit := said(claim, "concurrency")) is not None:
        return limit, "the concurrency"
    every = claim.sent or (claim.succeeded or 0) + (claim.failed or 0)
    return (every, "all requests of the run") if every else None


def _slots(claim: Claim) -> tuple[float, str] | None:
    if not claim.max_num_seqs:
        return None
    replicas = claim.replicas or 1
    text = f"max_num_seqs {claim.max_num_seqs}" + (f" * {replicas} replicas" if replicas > 1 else "")
    return claim.max_num_seqs * replicas, text


WORDS = {
    "rate": "requests per second",
    "latency": "latency",
    "concurrency": "concurrency",
    "output_tokens": "output tokens per second",
    "ITL": "ITL or TPOT",
}


def _without(**figures: object) -> list[str]:
    return [WORDS[name] for name, value in figures.items() if value is None]
