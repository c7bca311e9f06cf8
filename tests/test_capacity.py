"""The rate that a replica bears, from loads made by hand: closed forms, bounds, and what is never extrapolated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import pytest

from tests.planned import LIMITS, SWEEP, closed, figures, flat, random, result
from tritonrepo.bench.capacity import busiest, capacity
from tritonrepo.bench.figures import Figures, Goodput, Slo, distribution
from tritonrepo.bench.keeping import Kept, kept, missing
from tritonrepo.bench.load import Load, Shape
from tritonrepo.bench.planning import Asked, Memory, Plan
from tritonrepo.bench.queues import MANY, erlang_c, in_flight, poisson_at_most, steady_mean
from tritonrepo.bench.rates import rate
from tritonrepo.bench.result import Hardware, Result, Step
from tritonrepo.llm.fitting import Fits
from tritonrepo.llm.gpus import Range


def test_a_line_between_two_loads_crosses_the_share_halfway() -> None:
    found = capacity(SWEEP, LIMITS, 0.95)
    assert found.rate_per_s == pytest.approx(5.0)  # 4 + (0.99 - 0.95) / (0.99 - 0.91) * 2
    assert (found.at_least, found.opened, found.latency_s) == (False, True, 3.5)
    assert found.below is not None
    assert found.above is not None
    assert (found.below.number, found.above.number) == (2, 3)


def test_a_stricter_share_gives_a_lower_rate() -> None:
    rates = [capacity(SWEEP, LIMITS, share).rate_per_s for share in (0.9, 0.95, 0.99, 0.995)]
    assert rates == sorted(rates, reverse=True)
    assert rates[2] == pytest.approx(4.0)
    assert rates[3] == pytest.approx(3.0)  # halfway from 2/s with 1 to 4/s with 0.99


def test_nothing_is_extrapolated_beyond_the_highest_load() -> None:
    found = capacity(SWEEP[:2], LIMITS, 0.95)
    assert (found.rate_per_s, found.at_least, found.above) == (4, True, None)


def test_a_load_above_one_that_misses_does_not_count() -> None:
    lucky = random(7, 1.0)
    assert capacity([*SWEEP, lucky], LIMITS, 0.95).rate_per_s == pytest.approx(5.0)
    assert capacity([lucky, *reversed(SWEEP)], LIMITS, 0.95).rate_per_s == pytest.approx(5.0)


def test_without_a_load_that_keeps_the_slo_the_rate_is_zero() -> None:
    found = capacity(SWEEP[2:], LIMITS, 0.95)
    assert (found.rate_per_s, found.at_least, found.below, found.latency_s) == (0, False, None, None)
    assert found.above is not None
    assert found.above.number == 1


def test_what_is_answered_counts_if_it_is_less_than_what_was_sent() -> None:
    slow = replace(SWEEP[1], load=Load(Shape.POISSON, None, 5.0, requests=1200))
    assert capacity([slow], LIMITS, 0.95).rate_per_s == 4
    steady = replace(slow, figures=replace(slow.figures, steady_requests_per_s=4.5))
    assert capacity([steady], LIMITS, 0.95).rate_per_s == 4.5


def test_the_worst_repeat_decides() -> None:
    twice = replace(SWEEP[1], repeats=(figures(4, 0.98), figures(4, 0.9)))
    assert capacity([twice], LIMITS, 0.95).rate_per_s == 0


def test_each_of_several_replicas_bears_a_part() -> None:
    two = [replace(each, hardware=Hardware(replicas=2)) for each in SWEEP]
    assert capacity(two, LIMITS, 0.95).rate_per_s == pytest.approx(2.5)


def test_one_request_at_a_time_bears_only_arrivals_that_find_nobody() -> None:
    found = capacity([closed(1, 0.5, 1.0)], LIMITS, 0.95)
    assert found.rate_per_s == pytest.approx(-math.log(0.95) * 0.5)
    assert (found.at_least, found.opened) == (True, False)


def test_of_closed_loops_the_widest_that_keeps_the_slo_counts() -> None:
    loops = [closed(8, 3, 1.0), closed(2, 1, 1.0), closed(32, 4, 0.5)]
    found = capacity(loops, LIMITS, 0.95)
    assert found.below is not None
    assert found.below.concurrency == 8
    assert found.rate_per_s == pytest.approx(found.usable * 3)
    mean = found.usable * 8
    assert math.fsum(math.exp(-mean) * mean**n / math.factorial(n) for n in range(8)) == pytest.approx(0.95)


def test_random_arrivals_are_preferred_to_closed_loops() -> None:
    found = capacity([closed(64, 50, 1.0), *SWEEP], LIMITS, 0.95)
    assert (found.opened, len(found.points)) == (True, 5)
    assert found.rate_per_s == pytest.approx(5.0)


LEFT: Mapping[str, tuple[Result, str]] = {
    "a ramp": (replace(SWEEP[0], load=Load(Shape.RAMP, None, 8, 1, 100)), "a ramp mixes rates"),
    "nothing succeeded": (
        replace(SWEEP[0], figures=replace(SWEEP[0].figures, succeeded=0, latency_ms=None)),
        "no request succeeded",
    ),
    "nobody knows how many": (replace(SWEEP[0], load=Load(concurrency=None)), "how many requests were in flight"),
    "a wait in the client": (
        replace(SWEEP[0], figures=replace(SWEEP[0].figures, queued_ms=flat(26))),
        "kept requests waiting in the client, p95 26 ms",
    ),
}


@pytest.mark.parametrize(("one", "why"), LEFT.values(), ids=LEFT)
def test_what_says_nothing_of_a_rate_is_left_out(one: Result, why: str) -> None:
    found = capacity([one, *SWEEP], LIMITS, 0.95)
    assert [each.number for each in found.left] == [1]
    assert why in found.left[0].why
    assert found.rate_per_s == pytest.approx(5.0)


def test_a_trace_has_the_rate_that_was_answered() -> None:
    trace = replace(SWEEP[1], load=Load(Shape.TRACE, None, requests=1200))
    assert capacity([trace], LIMITS, 0.95).rate_per_s == 4


def uneven(slo: Slo | None = None, good: int = 0) -> Figures:
    """Return figures whose TTFT are 1 to 200 ms, each once, judged by another SLO or by none."""
    one = figures(4, 1.0, sent=200, slo=None, ttft_ms=distribution([float(n) for n in range(1, 201)]))
    goodput = None if slo is None else Goodput(slo, good, good / 200, 4 * good / 200, None)
    return replace(one, goodput=goodput)


def test_percentiles_bound_the_share_from_both_sides() -> None:
    for limit in (0.5, 1, 50, 100, 101, 150, 180, 181, 190, 191, 198, 199, 200, 250):
        found = kept(uneven(), Slo({"ttft": limit}))
        assert found.least <= min(200, math.floor(limit)) / 200 <= found.most, limit
    assert kept(uneven(), Slo({"ttft": 191})) == Kept(0.95, 0.99)
    assert kept(uneven(), Slo({"ttft": 200})) == Kept(1.0, 1.0)
    assert kept(uneven(), Slo({"ttft": 0.5})) == Kept(0.0, 0.0)


def test_several_limits_are_missed_by_at_most_the_sum() -> None:
    both = kept(uneven(), Slo({"ttft": 191, "itl": 30}))
    assert both == Kept(0.95, 0.99)
    one = uneven()
    assert kept(replace(one, itl_ms=one.ttft_ms), Slo({"ttft": 191, "itl": 191})).least == pytest.approx(0.9)


def test_another_slo_bounds_the_share_where_one_implies_the_other() -> None:
    strict, loose = Slo({"ttft": 150, "itl": 30}), Slo({"ttft": 195})
    assert kept(uneven(strict, 150), Slo({"ttft": 160})).least == 0.9 - 0.15
    assert kept(uneven(strict, 190), Slo({"ttft": 170})).least == 0.95
    assert kept(uneven(loose, 100), Slo({"ttft": 191, "itl": 50})).most == 0.95
    assert kept(uneven(Slo({"ttft": 191}), 189), Slo({"ttft": 191})) == Kept(0.945, 0.945)


def test_requests_without_a_value_widen_the_bounds() -> None:
    one = figures(4, 1.0, sent=200, slo=None)
    some = replace(one, itl_ms=flat(30, 150))
    assert kept(some, LIMITS) == Kept(0.75, 1.0)
    assert kept(replace(one, ttft_ms=None), LIMITS) == Kept(0.0, 1.0)
    assert missing(replace(one, ttft_ms=None), LIMITS) == ("ttft",)
    assert kept(replace(one, sent=0, succeeded=0), LIMITS) == Kept(0.0, 0.0)
    assert kept(replace(one, succeeded=150, errors={"503": 50}), LIMITS).most == 0.75


def test_a_share_that_is_not_known_is_not_kept() -> None:
    unknown = result(replace(uneven(), requests_per_s=6.0), Load(Shape.POISSON, None, 6.0, requests=200))
    found = capacity([*SWEEP[:2], unknown], Slo({"ttft": 185, "itl": 50}), 0.95)
    assert found.rate_per_s == 0
    found = capacity([*SWEEP[:2], unknown], Slo({"ttft": 200.5, "itl": 50}), 0.95)
    assert (found.rate_per_s, found.at_least) == (6, True)
    within = result(replace(uneven(), requests_per_s=6.0), Load(Shape.POISSON, None, 6.0, requests=200))
    low = [replace(each, figures=replace(each.figures, ttft_ms=flat(100))) for each in SWEEP[:2]]
    found = capacity([*low, within], Slo({"ttft": 185, "itl": 50}), 0.92)
    assert (found.rate_per_s, found.at_least) == (4, True)
    assert found.above is not None


def test_queues_have_their_closed_forms() -> None:
    assert in_flight(12, 3.5) == 42
    assert poisson_at_most(0, 2) == pytest.approx(math.exp(-2))
    assert poisson_at_most(1, 2) == pytest.approx(3 * math.exp(-2))
    assert (poisson_at_most(-1, 2), poisson_at_most(3, 0)) == (0, 1)
    assert [erlang_c(1, load) for load in (0.25, 0.5)] == pytest.approx([0.25, 0.5])  # M/M/1
    assert [erlang_c(2, load) for load in (0.5, 1.5)] == pytest.approx([0.25 / 2.5, 2.25 / 3.5])  # a² / (2 + a)
    assert (erlang_c(4, 4), erlang_c(0, 1), erlang_c(4, 0)) == (1, 1, 0)
    assert 0 <= erlang_c(100_000, 90_000) < 1e-9
    assert steady_mean(1, 0.95) == pytest.approx(-math.log(0.95))
    assert steady_mean(MANY, 0.95) == pytest.approx(steady_mean(MANY + 1, 0.95), rel=1e-3)


def waits(slots: int, offered: Fraction) -> float:
    """Return Erlang's C as its sum of states, exactly."""
    all_taken = offered**slots / math.factorial(slots) * slots / (slots - offered)
    return float(all_taken / (all_taken + sum(offered**busy / math.factorial(busy) for busy in range(slots))))


