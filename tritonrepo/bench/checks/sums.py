"""Figures that follow from one another: totals, rates and what is a part of what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.bench.checks.values import EDGE, EXACT, rounded, said, shown
from tritonrepo.bench.claim import Claim, Judgement, State


class Sum(NamedTuple):
    """A figure that is the product or the sum of two others by its definition."""

    whole: str
    first: str
    second: str
    sign: str
    tolerance: float


RETOKENIZED = 1.25
"""How many tokens a tokenizer can count in a text for each that the model gave.

Source: 137 of 128 in a run of genai-perf (tenstorrent/tt-inference-server#1708); texts in other scripts have more.
"""

SUMS = (
    Sum("total_tokens_per_s", "input_tokens_per_s", "output_tokens_per_s", "+", EXACT),
    Sum("sent", "succeeded", "failed", "+", EXACT),
    Sum("succeeded", "requests_per_s", "duration_s", "*", EDGE),
    Sum("output_tokens_total", "output_tokens_per_s", "duration_s", "*", EDGE),
    Sum("input_tokens_total", "input_tokens_per_s", "duration_s", "*", EDGE),
    Sum("output_tokens_total", "succeeded", "output_tokens", "*", EXACT),
    Sum("input_tokens_total", "succeeded", "input_tokens", "*", EXACT),
    Sum("output_tokens_per_s", "requests_per_s", "output_tokens", "*", EDGE),
    Sum("input_tokens_per_s", "requests_per_s", "input_tokens", "*", EDGE),
)
"""What must be equal; rates may leave out how a run begins and ends, sums may differ by their digits alone."""


def sums(claim: Claim) -> Iterator[Judgement]:
    """Yield whether totals are the sums and products that they are by definition."""
    for each in SUMS:
        whole, one, two = (_number(claim, field) for field in each[:3])
        if whole is None or one is None or two is None or _derived(claim, each):
            continue
        made = one + two if each.sign == "+" else one * two
        left, right = f"{_name(each.whole)} {shown(whole)}", _formula(each, one, two, made)
        if (
            whole - _slack(claim, each) <= made * each.tolerance
            and whole + _slack(claim, each) >= made / each.tolerance
        ):
            yield Judgement("sums", State.HOLDS, left, right, "")
        else:
            says = f"{shown(whole / made)} times as much" if made else "not the same"
            yield Judgement("sums", State.BROKEN, left, right, says, f"{_name(each.whole)} of {shown(made)}")


def _derived(claim: Claim, each: Sum) -> bool:
    """Return whether the second part was computed from the whole: a reader does so for lengths that are not stated."""
    if not claim.cells or each.second not in {"input_tokens", "output_tokens"} or each.second in claim.cells:
        return False
    return each.whole.endswith("_total") or f"{each.second}_total" not in claim.cells


def _number(claim: Claim, field: str) -> float | None:
    value: float | None = getattr(claim, field)
    return value if field in {"failed", "succeeded", "sent"} else said(claim, field)


def _slack(claim: Claim, each: Sum) -> float:
    """Return by how much the whole can differ because of digits: its own, and those of what it is made of."""
    one, two = (_number(claim, field) or 0.0 for field in each[1:3])
    slack_one, slack_two = (rounded(claim, field) for field in each[1:3])
    parts = slack_one + slack_two if each.sign == "+" else slack_one * two + slack_two * one + slack_one * slack_two
    return rounded(claim, each.whole) + parts


def _formula(each: Sum, one: float, two: float, made: float) -> str:
    first, second = f"{shown(one)} {_name(each.first)}", f"{shown(two)} {_name(each.second)}"
    return f"{first} {each.sign} {second} = {shown(made)}"


def _name(field: str) -> str:
    return field.replace("_per_s", "/s").replace("duration_s", "s").replace("_total", " in all").replace("_", " ")


def bounds(claim: Claim) -> Iterator[Judgement]:
    """Yield whether what is a part of something is at most as much as it: good requests, a wait within the run."""
    pairs = (
        ("goodput", _good(claim), claim.requests_per_s, ("good requests/s", "requests/s"), "requests_per_s"),
        (
            "length",
            _tokens(claim),
            claim.asked_output_tokens and claim.asked_output_tokens * RETOKENIZED,
            ("tokens of an answer", f"tokens, those that were asked for * {RETOKENIZED}"),
            "asked_output_tokens",
        ),
        ("duration", _seconds(claim), claim.duration_s, ("s of latency", "s of the whole run"), "duration_s"),
    )
    for check, part, whole, (small, large), field in pairs:
        if part is None or not whole:
            continue
        left, right = f"{shown(part)} {small}", f"{shown(whole)} {large}"
        if part <= whole * EXACT + rounded(claim, field):
            yield Judgement(check, State.HOLDS, left, right, "")
        else:
            yield Judgement(
                check, State.BROKEN, left, right, "a part is more than the whole", f"at most {shown(whole)}"
            )


def _good(claim: Claim) -> float | None:
    good = claim.goodput_per_s
    return None if good is None else max(0.0, good - rounded(claim, "goodput_per_s"))


def _tokens(claim: Claim) -> float | None:
    rate, tokens = said(claim, "requests_per_s"), said(claim, "output_tokens_per_s")
    if not rate or not tokens:
        return None
    return (tokens - rounded(claim, "output_tokens_per_s")) / (rate + rounded(claim, "requests_per_s"))


def _seconds(claim: Claim) -> float | None:
    fields = ("latency_p99", "latency_mean", "latency_p50")
    longest = [value - rounded(claim, field) for field in fields if (value := said(claim, field))]
    return max(longest) / 1000 if longest else None
