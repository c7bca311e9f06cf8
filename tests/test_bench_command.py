"""`tritonrepo bench run` and `sweep` against an endpoint whose answers a test chooses."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.openai_endpoint import (
    DONE,
    HEAD,
    LAST,
    Act,
    Answer,
    Asked,
    Endpoint,
    Script,
    endpoint,
    event,
    refusal,
    reply,
    talk,
)
from tests.timed_endpoint import Schedule, timed
from tritonrepo.bench.figures import Slo
from tritonrepo.bench.load import Load
from tritonrepo.bench.saved import results
from tritonrepo.bench.target import Protocol
from tritonrepo.bench.targets import targets
from tritonrepo.cli import run
from tritonrepo.diagnostics import Severity
from tritonrepo.flows.bench import BenchOptions, bench
from tritonrepo.flows.bench_found import found as wrong_with
from tritonrepo.server import endpoint as address
from tritonrepo.stores.intact import checked
from tritonrepo.tree import File

QUICK = ("--metrics", "none", "--max-tokens", "4", "--input-tokens", "8")


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Mapping[str, Any]:
        """The document."""
        found: Mapping[str, Any] = json.loads(self.out)
        return found


Bench = Callable[..., Said]


@pytest.fixture
def here() -> Iterator[Endpoint]:
    """An endpoint that repeats what it hears."""
    with endpoint() as found:
        yield found


@pytest.fixture
def benched(capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run a command of bench."""

    def call(*arguments: str) -> Said:
        code = run(["bench", *arguments])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call


def failing(every: int, answer: Answer = talk) -> Answer:
    """Return an answer of which one of so many is a refusal."""
    count = iter(range(10**9))

    def say(asked: Asked) -> Script:
        if asked.method == "GET" or next(count) % every:
            return answer(asked)
        return [refusal(503, "too busy")]

    return say


def test_a_closed_loop_as_json(here: Endpoint, benched: Bench) -> None:
    said = benched(here.url, "--concurrency", "3", "--requests", "30", "--seed", "4", *QUICK, "--format", "json")
    assert said.code == 0, said.err
    (found,) = said.data["results"]
    assert (found["protocol"], found["model"], found["load"]["concurrency"]) == ("openai-chat", "tiny", 3)
    assert (found["figures"]["sent"], found["figures"]["succeeded"], found["figures"]["errors"]) == (30, 30, {})
    assert found["figures"]["tokens_from"] == "server"
    assert found["figures"]["output_tokens"]["mean"] == 4
    assert found["prompts"]["different"] == 30
    assert found["prompts"]["reuse"] < 0.2
    assert found["ended_early"] == ""
    assert len(here.bodies()) == 33  # three of them before
    assert all(body["max_tokens"] == 4 and len(body["messages"][0]["content"].split()) == 8 for body in here.bodies())
    assert results(said.out, "-")[0].load == Load(concurrency=3, requests=30, warmup=3, seed=4)


@pytest.mark.parametrize(("options", "requests"), [((), 100), (("--concurrency", "20"), 200)])
def test_the_usual_number_of_requests(here: Endpoint, benched: Bench, options: Sequence[str], requests: int) -> None:
    said = benched(here.url, *options, "--warmup", "0", *QUICK, "--format", "json")
    assert said.data["results"][0]["load"]["requests"] == requests == len(here.bodies())


def test_the_short_form_is_that_of_run(here: Endpoint, benched: Bench) -> None:
    options = (here.url, "--requests", "4", *QUICK)
    assert benched(*options).code == benched("run", *options).code == 0
    assert len(here.bodies()) == 10


def test_text_and_markdown(here: Endpoint, benched: Bench) -> None:
    said = benched(here.url, "--requests", "5", *QUICK, "--slo", "ttft=60000")
    assert said.code == 0
    assert "closed loop" in said.out
    assert "answered: 5 of 5 requests" in said.out
    assert "TTFT ≤ 60" in said.out
    assert benched(here.url, "--requests", "5", *QUICK, "--format", "markdown").out.startswith("### ")


