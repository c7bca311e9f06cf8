from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonrepo.bench.claim import Judgement, State
from tritonrepo.bench.figures import Figures, Goodput, Slo, distribution
from tritonrepo.bench.load import Load, Prompt, Shape
from tritonrepo.bench.record import Piece, Record, Source
from tritonrepo.bench.result import Hardware, Machine, Observed, Prompts, Result, Step
from tritonrepo.bench.saved import as_data, results
from tritonrepo.diagnostics import Stop

TEN = distribution([float(value) for value in range(1, 11)])

FIGURES = Figures(
    *(10, 9, {"HTTP 500": 1}, 2.0, (0.1, 1.9), 3.5, None, 4.5, 4.5, 5.0, 90.0, None, 20.0, "server"),
    *(TEN, None, None, None, TEN, None, TEN, TEN, TEN),
    goodput=Goodput(Slo({"ttft": 500.0}), 8, 0.8, 4.0, 80.0),
)

RESULT = Result(
    "grpc://127.0.0.1:8001/rag",
    "triton-grpc",
    "rag",
    "2026-11-28T20:00:00Z",
    "tritonrepo 0.1",
    Machine(2, "a CPU", "Linux", "3.11", 0.5),
    Load(Shape.POISSON, None, 4.0, requests=10, repeats=2),
    Prompts("questions.jsonl", 10, 0.25, 128, exact=False),
    Hardware("2 A100-80GB", 141e9),
    FIGURES,
    (FIGURES, replace(FIGURES, goodput=None)),
    Observed("triton", "2.51", (Step("embedder", "1", 10, 0, 0.5, 0.1, 3.0, 0.1, 2.5),), {"generated_tokens": 90.0}),
    client_bound=False,
    judgements=(Judgement("little", State.HOLDS, "4.5 * 0.7 s = 3.2", "4", "it holds"),),
)


def record(*pieces: Piece, tokens: int | None = None, **more: float) -> Record:
    ended = more.pop("ended_s", pieces[-1].at_s if pieces else 1.0)
    return replace(Record(0, 0.0, ended, pieces, answer_tokens=tokens, source=Source.SERVER), **more)  # type: ignore[arg-type]


def test_times_of_an_answer_of_single_tokens_follow_from_its_first_and_last_text() -> None:
    made = record(Piece(0.1, 2), Piece(0.15, 2), Piece(0.2, 2), tokens=3, ended_s=0.9)
    assert made.ttft_s == pytest.approx(0.1)
    assert made.latency_s == pytest.approx(0.2)  # what ended the response at 0.9 had no text
    assert made.tpot_s == pytest.approx(0.05)
    assert made.itl_s == pytest.approx(0.05)
    assert made.gaps_s == pytest.approx((0.05, 0.05))


def test_pieces_of_several_tokens_make_gaps_longer_but_not_the_time_of_a_token() -> None:
    made = record(Piece(0.1, 9, 5), Piece(0.35, 9, 5), Piece(0.6, 9, 5), tokens=15)
    assert made.gaps_s == pytest.approx((0.25, 0.25))
    assert made.itl_s == pytest.approx(0.05)
    assert made.tpot_s == pytest.approx(0.5 / 14)  # counts the first piece as one token


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (record(Piece(0.1, 2), tokens=1), "one token"),
        (record(Piece(0.1, 2), Piece(0.2, 2)), "nobody counted"),
        (record(tokens=3), "no text"),
        (replace(record(Piece(0.1, 2), Piece(0.2, 2), tokens=3), streamed=False), "it does not stream"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_without_a_second_token_has_no_time_of_a_token(made: Record, why: str) -> None:
    assert (made.tpot_s, made.itl_s) == (None, None), why


def test_an_answer_in_one_piece_of_several_tokens_has_no_time_between_tokens() -> None:
    made = record(Piece(0.1, 9, 5), tokens=5)
    assert made.itl_s is None
    assert made.tpot_s == 0


def test_the_wait_in_the_client_counts_only_where_the_load_says_when_to_send() -> None:
    assert record().queued_s is None
    assert replace(record(), due_s=-0.25).queued_s == 0.25
    assert replace(record(), due_s=0.1).queued_s == 0  # a timer may fire early


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=120))
def test_percentiles_are_numpys(values: list[float]) -> None:
    import numpy as np

    found = distribution(values)
    assert found is not None
    wanted = [*np.percentile(values, [50, 90, 95]), np.std(values)]
    assert [found.p50, found.p90, found.p95, found.std] == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert (found.p99 is None) == (len(values) < 100)
    assert (found.least, found.most, found.n) == (min(values), max(values), len(values))


def test_no_value_has_no_distribution() -> None:
    assert distribution([]) is None


def test_a_result_is_read_as_it_was_written() -> None:
    assert results(json.dumps({"results": [as_data(RESULT)]}), "a.json") == (RESULT,)


def test_a_result_of_a_newer_version_is_read_without_what_is_not_known() -> None:
    data = as_data(RESULT)
    data["figures"]["joules"] = 3
    assert results(json.dumps({"results": [data]}), "a.json") == (RESULT,)


@pytest.mark.parametrize(
    "change",
    [
        {"figures": None},
        {"figures": [1]},
        {"figures": {**as_data(FIGURES), "sent": "10"}},
        {"figures": {**as_data(FIGURES), "sent": True}},
        {"figures": {**as_data(FIGURES), "steady_s": [1]}},
        {"load": {"shape": "square"}},
        {"repeats": {"a": 1}},
    ],
    ids=json.dumps,
)
def test_what_is_no_result_is_refused(change: dict[str, object]) -> None:
    data = as_data(RESULT) | change
    with pytest.raises(Stop, match="not a result of `tritonrepo bench`"):
        results(json.dumps({"results": [data]}), "a.json")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"results": 3}', '{"results": [3]}', '{"results": [NaN]}', "[" * 100_000]
)
def test_a_file_that_is_no_document_of_bench_is_refused(text: str) -> None:
    with pytest.raises(Stop, match="not a result of `tritonrepo bench`"):
        results(text, "a.json")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e200", f"1{'0' * 400}", "NaN", "Infinity"])
@pytest.mark.parametrize("field", ["requests_per_s", "sent"])
def test_a_number_that_no_run_can_give_is_no_figure(field: str, number: str) -> None:
    data = as_data(RESULT)
    data["figures"][field] = "here"
    text = json.dumps({"results": [data]}).replace('"here"', number)
    with pytest.raises(Stop, match="not a result of `tritonrepo bench`"):
        results(text, "a.json")


def test_a_prompt_is_a_text_unless_it_says_more() -> None:
    assert Prompt("a").documents == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3", "it is not an object with the key results"),
        ("{", "it is not JSON: Expecting property name"),
        ('{"results": 3}', "results must be a list, not 3"),
        ('{"results": [{"target": 3}]}', r"results\[0\].target must be a text, not 3"),
        ('{"results": [{"target": "a"}]}', r"results\[0\] has no protocol"),
        ('{"results": [{"load": {"shape": "x"}}]}', r"results\[0\].load.shape must be one of closed loop, Poisson"),
        ('{"results": [{"figures": {"sent": %s}}]}' % ("9" * 5000), "9… is not a figure"),
        ('{"results": [{"figures": {"duration_s": 1e400}}]}', r"results\[0\].figures.duration_s is Infinity"),
        ("[" * 100_000, "it is nested too deep"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_wrong_in_a_file_of_results_is_said_with_its_place(text: str, why: str) -> None:
    with pytest.raises(Stop, match=why):
        results(text, "a.json")
