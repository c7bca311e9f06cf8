"""Deliberate mistakes in copies of the built example, judged twice: by `validate`, and by the real server.

The models that `validate` says are not ready are exactly those that the server does not serve. What only the vLLM
backend would refuse is judged by our stand-in for it, and named so.
"""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import tritonrepo
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.process import start
from tritonrepo.server.runtime import find

BACKENDS = Path(tritonrepo.__file__).parent / "server" / "backends"


class Mistake(NamedTuple):
    """An edit of one file, the rule that names it, and the text at whose place it must be named.

    `old` is replaced once by `new`; in `new` the guillemets stand around what the finding must point at.
    """

    path: str
    old: str
    new: str
    rule: str
    judged_by: str = "the real server"
    auto_complete: bool = False


MISTAKES = {
    "a field that does not exist": Mistake(
        "embedder/config.pbtxt", "max_batch_size: 64", "«max_batchsize»: 64", "unknown-field"
    ),
    "a bracket too few": Mistake("retriever/config.pbtxt", "dims: [ 384 ] }", "dims: [ 384 ", "config-unparsable"),
    "a name that is not the directory's": Mistake(
        "retriever/config.pbtxt", 'name: "retriever"', 'name: «"retreiver"»', "name-differs-from-directory"
    ),
    "a backend that no image has": Mistake(
        "embedder_model/config.pbtxt", 'backend: "onnxruntime"', 'backend: «"onnxrutime"»', "backend-not-available"
    ),
    "a version that is not there": Mistake(
        "retriever/config.pbtxt", "versions: [ 1 ]", "versions: [ «7» ]", "policy-specific-none-present"
    ),
    "an input without type": Mistake(
        "embedder/config.pbtxt", 'name: "text" data_type: TYPE_STRING', 'name: "text"', "io-data-type-missing"
    ),
    "an input without dims": Mistake(
        "retriever/config.pbtxt", "data_type: TYPE_FP32 dims: [ 384 ]", "data_type: TYPE_FP32", "io-dims-missing"
    ),
    "a preferred batch above the largest": Mistake(
        "embedder/config.pbtxt",
        "dynamic_batching {",
        "dynamic_batching { preferred_batch_size: «128»",
        "dynamic-preferred-above-max",
    ),
    "a GPU where there is none": Mistake("embedder_model/config.pbtxt", "KIND_AUTO", "«KIND_GPU»", "kind-gpu-no-gpu"),
    "GPUs for the CPU": Mistake(
        "retriever/config.pbtxt", "kind: KIND_CPU", "kind: KIND_CPU gpus: «0»", "kind-cpu-with-gpus"
    ),
    "a step that is no model": Mistake(
        "search/config.pbtxt", 'model_name: "retriever"', 'model_name: «"retreiver"»', "step-model-missing"
    ),
    "a tensor that no step writes": Mistake(
        "search/config.pbtxt",
        'input_map { key: "embedding" value: "query_embedding" }',
        'input_map { key: "embedding" value: «"query_embeding"» }',
        "output-not-written",
    ),
    "a tensor that two steps write": Mistake(
        "search/config.pbtxt",
        'output_map { key: "ids" value: "ids" }',
        'output_map { key: "ids" value: «"passages"» }',
        "tensor-written-twice",
    ),
    "a tensor of another type": Mistake(
        "search/config.pbtxt",
        'name: "scores" data_type: TYPE_FP32',
        'name: "scores" data_type: TYPE_FP64',
        "tensor-type-differs",
    ),
    "a tensor of another shape": Mistake(
        "retriever/config.pbtxt", "dims: [ 384 ]", "dims: [ 385 ]", "tensor-shape-differs"
    ),
    "an input that no step has": Mistake(
        "search/config.pbtxt", 'key: "text" value: "query"', 'key: «"txt"» value: "query"', "step-input-unknown"
    ),
    "a batch above a step's": Mistake(
        "search/config.pbtxt", "max_batch_size: 0", "max_batch_size: «128»", "ensemble-batch-above-step"
    ),
    "vLLM that batches": Mistake(
        "generator/config.pbtxt",
        "max_batch_size: 0",
        "max_batch_size: «8»",
        "vllm-max-batch-size",
        "our stand-in",
        auto_complete=True,
    ),
    "vLLM that is not decoupled": Mistake(
        "generator/config.pbtxt",
        "decoupled: true",
        "decoupled: «false»",
        "vllm-decoupled-false",
        "our stand-in",
        auto_complete=True,
    ),
    "a model.json that is no JSON": Mistake(
        "generator/1/model.json", '{\n  "gpu', "{\n  gpu", "vllm-model-json-syntax", "our stand-in"
    ),
}


