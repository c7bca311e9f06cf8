"""What other tools read of a load, the files that `bench` writes, and what it shows while it runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import benches
from tests.tabled import tabled
from tests.terminal import on_terminal
from tests.timed_endpoint import Schedule, timed
from tritonrepo.bench.figures import Slo
from tritonrepo.bench.load import Shape
from tritonrepo.bench.running import Progress
from tritonrepo.bench.saved import results as saved
from tritonrepo.cli import run
from tritonrepo.cli.bench_live import LINE_S, Loading, Shown
from tritonrepo.cli.bench_writing import numbered
from tritonrepo.report.bench import aiperf_records
from tritonrepo.report.bench.foreign import aiperf, vllm

RECORDS = benches.records(200, failing={"503 Service Unavailable": 4})
RESULT = benches.result(RECORDS, slo=Slo({"ttft": 100.0}))

AIPERF_UNITS = {
    "request_throughput": "requests/sec",
    "request_count": "requests",
    "error_request_count": "requests",
    "completed_request_count": "requests",
    "request_error_rate": "%",
    "request_latency": "ms",
    "time_to_first_token": "ms",
    "inter_token_latency": "ms",
    "inter_chunk_latency": "ms",
    "output_token_throughput": "tokens/sec",
    "output_token_throughput_per_user": "tokens/sec/user",
    "output_sequence_length": "tokens",
    "input_sequence_length": "tokens",
    "total_isl": "tokens",
    "total_osl": "tokens",
    "input_token_throughput": "tokens/sec",
    "total_token_throughput": "tokens/sec",
    "benchmark_duration": "sec",
    "goodput": "requests/sec",
    "good_request_count": "requests",
    "good_request_fraction": "ratio",
}
"""Metrics with their units: aiperf 0.13, src/aiperf/metrics/types."""

AIPERF_REST = {"schema_version", "was_cancelled", "is_complete", "start_time", "end_time", "error_summary"}
STATISTICS = {"unit", "avg", "min", "max", "std", "count", "sum", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95"}


def test_aiperf_has_its_metrics_in_its_units() -> None:
    made = json.loads(aiperf(RESULT, RECORDS))
    assert {name: made[name]["unit"] for name in made.keys() - AIPERF_REST} == AIPERF_UNITS
    assert made.keys() == AIPERF_REST | AIPERF_UNITS.keys()
    assert made["time_to_first_token"].keys() == STATISTICS | {"p99"}
    figures = RESULT.figures
    assert figures.ttft_ms is not None
    assert made["time_to_first_token"]["p99"] == pytest.approx(figures.ttft_ms.p99)
    assert made["time_to_first_token"]["avg"] == pytest.approx(figures.ttft_ms.mean)
    assert made["request_count"]["avg"] == 196
    assert made["error_summary"] == [{"count": 4, "error_details": {"message": "503 Service Unavailable"}}]
    assert made["start_time"] == "2026-05-04T10:30:00+00:00"
    assert (made["completed_request_count"]["avg"], made["request_error_rate"]["avg"]) == (200, 2.0)
    assert (made["total_isl"]["avg"], made["total_osl"]["avg"], made["is_complete"]) == (196 * 512, 196 * 64, True)
    assert made["total_token_throughput"]["avg"] == pytest.approx(196 * 576 / figures.duration_s)
    assert made["input_token_throughput"]["avg"] == pytest.approx(196 * 512 / figures.duration_s)
    assert made["output_token_throughput_per_user"].keys() == STATISTICS | {"p99"}


def test_aiperf_without_records_has_what_the_result_has_and_no_tail_of_few() -> None:
    made = json.loads(aiperf(RESULT))
    assert made["time_to_first_token"].keys() == STATISTICS - {"p1", "p5", "p10", "p25", "p75"} | {"p99"}
    assert "output_token_throughput_per_user" not in made
    few = benches.records(99)
    made = json.loads(aiperf(benches.result(few), few))
    assert [name for name, found in made.items() if name in AIPERF_UNITS and "p99" in found] == ["inter_chunk_latency"]
    embedder = json.loads(aiperf(benches.result(benches.embedded(120))))
    assert not {"time_to_first_token", "output_token_throughput", "goodput"} & embedder.keys()


def test_aiperf_says_that_a_run_ended_early() -> None:
    cancelled = json.loads(aiperf(replace(RESULT, ended_early="interrupted")))
    gone = json.loads(aiperf(replace(RESULT, ended_early="the server is gone", began="yesterday")))
    assert (cancelled["was_cancelled"], cancelled["is_complete"]) == (True, False)
    assert (gone["was_cancelled"], gone["incomplete_reason"]) == (False, "the server is gone")
    assert gone["start_time"] is None


def test_aiperf_has_each_request_in_its_units_and_with_what_its_plots_need() -> None:
    """Keys without a default in aiperf 0.13, src/aiperf/common/models/record_models.py, and those of its analysis."""
    warm = replace(RECORDS[9], warm_up=True)
    made = [json.loads(line) for line in aiperf_records.lines(RESULT, [warm, *RECORDS])]
    assert len(made) == 201
    needed = {"session_num", "request_start_ns", "request_end_ns", "worker_id", "record_processor_id"}
    assert made[0]["metadata"].keys() >= needed | {"benchmark_phase", "conversation_id", "turn_index"}
    assert [each["metadata"]["benchmark_phase"] for each in made[:2]] == ["warmup", "profiling"]
    assert len({each["metadata"]["conversation_id"] for each in made}) == 201
    assert (made[1]["metrics"], made[1]["error"]["message"]) == ({}, "503 Service Unavailable")
    one, record = made[10]["metrics"], RECORDS[9]
    assert {name: found["unit"] for name, found in one.items()}.items() <= AIPERF_UNITS.items()
    assert one["request_latency"]["value"] == pytest.approx(1000 * record.latency_s)
    assert one["inter_chunk_latency"]["value"] == pytest.approx([1000 * gap for gap in record.gaps_s])
    times = made[10]["metadata"]
    assert times["request_end_ns"] - times["request_start_ns"] == pytest.approx(1e9 * (record.ended_s - record.sent_s))
    assert times["request_start_ns"] == pytest.approx(1777890600 * 10**9 + 1e9 * record.sent_s)
    (undated,) = aiperf_records.lines(replace(RESULT, began="yesterday"), [record])
    assert json.loads(undated)["metadata"]["request_start_ns"] == round(1e9 * record.sent_s)


VLLM = {
    *("date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts", "request_rate"),
    *("burstiness", "max_concurrency", "duration", "completed", "failed", "total_input_tokens", "total_output_tokens"),
    *("request_throughput", "request_goodput", "output_throughput", "total_token_throughput", "rtfx"),
    *(
        f"{share}_{metric}_ms"
        for share in ("mean", "median", "std", "p99")
        for metric in ("ttft", "tpot", "itl", "e2el")
    ),
}
"""Keys of vLLM's file: vLLM 0.32, vllm/benchmarks/serve.py."""

