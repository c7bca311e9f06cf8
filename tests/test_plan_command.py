"""`tritonrepo plan`: the answer, how it follows, what is refused, and the exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests import benches
from tests.planned import HELD, LIMITS, SWEEP, TWO_H200, closed, figures, flat, random, result, written
from tritonrepo.bench.claim import Judgement, State
from tritonrepo.bench.figures import Goodput
from tritonrepo.bench.load import Load, Shape
from tritonrepo.bench.result import Hardware, Observed, Result, Step
from tritonrepo.bench.saved import results
from tritonrepo.cli import run
from tritonrepo.report.bench import data as bench

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "schemas" / "plan.schema.json").read_text("utf-8"))
LLAMA = str(ROOT / "examples" / "models" / "vllm-llama")
MADE_UP = ROOT / "tests" / "data" / "plan" / "made-up.json"
SLO = ["--peak", "12/s", "--slo", "ttft=500,itl=50"]


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Return the exit code of a command, and its document."""
    code = run(["plan", *arguments, "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    return code, found


def swept(place: Path, found: Sequence[Result] = SWEEP) -> list[str]:
    return ["--bench", written(place / "result.json", found)]


def test_the_answer_comes_first_and_every_number_has_its_arithmetic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "llama: 4 replicas of 2 H200: 8 GPUs\n"
        "peak 12/s with TTFT ≤ 500 ms and ITL ≤ 50 ms in 95% of requests; headroom 66%, 25% with one replica lost\n"
    )
    for row in (
        "λ_SLO, measured            5/s      between 4/s with 0.99 and 6/s with 0.91, where a line crosses 0.95",
        "in flight at the peak      42       λ · W = 12/s × 3.5 s, by Little's law",
        "λ by memory, llama         18.29/s  64 ÷ 3.5 s, by Little's law",
        "replicas                   4        ceil(12/s ÷ 5/s) + spare = 3 + 1",
        "headroom, one lost         25%      3 × 5/s ÷ 12/s - 1",
        "GPUs                       8        4 replicas × 2 GPUs of a pod",
        "3       6/s at random  6/s       91.00%        4000 ms  1,200     misses",
    ):
        assert row in said


def test_the_document_has_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, LLAMA, *SLO, *swept(tmp_path))
    made = found["plan"]
    assert (code, made["met"], made["replicas"], made["carrying"], made["gpus"]) == (0, True, 4, 3, 8)
    assert (made["rate_per_s"], made["headroom"], made["headroom_one_lost"]) == (5, 0.666667, 0.25)
    assert [each["per_s"] for each in made["bounds"]] == [5, 18.2857]
    assert [each["result"] for each in made["measured"]["points"]] == [1, 2, 3, 4]
    assert made["memory"][0]["requests_at_a_time"] == 64
    assert made["memory"][0]["limited_by"] == "max_num_seqs"
    by_name = {each["gpu"]: each for each in made["alternatives"]}
    assert (by_name["H200"]["gpus"], by_name["A100-40GB"]["gpus"]) == (2, 8)
    assert by_name["T4"]["note"] == "no bfloat16"


def test_the_stack_of_this_directory_is_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(LLAMA)
    assert run(["plan", *SLO]) == 0
    assert capsys.readouterr().out.startswith("llama: ")


def test_models_beside_an_engine_need_room_on_every_gpu_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = shutil.copytree(ROOT / "examples" / "models" / "rag", tmp_path / "rag") / "tritonrepo.yaml"
    text = stack.read_text("utf-8")
    assert "gpu_memory_utilization: 0.5," in text
    stack.write_text(text.replace("gpu_memory_utilization: 0.5,", "gpu_memory_utilization: 0.998,"), "utf-8")
    _, found = document(capsys, str(stack), *SLO)
    by_name = {each["gpu"]: each for each in found["plan"]["alternatives"]}
    assert by_name["L4"]["note"].startswith("no room for embedder")
    assert (by_name["L4"]["state"], by_name["L4"]["requests_at_a_time"]) == ("does not fit", None)
    assert by_name["H200"]["note"] == ""


