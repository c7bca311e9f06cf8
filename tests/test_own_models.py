"""Models of one's own in a stack: their files, versions and configs, and pipelines that are wired by hand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.graphs import Value, add_graph, fixed_graph, node, onnx_file
from tests.processes import killed
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.diagnostics import Faults
from tritonrepo.flows.stack import drafted
from tritonrepo.flows.target import completes
from tritonrepo.server.client import Client
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import record as records
from tritonrepo.sync.record import Record

HEAD = 'name: own\ntarget: {release: "24.10", images: [py3], gpus: 0}\n'
DOUBLE = """\
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        values = [pb_utils.get_input_tensor_by_name(request, "IN").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", value * 2)]) for value in values]
"""
PYTHON = """\
  double:
    backend: python
    source: ./double.py
    config:
      max_batch_size: 8
      input: [{name: IN, data_type: TYPE_FP32, dims: [2]}]
      output: [{name: OUT, data_type: TYPE_FP32, dims: [2]}]
      instance_group: [{kind: KIND_CPU}]
"""
GRAPH = "  add: {backend: onnxruntime, source: ./add.onnx}\n"
BOTH = """\
ensembles:
  both:
    steps:
      - {model: add, inputs: {x: given}, outputs: {y: sum}}
      - {model: double, inputs: {IN: sum}, outputs: {OUT: result}}
"""


@pytest.fixture
def here(inside: Path) -> Path:
    """A directory with a graph that adds one and a Python model that doubles."""
    add_graph(inside / "add.onnx")
    (inside / "double.py").write_text(DOUBLE, "utf-8")
    return inside


def build(text: str, *options: str) -> int:
    Path("tritonrepo.yaml").write_text(HEAD + text, "utf-8")
    return run(["build", *options])


def config(name: str) -> list[str]:
    """The lines of a config without the comment at its top."""
    return Path("model_repository", name, "config.pbtxt").read_text("utf-8").splitlines()[1:]


def built() -> list[str]:
    root = Path("model_repository")
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.usefixtures("here")
def test_a_config_is_completed_from_the_graph_as_the_server_would() -> None:
    assert build(f"models:\n{GRAPH}") == 0
    assert config("add") == [
        'name: "add"',
        'backend: "onnxruntime"',
        "version_policy { specific { versions: [ 1 ] } }",
        "max_batch_size: 4",
        'input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }',
        'output { name: "y" data_type: TYPE_FP32 dims: [ 2 ] }',
        "dynamic_batching { }",
    ]


COMPLETED = {
    "its own batch size": (
        "{max_batch_size: 16}",
        ["max_batch_size: 16", "input x [ 2 ]", "output y [ 2 ]", "dynamic_batching { }"],
    ),
    "no batches": ("{max_batch_size: 0}", ["max_batch_size: 0", "input x [ -1, 2 ]", "output y [ -1, 2 ]"]),
    "its own scheduler": (
        "{dynamic_batching: {preserve_ordering: true}}",
        ["max_batch_size: 4", "input x [ 2 ]", "output y [ 2 ]", "dynamic_batching { preserve_ordering: true }"],
    ),
    "only outputs are absent": (
        "{max_batch_size: 2, input: [{name: x, data_type: TYPE_FP32, dims: [2]}]}",
        ["max_batch_size: 2", "input x [ 2 ]", "output y [ 2 ]", "dynamic_batching { }"],
    ),
    "nothing is absent": (
        (
            "{input: [{name: x, data_type: TYPE_FP32, dims: [-1, 2]}], "
            "output: [{name: y, data_type: TYPE_FP32, dims: [-1, 2]}]}"
        ),
        ["input x [ -1, 2 ]", "output y [ -1, 2 ]"],
    ),
}


@pytest.mark.parametrize(("own", "lines"), COMPLETED.values(), ids=COMPLETED)
def test_what_the_config_says_stands_and_only_the_rest_is_completed(here: Path, own: str, lines: list[str]) -> None:
    assert here.is_dir()
    assert build(f"models:\n  add: {{backend: onnxruntime, source: ./add.onnx, config: {own}}}\n") == 0
    short = [
        f"{line.split()[0]} {line.split(chr(34))[1]} {line[line.index('[') : line.index(']') + 1]}"
        if line.startswith(("input", "output"))
        else line
        for line in config("add")
    ]
    assert short[3:] == lines


def test_a_graph_that_does_not_batch_gets_all_of_its_dims(here: Path) -> None:
    fixed_graph(here / "add.onnx")
    assert build(f"models:\n{GRAPH}") == 0
    assert config("add")[3:] == [
        "max_batch_size: 0",
        'input { name: "x" data_type: TYPE_FP32 dims: [ 1, 2 ] }',
        'output { name: "y" data_type: TYPE_FP32 dims: [ 1, 2 ] }',
    ]


def test_a_tensor_of_nothing_but_the_batch_is_reshaped(here: Path) -> None:
    batch: list[str | int] = ["b"]
    onnx_file(here / "add.onnx", [Value("x", "INT64", batch)], [Value("y", "INT64", batch)], node("Abs", ["x"], ["y"]))
    assert build(f"models:\n{GRAPH}") == 0
    assert config("add")[4] == 'input { name: "x" data_type: TYPE_INT64 dims: [ 1 ] reshape { } }'


def test_a_single_file_gets_the_name_that_its_backend_looks_for(here: Path) -> None:
    (here / "weights").mkdir()
    (here / "weights" / "anything.bin").write_bytes(b"x")
    models = """\
  a: {backend: python, source: ./double.py, config: {default_model_filename: main.py}}
  b: {backend: python, source: ./double.py}
  c: {platform: pytorch_libtorch, source: ./weights/anything.bin, config: {input: [], output: []}}
  d: {role: model, source: ./weights, config: {backend: identity}}
  e: {backend: tensorrt, source: ./weights/anything.bin}
  f: {backend: vllm, source: ./weights/anything.bin}
  g: {backend: identity}
"""
    Path("tritonrepo.yaml").write_text(HEAD + "models:\n" + models, "utf-8")
    work = api.Workspace(os.environ)
    faults = Faults()
    tree = drafted(api.load(here, work).gathering(), {}, faults).tree
    assert not faults.found
    assert sorted(path for path in tree if not path.endswith("config.pbtxt")) == [
        "a/1/main.py",
        "b/1/model.py",
        "c/1/model.pt",
        "d/1/anything.bin",
        "e/1/model.plan",
        "f/1/model.json",
        "g/1/.keep",
    ]


@pytest.mark.usefixtures("here")
def test_several_versions_have_the_numbers_of_the_stack_and_all_are_served() -> None:
    text = "models:\n  add: {backend: onnxruntime, versions: {3: ./add.onnx, 12: ./add.onnx}}\n"
    assert build(text) == 0
    assert built() == ["add/12/model.onnx", "add/3/model.onnx", "add/config.pbtxt", "tritonrepo.json"]
    assert config("add")[2] == "version_policy { specific { versions: [ 3, 12 ] } }"
    assert build(text.replace("3: ./add.onnx, ", ""), "--check") == 1
    assert build(f"models:\n{GRAPH}") == 0, "what comes without numbers goes on from the highest"
    assert built() == ["add/12/model.onnx", "add/config.pbtxt", "tritonrepo.json"]


def test_files_lie_next_to_the_versions(here: Path) -> None:
    (here / "labels.txt").write_text("a\nb\n", "utf-8")
    (here / "warm").mkdir()
    (here / "warm" / "zeros").write_bytes(bytes(8))
    text = """\
models:
  add:
    backend: onnxruntime
    source: ./add.onnx
    files: {names.txt: ./labels.txt, warmup: ./warm}
    config:
      output: [{name: y, data_type: TYPE_FP32, dims: [2], label_filename: names.txt}]
      model_warmup: [{name: w, batch_size: 1, inputs: {x: {data_type: TYPE_FP32, dims: [2], input_data_file: zeros}}}]
"""
    assert build(text) == 0
    assert built() == [
        "add/1/model.onnx",
        "add/config.pbtxt",
        "add/names.txt",
        "add/warmup/zeros",
        "tritonrepo.json",
    ]


@pytest.mark.usefixtures("here")
def test_steps_are_wired_as_they_are_written() -> None:
    assert build(f"models:\n{GRAPH}{PYTHON}{BOTH}") == 0
    assert config("both") == [
        'name: "both"',
        'platform: "ensemble"',
        "version_policy { specific { versions: [ 1 ] } }",
        "max_batch_size: 4",
        'input { name: "given" data_type: TYPE_FP32 dims: [ 2 ] }',
        'output { name: "result" data_type: TYPE_FP32 dims: [ 2 ] }',
        "ensemble_scheduling {",
        "  step {",
        '    model_name: "add"',
        "    model_version: 1",
        '    input_map { key: "x" value: "given" }',
        '    output_map { key: "y" value: "sum" }',
        "  }",
        "  step {",
        '    model_name: "double"',
        "    model_version: 1",
        '    input_map { key: "IN" value: "sum" }',
        '    output_map { key: "OUT" value: "result" }',
        "  }",
        "}",
    ]


@pytest.mark.usefixtures("here")
def test_a_step_can_name_its_version_and_a_pipeline_its_outputs() -> None:
    text = f"models:\n  add: {{backend: onnxruntime, versions: {{3: ./add.onnx, 12: ./add.onnx}}}}\n{PYTHON}"
    text += BOTH.replace("model: add,", "model: add, version: 3,").replace(
        "    steps:", "    outputs: [sum, result]\n    steps:"
    )
    assert build(text) == 0
    assert "    model_version: 3" in config("both")
    assert [line.split('"')[1] for line in config("both") if line.startswith("output ")] == ["sum", "result"]


@pytest.mark.usefixtures("here")
def test_a_misspelt_tensor_of_a_step_is_told_although_it_can_be_an_input(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"models:\n{GRAPH}{PYTHON}{BOTH.replace('{IN: sum}', '{IN: sums}')}"
    assert build(text) == 0
    at = text.splitlines()[-1].index("sums") + 1
    message = (
        f'tritonrepo.yaml:17:{at}: warning: no step returns "sums", so it is an input of "both", '
        'and no step reads "sum" [steps-tensor]'
    )
    hint = '  Did you mean "sum"? If not, set outputs of "both".'
    assert capsys.readouterr().err.splitlines()[:2] == [message, hint]
    for meant in (text.replace("    steps:", "    outputs: [sum, result]\n    steps:"), text.replace("sums", "other")):
        assert build(meant) == 0
        assert capsys.readouterr().err == ""


WRONG: Mapping[str, tuple[str, str, str]] = {
    "a step of nobody": (
        BOTH.replace("model: add", "model: ad"),
        'tritonrepo.yaml:16:17: fatal: "both" calls "ad", which is not a model of this stack [stack-meaning]',
        'Did you mean "add"?',
    ),
    "an output that the model lacks": (
        BOTH.replace("{y: sum}", "{z: sum}"),
        'tritonrepo.yaml:16:55: error: model "add" has no output "z"',
        'Did you mean "y"?',
    ),
    "an input that the model lacks": (
        BOTH.replace("{x: given}", "{X: given}"),
        'tritonrepo.yaml:16:34: error: model "add" has no input "X"',
        'Did you mean "x"?',
    ),
    "a tensor that two steps return": (
        BOTH.replace("{OUT: result}", "{OUT: sum}"),
        'tritonrepo.yaml:17:59: fatal: the tensor "sum" of "both" is ambiguous: "add" and "double" return it',
        "Give one of them another name.",
    ),
    "a circle": (
        BOTH.replace("{x: given}", "{x: result}"),
        'tritonrepo.yaml:16:7: fatal: no step of "both" reads an input of the pipeline',
        "",
    ),
    "an output of nobody": (
        BOTH.replace("    steps:", "    outputs: [reslt]\n    steps:"),
        'tritonrepo.yaml:15:15: fatal: ensemble "both" lists the output "reslt", which no step returns',
        'Did you mean "result"?',
    ),
    "a pipeline as a step": (
        BOTH + "  more: {steps: [{model: both, inputs: {given: a}, outputs: {result: b}}]}\n",
        'tritonrepo.yaml:18:26: fatal: a step of "more" calls the pipeline "both"',
        'Call the models of "both" instead',
    ),
    "a pipeline of steps in a chain": (
        BOTH + "  more: {chain: [both, add]}\n",
        'tritonrepo.yaml:18:18: fatal: "more" chains "both", which is wired by hand',
        "with steps",
    ),
    "a chain beside the steps": (
        BOTH.replace("    steps:", "    chain: [add]\n    steps:"),
        'fatal: ensemble "both" sets both chain and steps',
        "Remove one of them.",
    ),
    "neither": (
        "ensembles:\n  both: {outputs: [y]}\n",
        'tritonrepo.yaml:14:9: fatal: ensemble "both" sets neither chain nor steps',
        "Add chain",
    ),
    "a version that is not built": (
        BOTH.replace("model: add,", "model: add, version: 7,"),
        'tritonrepo.yaml:16:31: error: step 0 asks for version 7 of model "add", but only version 1 is loaded',
        "",
    ),
}


@pytest.mark.parametrize(("pipelines", "message", "hint"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_steps_is_told_where_they_are_written(
    here: Path, capsys: pytest.CaptureFixture[str], pipelines: str, message: str, hint: str
) -> None:
    assert here.is_dir()
    assert build(f"models:\n{GRAPH}{PYTHON}{pipelines}") in {1, 2}
    said = capsys.readouterr().err
    assert message in said
    assert hint in said
    assert not Path("model_repository").exists()


FAULTS: Mapping[str, tuple[str, str, str]] = {
    "source and versions": (
        "{backend: python, source: ./double.py, versions: {1: ./double.py}}",
        'tritonrepo.yaml:4:55: fatal: "m" sets both source and versions',
        "Remove one of them.",
    ),
    "a version that is no number": (
        "{backend: python, versions: {v1: ./double.py}}",
        '4:39: fatal: "v1" cannot be the number of a version',
        "Use an integer from 1",
    ),
    "version 0": ("{backend: python, versions: {0: ./double.py}}", '"0" cannot be the number of a version', ""),
    "a version past 64 bits": (
        "{backend: python, versions: {9223372036854775808: ./double.py}}",
        '"9223372036854775808" cannot be the number of a version',
        "",
    ),
    "a backend said twice": (
        "{backend: python, source: ./double.py, config: {backend: onnxruntime}}",
        '4:16: fatal: "backend" of "m" is set twice, here and in config',
        "Remove one of them.",
    ),
    "a file out of the model": (
        "{backend: python, source: ./double.py, files: {../x: ./double.py}}",
        '"../x" cannot be a path next to the versions of "m"',
        "Use a relative path",
    ),
    "a file and a directory at one path": (
        "{backend: python, source: ./double.py, files: {x: ./double.py, x/y: ./double.py}}",
        '4:74: fatal: files of "m" has "x" as a file and as a directory',
        "Give one of them another path.",
    ),
    "a model file out of its version": (
        "{backend: tensorrt, source: ./double.py, config: {default_model_filename: ../../../x.plan}}",
        '4:80: fatal: default_model_filename "../../../x.plan" of "m" is outside the version directory',
        "Use the path of the file in its version directory.",
    ),
    "an absolute model file": (
        "{backend: tensorrt, source: ./double.py, config: {default_model_filename: /tmp/x.plan}}",
        'default_model_filename "/tmp/x.plan" of "m" is outside the version directory',
        "",
    ),
    "a file in the config's place": (
        "{backend: python, source: ./double.py, files: {config.pbtxt: ./double.py}}",
        '"config.pbtxt" cannot be a path next to the versions of "m"',
        "",
    ),
    "a file in a version": (
        "{backend: python, source: ./double.py, files: {1/x: ./double.py}}",
        '"1/x" cannot be a path next to the versions of "m"',
        "",
    ),
    "a source that is not there": (
        "{backend: python, source: ./nothing}",
        'tritonrepo.yaml:4:32: fatal: "./nothing" does not exist',
        "Check that nothing exists.",
    ),
    "a graph that is none": (
        "{backend: onnxruntime, source: ./double.py}",
        'tritonrepo.yaml:4:37: fatal: the ONNX file of "m" is damaged or incomplete:',
        "Git LFS pointer",
    ),
    "a batch size that the graph has not": (
        "{backend: onnxruntime, source: ./fixed.onnx, config: {max_batch_size: 8}}",
        'max_batch_size is 8, but the first dimension of input "x" is not variable',
        "List input and output in config",
    ),
    "a field that a rule judges": (
        "{backend: python, source: ./double.py, config: {instance_group: [{}, {kind: KIND_GPU, gpus: [0, 3]}]}}",
        "tritonrepo.yaml:4:99: error: the group uses GPU 0, but the target has no GPU",
        "",
    ),
    "a backend of nobody": ("{backend: pyton, source: ./double.py}", "tritonrepo.yaml:4:16: error:", ""),
}


@pytest.mark.parametrize(("model", "message", "hint"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_with_a_model_is_told_where_it_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], model: str, message: str, hint: str
) -> None:
    fixed_graph(here / "fixed.onnx")
    assert build(f"models:\n  m: {model}\n") in {1, 2}
    said = capsys.readouterr().err
    assert message in said
    assert hint in said
    assert not Path("model_repository").exists()


def test_a_missing_source_hides_no_other_mistake_and_makes_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "add.onnx").unlink()
    assert build(f"models:\n{GRAPH}{PYTHON.replace('KIND_CPU', 'KIND_CPU, gpus: [0]')}{BOTH}") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(" ")]
    assert [line.split(": ")[1] + line[line.rindex(" ") :] for line in said] == [
        "fatal [source-missing]",
        "error [kind-cpu-with-gpus]",
    ]


def completing(name: str, text: str) -> Path:
    """A directory of one model, written by hand."""
    place = Path("hand", name)
    (place / "1").mkdir(parents=True)
    (place / "config.pbtxt").write_text(text, "utf-8")
    return place


def test_a_hand_written_repository_is_completed_by_the_server(here: Path) -> None:
    shutil.copy(here / "add.onnx", completing("add", 'backend: "onnxruntime"\n') / "1" / "model.onnx")
    with killed(api.serve(here / "hand", api.ServeOptions(api.Ports(0, 0, 0)), api.Workspace(os.environ))) as server:
        assert [tensor["name"] for tensor in Client(server.endpoint).config("add")["input"]] == ["x"]


COMPLETES = """\
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [2]})
        config.add_output({"name": "OUT", "data_type": "TYPE_FP32", "dims": [2]})
        return config

    def execute(self, requests):
        return []
"""


def recorded(here: Path) -> Record:
    return records.load(DirectoryStore(here).scan("model_repository"), "")


def test_a_build_says_whether_the_server_has_to_complete_configs(here: Path) -> None:
    assert build(f"models:\n{GRAPH}") == 0
    record = json.loads((here / "model_repository" / "tritonrepo.json").read_bytes())
    assert "auto_complete" not in record["target"]
    assert not completes(recorded(here))
    (here / "completes.py").write_text(COMPLETES, "utf-8")
    assert build(f"models:\n{GRAPH}  own: {{backend: python, source: ./completes.py}}\n") == 0
    record = json.loads((here / "model_repository" / "tritonrepo.json").read_bytes())
    assert record["target"]["auto_complete"] is True
    assert completes(recorded(here))
