"""Readers of tables of figures: what is read of each form, where it is, and what is not understood."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import benches
from tests.tabled import tabled
from tests.test_bench_judging import broken, measured
from tritonrepo.bench import saved
from tritonrepo.bench.claim import Claim, State
from tritonrepo.bench.judging import judge, of_result
from tritonrepo.bench.result import Observed
from tritonrepo.bench.tables import LARGEST, read
from tritonrepo.bench.tables.cells import Cell, Stated, number
from tritonrepo.bench.tables.headings import Meaning, meaning
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.report.bench.markdown import markdown

PUBLIC = Path(__file__).parent / "data" / "bench_tables"


def claims(text: str, path: str = "t.csv") -> tuple[Claim, ...]:
    return read(path, text.encode())


def stopped(content: bytes, path: str = "t.csv") -> str:
    with pytest.raises(Stop) as stop:
        read(path, content)
    (diagnostic,) = stop.value.diagnostics
    assert diagnostic.rule in {"bench-table", "bench-result"}
    assert diagnostic.hint
    return f"{diagnostic.at}: {diagnostic.message}"


def remarks(text: str) -> list[str]:
    return [f"{at}: {said}" for claim in claims(text) for at, said in claim.remarks]


MEANINGS: Mapping[str, Meaning | None] = {
    "Throughput (tok/s)": Meaning("output_tokens_per_s"),
    "Output token throughput (tok/s)": Meaning("output_tokens_per_s"),
    "Total Token throughput (tok/s)": Meaning("total_tokens_per_s"),
    "Input token throughput (tok/s)": Meaning("input_tokens_per_s"),
    "Generation throughput (tokens/second) avg": Meaning("output_tokens_per_s"),
    "Req/s": Meaning("requests_per_s"),
    "Request Throughput (per sec)": Meaning("requests_per_s"),
    "Traffic request rate": Meaning("offered_per_s"),
    "Rate (req/s)": Meaning("offered_per_s"),
    "Req Tput (RPS)": Meaning("requests_per_s"),
    "Average concurrency": Meaning("in_flight"),
    "1st Token Latency p50 (ms)": Meaning("ttft", "p50", 1.0),
    "TTFT P50": Meaning("ttft", "p50", None),
    "Median TTFT (ms)": Meaning("ttft", "p50", 1.0),
    "ttft_p99_s": Meaning("ttft", "p99", 1000.0),
    "TTFT (P99)": Meaning("ttft", "p99", None),
    "Inter Token Latency [us] avg": Meaning("itl", "mean", 0.001),
    "E2E latency p95 [s]": Meaning("latency", "p95", 1000.0),
    "p99.9 TPOT (ms)": Meaning("tpot", "p99.9", 1.0),
    "Maximum request concurrency": Meaning("concurrency"),
    "Memory efficiency": Meaning("memory_efficiency", "", None),
    "Memory efficiency (%)": Meaning("memory_efficiency", "", 0.01),
    "OSL": Meaning("output_tokens"),
    "Mean output tokens": Meaning("output_tokens", "mean"),
    "Benchmark duration (s)": Meaning("duration_s", "", 1.0),
    "Peak output token throughput (tok/s)": Meaning("ignored"),
    "Output Token Throughput Per User (tokens/sec/user)": Meaning("ignored"),
    "QPS": None,
    "RPS": None,
    "Output tput/GPU (tok/s)": None,
    "Latency (ms)": None,
    "TTFT (ms)": None,
    "Setup time": None,
    "Total generated tokens (retokenized)": None,
    "Success Rate (Percent)": None,
    "": None,
}


@tabled(("heading", "meant"), MEANINGS.items(), ids=MEANINGS)
def test_a_heading_means_a_field_or_is_not_guessed(heading: str, meant: Meaning | None) -> None:
    found = meaning(heading)
    assert (None if isinstance(found, str) else found) == meant


NUMBERS: Mapping[str, tuple[float, float, str] | str] = {
    "28": (28, 0.5, ""),
    "2,100": (2100, 50, ""),
    "2,100 tok/s": (2100, 50, "tok/s"),
    "1,000,000.5": (1000000.5, 0.05, ""),
    "180 ms": (180, 4.5, "ms"),
    "180ms": (180, 4.5, "ms"),
    "0.18 s": (0.18, 0.005, "s"),
    "92%": (92, 0.5, "%"),
    "2.1k": (2100, 50, ""),
    "~24": (24, 1.2, ""),
    "**1 234**": "is not a number",
    "**1'234**": (1234, 0.5, ""),
    "**2100** (+5%)": (2100, 50, ""),
    "28 ms (1.2x)": (28, 0.5, "ms"),
    "28 (not 25)": (28, 0.5, "not 25"),
    "(+5%)": "is not a number",
    "1.5e-3": (0.0015, 0.00005, ""),
    "28,5": "is not a number",
    "-3": (-3, 0.5, ""),
    "<1": "is a bound, not a figure",
    "≥ 100": "is a bound, not a figure",
    "100+": "is a bound, not a figure",
    "at most 92% (156 of 160 GB used, 141 GB of weights)": "is a bound, not a figure",
    "24-28": "is a range, not a figure",
    "24 – 28 ms": "is a range, not a figure",
    "nan": "is not a number",
    "Infinity": "is not a number",
    "yes": "is not a number",
    "9" * 400: "is not a number",
    "": "",
    "—": "",
    "N/A": "",
}


@tabled(("text", "wanted"), NUMBERS.items(), ids=[text[:20] for text in NUMBERS])
def test_a_number_is_read_as_people_write_it(text: str, wanted: tuple[float, float, str] | str) -> None:
    found = number(Cell(text, Span("t")))
    if isinstance(wanted, str):
        assert not isinstance(found, Stated)
        assert found.why == wanted
    else:
        assert isinstance(found, Stated)
        assert (found.value, found.unit) == (wanted[0], wanted[2])
        assert found.rounded == pytest.approx(wanted[1])


def test_a_csv_has_a_claim_for_each_row_with_the_places_of_its_cells() -> None:
    first, second = claims(
        'System,Throughput (tok/s),TTFT P50,ITL P50 (ms)\nvLLM,"2,100",180 ms,28\n"A, B",1950,0.2 s,32\n'
    )
    assert (first.name, first.output_tokens_per_s, first.ttft_p50, first.itl_p50) == ("vLLM", 2100, 180, 28)
    assert (second.name, second.ttft_p50) == ("A, B", 200)
    assert str(first.at) == "t.csv:2:1"
    assert {field: str(at) for field, at in first.cells.items()} == {
        "output_tokens_per_s": "t.csv:2:6",
        "ttft_p50": "t.csv:2:14",
        "itl_p50": "t.csv:2:21",
    }


@tabled("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    (claim,) = claims(
        delimiter.join(("Engine", "ITL P50 (ms)", "Concurrency")) + "\n" + delimiter.join(["a", "28", "8"])
    )
    assert (claim.itl_p50, claim.concurrency) == (28, 8)


def test_markdown_tables_are_read_among_prose_and_by_either_side() -> None:
    text = "[A](b) says:\n\n| Engine | ITL P50 (ms) |\n|:--|--:|\n| **a** | 28 |\n| b | ~30 |\n\nx | y\n\n"
    rows = claims(text + "| Metric | x | y |\n|---|---|---|\n| TTFT P99 (ms) | 1 | 2 |\n| Req/s | 3 | 4 |\n", "t.md")
    assert [(claim.name, claim.itl_p50, claim.ttft_p99) for claim in rows] == [
        ("**a**", 28, None),
        ("b", 30, None),
        ("x", None, 1),
        ("y", None, 2),
    ]
    assert str(rows[2].cells["requests_per_s"]) == "t.md:13:11"


@pytest.mark.parametrize("rule", ["|:-:|:-:|", "|-|-:|", "| :--- | ---: |", ":-:|:-:"])
def test_a_rule_of_markdown_is_no_row_whatever_its_alignment_and_length(rule: str) -> None:
    text = f"| Metric | a |\n{rule}\n| Concurrency | 32 |\n| Req/s | 2 |\n"
    (found,) = claims(text, "t.md")
    assert (found.concurrency, found.requests_per_s, found.remarks) == (32, 2, ())


GRID = "+----+----+\n| Concurrency | Req/s |\n+====+====+\n| 8 | 2 |\n+----+----+\n| 16 | 3 |\n+----+----+\n"


@pytest.mark.parametrize("text", [GRID, " Concurrency | Req/s\n-------------+-------\n 8 | 2\n 16 | 3\n(2 rows)\n"])
def test_tables_that_are_drawn_with_plain_characters_are_read(text: str) -> None:
    assert [(one.concurrency, one.requests_per_s) for one in claims(text, "t.txt")] == [(8, 2), (16, 3)]


SPANNED = """
|============|=========|========|======|======|
| Benchmark  | Request Latency || TTFT       ||
| Strategy   | Sec             || ms         ||
|            | Mdn     | p95    | Mdn  | p95  |
|------------|---------|--------|------|------|
| concurrent | 3.8     | 4.1    | 180  | 400  |
|============|=========|========|======|======|

