"""Times that belong together: latency, TTFT, ITL and TPOT, and what memory allows: checks 4 and 9."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonrepo.bench.checks.values import EDGE, EXACT, apart, lacking, length, mean, rounded, said, shown
from tritonrepo.bench.claim import Claim, Judgement, State

CLOSE = 1.25
"""How far a sum of medians may be from the median of sums without a word: medians do not add up."""

FAR = 4.0
"""How far a mean per token is believed to be from a mean per request if answers may differ in length.

A factor of 2 was seen (vllm-project/vllm#18566), and nothing bounds it.
"""

METRICS = ("ttft", "itl", "tpot", "latency")


def points(claim: Claim, metric: str) -> Mapping[str, float]:
    """Return what the claim says of the distribution of a metric: min, p50, p99, max, mean, std and so on."""
    stated = {point: said(claim, f"{metric}_{point}") for point in ("mean", "p50", "p99")} if metric in METRICS else {}
    return {point: value for point, value in {**claim.spreads.get(metric, {}), **stated}.items() if value is not None}


def latency_order(claim: Claim) -> Iterator[Judgement]:
    """Yield whether TTFT is at most the latency: it is so for each request, so for each point of both distributions."""
    first, whole = points(claim, "ttft"), points(claim, "latency")
    shared = [point for point in whole if point in first and point != "std"]
    if not shared:
        return
    wrong = [point for point in shared if first[point] - _slack(claim, point) > whole[point] * EXACT]
    point = wrong[0] if wrong else shared[0]
    left, right = f"TTFT {point} {shown(first[point])} ms", f"latency {point} {shown(whole[point])} ms"
    if wrong:
        says = "a first token after the last one"
        yield Judgement("latency-order", State.BROKEN, left, right, says, "a latency of at least the TTFT")
    else:
        yield Judgement("latency-order", State.HOLDS, left, right, "")


def _slack(claim: Claim, point: str) -> float:
    return rounded(claim, f"ttft_{point}") + rounded(claim, f"latency_{point}")


def latency_sum(claim: Claim) -> Iterator[Judgement]:
    """Yield whether the latency is TTFT + (n - 1) * the time of a token.

    It is so by definition for each request, and for means if all answers have n tokens. Else the mean per request can
    be far from the mean per token: `apart` says how far. Gaps between messages may be those of several tokens, so that
    they may be longer, not shorter. Answers can have fewer tokens than were asked for. Medians do not add up.
    """
    check, tokens = "latency-sum", length(claim)
    whole, first = mean(claim, "latency"), mean(claim, "ttft")
    picked = _picked(claim)
    if whole is None or first is None or picked is None or tokens is None or tokens <= 1:
        yield lacking(check, "latency, TTFT, ITL or TPOT, and output tokens")
        return
    value, name, (least, most) = picked
    found = first.value + (tokens - 1) * value
    left = f"latency {shown(whole.value)} ms ({whole.text.rsplit(' ', 2)[0]})"
    right = f"{shown(first.value)} + {shown(tokens - 1)} * {shown(value)} ms ({name}) = {shown(found)} ms"
    medians = "p50" in name + whole.text + first.text
    ratio = (whole.value - first.value) / ((tokens - 1) * value)
    if medians:
        near = found / CLOSE <= whole.value <= found * CLOSE
        says = "" if near else "medians do not add up, but these are far apart"
        yield Judgement(check, State.HOLDS if near else State.WEAK, left, right, says)
    elif found / EDGE <= whole.value <= found * EDGE:
        yield Judgement(check, State.HOLDS, left, right, "")
    elif least <= ratio <= most:
        says = f"{shown(ratio * value)} ms a token by the latency: {_why(claim, name)}"
        yield Judgement(check, State.WEAK, left, right, says)
    else:
        instead = f"{shown(ratio * value)} ms a token, or other tokens counted than those that were timed"
        yield Judgement(check, State.BROKEN, left, right, "the times are not of the same tokens", instead)


def _why(claim: Claim, name: str) -> str:
    if claim.gaps and name.startswith("ITL"):
        return "messages hold several tokens, or tokens are counted otherwise"
    if claim.output_tokens is None:
        return "answers may have fewer tokens than were asked for"
    return "a mean per request is not one per token, as answers differ in length"


def _picked(claim: Claim) -> tuple[float, str, tuple[float, float]] | None:
    """Return the time of a token that is the nearest to the sum, its name, and how far the sum may be from it."""
    steps = claim.tokens_per_step or 1.0
    choices = [("tpot_mean", 1.0), ("itl_mean", steps), ("itl_p50", steps), ("tpot_p50", 1.0)]
    if claim.gaps and not claim.fixed_length:
        choices[:2] = choices[1], choices[0]
    for field, divisor in choices:
        if (value := said(claim, field)) is not None:
            name = field.replace("_", " ").replace("itl", "ITL").replace("tpot", "TPOT")
            return value / divisor, name, _limits(claim, field)
    return None


def _limits(claim: Claim, field: str) -> tuple[float, float]:
    """Return between which multiples of the stated mean the mean over all tokens can be."""
    metric = field.split("_", maxsplit=1)[0]
    asked = claim.output_tokens is None
    if claim.gaps and metric == "itl":
        return 0.0, CLOSE
    far = apart(claim, metric)
    least, most = (1 / FAR, FAR) if far is None else (max(0.0, 1 - far) / EDGE, (1 + far) * EDGE)
    return 0.0 if asked else least, most


def tpot_itl(claim: Claim) -> Iterator[Judgement]:
    """Yield whether TPOT and ITL are of one kind; both are times of a token, so tables mix them up."""
    tpot, itl = said(claim, "tpot_mean"), said(claim, "itl_mean")
    if tpot is None or itl is None:
        return
    left, right = f"TPOT mean {shown(tpot)} ms", f"ITL mean {shown(itl)} ms"
    if 1 / CLOSE <= itl / tpot <= CLOSE:
        yield Judgement("tpot-itl", State.HOLDS, left, right, "")
        return
    says = "means of different things: one value a request against one a gap, or messages of several tokens"
    yield Judgement("tpot-itl", State.WEAK, left, right, says)


def memory_floor(claim: Claim) -> Iterator[Judgement]:
    """Yield whether a token takes at least as long as it takes to read the weights once.

    Each step of a decode reads all weights that it uses, of which caches keep next to nothing. The bandwidth is that
    of data sheets, which no program reaches, so the only tolerance is for digits. Gaps between messages count by their
    mean alone: several messages can arrive at once.
    """
    check, floor, steps = "memory-floor", _floor_ms(claim), claim.tokens_per_step or 1.0
    fields = ("tpot_mean", "tpot_p50", "itl_mean", *(() if claim.gaps else ("itl_p50",)))
    found = [(value + rounded(claim, field), value, field) for field in fields if (value := said(claim, field))]
    if floor is None or not found:
        needs = ("bytes of weights and memory bandwidth" if floor is None else "", "" if found else "ITL or TPOT")
        yield lacking(check, *needs)
        return
    most, value, field = min(found)
    name = field.replace("_", " ").replace("itl", "ITL").replace("tpot", "TPOT")
    weights, band = (claim.weights_bytes or 0.0) / 1e9, (claim.bandwidth or 0.0) / 1e9
    divided = "" if steps == 1.0 else f" / {shown(steps)} tokens a step"
    right = f"at least {shown(weights)} GB / {shown(band)} GB/s{divided} = {shown(floor)} ms"
    left = f"{name} {shown(value)} ms"
    if most * EXACT >= floor:
        yield Judgement(check, State.HOLDS, left, right, "")
        return
    read, tokens = shown(weights * value / floor), shown(floor / value * steps)
    fewer = f"weights of fewer bits (half of them take {shown(floor / 2)} ms)"
    instead = f"{read} GB read a step, as with {fewer}, or {tokens} tokens a step, as with speculative decoding"
    yield Judgement(check, State.BROKEN, left, right, "faster than the memory can be read", instead)


def _floor_ms(claim: Claim) -> float | None:
    if not claim.weights_bytes or not claim.bandwidth:
        return None
    return claim.weights_bytes / claim.bandwidth * 1000 / (claim.tokens_per_step or 1.0)
