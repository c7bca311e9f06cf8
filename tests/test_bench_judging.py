"""Checks on figures: what cannot be true is said with both sides, and a run that really was is never doubted."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from tests.tabled import tabled
from tritonrepo.bench.claim import Claim, Judgement, State
from tritonrepo.bench.figures import Distribution, Figures, Goodput, Slo, distribution
from tritonrepo.bench.judging import judge, of_result
from tritonrepo.bench.load import Load, Shape
from tritonrepo.bench.result import Hardware, Machine, Observed, Prompts, Result
from tritonrepo.diagnostics import Span

HERE = Span("table.csv", 2)


def found(check: str, **fields: Any) -> Judgement:  # noqa: ANN401  fields of a claim
    """Return what a check says of a claim; the first if it says several things."""
    return next(each for each in judge(Claim("run", HERE, **fields)) if each.check == check)


SEED = {"concurrency": 32, "output_tokens_per_s": 2100, "itl_p50": 28, "ttft_p50": 180, "max_num_seqs": 64}
MEANS = {"latency_mean": 1000.0, "ttft_mean": 100.0, "output_tokens": 91.0, "itl_mean": 10.0, "fixed_length": True}
SERVED = {"server_output_tokens": 1000.0, "succeeded": 10, "output_tokens": 100.0}
ROWS: Mapping[str, tuple[str, State, Mapping[str, Any]]] = {
    "as many in flight as there may be": (
        "in-flight",
        State.HOLDS,
        {"concurrency": 8, "requests_per_s": 4.0, "latency_mean": 2000.0},
    ),
    "more in flight than there may be": (
        "in-flight",
        State.BROKEN,
        {"concurrency": 8, "requests_per_s": 4.0, "latency_mean": 2200.0},
    ),
    "a p50 that may be far above the mean": (
        "in-flight",
        State.WEAK,
        {"concurrency": 8, "requests_per_s": 4.0, "latency_p50": 3900.0},
    ),
    "a p50 that no mean fits": (
        "in-flight",
        State.BROKEN,
        {"concurrency": 8, "requests_per_s": 4.0, "latency_p50": 4400.0},
    ),
    "an open loop has no limit but its requests": (
        "in-flight",
        State.HOLDS,
        {"sent": 100, "requests_per_s": 4.0, "latency_mean": 20000.0},
    ),
    "an embedder has no tokens": ("output-rate", State.UNKNOWN, {"concurrency": 8, "requests_per_s": 400.0}),
    "the published rate": ("output-rate", State.BROKEN, SEED),
    "the published number of sequences": ("decoding", State.BROKEN, SEED),
    "a rate that so many give": ("output-rate", State.HOLDS, {**SEED, "output_tokens_per_s": 1100}),
    "twice the slots with two replicas": (
        "decoding",
        State.HOLDS,
        {"concurrency": 200, "output_tokens_per_s": 4500, "itl_mean": 28.0, "max_num_seqs": 64, "replicas": 2},
    ),
    "more than all slots": (
        "decoding",
        State.BROKEN,
        {"concurrency": 200, "output_tokens_per_s": 9000, "itl_p50": 28.0, "max_num_seqs": 64, "replicas": 2},
    ),
    "answers of two tokens whose first is quick": (
        "output-rate",
        State.HOLDS,
        {"concurrency": 8, "output_tokens_per_s": 1500, "itl_mean": 10.0, "ttft_mean": 1.0, "output_tokens": 2.0},
    ),
    "the first of two tokens is not decoded": (
        "decoding",
        State.HOLDS,
        {"concurrency": 8, "output_tokens_per_s": 1500, "itl_mean": 10.0, "output_tokens": 2.0},
    ),
    "a quick first token of answers of any length": (
        "output-rate",
        State.HOLDS,
        {"concurrency": 8, "output_tokens_per_s": 1500, "itl_mean": 10.0, "ttft_mean": 1.0},
    ),
    "answers of one token": (
        "output-rate",
        State.HOLDS,
        {"concurrency": 8, "output_tokens_per_s": 1500, "itl_mean": 10.0, "output_tokens": 1.0},
    ),
    "several tokens a step": ("decoding", State.HOLDS, {**SEED, "tokens_per_step": 2.0}),
    "a mean of short and long answers": (
        "decoding",
        State.WEAK,
        {"concurrency": 32, "output_tokens_per_s": 1000, "tpot_mean": 60.0},
    ),
    "the same mean where all are as long": (
        "decoding",
        State.BROKEN,
        {"concurrency": 32, "output_tokens_per_s": 1000, "tpot_mean": 60.0, "fixed_length": True},
    ),
    "times that add up": ("latency-sum", State.HOLDS, MEANS),
    "times that do not add up": ("latency-sum", State.BROKEN, {**MEANS, "itl_mean": 5.0}),
    "chunks of several tokens": (
        "latency-sum",
        State.WEAK,
        {**MEANS, "itl_mean": 40.0, "gaps": True, "fixed_length": False},
    ),
    "chunks that are shorter than their tokens": (
        "latency-sum",
        State.BROKEN,
        {**MEANS, "itl_mean": 5.0, "gaps": True, "fixed_length": False},
    ),
    "answers that end before the length that was asked for": (
        "latency-sum",
        State.WEAK,
        {**MEANS, "output_tokens": None, "asked_output_tokens": 900.0, "fixed_length": False},
    ),
    "medians that are far apart": (
        "latency-sum",
        State.WEAK,
        {"latency_p50": 5000.0, "ttft_p50": 100.0, "itl_p50": 10.0, "output_tokens": 91.0},
    ),
    "an answer after its first token": ("latency-order", State.HOLDS, {"latency_p99": 900.0, "ttft_p99": 900.0}),
    "an answer before its first token": ("latency-order", State.BROKEN, {"latency_p99": 800.0, "ttft_p99": 900.0}),
    "means of two kinds": ("tpot-itl", State.WEAK, {"tpot_mean": 77.86, "itl_mean": 38.13}),
    "the tokens of the server": ("server-tokens", State.HOLDS, SERVED),
    "a server that has other clients": ("server-tokens", State.WEAK, {**SERVED, "server_output_tokens": 1100.0}),
    "tokens that the server did not give": ("server-tokens", State.BROKEN, {**SERVED, "server_output_tokens": 900.0}),
    "tokens that a tokenizer counted": (
        "server-tokens",
        State.WEAK,
        {**SERVED, "server_output_tokens": 900.0, "tokens_from": "tokenizer"},
    ),
    "one of two replicas": ("server-tokens", State.WEAK, {**SERVED, "server_output_tokens": 500.0, "replicas": 2}),
    "a first token on its way": ("server-ttft", State.HOLDS, {"ttft_mean": 100.0, "server_ttft_mean": 90.0}),
    "a first token before it was there": ("server-ttft", State.BROKEN, {"ttft_mean": 100.0, "server_ttft_mean": 120.0}),
    "a first token within a bucket": ("server-ttft", State.WEAK, {"ttft_p50": 100.0, "server_ttft_p50": 160.0}),
    "a first token of others": (
        "server-ttft",
        State.WEAK,
        {**SERVED, "server_output_tokens": 2000.0, "ttft_mean": 100.0, "server_ttft_mean": 120.0},
    ),
    "hits of the prefix cache": (
        "prefix-cache",
        State.HOLDS,
        {"server_prompt_tokens": 1000.0, "server_cached_tokens": 250.0},
    ),
    "more hits than tokens": (
        "prefix-cache",
        State.BROKEN,
        {"server_prompt_tokens": 1000.0, "server_cached_tokens": 1250.0},
    ),
    "a quick client": ("client-lag", State.HOLDS, {"lag_p99": 0.4, "itl_p50": 10.0}),
    "a client that measures itself": ("client-lag", State.WEAK, {"lag_p99": 0.6, "itl_p50": 10.0}),
    "slower than memory": (
        "memory-floor",
        State.HOLDS,
        {"itl_p50": 36.0, "weights_bytes": 141e9, "bandwidth": 4.078e12},
    ),
    "faster than memory": (
        "memory-floor",
        State.BROKEN,
        {"itl_p50": 32.0, "weights_bytes": 141e9, "bandwidth": 4.078e12},
    ),
    "digits at the floor": (
        "memory-floor",
        State.HOLDS,
        {"itl_p50": 34.0, "weights_bytes": 141e9, "bandwidth": 4.078e12, "rounded": {"itl_p50": 0.5}},
    ),
    "speculative decoding": (
        "memory-floor",
        State.HOLDS,
        {"itl_p50": 20.0, "weights_bytes": 141e9, "bandwidth": 4.078e12, "tokens_per_step": 2.5},
    ),
    "messages that arrive at once": (
        "memory-floor",
        State.HOLDS,
        {"itl_p50": 0.02, "tpot_mean": 36.0, "gaps": True, "weights_bytes": 141e9, "bandwidth": 4.078e12},
    ),
    "percentiles in order": ("percentiles", State.HOLDS, {"ttft_p50": 1.0, "ttft_p99": 2.0, "succeeded": 100}),
    "percentiles out of order": ("percentiles", State.BROKEN, {"ttft_p50": 3.0, "ttft_p99": 2.0, "succeeded": 100}),
    "a p99 of 20": ("percentiles", State.WEAK, {"ttft_p50": 1.0, "ttft_p99": 2.0, "succeeded": 20}),
    "a p99 without the slowest": (
        "percentiles",
        State.WEAK,
        {"ttft_p50": 1.0, "ttft_p99": 2.0, "succeeded": 990, "failed": 10},
    ),
    "a mean under half of the p50": ("means", State.BROKEN, {"ttft_mean": 40.0, "ttft_p50": 100.0}),
    "a mean above the largest": ("means", State.BROKEN, {"ttft_mean": 90.0, "spreads": {"ttft": {"max": 80.0}}}),
    "a mean further from the p50 than the deviation": (
        "means",
        State.BROKEN,
        {"ttft_mean": 90.0, "ttft_p50": 60.0, "spreads": {"ttft": {"std": 10.0}}},
    ),
    "input and output": (
        "sums",
        State.HOLDS,
        {"total_tokens_per_s": 300.0, "input_tokens_per_s": 100.0, "output_tokens_per_s": 200.0},
    ),
    "more than input and output": (
        "sums",
        State.BROKEN,
        {"total_tokens_per_s": 330.0, "input_tokens_per_s": 100.0, "output_tokens_per_s": 200.0},
    ),
    "few digits of a rate": (
        "sums",
        State.HOLDS,
        {"succeeded": 32, "requests_per_s": 0.1, "duration_s": 290.0, "rounded": {"requests_per_s": 0.05}},
    ),
    "requests that are nowhere": ("sums", State.BROKEN, {"sent": 100, "succeeded": 80, "failed": 10}),
    "more good requests than requests": ("goodput", State.BROKEN, {"goodput_per_s": 3.0, "requests_per_s": 2.0}),
    "a request longer than the run": ("duration", State.BROKEN, {"latency_p99": 9000.0, "duration_s": 8.0}),
    "answers longer than was asked for": (
        "length",
        State.BROKEN,
        {"asked_output_tokens": 100.0, "requests_per_s": 1.0, "output_tokens_per_s": 200.0},
    ),
    "a cache that only short prompts fit": ("kv-cache", State.WEAK, {**SEED, "kv_tokens": 41000.0}),
    "a cache with room": ("kv-cache", State.HOLDS, {**SEED, "kv_tokens": 41000.0, "input_tokens": 300.0}),
    "a setting that looks like a result": ("memory-efficiency", State.WEAK, {"memory_efficiency": 0.92}),
    "more than all memory": ("memory-efficiency", State.BROKEN, {"memory_efficiency": 1.2}),
    "a negative time": ("values", State.BROKEN, {"ttft_p50": -3.0}),
    "not a number": ("values", State.BROKEN, {"ttft_p50": float("nan")}),
    "infinite": ("values", State.BROKEN, {"output_tokens_per_s": float("inf")}),
    "no time at all": ("values", State.BROKEN, {"duration_s": 0.0}),
}


@tabled(("check", "state", "fields"), ROWS.values(), ids=ROWS)
def test_a_check_says(check: str, state: State, fields: Mapping[str, Any]) -> None:
    said = found(check, **fields)
    assert said.state is state, said
    assert (said.instead != "") is (state is State.BROKEN)
    assert state is State.UNKNOWN or said.left


def test_a_lag_is_held_against_the_first_of_these_times_that_is_known() -> None:
    names = [f"{metric} {point}" for metric in ("ITL", "TPOT", "TTFT", "latency") for point in ("p50", "mean")]
    fields = {name.lower().replace(" ", "_"): 10.0 * (at + 1) for at, name in enumerate(names)}
    for name in names:
        assert f"5% of {name} {next(iter(fields.values())):g} ms" in found("client-lag", lag_p99=0.1, **fields).right
        fields.pop(name.lower().replace(" ", "_"))


def test_both_sides_have_their_arithmetic() -> None:
    said = found("decoding", **SEED)
    assert said.left == "2,100 tokens/s * 0.028 s (ITL p50 28 ms) = 58.8 decoding"
    assert said.right == "at most 32, the concurrency"
    assert said.instead.startswith("58.8 sequences decoding, not 32 (max_num_seqs 64 would allow it), or input tokens")
    floor = found("memory-floor", itl_p50=28.0, weights_bytes=141e9, bandwidth=2 * 2039e9)
    assert (floor.left, floor.right) == ("ITL p50 28 ms", "at least 141 GB / 4,078 GB/s = 34.6 ms")
    assert floor.instead.startswith("114 GB read a step")


def test_what_is_lacking_is_said() -> None:
    said = {each.check: each.says for each in judge(Claim("run", HERE))}
    assert said["in-flight"] == "needs requests per second, latency and concurrency"
    assert said["memory-floor"] == "needs bytes of weights and memory bandwidth and ITL or TPOT"


class Request(NamedTuple):
    """A simulated request, in seconds."""

    sent: float
    ttft: float
    token: float
    tokens: int
    prompt: int

    @property
    def latency(self) -> float:
        return self.ttft + (self.tokens - 1) * self.token


def simulated(seed: int) -> tuple[list[Request], int | None]:
    """Return the requests of a load, and its concurrency: a closed loop, or requests at random times."""
    dice = random.Random(seed)
    concurrency = dice.choice([1, 2, 8, 32])
    fixed, skew, slow = dice.random() < 0.3, dice.choice([0.0, 0.5, 1.5]), dice.choice([0.0, 3.0])
    mean, token = dice.choice([2, 20, 200]), dice.choice([0.002, 0.02])
    free, requests, now = [0.0] * concurrency, [], 0.0
    closed = dice.random() < 0.7
    for _ in range(dice.choice([1, 5, 40, 400])):
        tokens = mean if fixed else 1 + min(5000, int(dice.expovariate(1 / mean)))
        each = token * dice.lognormvariate(0, skew) * (1 + slow / tokens)
        ttft = dice.lognormvariate(-2, skew)
        now = min(free) if closed else now + dice.expovariate(20)
        requests.append(Request(now, ttft, each, tokens, dice.randrange(1, 500)))
        if closed:
            free[free.index(now)] = now + requests[-1].latency
    return requests, concurrency if closed else None


def spread(values: Sequence[float]) -> Distribution | None:
    return distribution([value * 1000 for value in values])


def measured(seed: int) -> Result:
    """Return the true result of a simulated load."""
    requests, concurrency = simulated(seed)
    length = max(each.sent + each.latency for each in requests)
    several = [each for each in requests if each.tokens > 1]
    output = sum(each.tokens for each in requests)
    figures = Figures(
        sent=len(requests),
        succeeded=len(requests),
        errors={},
        duration_s=length,
        steady_s=(0.0, length),
        in_flight=sum(each.latency for each in requests) / length,
        decoding=None,
        requests_per_s=len(requests) / length,
        items_per_s=len(requests) / length,
        steady_requests_per_s=None,
        output_tokens_per_s=output / length,
        steady_output_tokens_per_s=None,
        input_tokens_per_s=sum(each.prompt for each in requests) / length,
        tokens_from="server",
        ttft_ms=spread([each.ttft for each in requests]),
        itl_ms=spread([each.token for each in several]),
        tpot_ms=spread([each.token for each in several]),
        chunk_ms=None,
        latency_ms=spread([each.latency for each in requests]),
        queued_ms=None,
        input_tokens=distribution([float(each.prompt) for each in requests]),
        output_tokens=distribution([float(each.tokens) for each in requests]),
        lag_ms=distribution([0.01]),
        goodput=Goodput(Slo({"ttft": 500}), len(requests), 1.0, len(requests) / length, output / length),
    )
    load = Load(Shape.CLOSED if concurrency else Shape.POISSON, concurrency, requests=len(requests))
    ttft = figures.ttft_ms
    counts = {"generated_tokens": float(output), "prompt_tokens": 1000.0, "prefix_cache_hits": 100.0}
    histograms = {"first_token": (ttft.mean * 0.9, ttft.p50 * 0.9)} if ttft else {}
    return Result(
        *("grpc://h/m", "triton-grpc", "m", "2026-01-01T00:00:00Z", "x"),
        Machine(2, "", "", "", None),
        load,
        Prompts("", 1, 0.0, None, exact=False),
        Hardware(max_num_seqs=concurrency, weights_bytes=1e9, bandwidth=1e15),
        figures,
        (figures,),
        Observed(counts=counts, histograms=histograms),
        client_bound=False,
    )


def pooled(claim: Claim, seed: int) -> Claim:
    """Return what vLLM's table would say: all gaps together, which can be those of several tokens."""
    gaps = [(each.token, each.tokens - 1) for each in simulated(seed)[0] if each.tokens > 1]
    if not gaps:
        return claim
    bundle = random.Random(seed).choice([1, 1, 3])
    mean = bundle * 1000 * sum(token * many for token, many in gaps) / sum(many for _, many in gaps)
    return dataclasses.replace(
        claim, itl_mean=mean, itl_p50=None, itl_p99=None, gaps=True, fixed_length=False, spreads={}
    )


