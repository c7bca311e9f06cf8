"""`tritonrepo fit`: the tables, the document, and the exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.llm.fitting import Fits
from tritonrepo.llm.gpus import GIB

SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "fit.schema.json").read_text("utf-8"))
CONFIG = 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n'
L8, L70 = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"
SEED = {
    "model": L70,
    "tensor_parallel_size": 2,
    "max_model_len": 8192,
    "max_num_seqs": 64,
    "gpu_memory_utilization": 0.92,
}
ON_TWO = ["--gpus", "2", "--gpu-memory", "80GiB", "--release", "24.05", "--image", "vllm-python-py3"]


def made(place: Path, models: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a repository of vLLM models, each with its model.json; give its path."""
    for name, arguments in models.items():
        (place / name / "1").mkdir(parents=True)
        (place / name / "config.pbtxt").write_text(CONFIG)
        (place / name / "1" / "model.json").write_text(json.dumps(arguments))
    return str(place)


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Return the exit code and the document of a command."""
    code = run(["fit", *arguments, "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    return code, found


def test_the_published_example_has_room_for_2_to_5_sequences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = made(tmp_path, {"llama-70b": SEED})
    assert run(["fit", place, *ON_TWO]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "Triton 24.05 with vLLM 0.4.0.post1 on 2 GPUs with 80.0 GiB (A100-80GB, H100). Drivers of these GPUs report "
        "79.1 GiB or more"
    )
    for row in (
        r"llama-70b/1/model.json: meta-llama/Llama-3.1-70B-Instruct on GPUs 0 and 1: fits",
        "vLLM may take          72.8 to 73.6      0.92 of the GPU",
        "weights                65.7              takes most",
        "non-torch              0.2 to 3.6        known least",
        "left for the KV cache  2.5 to 6.8",
        "a token in it          160 KiB",
        "sequences of 8,192     2.0 to 5.4        max_num_seqs is 64",
        "With 8-bit weights, such as INT8 or FP8: 27 to 30 sequences of 8,192 tokens.",
        "With tensor_parallel_size 4: 53 to 64 sequences of 8,192 tokens.",
        "1    llama-70b  92%   -             -        6.3 to 6.4",
    ):
        assert row in said
    assert "[vllm-max-num-seqs-kv]" in said


def test_the_document_has_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, made(tmp_path, {"llama-70b": SEED}), *ON_TWO)
    (engine,) = found["engines"]
    assert (code, found["fits"], engine["state"], engine["gpus"]) == (0, True, "fits", [[0, 1]])
    assert engine["memory"]["bytes_per_token"] == 160 * 1024
    assert 2 <= engine["memory"]["sequences"]["low"] < engine["memory"]["sequences"]["high"] < 6
    assert [load["gpu"] for load in found["loads"]] == [0, 1]
    assert [each["rule"] for each in found["diagnostics"]] == ["vllm-max-num-seqs-kv"]


L4 = ["--gpu", "L4"]
RUNS = {
    "it fits": ({"a": {"model": L8, "max_model_len": 8192}}, L4, 0, ["fits"]),
    "it fits at best": ({"a": {"model": L8, "max_model_len": 30000}}, L4, 0, ["may fit"]),
    "a context that nobody set": ({"a": {"model": L8}}, L4, 1, ["does not fit"]),
    "weights that do not fit": ({"a": {"model": L70, "max_model_len": 16}}, L4, 1, ["does not fit"]),
    "as long as possible": ({"a": {"model": L8, "max_model_len": -1}}, L4, 0, ["fits"]),
    "an estimate that cannot fit": ({"a": {"model": L70, "enable_lora": True}}, L4, 1, ["does not fit"]),
    "a model that nobody knows": ({"a": {"model": "no/body"}}, L4, 0, ["unknown"]),
    "no model at all": ({"a": {}}, L4, 0, ["unknown"]),
    "two that take more than there is": (
        {name: {"model": L8, "max_model_len": 512} for name in "ab"},
        L4,
        1,
        ["fits", "fits"],
    ),
    "two that share": (
        {name: {"model": L8, "max_model_len": 512, "gpu_memory_utilization": 0.5} for name in "ab"},
        ["--gpu", "H100"],
        0,
        ["fits", "fits"],
    ),
    "a cache that leaves no room": (
        {"a": {"model": L8, "max_model_len": 512, "kv_cache_memory_bytes": 12 << 30}},
        L4,
        1,
        ["fits"],
    ),
    "nothing on a GPU": ({}, L4, 0, []),
}


@pytest.mark.parametrize(("models", "options", "code", "states"), RUNS.values(), ids=RUNS)
def test_what_fits(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    models: Mapping[str, Mapping[str, Any]],
    options: list[str],
    code: int,
    states: list[str],
) -> None:
    place = made(tmp_path, models)
    (tmp_path / "README.md").write_text("a repository")
    ended, found = document(capsys, place, *options)
    assert (ended, [engine["state"] for engine in found["engines"]]) == (code, states)
    assert run(["fit", place, *options]) == code


def test_a_record_says_how_much_memory_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = made(tmp_path, {"a": {"model": L8, "max_model_len": 512}})
    target = {"release": "26.07", "gpus": 1, "gpu_memory": 24 << 30}
    record = {"schema": 1, "name": "x", "target": target, "files": {}, "local": {}}
    (tmp_path / "tritonrepo.json").write_text(json.dumps(record))
    assert document(capsys, place)[1]["gpu_memory"]["given"] == 24 << 30
    assert document(capsys, place, "--gpu-memory", "40GiB")[1]["gpu_memory"]["given"] == 40 << 30


STACK = """name: s
target: {release: "26.07", images: [vllm-python-py3], gpus: 2, %s}
models:
  llm: {backend: vllm, source: ./llm, config: {instance_group: [{kind: KIND_MODEL}]}}