@pytest.mark.parametrize("slots", [1, 2, 3, 10, 64, 150])
@pytest.mark.parametrize("load", ["0.01", "0.5", "0.9", "0.999"])
def test_the_formulas_are_what_their_sums_are(slots: int, load: str) -> None:
    offered = Fraction(load) * slots
    assert erlang_c(slots, float(offered)) == pytest.approx(waits(slots, offered), rel=1e-12)
    states = float(sum(offered**many / math.factorial(many) for many in range(slots + 1)))
    assert poisson_at_most(slots, float(offered)) == pytest.approx(states * math.exp(-offered), rel=1e-9)


def test_thousands_of_places_overflow_nowhere() -> None:
    for slots in (1000, 5000, 50_000):
        found = [erlang_c(slots, slots * load) for load in (0, 1e-300, 0.5, 0.99, 0.999, 1 - 1e-12, 1, 7, math.inf)]
        assert found == sorted(found)
        assert (found[0], found[-3:]) == (0, [1, 1, 1])
        assert 0.9999 < found[-4] <= 1
    assert erlang_c(1000, 1000 - math.sqrt(1000)) == pytest.approx(0.2234, abs=0.01)  # Halfin and Whitt, with 1
    assert [poisson_at_most(9000, mean) for mean in (1e-300, 1.0, 1e5, 1e300)] == [1, 1, 0, 0]
    assert poisson_at_most(9000, 9000) == pytest.approx(0.5 + 2 / 3 / math.sqrt(2 * math.pi * 9000), abs=1e-5)
    means = [steady_mean(places, 0.95) for places in (1, 2, 100, MANY - 1, MANY, MANY + 1, 2 * MANY, 10**9)]
    assert means == sorted(means)
    assert all(mean < places for mean, places in zip(means, (1, 2, 100, MANY - 1, MANY, MANY + 1), strict=False))