REMOVED = {
    "the ONNX file": ("embedder_model/1/model.onnx", {"onnx-model-file-missing", "model-file-missing"}),
    "the Python file": ("retriever/1/model.py", {"python-model-file-missing-hang", "python-model-file-missing"}),
    "vLLM's model.json": ("generator/1/model.json", {"vllm-model-json-missing"}),
}


class Case(NamedTuple):
    """A spoilt copy, the file that was spoilt, and where in it the finding must be."""

    repository: Path
    path: Path
    at: tuple[int, int] | None
    auto_complete: bool = False


def refused_by_us(case: Case, capsys: pytest.CaptureFixture[str]) -> tuple[set[str], list[dict[str, object]]]:
    mode = [] if case.auto_complete else ["--no-auto-complete"]
    assert run(["validate", str(case.repository), "--release", "24.10", "--gpus", "0", "--format", "json", *mode]) == 1
    document = json.loads(capsys.readouterr().out)
    refused = {verdict["model"] for verdict in document["verdicts"] if verdict["verdict"] != "ready"}
    return refused, [finding for finding in document["diagnostics"] if finding["severity"] == "error"]


NOTHING_SERVES = {"server-died", "server-hangs"}
"""What ends a start for all models; a start that takes too long, or a port that is taken, is no refusal."""


def refused_by_the_server(case: Case) -> set[str]:
    """Return the models that a real server does not serve; all of them where it crashes or hangs."""
    repository = case.repository
    backends = {name: BACKENDS / name for name in ("onnxruntime", "vllm")}
    launch = Launch(
        repository,
        find(),
        mode=Mode.EXPLICIT,
        auto_complete=case.auto_complete,
        backends=backends,
        environment={"TRITONREPO_LLM_ENGINE": "script"},
        deadline_s=90,
        extra_args=["--load-model=*"],
    )
    models = {path.name for path in repository.iterdir() if path.is_dir()}
    try:
        with start(launch) as server:
            return models - {state.name for state in Client(Endpoint(server.http)).index() if state.state == "READY"}
    except Stop as stop:
        if {diagnostic.rule for diagnostic in stop.diagnostics} <= NOTHING_SERVES:
            return models
        raise


def place(text: str) -> tuple[str, tuple[int, int] | None]:
    """Return the text without guillemets, and line and column of what stood in them."""
    found = re.search("«", text)
    if not found:
        return text, None
    before = text[: found.start()]
    return text.replace("«", "").replace("»", ""), (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)


@pytest.fixture(scope="module")
def spoilt(rag_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """A copy of the repository for every mistake."""
    cases = {}
    for name, mistake in MISTAKES.items():
        repository = shutil.copytree(rag_repository, tmp_path_factory.mktemp("spoilt") / "models")
        path = repository / mistake.path
        text = path.read_text("utf-8")
        assert mistake.old in text
        content, at = place(text.replace(mistake.old, mistake.new, 1))
        path.unlink()  # a copy may be read-only
        path.write_text(content, "utf-8")
        cases[name] = Case(repository, path, at, mistake.auto_complete)
    for name, (removed, _) in REMOVED.items():
        repository = shutil.copytree(rag_repository, tmp_path_factory.mktemp("spoilt") / "models")
        (repository / removed).unlink()
        cases[name] = Case(repository, repository / removed, None)
    return cases


@pytest.fixture(scope="module")
def refused_by_servers(spoilt: dict[str, Case]) -> dict[str, set[str]]:
    """What the real servers refuse: one a mistake, a few at once, as most of their time is waiting."""
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(refused_by_the_server, spoilt.values())
        return dict(zip(spoilt, found, strict=True))


@pytest.mark.parametrize("name", MISTAKES)
def test_both_judges_refuse_the_same_models(
    spoilt: dict[str, Case], refused_by_servers: dict[str, set[str]], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    case = spoilt[name]
    refused, findings = refused_by_us(case, capsys)
    named = [finding for finding in findings if finding["rule"] == MISTAKES[name].rule]
    assert named, findings
    if case.at is not None:
        assert (named[0]["path"], named[0]["line"], named[0]["column"]) == (str(case.path), *case.at)
    assert refused == refused_by_servers[name]


@pytest.mark.parametrize("name", REMOVED)
def test_both_judges_miss_the_same_file(
    spoilt: dict[str, Case], refused_by_servers: dict[str, set[str]], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path, rules = REMOVED[name]
    refused, findings = refused_by_us(spoilt[name], capsys)
    assert {finding["rule"] for finding in findings} & rules, findings
    by_server = refused_by_servers[name]
    # a missing model.py hangs a 24.10 server before it serves anything: all its models are lost with this one
    everything = {entry.name for entry in spoilt[name].repository.iterdir() if entry.is_dir()}
    assert refused == by_server or (path.endswith("model.py") and by_server == everything)
