"""When requests are sent, and when a run ends, in a loop whose time jumps."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import pytest

from tests.jumping import Scripted, constant, jumped, ran
from tritonrepo.bench import running
from tritonrepo.bench.arrivals import Ramp, arrivals
from tritonrepo.bench.figures import distribution
from tritonrepo.bench.lag import Pulse, unpaused
from tritonrepo.bench.load import Load, Prompt, Shape
from tritonrepo.bench.measures import figures
from tritonrepo.bench.record import Record
from tritonrepo.bench.running import GONE, HOPELESS, Progress, Ran, run
from tritonrepo.bench.warming import MOST, Warming

OPEN = Path("/proc/self/fd")
POISSON = Load(Shape.POISSON, concurrency=None, rate=50.0, requests=4000)


def most_in_flight(ran_: Ran) -> int:
    """Return how many requests were in flight at most."""
    changes = sorted([(r.ended_s, -1) for r in ran_.records] + [(r.sent_s, 1) for r in ran_.records])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def test_a_closed_loop_has_so_many_in_flight_and_each_prompt_once() -> None:
    found, client, _ = ran(Load(concurrency=7, requests=100, warmup=9), constant(0.1, 0.02, 4))
    assert most_in_flight(found) == 7
    assert sorted(map(int, client.asked)) == [*range(109)]
    assert [record.number for record in found.records] == [*range(109)]
    assert [record.warm_up for record in found.records] == [True] * 9 + [False] * 100
    assert all(record.due_s is None for record in found.records)


def test_what_is_measured_begins_after_the_whole_warm_up() -> None:
    found, _, _ = ran(Load(concurrency=4, requests=8, warmup=5), constant(0.3))
    warm = [record for record in found.records if record.warm_up]
    assert max(record.ended_s for record in warm) <= min(r.sent_s for r in found.records if not r.warm_up)


def test_times_count_from_the_start_of_the_run() -> None:
    found, _, _ = ran(Load(concurrency=1, requests=2), constant(0.1, 0.1, 2))
    assert [record.sent_s for record in found.records] == pytest.approx([0.0, 0.2])
    assert [piece.at_s for piece in found.records[1].pieces] == pytest.approx([0.3, 0.4])


def test_after_the_duration_no_more_are_sent_and_those_in_flight_are_awaited() -> None:
    found, _, _ = ran(Load(concurrency=3, requests=None, duration_s=1.0), constant(0.4))
    assert max(record.sent_s for record in found.records) == pytest.approx(0.8)
    assert max(record.ended_s for record in found.records) == pytest.approx(1.2)
    assert len(found.records) == 9


def test_requests_or_duration_whichever_comes_first() -> None:
    assert len(ran(Load(concurrency=3, requests=5, duration_s=1.0), constant(0.4))[0].records) == 5
    assert len(ran(Load(concurrency=3, requests=500, duration_s=1.0), constant(0.4))[0].records) == 9


def test_poisson_arrivals_have_the_rate_and_no_memory() -> None:
    found, _, _ = ran(POISSON, constant(0.1))
    gaps = [after.sent_s - before.sent_s for before, after in pairwise(found.records)]
    spread = distribution(gaps)
    assert spread is not None
    assert spread.mean == pytest.approx(1 / 50, rel=0.05)
    assert spread.std == pytest.approx(spread.mean, rel=0.05)  # as of an exponential distribution
    measured = figures(found.records, (), None)
    assert measured.in_flight == pytest.approx(50 * 0.1, rel=0.05)
    assert measured.queued_ms is not None
    assert measured.queued_ms.most == pytest.approx(0, abs=1e-6)


def test_the_same_seed_gives_the_same_times_and_another_one_others() -> None:
    def times(load: Load) -> list[float]:
        return [round(record.sent_s, 9) for record in ran(load, constant(0.01))[0].records]

    load = replace(POISSON, requests=50)
    assert times(load) == times(load)
    assert times(load) != times(replace(load, seed=1))
    two = times(replace(load, repeats=2))
    assert two[:50] == times(load)
    assert [at - two[50] for at in two[50:]] != pytest.approx([at - two[0] for at in two[:50]])


def test_a_limit_on_what_is_in_flight_makes_requests_wait_in_the_client() -> None:
    load = Load(Shape.POISSON, concurrency=2, rate=50.0, requests=200)
    found, _, _ = ran(load, constant(0.1))
    assert most_in_flight(found) == 2
    waited = [record.queued_s for record in found.records]
    assert all(each is not None for each in waited)
    assert max(each for each in waited if each is not None) > 1.0  # 200 requests take 10 s, and are due within 4 s
    assert [record.number for record in sorted(found.records, key=lambda r: r.sent_s)] == [*range(200)]


def test_requests_that_were_due_and_never_sent_are_failures() -> None:
    load = Load(Shape.POISSON, concurrency=2, rate=50.0, requests=None, duration_s=4.0)
    found, client, _ = ran(load, constant(0.1))
    unsent = [record for record in found.records if not record.ok]
    due = [record.due_s for record in found.records if record.due_s is not None]
    assert len(found.records) == pytest.approx(200, abs=45)
    assert max(due) < 4.0
    assert len(unsent) == len(found.records) - len(client.asked)
    assert {record.error for record in unsent} == {
        "not sent: too many requests were in flight until the end of the run"
    }


def test_a_client_that_is_too_slow_for_its_times_ends_in_time() -> None:
    """It needs 0.1 s for each request, and sends what was due for at most a second after the end."""
    spent_s = [0.0]

    def prompts(number: int) -> Prompt:
        spent_s[0] += 0.1
        return Prompt(f"{number}")

    async def work(time_s: Callable[[], float]) -> Ran:
        def clock() -> float:
            return time_s() + spent_s[0]

        return await run(load, prompts, Scripted(clock, constant(0.1)), lambda _: None, clock)

    load = Load(Shape.POISSON, concurrency=None, rate=100.0, duration_s=2.0)
    found = jumped(work)
    assert sum(record.ok for record in found.records) == pytest.approx(31, abs=2)
    assert len(found.records) == pytest.approx(200, abs=45)
    assert {record.error for record in found.records if not record.ok} == {
        "not sent: the client was too slow to send it before the end of the run"
    }


def test_a_rate_that_nothing_can_answer_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_UNSENT", 500)
    load = Load(Shape.POISSON, concurrency=1, rate=1000.0, duration_s=1.0, repeats=2)
    found, client, _ = ran(load, constant(0.1))
    assert len(found.records) == len(client.asked) + 500
    assert found.stopped == "more than 500 requests were due that could not be sent"


def test_nothing_is_sent_after_the_duration_however_much_is_due() -> None:
    made = []

    def prompts(number: int) -> Prompt:
        made.append(number)
        return Prompt(f"{number}")

    async def work(clock: Callable[[], float]) -> Ran:
        return await run(load, prompts, Scripted(clock, constant(0.1)), lambda _: None, clock)

    load = Load(Shape.POISSON, concurrency=4, rate=5000.0, duration_s=2.0)
    found = jumped(work)
    sent = [record for record in found.records if record.ok]
    assert len(sent) == pytest.approx(80, abs=4)
    assert max(record.sent_s for record in sent) < 2.0
    assert made == [record.number for record in sent]  # the others need no prompt, and are no part of what was sent
    assert len(found.records) == pytest.approx(10_000, rel=0.1)
    assert figures(found.records, (), None).duration_s == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(("first", "last"), [(0.0, 100.0), (100.0, 0.0), (20.0, 60.0)])
def test_a_ramp_sends_at_a_rate_that_changes_evenly(first: float, last: float) -> None:
    load = Load(Shape.RAMP, concurrency=None, rate=last, rate_from=first, requests=None, duration_s=100.0)
    found, _, _ = ran(load, constant(0.01))
    assert len(found.records) == pytest.approx((first + last) / 2 * 100, rel=0.05)
    half = sum(record.sent_s < 50 for record in found.records) / len(found.records)
    assert half == pytest.approx((3 * first + last) / 4 / (first + last), abs=0.02)


def test_a_ramp_of_so_many_requests_reaches_its_rate_with_the_last_of_them() -> None:
    load = Load(Shape.RAMP, concurrency=None, rate=100.0, rate_from=0.0, requests=5000)
    found, _, _ = ran(load, constant(0.01))
    assert len(found.records) == 5000
    assert found.records[-1].sent_s == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("ramp", [Ramp(0, 10, 5), Ramp(10, 0, 5), Ramp(3, 3, 5), Ramp(1, 9, 5)])
def test_the_time_of_a_ramp_is_the_inverse_of_what_it_expects(ramp: Ramp) -> None:
    for at_s in (0.01, 0.5, 2.5, 4.99):
        assert ramp.time(ramp.expected(at_s)) == pytest.approx(at_s)


def test_after_a_ramp_its_last_rate_stays() -> None:
    ramp = Ramp(2, 10, 5)
    assert [ramp.rate(at_s) for at_s in (0, 2.5, 5, 60)] == [2, 6, 10, 10]
    assert [ramp.expected(at_s) for at_s in (5, 6, 60)] == [30, 40, 580]
    assert [ramp.time(expected) for expected in (30, 40, 580)] == pytest.approx([5, 6, 60])
    assert math.isinf(Ramp(10, 0, 5).time(25.001))


def test_the_warm_up_of_a_ramp_has_its_mean_rate_throughout() -> None:
    load = Load(Shape.RAMP, concurrency=None, rate=90.0, rate_from=10.0, requests=None, duration_s=100.0)
    times = [*islice(arrivals(load, random.Random(1), measured=False), 5000)]
    assert [times[at] for at in (999, 2499, 4999)] == pytest.approx([20, 50, 100], rel=0.1)


def test_a_ramp_to_nothing_ends() -> None:
    load = Load(Shape.RAMP, concurrency=None, rate=0.0, rate_from=10.0, requests=1000)
    times = [*islice(arrivals(load, random.Random(1), measured=True), 5000)]
    assert len(times) == pytest.approx(1000, rel=0.15)


def test_a_trace_is_sent_at_its_times_in_every_repeat() -> None:
    at_s = [0.0, 0.5, 0.5, 3.25]
    load = Load(Shape.TRACE, concurrency=None, requests=4, repeats=2, warmup=3)
    found, client, _ = ran(load, constant(0.1), at_s=at_s)
    measured = [record for record in found.records if not record.warm_up]
    for repeat in (0, 1):
        sent = [record.sent_s for record in measured if record.repeat == repeat]
        assert [each - sent[0] for each in sent] == pytest.approx(at_s)
    assert client.asked == ["4", "5", "6", "0", "1", "2", "3", "0", "1", "2", "3"]


class Counted:
    """A pulse whose one sample is its number."""

    made = 0

    def __init__(self, _: asyncio.AbstractEventLoop) -> None:
        Counted.made += 1
        self.lags_s = [float(Counted.made)]

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


def test_delays_of_the_client_in_a_warm_up_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.bench.running.Pulse", Counted)
    monkeypatch.setattr(Counted, "made", 0)
    found, _, _ = ran(Load(concurrency=1, requests=2, warmup=3, repeats=2), constant(0.1))
    assert (Counted.made, found.lags_s) == (3, (2.0, 3.0))


def test_a_warm_up_of_seconds() -> None:
    found, _, _ = ran(Load(concurrency=2, requests=4, warmup=99, warmup_s=1.0), constant(0.3))
    assert sum(record.warm_up for record in found.records) == 8


def test_a_warm_up_ends_when_latency_is_stable() -> None:
    found, _, _ = ran(Load(concurrency=1, requests=1, until_stable=True), lambda n: (1.0 / (1 + n), 0.0, 1))
    assert sum(record.warm_up for record in found.records) > 5 * 8
    steady, _, _ = ran(Load(concurrency=1, requests=1, until_stable=True), constant(0.3))
    assert sum(record.warm_up for record in steady.records) == 16


def test_a_warm_up_that_never_becomes_stable_ends() -> None:
    found, _, _ = ran(Load(concurrency=1, requests=1, until_stable=True), lambda n: (2.0 ** (n // 8 % 2), 0.0, 1))
    assert sum(record.warm_up for record in found.records) == MOST * 8


@pytest.mark.parametrize(
    ("windows_s", "over"),
    [
        ([10.0], False),
        ([10.0, 11.0], True),
        ([10.0, 9.0], True),
        ([10.0, 11.1], False),
        ([10.0, 8.9], False),
        ([10.0, 5.0, 5.2], True),
        ([10.0, 10.1, 5.0], True),
    ],
)
def test_a_warm_up_is_over_when_two_medians_differ_by_at_most_a_tenth(windows_s: list[float], *, over: bool) -> None:
    warming = Warming(1)
    for median_s in windows_s:
        for latency_s in (*[median_s] * 7, 1000.0):  # one that is slow changes no median
            warming.heard(latency_s)
    assert warming.over is over
    assert warming.medians_s == windows_s[: 2 if 10.1 in windows_s else 3]  # what comes after the end changes nothing


def test_windows_of_a_warm_up_are_as_large_as_what_is_in_flight() -> None:
    assert (Warming(1).size, Warming(64).size) == (8, 64)
    assert (Warming(1).most, Warming(64).most) == (20 * 8, 20 * 64)


def test_a_server_that_answers_nothing_ends_the_run() -> None:
    found, client, _ = ran(Load(concurrency=4, requests=10_000), constant(0.1), lambda _: "connection refused")
    assert found.stopped == f"the first {HOPELESS} requests all failed: connection refused"
    assert len(client.asked) < HOPELESS + 8


def test_nothing_more_is_sent_once_a_run_is_given_up() -> None:
    load = Load(Shape.POISSON, concurrency=None, rate=0.01, requests=100)
    found, client, _ = ran(load, constant(0.01), lambda _: "connection refused")
    assert found.stopped
    assert len(client.asked) == len(found.records) == 20


def test_a_server_that_dies_ends_the_run_later() -> None:
    found, client, _ = ran(Load(concurrency=4, requests=10_000), constant(0.1), lambda n: "reset" if n > 50 else "")
    assert found.stopped == f"the last {GONE} requests all failed: reset"
    assert len(client.asked) < 50 + GONE + 8


class Refusing(Scripted):
    """A client whose server answers, but refuses all but the first request."""

    async def ask(self, prompt: Prompt) -> Record:
        record = await super().ask(prompt)
        return record if record.ok else replace(record, status="RESOURCE_EXHAUSTED")


def test_a_server_that_refuses_everything_after_a_success_is_asked_on() -> None:
    """What a limit of the server refuses is the result of an overload, and no reason to give up."""

    async def work(clock: Callable[[], float]) -> Ran:
        client = Refusing(clock, constant(0.1), lambda number: "busy" if number else "")
        load = Load(concurrency=1, requests=GONE + 50)
        return await run(load, lambda number: Prompt(str(number)), client, lambda _: None, clock)

    found = jumped(work)
    assert (len(found.records), found.stopped) == (GONE + 50, "")


def test_failed_requests_of_a_warm_up_say_nothing_of_when_it_is_over() -> None:
    load = Load(concurrency=1, requests=1, until_stable=True)
    found, _, _ = ran(load, constant(0.3), lambda number: "busy" if 0 < number < 16 else "")
    assert sum(record.warm_up for record in found.records) == 16 + 15


def test_a_server_that_refuses_some_requests_is_asked_on() -> None:
    found, _, _ = ran(Load(concurrency=4, requests=1000), constant(0.1), lambda n: "busy" if n % 20 else "")
    assert not found.stopped
    assert len(found.records) == 1000


def interrupted(after_s: float) -> tuple[Ran, bool]:
    """Return what a run gives that is cancelled, and whether the task counts as cancelled afterwards."""

    async def work(clock: Callable[[], float]) -> tuple[Ran, bool]:
        client = Scripted(clock, constant(1.0))
        load = Load(concurrency=2, requests=100)
        task = asyncio.create_task(run(load, lambda number: Prompt(str(number)), client, lambda _: None, clock))
        await asyncio.sleep(after_s)
        task.cancel()
        return await task, client.open

    return jumped(work)


def test_a_cancelled_run_gives_what_was_answered() -> None:
    found, still_open = interrupted(3.5)
    assert found.interrupted
    assert len(found.records) == 6
    assert all(record.ok for record in found.records)
    assert not still_open


def test_what_a_client_raises_ends_the_run_as_it_is() -> None:
    class Broken(Scripted):
        async def ask(self, prompt: Prompt) -> Record:
            raise ZeroDivisionError(prompt.text)

    async def work(clock: Callable[[], float]) -> Ran:
        return await run(Load(concurrency=3), lambda n: Prompt(str(n)), Broken(clock, constant(1)), print, clock)

    with pytest.raises(ZeroDivisionError):
        jumped(work)


def test_progress_is_told_before_anything_is_sent_and_at_the_end() -> None:
    _, _, told = ran(Load(concurrency=2, requests=40, warmup=2, repeats=2), constant(0.05, 0.05, 3))
    phases = [progress.phase for progress in told]
    assert phases[0] == "warm-up"
    begun = [progress for progress in told if progress.sent == 0]
    assert [progress.phase for progress in begun] == ["warm-up", "measuring 1 of 2", "measuring 2 of 2"]
    assert told[-1].elapsed_s == pytest.approx(3.0)
    assert told[-1] == Progress(40, 40, 0, 0, 120, told[-1].elapsed_s, 40, None, "finishing 2 of 2")
    assert all(progress.in_flight <= 2 for progress in told)


def test_the_delay_of_a_loop_is_at_least_what_blocks_it() -> None:
    async def work() -> list[float]:
        pulse = Pulse(asyncio.get_running_loop(), 0.001)
        pulse.start()
        await asyncio.sleep(0.02)
        time.sleep(0.2)
        await asyncio.sleep(0.02)
        pulse.stop()
        return pulse.lags_s

    lags_s = asyncio.run(work())
    assert max(lags_s) >= 0.19
    assert min(lags_s) >= 0.0
    assert sum(lag_s > 0.1 for lag_s in lags_s) >= 20  # also those that were due while it was blocked


def test_without_a_timer_of_the_kernel_a_thread_measures_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    test_the_delay_of_a_loop_is_at_least_what_blocks_it()


def test_a_timer_of_the_kernel_is_due_at_the_times_of_the_clock() -> None:
    """So many samples are taken as were due, and nothing stays open."""

    async def work() -> tuple[list[float], float, set[Path]]:
        pulse, before = Pulse(asyncio.get_running_loop(), 0.01), {*OPEN.iterdir()}
        began_s = time.perf_counter()
        pulse.start()
        await asyncio.sleep(0.5)
        lasted_s = time.perf_counter() - began_s
        pulse.stop()
        return pulse.lags_s, lasted_s, {*OPEN.iterdir()} - before

    lags_s, lasted_s, left = asyncio.run(work())
    assert lasted_s / 0.01 - 2 <= len(lags_s) <= lasted_s / 0.01
    assert not left


def test_garbage_is_collected_as_before_after_a_run() -> None:
    before = gc.get_threshold()
    with unpaused():
        assert gc.get_threshold() != before
        assert gc.isenabled()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_every_place_in_flight_is_given_back() -> None:
    """Of 50 requests, each waits for the only place: one that was never released would let the run wait forever."""
    load = Load(Shape.POISSON, concurrency=1, rate=50.0, requests=50)
    found, _, _ = ran(load, constant(0.1), lambda number: "busy" if number % 2 else "")
    assert len(found.records) == 50
    assert found.records[-1].ended_s == pytest.approx(5.0, abs=0.1)
    assert most_in_flight(found) == 1


def test_a_run_that_waits_forever_fails_here_instead_of_hanging() -> None:
    async def forever(_: Callable[[], float]) -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="nothing has ended"):
        jumped(forever)