def test_several_targets_get_the_same_prompts(here: Endpoint, benched: Bench) -> None:
    with endpoint() as other:
        said = benched(here.url, other.url, "--requests", "5", *QUICK, "--warmup", "0", "--format", "json")
    assert [each["target"] for each in said.data["results"]] == [here.url, other.url]
    assert [body["messages"] for body in here.bodies()] == [body["messages"] for body in other.bodies()]


def test_an_open_loop_with_repeats(here: Endpoint, benched: Bench) -> None:
    said = benched(here.url, "--rate", "200", "--requests", "20", "--repeats", "2", *QUICK, "--format", "json")
    (found,) = said.data["results"]
    assert found["load"]["shape"] == "Poisson"
    assert found["load"]["concurrency"] is None
    assert [each["sent"] for each in found["repeats"]] == [20, 20]
    assert found["figures"]["sent"] == 40
    assert found["figures"]["queued_ms"]["n"] == 40


def test_a_ramp_has_no_steady_rate(here: Endpoint, benched: Bench) -> None:
    said = benched(here.url, "--ramp", "50:400", "--requests", "20", *QUICK, "--format", "json")
    (found,) = said.data["results"]
    assert found["load"]["shape"] == "ramp"
    assert (found["load"]["rate_from"], found["load"]["rate"]) == (50, 400)
    assert found["figures"]["steady_s"] is None
    assert found["figures"]["steady_requests_per_s"] is None


def test_a_run_in_which_no_request_is_due(here: Endpoint, benched: Bench, tmp_path: Path) -> None:
    file = tmp_path / "now.json"
    said = benched(here.url, "--rate", "0.01", "--duration", "0.1", "--warmup", "0", "--output", str(file), *QUICK)
    assert said.code == 1
    assert "error: no request was due before the end of the run [bench-failed]" in said.err
    assert not file.exists()