LISTS = {"input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times", "errors"}
DETAILED = LISTS | {"max_output_tokens_per_s", "max_concurrent_requests"}


def test_vllm_has_its_keys_and_its_meaning_of_itl() -> None:
    made = json.loads(vllm(RESULT))
    assert made.keys() >= VLLM
    assert not made.keys() & DETAILED
    bundled = benches.result([replace(one, answer_tokens=128) if one.ok else one for one in RECORDS])
    assert bundled.figures.chunk_ms is not None
    assert bundled.figures.itl_ms is not None
    assert json.loads(vllm(bundled))["mean_itl_ms"] == pytest.approx(bundled.figures.chunk_ms.mean)
    assert bundled.figures.chunk_ms.mean > 1.9 * bundled.figures.itl_ms.mean
    assert (made["completed"], made["failed"], made["num_prompts"]) == (196, 4, 200)
    assert made["total_output_tokens"] == 196 * 64
    assert (made["request_rate"], made["max_concurrency"]) == ("inf", 8)
    open_loop = replace(RESULT, load=replace(RESULT.load, shape=Shape.POISSON, rate=4.0, concurrency=None))
    assert json.loads(vllm(open_loop))["request_rate"] == 4.0
    assert "\n" not in vllm(RESULT)


def test_vllm_has_each_request_with_the_records_and_counts_tokens_not_chunks() -> None:
    bundled = [replace(one, answer_tokens=128) if one.ok else one for one in RECORDS]
    made = json.loads(vllm(RESULT, [replace(bundled[5], warm_up=True), *bundled]))
    assert made.keys() >= VLLM | DETAILED
    assert {len(made[name]) for name in LISTS} == {200}
    assert (made["errors"][0], made["ttfts"][0], made["itls"][0]) == ("503 Service Unavailable", 0.0, [])
    assert len(made["itls"][10]) == 63
    plain = json.loads(vllm(RESULT, RECORDS))
    assert isinstance(plain["max_output_tokens_per_s"], float)
    assert plain["max_output_tokens_per_s"] > 100
    assert plain["max_concurrent_requests"] == 8
    assert "generated_texts" not in plain
    assert plain["latencies"][10] == pytest.approx(RECORDS[10].latency_s)