def medians(claim: Claim) -> Claim:
    """Return what a table of medians alone would say."""
    none = {f"{metric}_{point}": None for metric in ("ttft", "itl", "tpot", "latency") for point in ("mean", "p99")}
    return dataclasses.replace(claim, **none, spreads={}, fixed_length=False, in_flight=None)  # type: ignore[arg-type]


def broken(claim: Claim) -> list[Judgement]:
    return [each for each in judge(claim) if each.state is State.BROKEN]


@pytest.mark.parametrize("part", range(4))
def test_a_run_that_was_is_never_doubted(part: int) -> None:
    for seed in range(part * 100, part * 100 + 100):
        claim = of_result(measured(seed))
        assert broken(claim) == [], seed
        assert broken(pooled(claim, seed)) == [], seed


def test_medians_of_a_run_with_one_kind_of_answer_are_not_doubted() -> None:
    fixed = [seed for seed in range(300) if len({each.tokens for each in simulated(seed)[0]}) == 1]
    assert len(fixed) > 50
    for seed in fixed:
        assert broken(medians(of_result(measured(seed)))) == [], seed


def test_a_busy_closed_loop_with_twice_the_rate_or_the_latency_is_noticed() -> None:
    noticed = 0
    for seed in range(100):
        claim = of_result(measured(seed))
        if claim.concurrency and (claim.in_flight or 0.0) > 0.8 * claim.concurrency:
            noticed += 1
            doubled = dataclasses.replace(claim, requests_per_s=(claim.requests_per_s or 0) * 2)
            assert {"in-flight", "sums"} <= {each.check for each in broken(doubled)}
            slower = dataclasses.replace(claim, latency_mean=(claim.latency_mean or 0) * 2)
            assert "in-flight" in {each.check for each in broken(slower)}
    assert noticed > 10