def test_a_trace_and_questions_of_a_file(here: Endpoint, benched: Bench, tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    file.write_text('{"at_s": 0, "text": "a b c d e", "max_tokens": 2}\n{"timestamp": 20, "text": "f"}\n')
    said = benched(here.url, "--trace", str(file), "--metrics", "none", "--warmup", "1", "--format", "json")
    assert said.data["results"][0]["load"]["requests"] == 2
    assert [body["messages"][0]["content"] for body in here.bodies()][1:] == ["a b c d e", "f"]
    assert here.bodies()[1]["max_tokens"] == 2
    file.write_text("What is a model?\n")
    said = benched(here.url, "--questions", str(file), "--requests", "4", "--metrics", "none", "--format", "json")
    assert said.data["results"][0]["prompts"]["different"] == 1
    assert said.data["results"][0]["prompts"]["reuse"] == 1


def test_other_parameters_and_exact_lengths_are_asked_for(here: Endpoint, benched: Bench) -> None:
    benched(here.url, "--requests", "1", *QUICK, "--exact", "--set", "temperature=0", "--set", "user=me")
    body = here.bodies()[0]
    assert (body["temperature"], body["user"], body["ignore_eos"], body["min_tokens"]) == (0, "me", True, 4)


def test_failures_are_counted_and_more_than_one_percent_is_exit_code_1(benched: Bench) -> None:
    with endpoint(failing(5)) as busy:
        said = benched(busy.url, "--requests", "40", "--warmup", "0", *QUICK, "--format", "json")
    (found,) = said.data["results"]
    assert said.code == 1
    assert found["figures"]["errors"] == {next(iter(found["figures"]["errors"])): 8}
    assert "too busy" in next(iter(found["figures"]["errors"]))
    assert found["figures"]["latency_ms"]["n"] == 32
    assert "8 of 40 requests failed, more than 1 % [bench-failed]" in said.err
    assert said.data["diagnostics"][0]["rule"] == "bench-failed"


def test_a_server_that_refuses_everything_is_given_up(benched: Bench) -> None:
    with endpoint(failing(1)) as busy:
        said = benched(busy.url, "--requests", "5000", "--concurrency", "4", *QUICK)
        assert len(busy.bodies()) < 40
    assert said.code == 1
    assert "the run gave up: the first 20 requests all failed" in said.err
    assert "[bench-stopped]" in said.err


def test_a_server_that_hangs_is_left_after_the_timeout(benched: Bench) -> None:
    def hang(asked: Asked) -> Script:
        return talk(asked) if asked.method == "GET" else [Act.HANG]

    with endpoint(hang) as silent:
        said = benched(silent.url, "--requests", "3", "--warmup", "0", "--timeout", "0.2", *QUICK, "--format", "json")
    assert said.code == 1
    (found,) = said.data["results"]
    assert sum(found["figures"]["errors"].values()) == 3
    assert "within 0.2 s" in next(iter(found["figures"]["errors"]))


def test_a_server_that_is_not_there(benched: Bench) -> None:
    said = benched("http://127.0.0.1:1/v1", "--model", "m", "--requests", "3", "--format", "json")
    assert said.code == 2
    assert said.data["results"] == []
    assert "127.0.0.1:1" in said.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate", "1", "--ramp", "1:2"], "--rate and --ramp cannot be combined"),
        (["--rate", "1", "--trace", "f"], "--rate and --trace cannot be combined"),
        (["--ramp", "1:2"], "--ramp requires --requests or --duration"),
        (["--ramp", "0:0"], '"0:0" is not a ramp of rates per second, such as 1:20.'),
        (["--ramp", "5"], '"5" is not a ramp'),
        (["--rate", "0"], "0.0 is not in the range"),
        (["--rate", "nan"], "nan is not a number"),
        (["--tokens-per-step", "nan"], "nan is not a number"),
        (["--concurrency", "0"], "0 is not in the range"),
        (["--requests", "0"], "0 is not in the range"),
        (["--duration", "inf"], "inf is not a number of seconds"),
        (["--warmup", "long"], '"long" is not a warm-up: a number of requests, seconds such as 10s, or stable.'),
        (["--warmup", "-1"], '"-1" is not a warm-up'),
        (["--questions", "f", "--stack", "s"], "--questions and --stack cannot be combined"),
        (["--trace", "f", "--input-tokens", "5"], "--trace and --input-tokens cannot be combined"),
        (["--questions", "f", "--shared-prefix", "0.5"], "--shared-prefix is for made prompts"),
        (["--shared-prefix", "150%"], '"150%" is not a share, such as 0.5 or 50%.'),
        (["--input-tokens", "0"], '"0" is not a number of tokens, such as 512 or 512±64.'),
        (["--input-tokens", "many"], '"many" is not a number of tokens'),
        (["--slo", "speed=5"], 'unknown metric "speed"'),
        (["--slo", "ttft=0"], "the limit of ttft must be a time above 0"),
        (["--slo", "ttft=1,ttft=2"], "ttft has two limits"),
        (["--set", "x"], '--set "x" must have the form NAME=VALUE'),
        (["--set", "x=1", "--set", "x=2"], "--set x is given twice"),
        (["--gpus", "2"], "--gpus requires --gpu or --bandwidth"),
        (["--gpu", "A900"], 'unknown GPU "A900"'),
        (["--weights", "heavy"], '"heavy" is not a size'),
        (["--bandwidth", "fast"], '"fast" is not a bandwidth'),
        (["--max-tokens", "0"], "0 is not in the range"),
    ],
)
def test_options_that_cannot_be_used(benched: Bench, options: Sequence[str], says: str) -> None:
    said = benched("http://127.0.0.1:1/v1", *options)
    assert said.code == 2
    assert says in " ".join(said.err.split())
    assert not said.out


@pytest.mark.parametrize("option", ["--questions", "--trace", "--stack", "--tokenizer"])
def test_a_file_that_is_not_there(benched: Bench, option: str, tmp_path: Path) -> None:
    said = benched("http://127.0.0.1:1/v1", option, str(tmp_path / "none"))
    assert said.code == 2
    assert "none" in said.err