RATES = {"12/s": 12, "700/min": 700 / 60, "40000/day": 40000 / 86400, "2,500 per hour": 2500 / 3600, ".5/s": 0.5}
NO_RATES = (
    "",
    "12",
    "0/s",
    "-1/s",
    "nan/s",
    "inf/s",
    "1e3/s",
    "12/week",
    "12/s/s",
    f"{'9' * 400}/s",
    "1/d\x1b",
    "1,2/s",
)


def test_rates_are_per_second_whatever_they_are_written_for() -> None:
    assert {text: rate(text).per_s for text in RATES} == pytest.approx(RATES)
    for text in NO_RATES:
        with pytest.raises(ValueError, match=r"is not a rate above 0, such as 12/s, 700/min, 2500/h or 40000/day"):
            rate(text)


def plan(peak: str, *, slots: int | None = None, spare: int = 1, elsewhere: bool = False) -> Plan:
    """Return a plan with replicas that bear 5/s by measurement, with a latency of 3.5 s."""
    held = Memory("llama", "H200", 2, Fits.YES, Range(1e5, 1e5), slots, 640, "KV cache", elsewhere=elsewhere)
    return Plan(
        name="llama",
        asked=Asked(rate(peak), LIMITS, spare=spare),
        capacity=capacity(SWEEP, LIMITS, 0.95),
        of=SWEEP[1],
        memory=(held,),
        busy=(),
        gpu="H200",
        gpus=2,
    )