def test_vllm_says_how_long_requests_waited_in_the_client_and_counts_texts_of_an_embedder() -> None:
    late = [replace(RECORDS[9], due_s=RECORDS[9].sent_s - 0.25), replace(RECORDS[10], due_s=None)]
    assert json.loads(vllm(RESULT, late))["queue_times"] == [pytest.approx(0.25), 0.0]
    found = benches.embedded(120)
    result = benches.result(found)
    made = json.loads(vllm(replace(result, prompts=result.prompts._replace(max_tokens=None)), found))
    assert made["total_input_sequences"] == 120 * 16
    assert made["input_sequence_throughput"] == pytest.approx(result.figures.items_per_s)
    assert "total_input_sequences" not in json.loads(vllm(RESULT))


def test_no_password_of_a_url_in_an_error_is_written() -> None:
    found = benches.records(20, failing={"no route to http://ann:secret@proxy": 1})
    result = benches.result(found)
    assert "secret" not in vllm(result, found) + aiperf(result, found)
    assert "proxy" in vllm(result, found)
    assert "proxy" in aiperf(result, found)


def test_vllm_has_no_tail_of_few() -> None:
    few = json.loads(vllm(benches.result(benches.records(99))))
    assert (few["p99_ttft_ms"], few["p99_e2el_ms"]) == (None, None)
    assert few["p95_ttft_ms"] > 0


NUMBERED: dict[int, list[str]] = {1: ["a/x.json"], 2: ["a/x-1.json", "a/x-2.json"]}


@tabled("number,paths", NUMBERED.items())
def test_files_of_several_results_are_numbered(number: int, paths: list[str]) -> None:
    assert [str(path) for path in numbered(Path("a/x.json"), number)] == paths


FILES = ("--output r.json", "--records r.jsonl", "--html r.html", "--markdown r.md", "--aiperf .", "--vllm v.json")


@pytest.fixture(autouse=True)
def here(inside: Path) -> Path:
    return inside


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with timed() as found:
        yield f"{found}/v1"


def questions(number: int) -> list[str]:
    """Write the prompts, and return the words of a command that asks them."""
    rows = [json.dumps({"prompt": Schedule(n, pieces=3, first_s=0.001).text()}) for n in range(number + 8)]
    Path("q.jsonl").write_text("\n".join(rows), "utf-8")
    return ["--questions", "q.jsonl", "--metrics", "none", "--model", "m", "--requests", str(number), "--warmup", "1"]