def test_markdown_has_the_same_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path), "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# llama: 4 replicas of 2 H200: 8 GPUs\n\npeak 12/s")
    assert "\n## How it follows\n\n| number | value | from |\n|---|---|---|\n" in said
    assert "\n| λ\\_SLO, measured | 5/s | between 4/s" in said
    assert "\n## Assumed\n\n- Requests arrive at random" in said


def test_without_a_result_memory_and_the_command_that_measures_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", LLAMA, *SLO, "--input-tokens", "6144", "--output-tokens", "2048"]) == 0
    said = capsys.readouterr().out
    assert "the replicas are not known, since nothing was measured" in said
    assert "by memory, a replica runs at least 45 requests of 8,192 tokens at a time (llama)" in said
    options = "--gpu H200 --gpus 2 --max-num-seqs 64 --slo ttft=500,itl=50 --output result.json"
    command = f"tritonrepo bench sweep grpc://127.0.0.1:8001/llama {options}"
    assert said.endswith(f"To know more, measure this and add each file with --bench\n  {command}\n")
    code, found = document(capsys, LLAMA, *SLO)
    assert (code, found["plan"]["met"], found["plan"]["replicas"], found["plan"]["measured"]) == (0, True, None, None)


@pytest.mark.parametrize("form", ["text", "markdown"])
@pytest.mark.parametrize("name", ["rag", "search", "mixed"])
def test_every_example_says_how_it_is_measured(name: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", str(ROOT / "examples" / "models" / name), *SLO, "--format", form]) == 0
    said = capsys.readouterr().out
    sweep = {"rag": "rag --max-num-seqs 64"}.get(name, "search")
    assert f"bench sweep grpc://127.0.0.1:8001/{sweep} --slo" in said


def test_a_closed_loop_is_used_with_room_for_random_arrivals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loops = [closed(1, 0.5, 1.0), closed(8, 3, 1.0), closed(32, 7, 0.99), closed(64, 8, 0.5)]
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path, loops)]) == 0
    said = capsys.readouterr().out
    assert "λ_SLO, measured            5.096/s  throughput 7/s with 32 in flight × 0.728" in said
    assert "- A closed loop hides queueing: no request was sent before another was answered." in said
    ends = "--requests 400 --gpu H200 --gpus 2 --max-num-seqs 64 --slo ttft=500,itl=50 --output"
    assert f"bench run grpc://127.0.0.1:8001/llama --rate 5.1 {ends} rate-1.json\n" in said
    assert f"bench run grpc://127.0.0.1:8001/llama --rate 6.05 {ends} rate-2.json\n" in said


NEVER = {
    "a single request": ([closed(1, 0.5, 0.2)], "a single request at a time misses the SLO: 0.2 of its requests kept"),
    "the lowest load": ([random(2, 0.9)], "the lowest load that was measured, 2/s, misses the SLO: 0.9 of its"),
    "the lowest of loops": ([closed(8, 4, 0.5)], "the lowest load that was measured, 8 in flight, misses the SLO"),
    "not one request": ([random(2, 0.0)], "not one request of the lowest load kept the SLO"),
}


@pytest.mark.parametrize(("found", "why"), NEVER.values(), ids=NEVER)
def test_an_slo_that_no_load_keeps_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], found: Sequence[Result], why: str
) -> None:
    options = swept(tmp_path, found)
    assert run(["plan", LLAMA, *SLO, *options]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"llama: {why}")
    assert "no number of replicas can be given" in said
    code, data = document(capsys, LLAMA, *SLO, *options)
    assert (code, data["plan"]["met"], data["plan"]["replicas"], len(data["plan"]["wrong"])) == (1, False, None, 1)


