"""Records → figures: what is counted, over which time, and what is left out."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.jumping import constant, ran
from tests.tabled import tabled
from tritonrepo.bench.figures import Figures, Slo, distribution
from tritonrepo.bench.load import Load, Shape
from tritonrepo.bench.measures import PIECE_BYTES, client_bound, figures, good, idle, late, too_many_failed
from tritonrepo.bench.record import Piece, Record, Source

NEAR = 1e-9


def answer(
    number: int = 0, sent_s: float = 0.0, at_s: Sequence[float] = (0.1, 0.2, 0.3), tokens: int | None = None
) -> Record:
    """Return the record of a streamed answer whose pieces have one token each, if nothing else is said."""
    pieces = tuple(Piece(sent_s + each, 4, 1) for each in at_s)
    counted = len(pieces) if tokens is None else tokens
    end_s = pieces[-1].at_s if pieces else sent_s + 0.5
    return Record(number, sent_s, end_s, pieces, prompt_tokens=10, answer_tokens=counted, source=Source.SERVER)


def closed(at_once: int, each: int, tokens: int = 11) -> Figures:
    """Return the figures of a closed loop on a server that takes 100 ms to the first token, then 10 ms each."""
    load = Load(concurrency=at_once, requests=at_once * each)
    return figures(ran(load, constant(0.1, 0.01, tokens))[0].records, (), None)


@pytest.mark.parametrize(("at_once", "each"), [(1, 5), (4, 3), (8, 40)])
def test_a_closed_loop_gives_what_arithmetic_says(at_once: int, each: int) -> None:
    found = closed(at_once, each)
    assert found.in_flight == pytest.approx(at_once, abs=1e-6)
    assert found.steady_requests_per_s == pytest.approx(at_once / 0.2)
    assert found.steady_output_tokens_per_s == pytest.approx(at_once * 11 / 0.2)
    assert found.decoding == pytest.approx(at_once * 0.1 / 0.2, abs=1e-6)
    assert found.requests_per_s == pytest.approx(at_once / 0.2)
    assert found.ttft_ms is not None
    assert found.itl_ms is not None
    assert found.ttft_ms.mean == pytest.approx(100)
    assert found.itl_ms.p50 == pytest.approx(10)


def test_the_window_is_neither_the_start_nor_the_end() -> None:
    found = closed(4, 10)
    assert found.steady_s == pytest.approx((0.2, 1.8))
    assert found.duration_s == pytest.approx(2.0)


def test_a_short_run_is_whole_from_its_first_requests_on() -> None:
    """Waiting for the first answers would leave nothing of the time in which requests are sent."""
    found = closed(4, 2)
    assert found.steady_s == pytest.approx((0.0, 0.2))
    assert found.steady_requests_per_s == pytest.approx(4 / 0.2)


def test_the_window_leaves_at_least_half_of_the_time_of_sending() -> None:
    first = [Record(0, 0, 1.2), Record(1, 0, 1.2)]
    for last_s, start_s in ((2.0, 0.0), (2.3, 0.0), (2.5, 1.2), (9.0, 1.2)):
        assert figures([*first, Record(2, last_s, last_s + 1)], (), None).steady_s == (start_s, last_s)


def test_a_request_that_fails_at_once_does_not_end_the_start_of_a_load() -> None:
    failed = Record(0, 0, 0.1, error="refused")
    sent = [failed, Record(1, 0, 1.0), Record(2, 0.2, 1.4), Record(3, 1.0, 2.0), Record(4, 9.0, 9.5)]
    assert figures(sent, (), None).steady_s == (1.4, 9.0)


@pytest.mark.parametrize(("values", "known"), [(99, False), (100, True)])
def test_a_99th_percentile_needs_a_hundred_values(values: int, *, known: bool) -> None:
    found = figures([answer(at) for at in range(values)], (), None).latency_ms
    assert found is not None
    assert (found.p99 is not None) is known


def test_without_a_second_request_there_is_no_window() -> None:
    found = closed(4, 1)
    assert found.steady_s is None
    assert found.steady_requests_per_s is None
    assert found.steady_output_tokens_per_s is None
    assert found.in_flight == pytest.approx(4, abs=1e-6)


def test_failed_requests_are_counted_by_reason_and_in_no_distribution() -> None:
    failed = [replace(answer(at, at * 0.1, (9.0,)), error="refused" if at < 3 else "reset") for at in range(5)]
    found = figures([*failed, answer(5), answer(6)], (), None)
    assert (found.sent, found.succeeded, found.errors) == (7, 2, {"refused": 3, "reset": 2})
    assert found.latency_ms is not None
    assert found.latency_ms.n == 2
    assert found.latency_ms.most == pytest.approx(300)
    assert found.output_tokens_per_s == pytest.approx(6 / found.duration_s)
    assert too_many_failed(found)


def test_steady_rates_are_of_what_succeeded() -> None:
    records = ran(Load(concurrency=4, requests=40), constant(0.1, 0.01, 11))[0].records
    half = [replace(record, error="reset" if record.number % 2 else "") for record in records]
    whole, found = figures(records, (), None), figures(half, (), None)
    assert found.steady_requests_per_s == pytest.approx((whole.steady_requests_per_s or 0) / 2)
    assert found.steady_output_tokens_per_s == pytest.approx((whole.steady_output_tokens_per_s or 0) / 2)
    assert found.in_flight == pytest.approx(4, abs=1e-6)


def test_many_different_reasons_are_counted_together() -> None:
    found = figures([Record(at, 0, 1, error=f"port {at}") for at in range(50)], (), None)
    assert len(found.errors) == 21
    assert found.errors["30 other reasons"] == 30
    assert sum(found.errors.values()) == found.sent == 50


@pytest.mark.parametrize(("failed", "of", "too_many"), [(0, 100, False), (1, 100, False), (2, 100, True), (0, 0, True)])
def test_one_percent_may_fail(failed: int, of: int, *, too_many: bool) -> None:
    records = [replace(answer(at), error="x" if at < failed else "") for at in range(of)]
    assert too_many_failed(figures(records, (), None)) is too_many


def test_a_warm_up_is_in_nothing() -> None:
    warm = replace(answer(0, 0, (7.0,)), warm_up=True)
    assert figures([warm, answer(1, 10)], (), None) == figures([answer(1, 10)], (), None)


def test_nothing_at_all_gives_figures() -> None:
    found = figures([], (), Slo({"ttft": 100}))
    assert (found.sent, found.succeeded, found.duration_s, found.steady_s, found.latency_ms) == (0, 0, 0, None, None)
    assert found.tokens_from == "nobody"


def test_answers_of_one_token_have_no_time_between_tokens() -> None:
    records = [answer(0, 0, (0.1,)), answer(1, 0, (0.1, 0.3)), answer(2, 0, (), tokens=0)]
    found = figures(records, (), None)
    assert found.single == 2
    assert found.tpot_ms is not None
    assert found.tpot_ms.n == 1
    assert found.tpot_ms.mean == pytest.approx(200)


def test_answers_that_begin_with_empty_messages_are_counted() -> None:
    records = [answer(0), replace(answer(1), empty_before=1), replace(answer(2), empty_before=3)]
    assert figures([*records, replace(answer(3), empty_before=1, error="reset")], (), None).empty_first == 2


def test_bundled_chunks_are_not_tokens() -> None:
    bundled = Record(0, 0, 0.5, (Piece(0.1, 20, 5), Piece(0.5, 20, 5)), answer_tokens=10, source=Source.SERVER)
    found = figures([bundled], (), None)
    assert found.chunk_ms is not None
    assert found.itl_ms is not None
    assert found.tpot_ms is not None
    assert found.chunk_ms.mean == pytest.approx(400)
    assert found.itl_ms.mean == pytest.approx(80)
    assert found.tpot_ms.mean == pytest.approx(400 / 9)


def test_an_answer_that_does_not_stream_has_a_latency_alone() -> None:
    found = figures([replace(answer(at, at), streamed=False, answer_tokens=None, items=8) for at in range(3)], (), None)
    assert (found.ttft_ms, found.itl_ms, found.chunk_ms, found.decoding) == (None, None, None, None)
    assert found.items_per_s == pytest.approx(24 / 2.3)
    assert found.output_tokens_per_s is None
    assert found.steady_output_tokens_per_s is None


def test_input_tokens_are_apart() -> None:
    found = figures([answer(at, at) for at in range(3)], (), None)
    assert found.input_tokens_per_s == pytest.approx(30 / 2.3)
    assert found.output_tokens_per_s == pytest.approx(9 / 2.3)


def test_who_counted_is_said_with_numbers_if_it_was_not_one() -> None:
    own = replace(answer(3), source=Source.TOKENIZER)
    assert figures([answer(at) for at in range(3)], (), None).tokens_from == "server"
    assert figures([*(answer(at) for at in range(3)), own], (), None).tokens_from == "server (3), tokenizer (1)"


@pytest.mark.parametrize(
    ("pieces", "tokens", "inside"),
    [
        ((Piece(1.5, 30, 3), Piece(2.5, 10, 1)), 4, 3.0),
        ((Piece(1.5, 30), Piece(2.5, 10)), 8, 6.0),
        ((Piece(1.5, 0), Piece(2.5, 0)), 8, 4.0),
        ((), 5, 0.0),
    ],
    ids=["counted by the server", "shared by characters", "shared evenly", "at its end"],
)
def test_tokens_count_in_the_window_in_which_they_arrived(
    pieces: tuple[Piece, ...], tokens: int, inside: float
) -> None:
    """The window is from 1 to 2 s: the first request ends at its start, the last one is sent at its end."""
    around = [Record(0, 0, 1), Record(1, 0.5, 1), Record(2, 2, 3)]
    asked = Record(3, 1.2, 2.9, pieces, answer_tokens=tokens, source=Source.SERVER)
    found = figures([*around, asked], (), None)
    assert found.steady_s == pytest.approx((1.0, 2.0))
    assert found.steady_output_tokens_per_s == pytest.approx(inside)


def test_repeats_are_added_up_without_what_is_between_them() -> None:
    first = ran(Load(concurrency=2, requests=20), constant(0.1, 0.01, 11))[0].records
    later = [
        replace(
            each,
            repeat=1,
            sent_s=each.sent_s + 500,
            ended_s=each.ended_s + 500,
            pieces=tuple(piece._replace(at_s=piece.at_s + 500) for piece in each.pieces),
        )
        for each in first
    ]
    one, both = figures(first, (), None), figures([*first, *later], (), None)
    assert both.duration_s == pytest.approx(2 * one.duration_s)
    assert both.in_flight == pytest.approx(2)
    assert both.steady_requests_per_s == pytest.approx(one.steady_requests_per_s)
    assert both.steady_output_tokens_per_s == pytest.approx(one.steady_output_tokens_per_s)
    assert one.steady_s is not None
    assert both.steady_s == pytest.approx((one.steady_s[0], one.steady_s[1] + 500))


def test_goodput_needs_every_limit_and_counts_failed_requests_as_not_good() -> None:
    records = [
        answer(0, 0, (0.1, 0.2)),
        answer(1, 0, (0.6, 0.7)),
        answer(2, 0, (0.1, 0.9)),
        replace(answer(3, 0, (0.1, 0.2)), error="reset"),
    ]
    found = figures(records, (), Slo({"ttft": 500, "itl": 200})).goodput
    assert found is not None
    assert (found.good, found.share) == (1, 0.25)
    assert found.requests_per_s == pytest.approx(1 / 0.9)
    assert found.tokens_per_s == pytest.approx(2 / 0.9)


def test_goodput_is_the_closed_form() -> None:
    """Of a service time that is uniform over 100 values, so many are good as are below the limit."""
    load = Load(concurrency=5, requests=1000)
    records = ran(load, lambda number: (0.001 * (1 + number * 37 % 100), 0.0, 1))[0].records
    found = figures(records, (), Slo({"latency": 25.5}))
    assert found.goodput is not None
    assert found.goodput.share == 0.25
    assert found.goodput.requests_per_s == pytest.approx(0.25 * found.requests_per_s)


@pytest.mark.parametrize(
    ("record", "limits", "kept"),
    [
        (answer(0, 0, (0.1,)), {"tpot": 50, "itl": 50}, True),
        (answer(0, 0, (), tokens=0), {"ttft": 500}, False),
        (replace(answer(), answer_tokens=None), {"itl": 500}, False),
        (replace(answer(), streamed=False), {"ttft": 500}, False),
        (replace(answer(), streamed=False), {"latency": 500}, True),
        (answer(0, 0, (0.5,)), {"ttft": 500}, True),
        (answer(0, 0, (0.50001,)), {"ttft": 500}, False),
    ],
    ids=["one token", "no text", "not counted", "not streamed", "whole", "at the limit", "over the limit"],
)
def test_a_value_that_a_request_lacks(record: Record, limits: dict[str, float], *, kept: bool) -> None:
    assert good(record, Slo(limits)) is kept


def test_a_limit_that_fits_no_answer_is_not_judged() -> None:
    vectors = [replace(answer(at), streamed=False, answer_tokens=None) for at in range(3)]
    assert figures(vectors, (), Slo({"ttft": 500, "latency": 500})).goodput is None


@pytest.mark.parametrize(("lag_s", "bound"), [(0.0001, False), (0.004, False), (0.0051, True)])
def test_the_client_is_bound_when_it_is_as_late_as_a_twentieth_of_what_it_measures(
    lag_s: float, *, bound: bool
) -> None:
    records = [answer(at) for at in range(200)]  # 100 ms between tokens
    assert late(figures(records, [0.0] * 10 + [lag_s] * 200, None)) is bound


def test_the_client_is_held_against_the_middle_of_what_matters_most() -> None:
    late_s = [0.01] * 200
    slow_start = [answer(at, at, (1.0, 1.1, 1.2)) for at in range(200)]
    assert late(figures(slow_start, late_s, None))  # 10 of 100 ms between tokens, not of a second
    uneven = [answer(at, at, (0.1, 0.2) if at % 4 else (0.1, 1.1)) for at in range(200)]
    assert late(figures(uneven, late_s, None))  # the mean is 325 ms
    assert late(figures(uneven, [0.0] * 50 + [0.01], None))  # the largest of a few


def test_a_client_without_samples_is_not_called_slow() -> None:
    assert not late(figures([answer()], (), None))


SENT_LATE = {
    "at once": (0.0, Load(concurrency=2, requests=40), False),
    "a little later": (0.004, Load(concurrency=2, requests=40), False),
    "a twentieth later": (0.011, Load(concurrency=2, requests=40), True),
    "at random times": (0.1, Load(Shape.POISSON, concurrency=2, rate=10, requests=40), False),
}


@tabled(("after_s", "load", "bound"), SENT_LATE.values(), ids=SENT_LATE)
def test_a_client_that_sends_the_next_requests_late_is_bound(after_s: float, load: Load, *, bound: bool) -> None:
    begun = [(0.2 + after_s) * turn for turn in range(20) for _ in range(2)]
    found = figures([answer(number, at_s, (0.1, 0.2)) for number, at_s in enumerate(begun)], (), None)
    assert found.latency_ms is not None
    assert found.latency_ms.p50 == pytest.approx(200)
    assert idle(found, load) is client_bound(found, load) is bound


def test_places_that_failures_leave_unused_are_the_servers() -> None:
    broken = [replace(answer(at_s, at_s, (0.1, 0.2)), error="HTTP 503") for at_s in range(20)]
    found = figures([answer(20, 20, (0.1, 0.2)), *broken], (), None)
    assert not client_bound(found, Load(concurrency=1, requests=21))


def test_times_are_finite_and_percentiles_in_order() -> None:
    found = closed(3, 50)
    for each in (found.ttft_ms, found.itl_ms, found.latency_ms, found.chunk_ms):
        assert each is not None
        assert all(math.isfinite(value) for value in each if value is not None)
        assert each.least <= each.p50 <= each.p90 <= each.p95 <= (each.p99 or math.inf)
    assert distribution([]) is None


def test_little_s_law_holds_when_service_times_differ() -> None:
    load = Load(concurrency=6, requests=3000)
    records = ran(load, lambda number: (0.05 + 0.001 * (number * 7919 % 211), 0.002, 1 + number % 40))[0].records
    found = figures(records, (), None)
    assert found.latency_ms is not None
    assert found.steady_requests_per_s is not None
    assert found.steady_requests_per_s * found.latency_ms.mean / 1000 == pytest.approx(found.in_flight, rel=0.01)
    assert found.in_flight == pytest.approx(6, abs=NEAR * 1000)


def test_a_piece_takes_as_much_memory_as_is_said() -> None:
    tracemalloc.start()
    try:
        kept = [Piece(number * 0.001, number % 9, 1) for number in range(20_000)]
        assert tracemalloc.get_traced_memory()[0] / len(kept) == pytest.approx(PIECE_BYTES, rel=0.1)
    finally:
        tracemalloc.stop()