"""
GPUS = {
    "by the name of the GPU": ("gpu: L4", [], 22.5),
    "by its memory first": ("gpu: L4, gpu_memory: 40GiB", [], 40),
    "by an option first": ("gpu: L4", ["--gpu-memory", "30GiB"], 30),
    "by an option with a name": ("gpu: L4, gpu_memory: 40GiB", ["--gpu", "A100-40GB"], 39.38),
}


@pytest.mark.parametrize(("keys", "options", "gib"), GPUS.values(), ids=GPUS)
def test_a_stack_names_its_gpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: str, options: list[str], gib: float
) -> None:
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "model.json").write_text(json.dumps({"model": L8, "max_model_len": 512}))
    (tmp_path / "tritonrepo.yaml").write_text(STACK % keys)
    _, found = document(capsys, str(tmp_path), *options)
    assert (found["gpu_memory"]["given"], found["gpus"]) == (int(gib * GIB), 2)
    built, there = str(tmp_path / "out"), str(tmp_path / "tritonrepo.yaml")
    assert run(["build", "-f", there, "-o", built]) == 0
    capsys.readouterr()
    assert document(capsys, built, *options)[1] == found
    assert run(["adopt", built]) == 0
    assert ("gpu: L4" in capsys.readouterr().out) == (keys.startswith("gpu: "))


def test_gpus_that_nobody_counts_are_those_that_engines_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = made(tmp_path, {"a": {"model": L8, "tensor_parallel_size": 4}})
    assert document(capsys, place, "--gpu", "H100")[1]["gpus"] == 4
    assert document(capsys, place, "--gpu", "H100", "--gpus", "5")[1]["gpus"] == 5
    assert run(["adopt", place]) == 0
    assert "gpus: 4}" in capsys.readouterr().out


@pytest.mark.parametrize("written", ["H1O0", "[]", "12", "'a\nb'"])
def test_a_stack_with_a_gpu_that_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str) -> None:
    (tmp_path / "tritonrepo.yaml").write_text(STACK % f"gpu: {written}")
    assert run(["fit", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "/tritonrepo.yaml:2:" in said
    assert ("Did you mean" in said) == (written == "H1O0")
    assert ("Set gpus to" in said) == (written == "12")


def test_what_is_missing_is_no_negative_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = made(tmp_path, {"a": {"model": L70, "max_model_len": 512}})
    assert run(["fit", place, *L4]) == 1
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("left for the KV cache"))
    assert re.fullmatch(r"left for the KV cache +nothing +short by [0-9.]+ to [0-9.]+", row)


def test_the_advice_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = document(capsys, made(tmp_path / "r", {"a": {"model": L8}}), *L4)
    changes = [option["change"] for option in found["engines"][0]["options"]]
    length = next(int(change.split()[1]) for change in changes if change.startswith("max_model_len"))
    again = made(tmp_path / "s", {"a": {"model": L8, "max_model_len": length}})
    assert document(capsys, again, *L4)[1]["engines"][0]["state"] == "fits"
    assert any(change.startswith("tensor_parallel_size") for change in changes)


REFUSED = {
    "no memory": (["."], "fit-gpu-memory"),
    "no such path": (["nowhere", "--gpu", "L4"], "validate-path"),
}


@pytest.mark.parametrize(("arguments", "rule"), REFUSED.values(), ids=REFUSED)
def test_what_ends_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    rule: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path, {"a": {"model": L8}})
    code, found = document(capsys, *arguments)
    assert code == 2
    assert [each["rule"] for each in found["diagnostics"]] == [rule]
    assert found["fits"] is None


NAMED = {
    "a name of two sizes": (
        "A100",
        "the memory of GPU A100 is not known",
        "Use `--gpu A100-40GB` or `--gpu A100-80GB`.",
    ),
    "no size is known": ("B200", "the memory of GPU B200 is not known", "Add `--gpu-memory 80GiB`, or set it in"),
}


@pytest.mark.parametrize(("name", "message", "hint"), NAMED.values(), ids=NAMED)
def test_a_gpu_whose_memory_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str, hint: str
) -> None:
    code, found = document(capsys, str(tmp_path), "--gpu", name)
    (said,) = found["diagnostics"]
    assert (code, said["message"], said["hint"].startswith(hint)) == (2, message, True)


WRONG = {
    "a model's own directory": ("a", [], "Nothing could be measured.", "name its parent directory", 1),
    "a directory above": ("..", [], "Nothing could be measured.", "Triton looks for models only at the top of one", 1),
    "an empty directory": ("none", [], "There is no model here.", "", 0),
    "no GPU": ("plain", ["--gpus", "0"], "without a GPU.\n\nNo model uses a GPU.", "", 0),
    "a model.json that cannot be read": ("broken", [], "Nothing could be measured.", "Remove the comma", 1),
    "a model.json that cannot be read beside one": ("half", [], "on GPU 0: fits", "Remove the comma", 1),
    "a stray directory beside": ("stray", [], "on GPU 0: fits", "", 0),
}


@pytest.mark.parametrize(("path", "options", "said", "hint", "code"), WRONG.values(), ids=WRONG)
def test_what_is_said_of_a_wrong_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, options: list[str], said: str, hint: str, code: int
) -> None:
    here = tmp_path / "r" / "here"
    made(here, {"a": {"model": L8, "max_model_len": 512}})
    made(here / "broken", {"b": {}})
    (here / "broken" / "b" / "1" / "model.json").write_text('{"model": "x",}')
    made(here / "stray", {"c": {"model": L8, "max_model_len": 512}})
    made(here / "plain", {"d": {"model": L8}})
    made(here / "half", {"e": {"model": L8, "max_model_len": 512}, "f": {}})
    (here / "half" / "f" / "1" / "model.json").write_text('{"model": "x",}')
    for name in ("none", "stray/empty"):
        (here / name).mkdir()
    assert run(["fit", str(here / path), *L4, *options]) == code
    out = capsys.readouterr().out
    assert said in out
    assert hint in out


@pytest.mark.parametrize("size", ["80", "0GiB", "-1GiB", "many", "nanGiB", "9" * 400 + "GiB", ""])
def test_memory_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str) -> None:
    assert run(["fit", str(tmp_path), "--gpu-memory", size]) == 2
    assert "is not a size, such as 80GiB." in capsys.readouterr().err


def test_names_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, {"a\x1b[31m\nb": {"model": "x\x1b]0;\ny", "max_model_len": 8}})
    assert run(["fit", str(tmp_path), *L4]) == 0
    assert "\x1b" not in (said := capsys.readouterr().out)
    assert r"\nb/1/model.json" in said


def test_the_api_gives_values() -> None:
    found = api.fit("examples/models/vllm-llama", api.Workspace())
    (engine,) = found.engines
    assert engine.fits is Fits.YES
    assert engine.doubts == ("adapters take memory as well",)
    assert engine.share is not None
    assert engine.share.widest == "CUDA graphs"


def test_the_last_table_adds_up_what_is_on_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"model": L8, "max_model_len": 512, "gpu_memory_utilization": 0.4}
    place = made(tmp_path, {"a": arguments, "b": arguments})
    (tmp_path / "encoder" / "1").mkdir(parents=True)
    (tmp_path / "encoder" / "1" / "model.plan").write_bytes(b"x" * 4096)
    (tmp_path / "encoder" / "config.pbtxt").write_text(
        'platform: "tensorrt_plan"\ninstance_group { kind: KIND_GPU count: 2 gpus: [ 0 ] }\n'
    )
    found = document(capsys, place, "--gpu-memory", "100GiB", "--gpus", "2", "--release", "26.07")[1]
    (load,) = found["loads"]
    assert (load["gpu"], load["engines"], load["others"]) == (0, ["a", "b"], ["encoder", "encoder"])
    assert (load["utilization"], load["weights"]) == (0.8, 2 * 4096)
    assert load["left"]["low"] == load["left"]["high"] == (20 << 30) - 2 * 4096