def test_another_slo_is_judged_by_percentiles_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = swept(tmp_path, SWEEP[:2])
    assert run(["plan", LLAMA, "--peak", "12/s", "--slo", "ttft=300", *options]) == 0
    said = capsys.readouterr().out
    assert "; fewer may do: no higher load was judged by this SLO\n" in said
    assert "- The rate is at least this much: no higher load was measured." in said
    assert " --rate 5 --requests 400 " in said
    one = figures(2, 1.0, slo=None, ttft_ms=flat(200)._replace(p99=400, most=900))
    options = swept(tmp_path, [result(one, SWEEP[0].load)])
    assert run(["plan", LLAMA, "--peak", "12/s", "--slo", "ttft=350", "--share", "98", *options]) == 1
    assert "whether the lowest load keeps the SLO is not known: 0.95 to 0.99 of its" in capsys.readouterr().out


def test_models_that_do_not_fit_exit_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, LLAMA, *SLO, "--gpu", "L4")
    assert (code, found["plan"]["met"]) == (1, False)
    assert found["plan"]["wrong"] == ["llama does not fit the GPUs of a replica (L4)"]


DIFFERENT: Mapping[str, tuple[Result, str]] = {
    "another model": (replace(SWEEP[1], model="other"), 'the model is "other", but the stack has llama, llama_prompt'),
    "other GPUs": (
        replace(SWEEP[1], hardware=Hardware(gpus="2 x A100-80GB")),
        "the GPU is A100-80GB, but the stack's target has the memory of H200",
    ),
    "more GPUs": (
        replace(SWEEP[1], hardware=Hardware(gpus="H200 x4")),
        "a replica has 4 GPUs, but 2 in the stack",
    ),
    "another max_num_seqs": (
        replace(SWEEP[1], hardware=TWO_H200._replace(max_num_seqs=256)),
        "max_num_seqs is 256, but the stack sets 64",
    ),
}


@pytest.mark.parametrize(("one", "why"), DIFFERENT.values(), ids=DIFFERENT)
def test_results_of_something_else_are_refused_unless_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one: Result, why: str
) -> None:
    options = swept(tmp_path, [one])
    assert run(["plan", LLAMA, *SLO, *options]) == 2
    said = capsys.readouterr().err
    assert f"{why} [plan-mismatch]" in said
    assert "or add --accept-mismatch" in said
    code, found = document(capsys, LLAMA, *SLO, *options, "--accept-mismatch")
    assert code == 0
    assert [(each["rule"], each["severity"]) for each in found["diagnostics"]] == [
        ("plan-mismatch-accepted", "warning")
    ]


def test_longer_requests_and_mixed_sweeps_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path), "--output-tokens", "512"]) == 2
    assert "answers of 512 tokens are planned for, but those that were measured have 128" in capsys.readouterr().err
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path), "--output-tokens", "64"]) == 0
    capsys.readouterr()
    other = Hardware(gpus="2 x H200", max_num_seqs=128)
    mixed = [SWEEP[0], replace(SWEEP[1], hardware=other, figures=figures(4, 1.0, tokens=(512, 256)))]
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path, mixed)]) == 2
    said = capsys.readouterr().err
    assert "the results are not of one server: max_num_seqs is 64, 128 [plan-mismatch]" in said
    assert "the results are not of one sweep: mean answers have 128 to 256 tokens" in said


def test_the_result_names_the_gpus_if_the_stack_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = Path(LLAMA, "tritonrepo.yaml").read_text("utf-8").replace(", gpu_memory: 141GiB", "")
    (tmp_path / "tritonrepo.yaml").write_text(stack)
    (tmp_path / "tritonrepo.lock").write_bytes(Path(LLAMA, "tritonrepo.lock").read_bytes())
    code, found = document(capsys, str(tmp_path), *SLO, *swept(tmp_path))
    assert (code, found["plan"]["gpu"], found["plan"]["memory"][0]["state"]) == (0, "H200", "fits")
    nobody = [replace(each, hardware=Hardware()) for each in SWEEP]
    code, found = document(capsys, str(tmp_path), *SLO, *swept(tmp_path, nobody))
    assert (code, found["plan"]["gpu"], found["plan"]["memory"][0]["state"]) == (0, "", "unknown")
    assert any("do not say which GPUs" in each for each in found["plan"]["assumed"])