@pytest.mark.parametrize("option", ["--questions", "--trace", "--tokenizer"])
def test_a_file_that_would_never_end_is_not_read(benched: Bench, option: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    said = benched("http://127.0.0.1:1/v1", option, str(tmp_path / "pipe"))
    assert said.code == 2
    assert f"{tmp_path / 'pipe'}: fatal: the path is not a regular file" in said.err


def test_a_wrong_line_of_a_file_is_named(benched: Bench, tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"text": "good"}\n{"txt": "bad"}\n')
    said = benched("http://127.0.0.1:1/v1", "--questions", str(file))
    assert said.code == 2
    assert f"{file}:2:1: fatal: the text is missing: the keys are txt [bench-prompts]" in said.err


def test_what_is_known_of_the_hardware_is_in_the_result(here: Endpoint, benched: Bench) -> None:
    told = ("--gpu", "A100-80GB", "--gpus", "2", "--weights", "141GB", "--max-num-seqs", "64", "--replicas", "2")
    said = benched(here.url, "--requests", "3", *QUICK, *told, "--format", "json")
    assert said.data["results"][0]["hardware"] == {
        "gpus": "2 x A100-80GB",
        "weights_bytes": 141e9,
        "bandwidth": 2 * 2039e9,
        "tokens_per_step": None,
        "max_num_seqs": 64,
        "replicas": 2,
    }


def test_figures_below_the_floor_of_the_hardware_are_exit_code_1(benched: Bench, tmp_path: Path) -> None:
    """The endpoint sends a token every 5 ms; reading these weights would take half a minute."""
    file = tmp_path / "schedules.jsonl"
    file.write_text(json.dumps({"text": Schedule(pieces=4, gap_s=0.005).text()}) + "\n")
    weights = ("--weights", "999999GB", "--bandwidth", "30000GB/s")
    with timed() as url:
        said = benched(f"{url}/v1", "--requests", "9", "--questions", str(file), "--metrics", "none", *weights)
    assert said.code == 1
    assert "the figures cannot be true: memory-floor: " in said.err
    assert "[bench-implausible]" in said.err


def test_a_sweep_ends_at_the_knee_and_says_where_to_operate(here: Endpoint, benched: Bench) -> None:
    options = ("--requests", "12", *QUICK, "--slo", "latency=60000", "--format", "json")
    said = benched("sweep", here.url, "--concurrency", "1,2,3", "--whole", *options)
    assert said.code == 0, said.err
    assert [each["load"]["concurrency"] for each in said.data["results"]] == [1, 2, 3]
    assert [each["load"]["warmup"] for each in said.data["results"]] == [1, 2, 3]
    prompts = [body["messages"][0]["content"] for body in here.bodies()]
    assert len({*prompts}) == len(prompts) == 3 * 12 + 6
    told = [each["message"] for each in said.data["diagnostics"] if each["rule"] == "bench-sweep"]
    assert "latency ≤ 60,000 ms holds at p95 up to concurrency 3" in told
    assert any(each.startswith("recommended: concurrency ") for each in told)


def test_results_are_written_to_files(here: Endpoint, benched: Bench, tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("output", "records", "html", "markdown", "vllm")}
    options = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    said = benched(here.url, "--requests", "6", "--warmup", "2", *QUICK, *options, "--format", "json")
    assert said.code == 0
    assert json.loads(paths["output"].read_text()) == said.data
    assert len(paths["records"].read_text().splitlines()) == 8
    assert all(path.stat().st_size for path in paths.values())
    again = benched(here.url, "--output", str(paths["output"]), "--html", str(paths["output"]))
    assert again.code == 2
    assert "--output and --html name the same file" in again.err


def test_what_was_measured_before_a_target_that_is_not_there_is_written(
    here: Endpoint, benched: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "out.json"
    gone = "http://127.0.0.1:1/v1#m"
    said = benched(here.url, gone, "--requests", "3", *QUICK, "--output", str(file), "--format", "json")
    assert said.code == 2
    assert [each["target"] for each in json.loads(file.read_text())["results"]] == [here.url]
    assert [each["target"] for each in said.data["results"]] == [here.url]
    assert said.data["diagnostics"][-1]["rule"] == "server-unreachable"


def test_a_full_disk_costs_no_other_file_and_keeps_nothing_half_written(
    here: Endpoint, benched: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(10))

    def fails_once(file: File) -> Iterator[bytes]:
        if next(calls) == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return iter(checked(file))

    monkeypatch.setattr("tritonrepo.stores.directory.checked", fails_once)
    for name in ("full", "other"):
        (tmp_path / name).mkdir()
    lost, kept = tmp_path / "full" / "now.json", tmp_path / "other" / "now.md"
    said = benched(here.url, "--requests", "4", "--output", str(lost), "--markdown", str(kept), *QUICK)
    assert said.code == 2
    assert f"{lost}: fatal: cannot write: No space left on device" in said.err
    assert "Free some space and run the command again.\n" in said.err
    assert not list(lost.parent.iterdir())
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


@pytest.mark.parametrize("ladder", ["", "0", "2,1", "1,1", "1,x", "1,-2", "1.5", "999999999"])
def test_concurrencies_that_are_none(benched: Bench, ladder: str) -> None:
    said = benched("sweep", "http://127.0.0.1:1/v1", "--concurrency", ladder)
    assert said.code == 2
    assert "is not a list of concurrencies that grow, such as 1,2,4,8." in said.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_ctrl_c_and_signals_give_what_was_measured(
    here: Endpoint, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    arguments = [here.url, "--requests", "100000", "--format", "json", *QUICK]
    command = [sys.executable, "-m", "tritonrepo", "bench", *arguments]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, "COVERAGE_PROCESS_START": ""})
        while len(here.bodies()) < 50 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == code
    (found,) = json.loads((tmp_path / "out").read_text())["results"]
    assert found["ended_early"] == "interrupted"
    assert found["figures"]["succeeded"] > 30
    assert found["figures"]["errors"] == {}
    assert "the run was interrupted" in (tmp_path / "err").read_text()


@pytest.mark.parametrize(
    ("number", "warmup", "code", "says"),
    [
        (signal.SIGINT, "1", 130, "the run was interrupted before anything was measured, so nothing is written"),
        (signal.SIGTERM, "1", 143, "the run was interrupted before anything was measured, so nothing is written"),
        (signal.SIGTERM, "0", 143, "the run was interrupted before anything was measured, so nothing is written"),
    ],
    ids=["Ctrl-C in the warm-up", "SIGTERM in the warm-up", "SIGTERM before an answer"],
)
def test_an_end_without_a_result_leaves_files_as_they_are(
    tmp_path: Path, number: signal.Signals, warmup: str, code: int, says: str
) -> None:
    file = tmp_path / "now.json"
    file.write_text("of an earlier run")
    with endpoint(lambda asked: [Act.HANG] if asked.method == "POST" else [refusal(404, "Not Found")]) as held:
        arguments = [f"{held.url}#m", *QUICK, "--output", str(file), "--warmup", warmup]
        command = [sys.executable, "-m", "tritonrepo", "bench", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while not held.bodies() and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert not out
    assert says in err
    assert "cannot be true" not in err
    assert file.read_text() == "of an earlier run"


def test_embeddings_have_no_limit_of_tokens(benched: Bench) -> None:
    def vectors(_: Asked) -> Script:
        return [reply(json.dumps({"data": [{"embedding": [0.5], "index": 0}], "usage": {"prompt_tokens": 3}}).encode())]

    with endpoint(vectors) as here:
        said = benched(f"{here.url}/embeddings#m", "--requests", "3", *QUICK, "--exact")
    assert said.code == 0
    assert "prompts: 3 different prompts (made, 8 words, seed 0)\n" in said.out
    assert "prefix reuse" not in said.out


def test_an_slo_on_what_no_answer_has_is_named(benched: Bench) -> None:
    body = json.dumps({"data": [{"embedding": [0.5], "index": 0}]}).encode()
    with endpoint(lambda _: [reply(body)]) as here:
        slo = ("--slo", "ttft=500,latency=60000,itl=50")
        said = benched(f"{here.url}/embeddings#m", "--requests", "3", *QUICK, *slo)
    assert said.code == 0
    assert "the SLO is not judged, because no answer has a value of TTFT, ITL [bench-slo]" in said.err


LENGTHS = {
    "as long as they may be": (4, [], ""),
    "shorter, as the model ends them": (64, [], ""),
    "longer": (
        2,
        [],
        "an answer has 4 tokens, but 2 were the most that a request asked for: the server does not keep the limit",
    ),
    "one longer, as who counts a text anew may find": (3, [], ""),
    "shorter, but each was to have so many": (
        64,
        ["--exact"],
        "an answer has 4 tokens, but each was to have 64: the server does not know ignore_eos and min_tokens",
    ),
    "exactly so many": (4, ["--exact"], ""),
}


@pytest.mark.parametrize(("limit", "more", "says"), LENGTHS.values(), ids=LENGTHS)
def test_answers_of_another_length_than_was_asked_for_are_named(
    benched: Bench, limit: int, more: list[str], says: str
) -> None:
    words = [json.dumps({"choices": [{"delta": {"content": f"{word} "}}]}) for word in range(4)]
    usage = json.dumps({"choices": [], "usage": {"completion_tokens": 4, "prompt_tokens": 8}})
    with endpoint(lambda _: [HEAD, *(event(text) for text in (*words, usage, DONE)), LAST]) as here:
        options = ("--requests", "3", "--metrics", "none", "--max-tokens", str(limit), *more)
        said = benched(f"{here.url}#m", *options)
    assert said.code == 0
    assert says in said.err
    assert ("bench-answer-length" in said.err) == bool(says)


def test_a_path_that_the_server_does_not_know_is_explained(benched: Bench) -> None:
    with endpoint(lambda _: [refusal(404, "Not Found")]) as here:
        said = benched(f"{here.url}#m", "--requests", "3", *QUICK)
    assert said.code == 1
    assert "of Triton, use `http://HOST:8000/v2/models/MODEL/generate_stream`" in said.err


def test_a_port_without_grpc_is_mended_in_the_target(here: Endpoint, benched: Bench) -> None:
    closed = benched("grpc://127.0.0.1:1/m", *QUICK)
    http = benched(f"grpc://{here.url.removeprefix('http://').removesuffix('/v1')}/m", *QUICK, "--timeout", "5")
    assert closed.code == http.code == 2
    hint = "Use gRPC's port in the target, by default 8001: `grpc://HOST:8001/MODEL`."
    assert closed.err.endswith(f"Check that the server is running on this port. {hint}\n")
    assert http.err.endswith(f"  {hint}\n")
    both = benched("grpc://127.0.0.1:1/m", *QUICK, "--grpc", "127.0.0.1:2")
    assert (both.code, "Remove `--grpc`." in both.err) == (2, True)


def test_bench_is_a_function_too(here: Endpoint) -> None:
    (target,) = targets([here.url], model=None, endpoint=address.Endpoint)
    told: list[str] = []
    options = BenchOptions(Load(requests=5, warmup=1), metrics="none", slo=Slo({"latency": 60000}))
    (done,) = bench([target], options, lambda progress: told.append(progress.phase))
    assert len(done.records) == 6
    assert done.result.figures.goodput is not None
    assert done.result.figures.goodput.good == 5
    assert told[0] == "warm-up"
    assert not [found for found in done.found if found.severity == "error"]


def test_a_client_that_is_too_slow_is_a_warning(here: Endpoint) -> None:
    (target,) = targets([here.url], model=None, endpoint=address.Endpoint)
    (done,) = bench([target], BenchOptions(Load(requests=5), metrics="none"))
    fast, slow = (replace(done.result, client_bound=bound, judgements=()) for bound in (False, True))
    assert [*wrong_with(fast)] == []
    assert [(each.rule, each.severity) for each in wrong_with(slow)] == [("bench-client-bound", Severity.WARNING)]


@pytest.mark.parametrize(
    ("text", "protocol", "model"),
    [
        ("grpc://127.0.0.1:1/rag", Protocol.GRPC, "rag"),
        ("http://127.0.0.1:1/v2/models/rag/generate_stream", Protocol.GENERATE, "rag"),
        ("http://127.0.0.1:1/v1", Protocol.CHAT, "m"),
        ("http://127.0.0.1:1/v1/chat/completions", Protocol.CHAT, "m"),
        ("http://127.0.0.1:1/v1/completions", Protocol.COMPLETIONS, "m"),
        ("http://127.0.0.1:1/v1/embeddings", Protocol.EMBEDDINGS, "m"),
        ("http://127.0.0.1:1/v1/rerank", Protocol.RERANK, "m"),
    ],
)
def test_the_forms_of_targets(text: str, protocol: Protocol, model: str) -> None:
    (found,) = targets([text], model="m", endpoint=address.Endpoint)
    assert (found.protocol, found.model, found.text) == (protocol, model, text)