def test_all_files_are_written_after_the_run(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for file in FILES for word in file.split(" ")]
    run(["bench", url, *questions(20), *words])
    said = capsys.readouterr()
    assert [line.removeprefix("written: ") for line in said.err.splitlines() if line.startswith("written: ")] == [
        *("r.json", "r.jsonl", "r.html", "r.md", "profile_export_aiperf.json", "profile_export.jsonl", "v.json"),
    ]
    (result,) = saved(Path("r.json").read_text("utf-8"), "r.json")
    assert result.figures.sent == 20
    requests = [json.loads(line) for line in Path("r.jsonl").read_text("utf-8").splitlines()]
    assert sum(not each["warm_up"] for each in requests) == 20
    assert Path("r.html").read_text("utf-8").startswith("<!doctype html>")
    assert "| `http://127.0.0.1" in Path("r.md").read_text("utf-8")
    assert json.loads(Path("profile_export_aiperf.json").read_text("utf-8"))["request_count"]["avg"] == 20
    assert len(Path("profile_export.jsonl").read_text("utf-8").splitlines()) == len(requests)
    assert json.loads(Path("v.json").read_text("utf-8"))["completed"] == 20
    assert "requests" in said.out


def test_a_sweep_writes_a_file_of_aiperf_for_each_level(inside: Path, url: str) -> None:
    run(["bench", "sweep", url, *questions(8), "--concurrency", "1,2", "--whole", "--aiperf", "a.json", "--vllm", "v"])
    assert sorted(path.name for path in inside.glob("*.json")) == ["a-1.json", "a-2.json"]
    assert [json.loads(line)["max_concurrency"] for line in Path("v").read_text("utf-8").splitlines()] == [1, 2]


def test_in_a_directory_each_level_of_a_sweep_is_a_run_of_its_own_for_aiperf(inside: Path, url: str) -> None:
    run(["bench", "sweep", url, *questions(8), "--concurrency", "1,2", "--whole", "--aiperf", "runs"])
    found = sorted(str(path.relative_to(inside / "runs")) for path in (inside / "runs").rglob("*") if path.is_file())
    assert found == [f"{n}/profile_export{rest}" for n in (1, 2) for rest in (".jsonl", "_aiperf.json")]


def test_with_json_stdout_is_the_document_alone(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["bench", url, *questions(5), "--format", "json", "--output", "r.json"])
    out = capsys.readouterr().out
    assert [each.target for each in saved(out, "-")] == [url]
    assert json.loads(out)["results"] == json.loads(Path("r.json").read_text("utf-8"))["results"]


REFUSED: dict[str, tuple[list[str], str]] = {
    "a directory": (["--output", "."], '"." cannot be written: it is a directory'),
    "a URI": (["--html", "s3://b/x"], '"s3://b/x" cannot be written: use a path on this machine'),
    "below a file": (["--records", "q.jsonl/x"], '"q.jsonl/x" cannot be written: Not a directory'),
    "an empty path": (["--vllm", ""], "the path is empty"),
    "the same file twice": (["--output", "x", "--vllm", "./x"], "--output and --vllm name the same file: x"),
    "a file of aiperf below a file": (["--aiperf", "q.jsonl/x"], '"q.jsonl/x" cannot be written'),
    "aiperf's requests": (
        ["--aiperf", "d", "--records", "d/profile_export.jsonl"],
        "--records and --aiperf name the same file: d/profile_export.jsonl",
    ),
    "aiperf's own file": (
        ["--aiperf", ".", "--output", "profile_export_aiperf.json"],
        "--output and --aiperf name the same file: profile_export_aiperf.json",
    ),
}