def test_what_bench_writes_is_what_plan_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = Hardware(max_num_seqs=64)
    swept_levels = [replace(one, hardware=here, observed=Observed()) for one, _ in benches.sweep()]
    (tmp_path / "result.json").write_text(bench.document(swept_levels, ()), "utf-8")
    options = ["--peak", "30/s", "--slo", "ttft=200", "--bench", str(tmp_path / "result.json")]
    code, found = document(capsys, str(ROOT / "examples" / "models" / "rag"), *options)
    measured = found["plan"]["measured"]
    assert (code, measured["arrivals"], len(measured["points"])) == (0, "closed loop", 7)
    kept = [each["concurrency"] for each in measured["points"] if each["share"]["least"] >= 0.95]
    assert kept == [1, 2, 4, 8, 16]
    assert measured["from"] == 5
    by_hand = swept_levels[4].figures
    assert measured["rate_per_s"] < (by_hand.steady_requests_per_s or by_hand.requests_per_s)
    floor = [replace(one, hardware=TWO_H200._replace(gpus="", weights_bytes=141e9, bandwidth=4e12)) for one in SWEEP]
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path, floor)]) == 2
    assert "faster than the memory can be read" in capsys.readouterr().err


BROKEN = Judgement("itl-ceiling", State.BROKEN, "2,100/s", "1,143/s", "more tokens than can be", "64 were in flight")
UNREAL: Mapping[str, tuple[Result, str]] = {
    "a broken judgement": (
        replace(SWEEP[0], judgements=(HELD, BROKEN)),
        "cannot be true: more tokens than can be: 2,100/s, but 1,143/s [plan-result-broken]",
    ),
    "too much for a number": (
        replace(SWEEP[0], figures=replace(SWEEP[0].figures, requests_per_s=2e15)),
        "has figures.requests_per_s 2e+15, which must be a number from 0 to 1e+15",
    ),
    "a negative time": (
        replace(SWEEP[0], figures=replace(SWEEP[0].figures, ttft_ms=flat(-5))),
        "has figures.ttft_ms.mean -5, which must be",
    ),
    "a rate of zero": (
        replace(SWEEP[0], figures=replace(SWEEP[0].figures, requests_per_s=0.0)),
        "has requests that succeeded, but 0 of them per second",
    ),
    "a load without a rate": (
        replace(SWEEP[0], load=Load(Shape.POISSON, None, 0.0)),
        "has a load of 0 requests per second",
    ),
    "more answers than requests": (
        replace(SWEEP[0], figures=replace(SWEEP[0].figures, sent=10)),
        "has 1,200 requests that succeeded, but only 10 that were sent",
    ),
    "more good than all": (
        replace(SWEEP[0], figures=replace(SWEEP[0].figures, goodput=Goodput(LIMITS, 1200, 1.5, 2.0, None))),
        "has 1,200 good requests, a share of 1.5, of 1,200 that succeeded",
    ),
    "too much for an integer": (
        replace(SWEEP[0], load=Load(concurrency=10**16)),
        "has load.concurrency 10000000000000000, which must be",
    ),
}


@pytest.mark.parametrize(("one", "why"), UNREAL.values(), ids=UNREAL)
def test_results_that_cannot_be_true_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one: Result, why: str
) -> None:
    assert run(["plan", LLAMA, *SLO, *swept(tmp_path, [SWEEP[1], one]), "--accept-mismatch"]) == 2
    said = capsys.readouterr().err
    assert f"result 2, grpc://127.0.0.1:8001/llama, {why}" in said


