"""`tritonrepo bench check`: its output, its options, and its exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.tabled import tabled
from tritonrepo.cli import run

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "schemas" / "bench-check.schema.json").read_text("utf-8"))
PUBLISHED = str(ROOT / "examples" / "models" / "seed" / "benchmark.csv")
ON_TWO = ["--concurrency", "32", "--gpu", "A100-80GB", "--gpus", "2", "--weights", "141GB", "--max-num-seqs", "64"]


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = run(["bench", "check", *arguments])
    return code, capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code, out = checked(capsys, *arguments, "--format", "json")
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA)
    return code, found


def test_the_published_table_is_refused_with_each_contradiction(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(capsys, PUBLISHED, *ON_TWO)
    assert code == 1
    blocks = dict(zip(("vLLM", "Triton + vLLM", "NIM"), out.split("\n\n"), strict=False))
    for name, sides in {
        "vLLM": ("= 1,143;", "= 1,096", "= 58.8 decoding", "ITL p50 28 ms; but at least", "memory efficiency 92%"),
        "Triton + vLLM": ("32 / 0.032 s (ITL p50 32 ms) = 1,000", "= 62.4 decoding", "ITL p50 32 ms; but at least"),
        "NIM": ("32 / 0.024 s (ITL p50 24 ms) = 1,333", "= 57.6 decoding", "ITL p50 24 ms; but at least"),
    }.items():
        block = blocks[name]
        assert f": {name}: cannot be true: 3 of " in block
        for side in (*sides, "141 GB / 4,078 GB/s = 34.6 ms", "not 32 (max_num_seqs 64 would allow it)"):
            assert side in block, (name, side)
        assert "not stated: input tokens, output tokens, number of requests, dataset, date, driver, version of" in block
    assert "gpu_memory_utilization 0.92, a default of the setting" in blocks["vLLM"]
    assert "a setting and not a result" in blocks["vLLM"]
    assert out.endswith("\n3 rows, 3 of which cannot be true\n")


def test_without_facts_the_published_table_cannot_be_judged(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(capsys, PUBLISHED)
    assert code == 0
    assert "decoding: needs concurrency" in out
    assert "memory-floor: needs bytes of weights and memory bandwidth" in out


def test_weights_of_8_bits_and_64_in_flight_make_it_possible(capsys: pytest.CaptureFixture[str]) -> None:
    facts = ["--concurrency", "64", "--bandwidth", "2.039TB/s", "--gpus", "2", "--weights", "71GB"]
    code, out = checked(capsys, PUBLISHED, *facts)
    assert code == 0
    assert "vLLM: nothing contradicts it: 3 checks held" in out
    assert "at least 71 GB / 4,078 GB/s = 17.4 ms" in out
    code, out = checked(capsys, PUBLISHED, *ON_TWO[2:], "--concurrency", "64", "--tokens-per-step", "1.5")
    assert code == 0
    assert "/ 1.5 tokens a step = 23.1 ms" in out


STATES: Mapping[str, tuple[Sequence[str], str]] = {
    "concurrency": (["--concurrency", "4"], "at most 4, the concurrency"),
    "max-num-seqs": (["--max-num-seqs", "6"], "at most 6, max_num_seqs 6"),
    "replicas": (["--max-num-seqs", "6", "--replicas", "2"], "at most 12, max_num_seqs 6 * 2 replicas"),
    "output-tokens": (["--concurrency", "4", "--output-tokens", "11"], "4 * 11 / (0.05 s + 10 * 0.01 s) = 293"),
    "input-tokens": (["--kv-tokens", "900", "--input-tokens", "100"], "100 of a prompt + half of 0 = 100"),
    "kv-tokens": (["--kv-tokens", "900"], "900 tokens of KV cache / 3 sequences = 300 tokens each"),
    "gpu": (["--gpu", "L4", "--weights", "1.5GB"], "at least 1.5 GB / 300 GB/s = 5 ms"),
    "gpus": (["--gpu", "L4", "--gpus", "2", "--weights", "1.5GB"], "at least 1.5 GB / 600 GB/s = 2.5 ms"),
    "bandwidth": (["--bandwidth", "100GB/s", "--weights", "100MB"], "at least 0.1 GB / 100 GB/s = 1 ms"),
    "weights": (["--bandwidth", "1TB/s", "--weights", "2GB"], "at least 2 GB / 1,000 GB/s = 2 ms"),
    "tokens-per-step": (["--bandwidth", "1TB/s", "--weights", "2GB", "--tokens-per-step", "2"], "tokens a step = 1 ms"),
    "gpu-memory-utilization": (["--gpu-memory-utilization", "0.85"], "gpu_memory_utilization 0.85, the setting"),
}


@pytest.mark.parametrize(("options", "said"), STATES.values(), ids=STATES)
def test_an_option_states_what_the_table_does_not(
    options: Sequence[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Throughput (tok/s),ITL P50 (ms),TTFT P50 (ms),Memory efficiency\n300,10,50,85%\n")
    code, out = checked(capsys, str(path), *options)
    assert code == 0, out
    assert said in out


def test_the_document_has_both_sides_and_the_places(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, PUBLISHED, *ON_TWO, "--kv-tokens", "41000", "--gpu-memory-utilization", "0.92")
    assert code == 1
    assert found["summary"]["rows"] == found["summary"]["rows_that_cannot_be_true"] == 3
    vllm = found["rows"][0]
    by_check = {each["check"]: each for each in vllm["checks"]}
    assert by_check["decoding"]["left"].endswith("= 58.8 decoding")
    assert by_check["kv-cache"]["left"].endswith("= 697 tokens each")
    assert by_check["memory-efficiency"]["right"] == "gpu_memory_utilization 0.92, the setting"
    errors = [each for each in found["diagnostics"] if each["severity"] == "error"]
    assert {each["rule"] for each in errors} == {"bench-implausible"}
    assert [(each["line"], each["column"]) for each in errors[:3]] == [(2, 6), (2, 6), (2, 18)]


def test_github_has_a_command_at_each_cell(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(capsys, PUBLISHED, *ON_TWO, "--format", "github")
    assert code == 1
    assert len(out.splitlines()) == 9
    assert out.startswith("::error title=bench-implausible,file=")
    assert "line=2," in out


def test_what_is_not_understood_is_said_after_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Engine,Latency (ms),ITL P50 (ms)\na,3,4\nb,3,4\n")
    code, out = checked(capsys, str(path))
    assert code == 0
    assert out.count('t.csv:1:8: warning: "Latency (ms)" is not understood [bench-cell]') == 1


def test_several_files_and_stdin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Engine,Concurrency,ITL P50 (ms),Throughput (tok/s)\na,1,10,99\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    code, out = checked(capsys, str(path), "-", "--concurrency", "99")
    assert code == 0
    assert "stdin:2:1: a: nothing contradicts it" in out
    assert "2 rows: nothing was found that cannot be true" in out
    assert "99 tokens/s * 0.01 s (ITL p50 10 ms) = 0.99 decoding; at most 1, the concurrency" in out


def test_foreign_text_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Engine,Concurrency,ITL P50 (ms),Odd\x1b[31m\n\x1b[2J::error::x,1,10,3\n")
    _, out = checked(capsys, str(path))
    assert "\x1b" not in out
    assert "\\x1b[2J" in out


def test_all_files_that_cannot_be_used_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.csv").write_text("")
    code = run(["bench", "check", str(tmp_path / "none.csv"), str(tmp_path / "empty.csv"), str(tmp_path), PUBLISHED])
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    for text in ("none.csv: fatal: ", "empty.csv: fatal: the file is empty", "not a regular file"):
        assert text in said.err, said.err
    code, found = document(capsys, str(tmp_path / "empty.csv"))
    assert code == 2
    assert found["rows"] == []
    assert [each["rule"] for each in found["diagnostics"]] == ["bench-table"]


WRONG: Mapping[str, tuple[Sequence[str], str]] = {
    "no file": ([], "Missing argument 'FILE...'"),
    "none in flight": (["--concurrency", "0"], "0.0 is not in the range x>0"),
    "not a number": (["--input-tokens", "nan"], "nan is not a number above 0"),
    "infinite": (["--output-tokens", "inf"], "inf is not a number above 0"),
    "no size": (["--weights", "70B"], '"70B" is not a size, such as 80GiB'),
    "no bandwidth": (["--bandwidth", "fast"], '"fast" is not a bandwidth, such as 2039GB/s or 3.35TB/s'),
    "two bandwidths": (["--bandwidth", "1TB/s", "--gpu", "L4"], "--gpu and --bandwidth cannot be combined"),
    "GPUs of no kind": (["--gpus", "2"], "--gpus needs --gpu or --bandwidth"),
    "a GPU without a known bandwidth": (["--gpu", "A100"], "the memory bandwidth of GPU A100 is not known"),
    "an unknown GPU": (["--gpu", "A101"], 'unknown GPU "A101"'),
    "more than all memory": (["--gpu-memory-utilization", "92"], "92.0 is not in the range 0<x<=1"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_usage_errors(options: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["bench", "check", *([PUBLISHED] if options else []), *options])
    assert code == 2
    assert said in capsys.readouterr().err


@tabled("gpu, gb", [("A100-80GB", 2039), ("H100", 3350), ("H200", 4800), ("L4", 300)])
def test_bandwidths_are_those_of_data_sheets(gpu: str, gb: int) -> None:
    from tritonrepo.llm.gpus import gpu as named

    found = named(gpu)
    assert found is not None
    assert found.bandwidth == gb * 1e9