@pytest.mark.parametrize(("words", "says"), REFUSED.values(), ids=REFUSED)
def test_a_place_that_cannot_be_written_is_refused_before_the_run(
    inside: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    more = questions(1)
    assert run(["bench", "http://127.0.0.1:9/v1", *more, *words]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""
    assert [path.name for path in inside.iterdir()] == ["q.jsonl"]


def test_results_are_not_lost_with_a_file_for_them(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    class Late:
        """A directory takes the name while the load runs."""

        def __enter__(self) -> Callable[[Progress], None]:
            return lambda _: Path("r.json").mkdir(exist_ok=True)

        def __exit__(self, *_: object) -> None: ...

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tritonrepo.cli.bench_run.loading", lambda _: Late())
        assert run(["bench", url, *questions(5), "--output", "r.json"]) == 2
    said = capsys.readouterr()
    assert "output tok/s" in said.out
    assert "r.json" in said.err


def progress(**given: Any) -> Progress:  # noqa: ANN401  fields
    at = Progress(20, 10, 1, 9, 500, 5.0, 100, None, "measuring")
    return at._replace(**given)


LINES: dict[str, tuple[Sequence[Progress], str]] = {
    "nothing yet": ([], ""),
    "a rate and what is left": (
        [progress(sent=0, answered=0, failed=0, tokens=0, elapsed_s=0.0), progress()],
        "x: measuring 0:05, 20 of 100 sent, 10 answered, 1 failed, 9 in flight, 100 tok/s, 0:44 left",
    ),
    "the end that comes first": (
        [progress(answered=0, failed=0, elapsed_s=0.0, tokens=0), progress(of_s=12.0)],
        "x: measuring 0:05, 20 of 100 sent, 10 answered, 1 failed, 9 in flight, 100 tok/s, 0:07 left",
    ),
    "no end": (
        [progress(of_requests=None, failed=0, tokens=0)],
        "x: measuring 0:05, 20 sent, 10 answered, 9 in flight, 0/s",
    ),
    "another phase": (
        [progress(phase="warm-up", answered=0, elapsed_s=0.0), progress(failed=0)],
        "x: measuring 0:05, 20 of 100 sent, 10 answered, 9 in flight, 0 tok/s",
    ),
}


@tabled("heard,line", LINES.values(), ids=LINES)
def test_the_line_says_how_far_a_load_is(heard: Sequence[Progress], line: str) -> None:
    loading = Loading("x")
    for each in heard:
        loading.hear(each)
    assert loading.line == line


def test_without_a_terminal_each_phase_is_a_line_and_then_one_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    shown = Shown(Loading("x"), None, lambda: now[0])
    for sent, phase in ((0, "warm-up"), (2, "warm-up"), (0, "measuring"), (5, "measuring")):
        shown.hear(progress(sent=sent, phase=phase))
    now[0] = LINE_S
    shown.hear(progress(sent=30))
    shown.hear(progress(sent=90, phase="finishing"))
    shown.draw()
    shown.clear()
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        *("x: warm-up", "x: measuring", "x: measuring 0:05"),
    ]


def test_with_quiet_nothing_is_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["bench", url, *questions(3), "-q", "--output", "r.json"])
    assert not [line for line in capsys.readouterr().err.splitlines() if "measuring" in line or "written" in line]


def test_on_a_terminal_a_line_is_drawn_and_removed(url: str) -> None:
    rows = [json.dumps({"prompt": Schedule(n, pieces=2, first_s=0.1).text()}) for n in range(20)]
    Path("q.jsonl").write_text("\n".join(rows), "utf-8")
    words = ["--questions", "q.jsonl", "--metrics", "none", "--model", "m", "--requests", "12", "--warmup", "0"]
    command = [sys.executable, "-m", "tritonrepo", "bench", url, *words]
    ran = on_terminal(command, {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}, 100)
    assert [text for text in ran.texts if "measuring 0:0" in text or "finishing 0:0" in text]
    assert "requests" in ran.out


def test_two_results_keep_their_records_apart(url: str) -> None:
    run(["bench", url, f"{url}/chat/completions", *questions(4), "--records", "r.jsonl"])
    found = [json.loads(line) for line in Path("r.jsonl").read_text("utf-8").splitlines()]
    assert [(each["result"], each["target"]) for each in found if not each["warm_up"]] == [
        *[(0, url)] * 4,
        *[(1, f"{url}/chat/completions")] * 4,
    ]