UNREADABLE = {
    "empty": b"",
    "not JSON": b"results: []",
    "not UTF-8": b'{"results": ["\xff"]}',
    "not a number": b'{"results": [{"figures": NaN}]}',
    "cut off": b'{"results": [{"target": "x"',
    "another document": b'{"schema": 1}',
    "no object": b"[]",
    "deep": b"[" * 100_000,
    "results of another kind": b'{"results": [1]}',
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_result_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert run(["plan", LLAMA, *SLO, "--bench", str(tmp_path / "a.json")]) == 2
    assert f"{tmp_path / 'a.json'}: fatal: " in (said := capsys.readouterr().err)
    assert "[bench-result]" in said


def test_a_file_without_results_or_that_is_missing_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text('{"results": []}')
    assert run(["plan", LLAMA, *SLO, "--bench", str(tmp_path / "a.json")]) == 2
    assert "the file has no results [plan-result]" in capsys.readouterr().err
    assert run(["plan", LLAMA, *SLO, "--bench", str(tmp_path / "b.json")]) == 2
    assert "b.json: fatal: the file does not exist [bench-result]" in capsys.readouterr().err


def test_of_several_targets_one_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = [replace(each, target="http://b/v1/chat/completions", protocol="openai-chat") for each in SWEEP[:2]]
    options = swept(tmp_path, [*other, *SWEEP])
    assert run(["plan", LLAMA, *SLO, *options]) == 2
    assert "the results are of 2 targets, and a plan is made from one" in capsys.readouterr().err
    code, found = document(capsys, LLAMA, *SLO, *options, "--target", SWEEP[0].target)
    assert (code, found["plan"]["rate_per_s"]) == (0, 5)
    assert run(["plan", LLAMA, *SLO, *options, "--target", "http://c"]) == 2
    assert 'no result has the target "http://c"' in capsys.readouterr().err


def test_hundreds_of_results_in_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [random(1 + n / 1000, 1.0) for n in range(700)]
    options = swept(tmp_path, many)
    (tmp_path / "b").mkdir()
    options += swept(tmp_path / "b", SWEEP[2:])
    assert run(["plan", LLAMA, *SLO, *options]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) < 80
    assert "702     8/s at random" not in said
    code, found = document(capsys, LLAMA, *SLO, *options)
    assert (code, len(found["plan"]["measured"]["points"])) == (0, 702)


SEARCH = str(ROOT / "examples" / "models" / "search")


def test_a_search_alone_needs_no_gpu_and_a_limit_of_the_latency(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = Load(Shape.POISSON, None, 20.0, requests=1200)
    steps = (
        Step("embedder_model", "1", 1200, 0, 0.5, 0.1, 9.8, 0.1, 2.0),
        Step("search", "1", 1200, 0, 0, 0, 12, 0, None),
    )
    one = result(
        replace(figures(20, 1.0, latency_s=0.02, slo=None, tokens=None), items_per_s=160.0),
        load,
        model="search",
        hardware=Hardware(),
        steps=steps,
    )
    options = swept(tmp_path, [one])
    assert run(["plan", SEARCH, "--peak", "3000/min", "--slo", "latency=50", *options]) == 0
    said = capsys.readouterr().out
    assert said.startswith("handbook-search: 4 replicas\npeak 3000/min with latency ≤ 50 ms in 95% of requests")
    assert "160/s          20/s × 8 texts or documents of a request" in said
    assert "embedder_model  10%   1          2           10 ms      200/s" in said
    assert "search    " not in said
    rows = [steps[0]._replace(batch=8.0, executions=1200)]  # each request has eight rows, and is a batch by itself
    options = swept(tmp_path, [replace(one, observed=one.observed._replace(steps=tuple(rows)))])
    assert run(["plan", SEARCH, "--peak", "3000/min", "--slo", "latency=50", *options]) == 0
    assert "embedder_model  20%   1          8           10 ms      100/s" in capsys.readouterr().out
    assert run(["plan", SEARCH, *SLO, *options]) == 2
    assert "the results have no ITL or TTFT, as of answers that do not stream" in capsys.readouterr().err


ENDPOINT = """name: desk
target: {release: "26.07", gpu: H200, gpus: 0}
models:
  llm:
    role: generator
    engine: openai
    source: hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659
    endpoint: {url: http://vllm/v1, model: llm}
    args: {max_model_len: 8192, max_num_seqs: 64, tensor_parallel_size: 2}
"""


def test_the_gpus_behind_an_endpoint_are_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tritonrepo.yaml").write_text(ENDPOINT)
    found = [replace(each, model="llm") for each in SWEEP]
    assert run(["plan", str(tmp_path), *SLO, *swept(tmp_path, found)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("desk: 4 replicas, and 8 GPUs behind the endpoint\n")
    assert "GPUs behind endpoints    8" in said
    assert "the GPUs of that server are elsewhere" in said


@pytest.mark.parametrize(
    ("lengths", "heading"), [(["--input-tokens", "500", "--output-tokens", "100"], "600 tokens"), ([], "max_model_len")]
)
def test_the_table_of_gpus_says_the_length_of_requests_without_a_gpu_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lengths: list[str], heading: str
) -> None:
    (tmp_path / "tritonrepo.yaml").write_text(ENDPOINT.replace("gpu: H200, ", ""))
    assert run(["plan", str(tmp_path), *SLO, *lengths]) == 0
    said = capsys.readouterr().out
    assert f"requests of {heading}  KV cache" in said
    assert "What the GPUs hold of llm is not known" in said


def test_observed_steps_and_few_requests_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = replace(random(2, 1.0, sent=40), client_bound=True, judgements=(), observed=Observed())
    ramp = replace(SWEEP[0], load=Load(Shape.RAMP, None, 8.0, 1.0, 100))
    assert run(["plan", LLAMA, "--peak", "40000/day", "--slo", "ttft=500,itl=50", *swept(tmp_path, [slow, ramp])]) == 0
    said = capsys.readouterr().out
    for each in (
        "- 40000/day is a mean over a day; the busiest minutes of a day have a higher rate.",
        "- The load that the rate follows from has 40 requests; to be sure of 0.95, measure 60 or more.",
        "- A client was too slow for what it measured, so the server may bear more.",
        "- Result 2 is left out: a ramp mixes rates, and its figures are of all of them together.",
        "- The results were not judged for plausibility; `tritonrepo bench check` does that.",
    ):
        assert each in said


PRICES = """currency: USD
options:
  a:
    gpus: 1
    replicas: 1
    hours: 730
    gpu_hour: {value: [2, 3, 4], date: 2020-01-01, source: "an example"}
"""
SECOND = "  b: {gpus: 1, replicas: 1, hours: 730, gpu_hour: {value: 1, date: 2020-01-01, source: x}}\n"


def test_prices_give_a_month_and_answers_at_the_peak_and_at_the_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cost.yaml").write_text(PRICES)
    options = [*swept(tmp_path), "--cost", str(tmp_path / "cost.yaml"), "--mean", "3/s"]
    code, found = document(capsys, LLAMA, *SLO, *options)
    costs = found["plan"]["costs"]
    sums = {each["name"]: (each["low"], each["mid"], each["high"]) for each in costs["expenses"]}
    hours = 8 * 730
    assert (code, costs["currency"], costs["option"]) == (0, "USD", "a")
    assert sums["GPUs a month"] == sums["all a month"] == (2 * hours, 3 * hours, 4 * hours)
    assert sums["1,000 answers at the peak"][1] == pytest.approx(24 / (12 * 3.6), rel=1e-5)
    assert sums["1,000 answers at the mean"][1] == pytest.approx(24 / (3 * 3.6), rel=1e-5)
    assert sums["million output tokens at the mean"][2] == pytest.approx(32 / (3 * 3600 * 128 / 1e6), rel=1e-5)
    assert {each["rule"] for each in found["diagnostics"]} == {"cost-date", "cost-left-out"}
    assert run(["plan", LLAMA, *SLO, *options]) == 0
    said = capsys.readouterr().out
    assert "\ncost of a month: USD 17,520.00 (11,680.00 to 23,360.00)\n" in said
    assert "3 (2 to 4) an hour × 2 GPUs × 4 replicas × 730 hours" in said
    assert "(tokens_per_second)" not in said


def test_of_several_options_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cost.yaml").write_text(PRICES + SECOND)
    options = [*swept(tmp_path), "--cost", str(tmp_path / "cost.yaml")]
    assert run(["plan", LLAMA, *SLO, *options]) == 2
    said = capsys.readouterr().err
    assert "the file has 2 options, and the GPUs of a plan have the prices of one [plan-cost-option]" in said
    assert "Name one of them: `--option a` or `--option b`." in said
    assert run(["plan", LLAMA, *SLO, *options, "--option", "c"]) == 2
    assert 'the file has no option "c" [plan-cost-option]' in capsys.readouterr().err
    code, found = document(capsys, LLAMA, *SLO, *options, "--option", "b")
    assert (code, found["plan"]["costs"]["expenses"][0]["mid"]) == (0, 8 * 730)
    code, found = document(capsys, LLAMA, *SLO, "--cost", str(tmp_path / "cost.yaml"))
    assert (code, found["plan"]["costs"]) == (0, None)
    assert run(["plan", LLAMA, *SLO, "--cost", str(tmp_path / "none.yaml")]) == 2


def test_options_with_the_names_of_gpus_are_their_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = PRICES.replace("  a:", "  NVIDIA H200:") + SECOND.replace("  b:", "  L40S:")
    (tmp_path / "cost.yaml").write_text(named)
    options = [*swept(tmp_path), "--cost", str(tmp_path / "cost.yaml")]
    code, found = document(capsys, LLAMA, *SLO, *options)
    assert (code, found["plan"]["costs"]["option"]) == (0, "NVIDIA H200")
    months = {each["gpu"]: each["month"] and each["month"]["mid"] for each in found["plan"]["alternatives"]}
    assert (months["L40S"], months["H200"], months["A40"]) == (4 * 730, 2 * 3 * 730, None)
    assert run(["plan", LLAMA, *SLO, *options]) == 0
    assert "USD 4,380.00 (2,920.00 to 5,840.00)" in capsys.readouterr().out


def test_engines_that_do_not_fit_together_exit_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text('backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n')
        arguments = {"model": "meta-llama/Llama-3.1-8B-Instruct", "max_model_len": 512}
        (tmp_path / name / "1" / "model.json").write_text(json.dumps(arguments))
    code, found = document(capsys, str(tmp_path), *SLO, "--gpu", "L4")
    assert (code, len(found["plan"]["memory"])) == (1, 2)
    assert found["plan"]["wrong"] == [
        "what is on GPU 0 of a replica does not fit together; `tritonrepo fit` shows it",
    ]


USAGE = {
    "no peak": (["--slo", "ttft=1"], "Missing option '--peak'"),
    "no SLO": (["--peak", "1/s"], "Missing option '--slo'"),
    "not a rate": (["--peak", "12", "--slo", "ttft=1"], '"12" is not a rate above 0, such as 12/s'),
    "not an SLO": (["--peak", "1/s", "--slo", "ttfx=1"], 'unknown metric "ttfx"; did you mean "ttft"?\n'),
    "all requests": ([*SLO, "--share", "100"], '"100" is not a percentage from 50 to 99.9, such as 95 or 99%.'),
    "no share": ([*SLO, "--share", "nan"], '"nan" is not a percentage'),
    "a mean above the peak": ([*SLO, "--mean", "13/s"], "--mean 13/s is above --peak 12/s"),
    "less than no spare": ([*SLO, "--spare", "-1"], "-1 is not in the range"),
}


@pytest.mark.parametrize(("options", "said"), USAGE.values(), ids=USAGE)
def test_wrong_options_exit_with_2(capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert run(["plan", LLAMA, *options]) == 2
    assert said in capsys.readouterr().err


def test_a_percentage_has_a_sign_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for share in ("99", "99%"):
        code, found = document(capsys, LLAMA, *SLO, *swept(tmp_path), "--share", share)
        assert (code, found["plan"]["rate_per_s"], found["plan"]["share"]) == (0, 4, 0.99)


def test_nothing_is_planned_without_a_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = document(capsys, *SLO)
    assert (code, found["plan"]) == (2, None)


def test_the_made_up_result_is_marked_as_such() -> None:
    found = results(MADE_UP.read_text("utf-8"), "a")
    assert {each.tool for each in found} == {"made up"}
    assert tuple(found) == SWEEP
