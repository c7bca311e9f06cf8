"""Figures of a claim as bounds, and numbers as text: what all checks share.

A table often has a p50 where a sum needs a mean. A mean can be under the p50, but not by any amount: half of the values
are at least the p50, so the mean is at least half of it. This is the bound for TTFT and latency, which can have two
peaks, as with and without a cache. Times per token are closer together, since one step of the engine serves all
sequences. A mean under 75 % of the p50 would need a lower half of at most 50 % of it, while no value is above it. The
lowest that was seen is 78 %: 38.13 ms a token with a p50 of 48.84 ms over requests (vllm-project/vllm#18566).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.bench.claim import Claim, Judgement, State

HALF = 0.5
"""The least mean that a p50 allows, as a share of it; see above."""

MEDIAN = 0.75
"""The least mean of times per token that is believed with a p50, as a share of it; see above."""

EDGE = 1.05
"""How far one side may exceed the other: a run begins and ends, and its rates are over all of it (DEPLOY, 5 %)."""

EXACT = 1.01
"""How far sums may differ that are the same by definition; rates are rounded, and durations too."""

NAMES = {"ttft": "TTFT", "itl": "ITL", "tpot": "TPOT", "latency": "latency"}
"""Metric → its name in texts."""


class Figure(NamedTuple):
    """A mean as far as a table says it: the value that stands for it, the least that it can be, and its text."""

    value: float
    least: float
    text: str

    @property
    def seconds(self) -> str:
        """The value in seconds, for a formula."""
        return f"{shown(self.value / 1000)} s"


def shown(value: float) -> str:
    """Return a number as people write it, with three digits or more: 1,096, 58.8 or 0.028."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"  # noqa: PLR2004  here, .3g has an exponent


def said(claim: Claim, field: str) -> float | None:
    """Return a figure of the claim; None for one that is not stated, or 0, which tools write for what has no value."""
    value: float | None = getattr(claim, field)
    return value or None


def rounded(claim: Claim, field: str) -> float:
    """Return by how much a figure can differ from what was measured, because of its last digit."""
    return claim.rounded.get(field, 0.0)


def down(claim: Claim, field: str) -> float:
    """Return by which factor a figure can be more than what was measured, because of its last digit."""
    value, half = said(claim, field) or 1.0, rounded(claim, field)
    return value / (value - half) if half < value else math.inf


def up(claim: Claim) -> float:
    """Return by which factor the tokens of an answer can be fewer than what was measured, because of the last digit."""
    tokens, field = length(claim), "output_tokens" if said(claim, "output_tokens") else "asked_output_tokens"
    return 1 + rounded(claim, field) / tokens if tokens else 1.0


def mean(claim: Claim, metric: str, share: float = HALF) -> Figure | None:
    """Return the mean of a metric; from its p50 if the claim has no mean, whose least is this share of the p50."""
    for point, least in (("mean", 1.0), ("p50", share)):
        field = f"{metric}_{point}"
        if (value := said(claim, field)) is not None:
            low = (value - rounded(claim, field)) * least
            return Figure(value, max(0.0, low), f"{NAMES[metric]} {point} {shown(value)} ms")
    return None


def per_token(claim: Claim) -> Figure | None:
    """Return the mean time of a token after the first, over all tokens.

    It is what the rate of tokens goes by. The mean of one value a request is another: short answers, which may be
    slow, weigh as much as long ones. One run had 77.86 ms a request and 38.13 ms a token (vllm-project/vllm#18566).
    So such a mean counts in full only if all answers have the same length; see `apart` for others whose deviations
    are known, and as half if nothing else is. Gaps between messages may be those of several tokens.
    """
    found = [*_of_requests(claim, "tpot"), *(_of_gaps(claim) if claim.gaps else _of_requests(claim, "itl"))]
    if not found:
        return None
    first = next((each for each in found if "ITL" in each.text and not claim.gaps), found[0])
    return first._replace(least=min(each.least for each in found))


def _of_requests(claim: Claim, metric: str) -> Iterator[Figure]:
    middle, steps = said(claim, f"{metric}_p50"), (claim.tokens_per_step or 1.0) if metric == "itl" else 1.0
    if (found := mean(claim, metric, MEDIAN)) is None:
        return
    least, far = found.least, apart(claim, metric)
    if said(claim, f"{metric}_mean") is not None and far is None:
        least = HALF * least if middle is None else MEDIAN * min(least, middle)
    elif far is not None:
        least *= max(0.0, 1 - far)
    yield Figure(found.value / steps, least / steps, found.text + _divided(steps))


def apart(claim: Claim, metric: str) -> float | None:
    """Return how far the mean per token can be from the mean per request, as a share of it; None if it is not known.

    They differ by the covariance of a request's time per token and its tokens, which is at most the product of both
    standard deviations (Cauchy and Schwarz): as a share, the product of both coefficients of variation.
    """
    if claim.fixed_length:
        return 0.0
    times, tokens = claim.spreads.get(metric, {}), claim.spreads.get("output_tokens", {})
    mean_ms, length = said(claim, f"{metric}_mean"), (claim.output_tokens or 0.0) - 1
    if mean_ms is None or "std" not in times or "std" not in tokens or length <= 0:
        return None
    return times["std"] / mean_ms * tokens["std"] / length


def _of_gaps(claim: Claim) -> Iterator[Figure]:
    steps = claim.tokens_per_step or 1.0
    if (value := said(claim, "itl_mean")) is not None:
        whole = said(claim, "tpot_mean") is not None or claim.tokens_per_step is not None
        yield Figure(value / steps, value / steps * (1.0 if whole else HALF), f"ITL mean {shown(value)} ms")


def _divided(steps: float) -> str:
    return "" if steps == 1.0 else f" / {shown(steps)} tokens a step"


def length(claim: Claim) -> float | None:
    """Return the mean tokens of an answer, or those that were asked for, which are more or as many."""
    return said(claim, "output_tokens") or said(claim, "asked_output_tokens")


def lacking(check: str, *what: str) -> Judgement:
    """Return the judgement of a check for which the claim lacks something."""
    *others, last = [*filter(None, what)]
    needs = f"{', '.join(others)} and {last}" if others else last
    return Judgement(check, State.UNKNOWN, "", "", f"needs {needs}")


def compared(check: str, sides: tuple[float, float, float], texts: tuple[str, str], instead: str) -> Judgement:
    """Return the judgement of a value that has a limit.

    `sides` are the value, the limit by the figures as they stand, and the limit by the least that they allow.
    """
    value, limit, most = sides
    if value <= limit * EDGE:
        return Judgement(check, State.HOLDS, *texts, "")
    if value <= most * EDGE:
        says = "more than these figures give: it can be so only by rounding, or if means are well below these figures"
        return Judgement(check, State.WEAK, *texts, says)
    return Judgement(check, State.BROKEN, *texts, f"{shown(value / limit)} times what is possible", instead)
