"""A sweep over concurrency: the knee, the SLO, and where to operate, by the closed forms of a server with places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests import benches
from tests.jumping import constant, ran
from tritonrepo.bench.figures import Goodput, Slo, distribution
from tritonrepo.bench.load import Load
from tritonrepo.bench.measures import figures
from tritonrepo.bench.sweeping import LEAST_GAIN, Step, doubled, keeps, limits, point, saturated
from tritonrepo.flows.bench import Benched
from tritonrepo.flows.bench_found import found
from tritonrepo.flows.bench_sweep import SweepOptions, concluded


def served(concurrency: int, places: int = 8, slo: Slo | None = None) -> Step:
    """Return a step on a server that serves 8 requests at once, each for 200 ms: the others wait."""
    load = Load(concurrency=concurrency, requests=10 * concurrency)
    records = ran(load, constant(0.1, 0.01, 11), at_once=places)[0].records
    return Step(concurrency, figures(records, (), slo))


def steps(concurrencies: Sequence[int], slo: Slo | None = None) -> list[Step]:
    """Return several steps."""
    return [served(each, slo=slo) for each in concurrencies]


@pytest.mark.parametrize(
    ("concurrencies", "knee"),
    [
        ([1, 2, 4, 8, 16, 32], 8),
        ([1, 3, 9, 27], 9),
        ([6, 7, 8, 9, 10], 8),
        ([8, 16], 8),
        ([1, 2, 4], None),
        ([1], None),
    ],
)
def test_the_knee_is_where_all_places_are_taken(concurrencies: list[int], knee: int | None) -> None:
    found = point(steps(concurrencies), None)
    assert (found.knee.concurrency if found.knee else None) == knee
    assert found.recommended == found.knee
    assert found.kept is None


def test_a_sweep_goes_on_until_more_brings_nothing() -> None:
    done = steps([1, 2, 4, 8, 16])
    assert [saturated(done[: at + 1]) for at in range(5)] == [False, False, False, False, True]
    assert not saturated([])


def test_the_gain_is_that_of_a_doubling_whatever_the_step() -> None:
    """From 8 to 9 a server with places for 9 gains an eighth, which is as much as is possible."""
    assert not saturated([served(8, 9), served(9, 9)])
    assert saturated([served(8, 8), served(9, 8)])


def made(concurrency: int, tokens_per_s: float, latency_ms: float, goodput: Goodput | None = None) -> Step:
    """Return a step with a throughput and a latency."""
    latencies = distribution([latency_ms] * 200)
    base = served(1).figures
    return Step(concurrency, replace(base, output_tokens_per_s=tokens_per_s, latency_ms=latencies, goodput=goodput))


GAINS = {
    "4 to 16, 20 %: less than a tenth twice": ((4, 100, 1), (16, 120, 4), 0.1, True),
    "4 to 16, 22 %: more than a tenth twice": ((4, 100, 1), (16, 122, 4), 0.1, False),
    "8 to 10, 5 %: as 16 % of a doubling": ((8, 100, 1), (10, 105, 2), 0.1, False),
    "a tenth is enough by default, 9 % is not": ((8, 100, 1), (16, 109, 2), LEAST_GAIN, True),
    "11 % is": ((8, 100, 1), (16, 111, 2), LEAST_GAIN, False),
    "just the least gain": ((8, 100, 1), (16, 150, 2), 0.5, False),
    "a latency that grows by the least gain alone": ((8, 100, 1), (16, 100, 1.5), 0.5, False),
    "a latency that grows by less": ((8, 100, 1), (16, 100, 1.4), 0.5, False),
    "a latency that grows by more": ((8, 100, 1), (16, 100, 1.6), 0.5, True),
    "from nothing": ((1, 0, 1), (2, 10, 9), 0.1, False),
}


@pytest.mark.parametrize(("before", "after", "least", "over"), GAINS.values(), ids=GAINS)
def test_what_a_step_must_gain(
    before: tuple[int, float, float], after: tuple[int, float, float], least: float, *, over: bool
) -> None:
    assert saturated([made(*before), made(*after)], least) is over


def test_the_most_goodput_is_recommended_of_those_that_keep_the_slo() -> None:
    slo = Slo({"latency": 1000})
    done = [
        made(at, 100 * at, 100, Goodput(slo, 200, 1.0, 20.0, tokens))
        for at, tokens in ((1, 50.0), (2, 90.0), (4, 80.0))
    ]
    found = point([*done, made(8, 800, 2000, Goodput(slo, 190, 0.95, 20.0, 700.0))], slo)
    assert found.recommended is done[1]
    assert found.kept is done[2]


def test_noise_without_more_waiting_is_no_knee() -> None:
    before = served(4, 100)
    slower = replace(before.figures, output_tokens_per_s=(before.figures.output_tokens_per_s or 0) * 0.98)
    assert not saturated([before, Step(8, slower)])


def test_a_step_whose_requests_fail_is_the_end() -> None:
    failed = replace(served(16).figures, succeeded=150, errors={"busy": 10})
    done = [*steps([4, 8]), Step(16, failed)]
    assert saturated(done)
    found = point(done, Slo({"latency": 10_000}))
    assert found.knee is not None
    assert found.kept is not None
    assert (found.knee.concurrency, found.kept.concurrency) == (8, 8)


def test_the_slo_decides_up_to_where() -> None:
    """With 16 in flight, each request waits for one other: 400 ms; with 32, for three others."""
    slo = Slo({"latency": 450, "itl": 11})
    found = point(steps([1, 2, 4, 8, 16, 32], slo), slo)
    assert found.knee is not None
    assert found.kept is not None
    assert found.recommended is not None
    assert (found.knee.concurrency, found.kept.concurrency) == (8, 16)
    assert found.recommended.figures.goodput is not None
    assert found.recommended.figures.goodput.tokens_per_s == pytest.approx(8 * 11 / 0.2, rel=0.05)


def test_an_slo_that_nothing_keeps() -> None:
    slo = Slo({"ttft": 50})
    done = steps([1, 2], slo)
    found = point(done, slo)
    assert (found.kept, found.recommended) == (None, None)
    assert [limit.kept for limit in limits(done[0], slo, "p95")] == [False]
    assert limits(done[0], slo, "p50")[0].found_ms == pytest.approx(100)


def test_a_percentile_that_is_not_known_keeps_nothing() -> None:
    step = served(4)  # 40 values are too few for a 99th percentile
    assert keeps(step, Slo({"ttft": 500}), "p95")
    assert not keeps(step, Slo({"ttft": 500}), "p99")


def test_without_tokens_items_are_compared() -> None:
    vectors = [
        Step(each.concurrency, replace(each.figures, output_tokens_per_s=None)) for each in steps([1, 2, 4, 8, 16])
    ]
    found = point(vectors, None)
    assert found.knee is not None
    assert found.knee.concurrency == 8


def told(
    done: Sequence[Step], slo: Slo | None = None, *, interrupted: bool = False, bound: Sequence[int] = ()
) -> list[str]:
    """Return what a sweep over steps says, the last of which the user may have ended."""
    whole = [benched(step, step.concurrency in bound) for step in done]
    if interrupted:
        whole[-1] = whole[-1]._replace(result=replace(whole[-1].result, ended_early="interrupted"))
    how = SweepOptions([], lambda concurrency: Load(concurrency=concurrency))
    return [each.message for each in concluded(whole, how, slo)]


def benched(step: Step, bound: bool) -> Benched:  # noqa: FBT001  a part of `told`
    made = benches.result(benches.records(concurrency=step.concurrency))
    load = Load(concurrency=step.concurrency)
    result = replace(
        made,
        prompts=benches.PROMPTS._replace(max_tokens=11),
        load=load,
        figures=step.figures,
        judgements=(),
        client_bound=bound,
    )
    return Benched(result, (), tuple(found(result)))


def test_a_fault_of_several_steps_is_said_once() -> None:
    late, *_ = told(steps([1, 2, 4, 8, 16]), bound=[1, 2, 4])
    assert late == "at concurrency 1, 2, 4: the client was too slow: its own delay is 5% or more of what it measures"
    assert not [line for line in told(steps([1, 2])) if "too slow" in line]


def test_a_sweep_says_what_it_does_not_know() -> None:
    assert told(steps([4])) == ["a single concurrency was measured, so the knee is not known"]
    assert told(steps([1, 2]))[0] == "throughput still grew at concurrency 2, the last one: the knee is above it"
    assert told(steps([1, 2, 4]), interrupted=True)[0] == "the knee was not reached up to concurrency 2"
    assert told(steps([1]), interrupted=True) == []


def test_figures_of_a_sweep_are_written_out() -> None:
    slow = served(64)
    slo = Slo({"latency": 50})
    assert slow.figures.latency_ms is not None
    assert slow.figures.latency_ms.p95 > 1000
    assert "e+0" not in "".join(told([slow], slo))
    assert told([slow], slo)[1].startswith("no concurrency keeps latency ≤ 50 ms at p95: at 64, latency is 1,")


def test_a_lower_step_that_misses_the_slo_is_named() -> None:
    low, middle, high = steps([1, 2, 4])
    late = replace(middle.figures, latency_ms=served(64).figures.latency_ms)
    said = told([low, Step(2, late), high], Slo({"latency": 250}))
    assert "latency ≤ 250 ms holds at p95 up to concurrency 4, but not at 2" in said


@pytest.mark.parametrize(("most", "want"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (256, [1 << n for n in range(9)])])
def test_the_usual_concurrencies_double(most: int, want: list[int]) -> None:
    assert doubled(most) == want