def test_replicas_are_whole_and_one_can_be_lost() -> None:
    found = plan("12/s")
    assert (found.carrying, found.replicas, found.total_gpus) == (3, 4, 8)
    assert found.headroom() == pytest.approx(4 * 5 / 12 - 1)
    assert found.headroom(1) == pytest.approx(3 * 5 / 12 - 1)
    assert plan("12/s", spare=0).headroom(1) == pytest.approx(2 * 5 / 12 - 1)
    assert [plan(peak, spare=0).replicas for peak in ("0.1/s", "5/s", "10/s", "10.001/s")] == [1, 1, 2, 3]


def test_the_smaller_bound_wins_and_is_named() -> None:
    found = plan("12/s", slots=14)  # 14 / 3.5 s = 4/s
    assert [name for name, _ in found.bounds] == ["the KV cache of llama", "the measured load"]
    assert (found.rate_per_s, found.carrying) == (4, 3)
    assert plan("12/s", slots=64).bounds[0][0] == "the measured load"
    waits = found.waits(found.memory[0])
    assert waits == pytest.approx(erlang_c(14, 12 / 4 * 3.5))


def test_the_busiest_step_saturates_first() -> None:
    steps = (
        Step("embedder", "1", 1200, 0, 1.0, 0.5, 9.0, 0.5, 4.0),  # 300 executions of 10 ms in 300 s: 1 %
        Step("reranker", "1", 1200, 0, 1.0, 0.0, 150.0, 0.0, 1.0),  # 1,200 of 150 ms on 2 instances: 30 %
        Step("llama", "1", 1200, 0, 0.0, 0.0, 3000.0, 0.0, None),
        Step("never", "1", 0, 0, 0.0, 0.0, 3.0, 0.0, None),
    )
    found = busiest(result(figures(4, 1.0), SWEEP[1].load, steps=steps), {"embedder": 1, "reranker": 2, "never": 1})
    assert [each.step.model for each in found] == ["reranker", "embedder"]
    assert [each.busy for each in found] == pytest.approx([0.3, 0.01])
    assert found[0].saturates_per_s == pytest.approx(4 / 0.3)
    assert busiest(SWEEP[1], {"embedder": 1}) == ()
