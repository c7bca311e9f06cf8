"""Deliberate mistakes in copies of the example's models, judged twice: by `validate`, and by the real server.

The models that `validate` says are not ready are exactly those that the server does not serve. What only the vLLM
backend would refuse is judged by our stand-in for it, and named so. The copies for one mistake are a model and the
pipelines that call it: many mistakes share one repository, and so one server, with the models as they were built.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

import tritonrepo
from tests.processes import killed
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


ENDS_THE_START = "the Python file"
"""What hangs a 24.10 server before it serves anything: all its models are lost with this one."""


class Case(NamedTuple):
    """A spoilt model and its callers, all with the same suffix: in which repository, and where the finding must be."""

    repository: str
    suffix: str
    path: Path
    at: tuple[int, int] | None

    def own(self, models: set[str]) -> set[str]:
        return {model for model in models if model.endswith(self.suffix)}


class Repository:
    """A repository of the models as they were built, to which spoilt copies are added."""

    def __init__(self, good: Path, place: Path, *, auto_complete: bool = False) -> None:
        self.place = shutil.copytree(good, place, copy_function=os.link)
        self.auto_complete = auto_complete
        self.built = self.models()

    def models(self) -> set[str]:
        return {path.name for path in self.place.iterdir() if path.is_dir()}

    def copied(self, model: str, suffix: str) -> Path:
        """Copy a model and the pipelines that call it, and return the copy of the model."""
        calling = [name for name in self.built if f'model_name: "{model}"' in self.config(name).read_text("utf-8")]
        for name in (model, *calling):
            shutil.copytree(self.place / name, self.place / f"{name}{suffix}", copy_function=os.link)
            path = self.config(f"{name}{suffix}")
            write(path, re.sub(f'name: "({name}|{model})"', rf'name: "\1{suffix}"', path.read_text("utf-8")))
        return self.place / f"{model}{suffix}"

    def config(self, model: str) -> Path:
        return self.place / model / "config.pbtxt"


def write(path: Path, text: str) -> None:
    """Write a file that other repositories share, and that may be read-only."""
    path.unlink()
    path.write_text(text, "utf-8")


class Judged(NamedTuple):
    """The models that are not ready, and the errors that were found, if the judge says."""

    refused: set[str]
    findings: Sequence[Mapping[str, object]] = ()


def by_us(repository: Repository) -> Judged:
    mode = [] if repository.auto_complete else ["--no-auto-complete"]
    asked = ["validate", str(repository.place), "--release", "24.10", "--gpus", "0", "--format", "json", *mode]
    with redirect_stdout(io.StringIO()) as out:
        assert run(asked) == 1
    document = json.loads(out.getvalue())
    refused = {verdict["model"] for verdict in document["verdicts"] if verdict["verdict"] != "ready"}
    return Judged(refused, [finding for finding in document["diagnostics"] if finding["severity"] == "error"])


NOTHING_SERVES = {"server-died", "server-hangs"}
"""What ends a start for all models; a start that takes too long, or a port that is taken, is no refusal."""


def by_the_server(repository: Repository) -> Judged:
    """Return the models that a real server does not serve; all of them where it crashes or hangs."""
    launch = Launch(
        repository.place,
        find(),
        mode=Mode.EXPLICIT,
        auto_complete=repository.auto_complete,
        backends={name: BACKENDS / name for name in ("onnxruntime", "vllm")},
        environment={"TRITONREPO_LLM_ENGINE": "script"},
        deadline_s=90,
        extra_args=["--load-model=*"],
    )
    models = repository.models()
    try:
        with killed(start(launch)) as server:
            states = Client(Endpoint(server.http)).index()
            return Judged(models - {state.name for state in states if state.state == "READY"})
    except Stop as stop:
        if {diagnostic.rule for diagnostic in stop.diagnostics} <= NOTHING_SERVES:
            return Judged(models)
        raise


def place(text: str) -> tuple[str, tuple[int, int] | None]:
    """Return the text without guillemets, and line and column of what stood in them."""
    found = re.search("«", text)
    if not found:
        return text, None
    before = text[: found.start()]
    return text.replace("«", "").replace("»", ""), (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)


@pytest.fixture(scope="module")
def repositories(rag_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Repository]:
    top = tmp_path_factory.mktemp("spoilt")
    return {
        name: Repository(rag_repository, top / name.replace(" ", "-"), auto_complete=name == "completed")
        for name in ("as it stands", "completed", ENDS_THE_START)
    }


@pytest.fixture(scope="module")
def spoilt(repositories: dict[str, Repository]) -> dict[str, Case]:
    """The copies for every mistake."""
    cases = {}
    for number, (name, mistake) in enumerate(MISTAKES.items()):
        suffix, repository = f"_{number}", "completed" if mistake.auto_complete else "as it stands"
        model, _, file = mistake.path.partition("/")
        path = repositories[repository].copied(model, suffix) / file
        text, old = path.read_text("utf-8"), mistake.old.replace(f'"{model}"', f'"{model}{suffix}"')
        assert old in text
        content, at = place(text.replace(old, mistake.new, 1))
        write(path, content)
        cases[name] = Case(repository, suffix, path, at)
    for name, (removed, _) in REMOVED.items():
        suffix, repository = f"_{len(cases)}", name if name == ENDS_THE_START else "as it stands"
        model, _, file = removed.partition("/")
        path = repositories[repository].copied(model, suffix) / file
        path.unlink()
        cases[name] = Case(repository, suffix, path, None)
    return cases


@pytest.fixture(scope="module")
def ours(repositories: dict[str, Repository], spoilt: dict[str, Case]) -> dict[str, Judged]:
    assert spoilt
    return {name: by_us(repository) for name, repository in repositories.items()}


@pytest.fixture(scope="module")
def theirs(repositories: dict[str, Repository], spoilt: dict[str, Case]) -> dict[str, Judged]:
    """What the real servers refuse: all at once, as most of their time is waiting."""
    assert spoilt
    with ThreadPoolExecutor() as pool:
        return dict(zip(repositories, pool.map(by_the_server, repositories.values()), strict=True))


def own_findings(case: Case, judged: Judged) -> list[Mapping[str, object]]:
    """Return what was found in the copies for this case."""
    return [finding for finding in judged.findings if case.own({str(finding["model"])})]


@pytest.mark.parametrize("name", MISTAKES)
def test_both_judges_refuse_the_same_models(
    spoilt: dict[str, Case], ours: dict[str, Judged], theirs: dict[str, Judged], name: str
) -> None:
    case = spoilt[name]
    findings = own_findings(case, ours[case.repository])
    named = [finding for finding in findings if finding["rule"] == MISTAKES[name].rule]
    assert named, findings
    if case.at is not None:
        assert (named[0]["path"], named[0]["line"], named[0]["column"]) == (str(case.path), *case.at)
    refused = case.own(ours[case.repository].refused)
    assert refused
    assert refused == case.own(theirs[case.repository].refused)


@pytest.mark.parametrize("name", REMOVED)
def test_both_judges_miss_the_same_file(
    spoilt: dict[str, Case], ours: dict[str, Judged], theirs: dict[str, Judged], name: str
) -> None:
    case = spoilt[name]
    findings = own_findings(case, ours[case.repository])
    assert {finding["rule"] for finding in findings} & REMOVED[name][1], findings
    refused = case.own(ours[case.repository].refused)
    assert refused
    assert refused == case.own(theirs[case.repository].refused)


def test_both_judges_let_pass_what_is_as_it_was_built(
    repositories: dict[str, Repository], ours: dict[str, Judged], theirs: dict[str, Judged]
) -> None:
    for name, repository in repositories.items():
        lost = repository.built if name == ENDS_THE_START else set()
        assert (repository.built & ours[name].refused, repository.built & theirs[name].refused) == (lost, lost)