|============|=====|======|=======|======|========|=======|
| Benchmark  | Requests                |||| Output Tokens ||
| Strategy   | Per Sec   || Concurrency || Per Sec       ||
|            | Mdn | Mean | Mdn   | Mean | Mdn    | Mean  |
|------------|-----|------|-------|------|--------|-------|
| concurrent | 8.4 | 8.3  | 31.0  | 30.2 | 1100   | 1080  |
"""


def test_headings_over_several_columns_are_joined_with_those_below_them() -> None:
    """As GuideLLM prints them; a median of what was in flight is no limit of it."""
    times, rates = claims(SPANNED, "t.md")
    assert (times.latency_p50, times.ttft_p50) == (3800, 180)
    assert (times.spreads["latency"]["p95"], times.spreads["ttft"]["p95"]) == (4100, 400)
    assert (rates.requests_per_s, rates.output_tokens_per_s, rates.in_flight) == (8.3, 1080, 30.2)
    assert rates.concurrency is None
    assert rates.output_tokens == pytest.approx(1080 / 8.3)
    (found,) = claims("| | TTFT (ms) | | Note |\n| Engine | mean | p99 | |\n|-|-|-|-|\n| a | 180 | 400 | |\n", "t.md")
    assert (found.name, found.ttft_mean, found.ttft_p99) == ("a", 180, 400)


def test_a_column_without_a_heading_is_not_one_of_a_heading_before_it() -> None:
    first, second = claims("| Engine | Req/s | |\n|-|-|-|\n| a | - | failed |\n| b | 2 | |\n| c | 3 | x |\n", "t.md")
    assert [(one.name, one.requests_per_s, one.remarks) for one in (first, second)] == [("b", 2, ()), ("c x", 3, ())]


def test_beside_a_highest_concurrency_a_plain_one_is_what_was_counted() -> None:
    """As in the results of AISBench: 32 at most, and 29.5 of them on average."""
    (found,) = claims("Concurrency,Max Concurrency,Req/s\n29.5,32,2\n")
    assert (found.concurrency, found.in_flight) == (32, 29.5)
    (alone,) = claims("Concurrency,Req/s\n32,2\n")
    assert (alone.concurrency, alone.in_flight) == (32, None)


COLUMNS = {
    "Max concurrency": "concurrency",
    "Req/s": "requests_per_s",
    "Output tok/s": "output_tokens_per_s",
    "Mean TTFT (ms)": "ttft_mean",
    "Mean E2E latency (ms)": "latency_mean",
    "P99 E2E latency (ms)": "latency_p99",
    "Mean TPOT (ms)": "tpot_mean",
    "Duration (s)": "duration_s",
    "Mean output tokens": "output_tokens",
}


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_digits_that_were_rounded_away_contradict_nothing(digits: int) -> None:
    """Of 0.01 requests/s, or 5 tokens/s, half may be all that was measured."""
    drawn = random.Random(digits)
    for seed in range(200):
        claim = of_result(measured(seed))
        kept = {name: value for name, field in COLUMNS.items() if (value := getattr(claim, field)) is not None}
        names = [name for name in kept if name == "Max concurrency" or drawn.random() < 0.7]
        row = [str(kept[name]) if name == "Max concurrency" else f"{kept[name]:.{digits}f}" for name in names]
        for read_ in claims(f"{','.join(names)}\n{','.join(row)}\n"):
            assert broken(read_) == [], (seed, names, row)


def test_a_row_of_which_nothing_is_understood_is_named_beside_others() -> None:
    text = "Engine,Throughput (tok/s)\na,2100\nb,900 tokens/min\nc,-\n"
    assert remarks(text) == ['t.csv:3:3: "900 tokens/min" under "Throughput (tok/s)" has no unit that is understood']
    assert [(one.name, one.output_tokens_per_s) for one in claims(text)] == [("a", 2100), ("b", None)]
    assert "no table of figures" in stopped(b"Engine,Throughput (tok/s)\nb,900 tokens/min\n")


def test_percentiles_beside_the_figures_of_a_row_are_no_table_of_one_run() -> None:
    """Of what they are percentiles is not said."""
    text = "Model,Requests/s,Concurrency,p50,p99\na,10.5,32,850,1500\nb,11.5,32,750,1400\n"
    assert [(one.name, one.requests_per_s, one.concurrency) for one in claims(text)] == [
        ("a", 10.5, 32),
        ("b", 11.5, 32),
    ]
    assert [said for _, said in claims(text)[0].remarks] == ['"p50" is not understood', '"p99" is not understood']


def test_a_rate_that_can_be_the_load_contradicts_nothing() -> None:
    """A limit of 4 at once keeps requests waiting in the client: of 10/s that are due, fewer are sent."""
    text = "QPS,Max concurrency,Request throughput (req/s),Mean E2E latency (s)\n10,4,1.3,3\n"
    (found,) = claims(text)
    assert found.requests_per_s == 1.3
    assert not broken(found)


def test_a_cell_with_two_figures_has_both() -> None:
    head = "System,Load,TTFT P50 / P99 (ms),ITL mean / p95 (ms),Tokens in / out,Note\n"
    first, second = claims(f'{head}a,8 at once,"1,686 / 2,100",18 / 20,1 / 2,slow\nb,2.5 req/s,12 / –,18,1,\n')
    assert (first.ttft_p50, first.ttft_p99, first.itl_mean, first.spreads["itl"]["p95"]) == (1686, 2100, 18, 20)
    assert (first.concurrency, first.offered_per_s) == (8, None)
    assert (second.ttft_p50, second.ttft_p99, second.itl_mean) == (12, None, None)
    assert (second.concurrency, second.offered_per_s) == (None, 2.5)
    assert first.cells["ttft_p99"].column == first.cells["ttft_p50"].column == 13
    said = [text for _, text in first.remarks]
    assert said == ['"Tokens in / out" is not understood']


def test_the_table_that_bench_publishes_is_read() -> None:
    found = [benches.result(benches.records(), slo=None), benches.result(benches.embedded(50))]
    first, second = claims(markdown([replace(each, observed=Observed()) for each in found]), "t.md")
    figures = found[0].figures
    assert figures.ttft_ms is not None
    assert figures.ttft_ms.p99 is not None
    assert first.ttft_p99 == pytest.approx(figures.ttft_ms.p99, rel=0.01)
    assert first.output_tokens_per_s == pytest.approx(figures.output_tokens_per_s, rel=0.01)
    assert first.concurrency == second.concurrency == 8
    assert second.latency_p50 is not None
    assert [text for each in (first, second) for _, text in each.remarks if "Memory" not in text] == []


def test_a_tool_that_writes_distributions_and_single_values_says_them_of_one_run() -> None:
    text = (
        "Metric,avg,min,max,p99,p90,p50\nTime To First Token (ms),10,5,20,19,15,9\n"
        "Output Sequence Length (tokens),100,100,100,100,100,100\n\n"
        "Metric,Value\nRequest Throughput (per sec),2\nOutput Token Throughput (per sec),200\n"
    )
    (claim,) = claims(text)
    assert (claim.ttft_mean, claim.ttft_p99, claim.output_tokens, claim.requests_per_s) == (10, 19, 100, 2)
    assert claim.spreads["ttft"]["max"] == 20
    assert claim.fixed_length
    assert broken(claim) == []


def test_what_is_not_understood_is_named_with_its_place() -> None:
    text = "System,Latency (ms),ITL P50,TTFT P50 (ms),TTFT P50 (ms),Setup time,Concurrency\nvLLM,5,28,<1,3,30 min,1-4\n"
    assert remarks(text) == [
        't.csv:1:8: "Latency (ms)" is not understood',
        't.csv:2:8: "28" under "ITL P50" has no unit that is understood',
        't.csv:2:11: "<1" under "TTFT P50 (ms)" is a bound, not a figure',
        't.csv:1:57: "Setup time" is not understood',
        't.csv:2:23: "1-4" under "Concurrency" is a range, not a figure',
    ]
    assert remarks("ITL P50 (ms),ITL P50 (ms)\n3,4\n") == [
        't.csv:1:14: "ITL P50 (ms)" is stated twice; the first counts'
    ]


def test_a_comma_before_decimals_is_known_by_other_cells_and_what_is_ambiguous_is_said() -> None:
    (claim,) = claims("Engine;ITL P50 (ms);TTFT P50 (ms);Throughput (tok/s)\na;28,5;1.234,5;2.100\n")
    assert (claim.itl_p50, claim.ttft_p50, claim.output_tokens_per_s) == (28.5, 1234.5, 2100)
    assert [text for _, text in claim.remarks] == [
        '"2.100" is read as 2,100, since other cells have a comma before decimals'
    ]
    (claim,) = claims("Engine;ITL P50 (ms);TTFT P50 (ms)\na;28,5;30.5\n")
    assert claim.itl_p50 is None
    assert '"28,5" has a comma before decimals, and "30.5" a point' in [text for _, text in claim.remarks]
    (claim,) = claims("Engine;Throughput (tok/s)\na;2.100\n")
    assert claim.output_tokens_per_s == 2.1
    assert "can be a number with three decimals or with a thousands separator" in claim.remarks[0][1]


@tabled(
    ("unit", "milliseconds"),
    {
        **dict.fromkeys(("ns",), 1e-6),
        **dict.fromkeys(("us", "µs", "μs"), 1e-3),
        **dict.fromkeys(("ms", "msec", "milliseconds"), 1.0),
        **dict.fromkeys(("s", "sec", "second", "seconds"), 1e3),
        **dict.fromkeys(("min", "minutes"), 6e4),
    }.items(),
)
def test_every_unit_of_time_has_its_length(unit: str, milliseconds: float) -> None:
    assert meaning(f"TTFT P50 ({unit})") == Meaning("ttft", "p50", milliseconds)


def test_a_unit_in_a_cell_counts_and_a_wrong_one_is_said() -> None:
    text = "Engine,Throughput (req/s),TTFT P50 (s),Concurrency\na,3 tok/s,180 ms,8 GPUs\n"
    (claim,) = claims(text)
    assert (claim.requests_per_s, claim.ttft_p50, claim.concurrency) == (None, 180, None)
    assert [text for _, text in claim.remarks] == [
        '"3 tok/s" under "Throughput (req/s)" has no unit that is understood',
        '"8 GPUs" under "Concurrency" has no unit that is understood',
    ]
    assert claims('Engine,Throughput\na,"2,100 tok/s"\n')[0].output_tokens_per_s == 2100


def test_conditions_that_neither_a_cell_nor_a_heading_states_are_named() -> None:
    (claim,) = claims("Engine,vLLM version,Date,OSL,Concurrency,ITL P50 (ms)\na,0.10,today,128,8,3\n")
    assert claim.unstated == ("input tokens", "number of requests", "dataset", "driver", "number of runs")
    assert claim.asked_output_tokens == 128


VLLM = {
    "backend": "vllm",
    "request_rate": "inf",
    "max_concurrency": 8,
    "duration": 10.0,
    "completed": 40,
    "total_input_tokens": 4000,
    "total_output_tokens": 8000,
    "request_throughput": 4.0,
    "output_throughput": 800.0,
    "total_token_throughput": 1200.0,
    "mean_ttft_ms": 100.0,
    "median_ttft_ms": 90.0,
    "p99_ttft_ms": 200.0,
    "mean_tpot_ms": 9.0,
    "mean_itl_ms": 9.0,
    "mean_e2el_ms": 1891.0,
}


def test_results_of_vllm_are_read_one_or_several() -> None:
    (claim,) = claims(json.dumps(VLLM, indent=1), "r.json")
    assert (claim.name, claim.concurrency, claim.succeeded, claim.output_tokens) == ("vllm", 8, 40, 200)
    assert (claim.ttft_p50, claim.latency_mean, claim.gaps) == (90, 1891, True)
    assert str(claim.cells["succeeded"]) == "r.json:6:2"
    lines = json.dumps(VLLM) + "\n" + json.dumps({**VLLM, "backend": "openai"}) + "\n"
    assert [(each.name, each.at.line) for each in claims(lines, "r.jsonl")] == [("vllm", 1), ("openai", 2)]
    assert [each.name for each in claims(json.dumps([VLLM, VLLM]), "r.json")] == ["vllm", "vllm"]
    assert broken(claim) == []


def test_documents_of_aiperf_are_read_with_their_units_and_the_concurrency_of_their_configuration() -> None:
    stats = {"unit": "s", "avg": 0.5, "p50": 0.4, "p99": 0.9, "min": 0.1, "max": 1.0, "std": 0.1}
    document = {
        "time_to_first_token": stats,
        "request_throughput": {"unit": "requests/sec", "avg": 2.0},
        "benchmark_duration": {"unit": "sec", "avg": 60.0},
        "request_latency": {"unit": "fortnights", "avg": 1.0},
        "input_config": {"endpoint": {"model_names": ["m"]}, "loadgen": {"concurrency": 4}},
    }
    (claim,) = claims(json.dumps(document), "profile_export_aiperf.json")
    assert (claim.name, claim.ttft_mean, claim.ttft_p99, claim.duration_s) == ("m", 500, 900, 60)
    assert (claim.concurrency, claim.latency_mean) == (4, None)
    assert [text for _, text in claim.remarks] == ['"request_latency" has no unit that is understood']
    warm = {"kind": "warmup", "exclude_from_results": True, "concurrency": 1}
    phases = [warm, {"kind": "profiling", "requests": 24, "concurrency": 8}]  # as aiperf 0.13 writes them
    document["input_config"] = {"models": {"items": [{"name": "llm"}]}, "phases": phases}
    (claim,) = claims(json.dumps(document), "profile_export_aiperf.json")
    assert (claim.name, claim.concurrency) == ("llm", 8)
    (early,) = claims(json.dumps({"records": {"time_to_first_token": stats}}), "x.json")
    assert early.ttft_p50 == 400


def test_results_of_ours_come_back_as_they_were_and_none_is_doubted() -> None:
    results = [measured(seed) for seed in range(20)]
    text = json.dumps({"results": [saved.as_data(each) for each in results]})
    back = claims(text, "ours.json")
    assert len(back) == 20
    for claim, result in zip(back, results, strict=True):
        assert claim == dataclasses.replace(of_result(result), at=claim.at)
        assert broken(claim) == []


def test_a_log_has_a_claim_for_each_block() -> None:
    text = (PUBLIC / "tensorrt-llm-1938.txt").read_text("utf-8")
    assert [(each.concurrency, each.sent, each.latency_p50) for each in claims(text)] == [(1, 362, 328), (5, 375, 1616)]
    (claim,) = claims((PUBLIC / "vllm-31826.txt").read_text("utf-8"))
    assert [text for _, text in claim.remarks] == [
        '"27.44 <========" under "Median TTFT (ms)" has no unit that is understood'
    ]


BAD: Mapping[str, tuple[bytes, str]] = {
    "empty": (b" \n", "t.csv: the file is empty"),
    "binary": (b"\x7fELF\0\0", "t.csv: the file is binary"),
    "not UTF-8": (b"a,b\n\xff\xfe\xfd", "t.csv: the file is not text in UTF-8: byte 4 cannot be read"),
    "prose": (b"hello\nworld\n", "t.csv: the file has no table of figures that is understood"),
    "headings alone": (b"ITL P50 (ms)\n", "t.csv: the file has no table of figures that is understood"),
    "broken JSON": (b'{"a": 1,\n  "b" 2}', "t.csv:2:7: the file is not valid JSON: Expecting ':' delimiter"),
    "cut off JSON": (b'[{"a": [', "t.csv:1:9: the file is not valid JSON: Expecting value"),
    "other JSON": (b'{"a": 1}', "t.csv: the file has no table of figures that is understood"),
    "deep JSON": (b'{"a":' + b"[" * 100_000, "t.csv: the JSON is nested too deeply"),
    "many digits": (
        b'{"a": ' + b"9" * 5000 + b"}",
        "t.csv:1:1: the file is not valid JSON: a number has too many digits",
    ),
    "too large": (b"a" * (LARGEST + 1), "t.csv: the file has more than 32 MiB, which is not a table of figures"),
    "too many rows": (b"ITL P50 (ms)\n" + b"3\n" * 1500, "t.csv:1001: the table has more than 1,000 rows"),
    "too many columns": (b"a," * 300 + b"\n1,2\n", "t.csv:1: the table has more than 100 columns"),
    "too many bars": (b"|a" * 300 + b"|\n|---|\n", "t.csv:1: the table has more than 100 columns"),
    "too many runs": (
        b'{"request_throughput": 1, "completed": 3}\n' * 1500,
        "t.csv: the file has more than 1,000 runs",
    ),
    "an open quote": (b'Engine,ITL P50 (ms)\n"vLLM,3\n', "t.csv:2:1: a quoted cell does not end on its line"),
    "no result of ours": (b'{"results": [{"target": 3}]}', "t.csv: this is not a result of `tritonrepo bench`"),
}


@tabled(("content", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_said_with_its_place(content: bytes, said: str) -> None:
    assert stopped(content).startswith(said)


HOSTILE: Mapping[str, dict[str, Any]] = {
    "not a number": {**VLLM, "mean_ttft_ms": float("nan")},
    "infinite": {**VLLM, "output_throughput": float("inf")},
    "negative": {**VLLM, "completed": -4},
    "no duration": {**VLLM, "duration": 0.0},
    "a huge integer": {**VLLM, "total_output_tokens": 10**400},
}


@tabled("data", HOSTILE.values(), ids=HOSTILE)
def test_figures_that_are_none_are_said_to_be_none(data: dict[str, Any]) -> None:
    (claim,) = claims(json.dumps(data), "r.json")
    assert "values" in {each.check for each in broken(claim)}


def test_other_kinds_of_values_in_json_are_passed_over() -> None:
    odd = {**VLLM, "duration": "long", "completed": True, "mean_itl_ms": None, "mean_tpot_ms": [1], "request_rate": {}}
    (claim,) = claims(json.dumps(odd), "r.json")
    assert (claim.duration_s, claim.succeeded, claim.itl_mean, claim.tpot_mean) == (None, None, None, None)


def test_utf_16_and_a_byte_order_mark_are_read() -> None:
    text = "Engine,ITL P50 (ms)\na,3\n"
    for encoding in ("utf-16", "utf-8-sig"):
        assert read("t.csv", text.encode(encoding))[0].itl_p50 == 3


SAID: Mapping[str, set[str]] = {
    "aiperf-340.json": {"percentiles"},
    "perf-analyzer-437.txt": {"conditions"},
    "sglang-12389.json": set(),
    "sglang-8285.txt": set(),
    "sglang-9428.txt": {"percentiles"},
    "sglang-9812.txt": set(),
    "tensorrt-llm-1938.txt": set(),
    "tt-inference-server-1446.md": {"percentiles", "conditions"},
    "tt-inference-server-1708.md": {"percentiles", "conditions"},
    "tt-inference-server-3699.md": {"conditions"},
    "tt-inference-server-4681.txt": set(),
    "vllm-12845.txt": set(),
    "vllm-15322.txt": {"percentiles"},
    "vllm-15401.txt": {"tpot-itl"},
    "vllm-18566.txt": {"tpot-itl"},
    "vllm-31826.txt": set(),
    "vllm-42497.txt": {"tpot-itl"},
    "vllm-9722.txt": set(),
}
"""Public table, named by its repository and the number of its issue → checks that say little of it; all others hold."""


@tabled(("name", "weak"), SAID.items(), ids=SAID)
def test_no_public_table_is_doubted(name: str, weak: set[str]) -> None:
    rows = claims((PUBLIC / name).read_text("utf-8"), name)
    found = [each for claim in rows for each in judge(claim)]
    assert [each for each in found if each.state is State.BROKEN] == []
    assert {each.check for each in found if each.state is State.WEAK} == weak
    assert any(each.state is State.HOLDS for each in found)


def test_every_public_table_is_judged() -> None:
    assert {path.name for path in PUBLIC.iterdir()} == set(SAID)


BITS = (
    b"nan",
    b"-1",
    b"1e999",
    b"\xff",
    b",",
    b"|",
    b'"',
    b"\n",
    b"{",
    b"]",
    b"~",
    b"<",
    b"%",
    b"9" * 99,
    b"\t",
    b";",
    b"-",
    b".",
)


def test_whatever_is_in_a_file_it_is_judged_or_refused() -> None:
    dice = random.Random(20)
    texts = [path.read_bytes() for path in sorted(PUBLIC.iterdir())]
    refused = 0
    for _ in range(400):
        content = bytearray(dice.choice(texts))
        for _ in range(dice.randrange(1, 9)):
            at = dice.randrange(len(content) + 1)
            content[at : at + dice.randrange(4)] = dice.choice(BITS)
        try:
            for claim in read("t", bytes(content)):
                judge(claim)
        except Stop:
            refused += 1
    assert 10 < refused < 390
