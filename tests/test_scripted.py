"""What a build reads from the auto_complete_config of a Python model, and what it leaves to the server."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.server.client import Client

HEAD = 'name: own\ntarget: {release: "24.10", images: [py3], gpus: 0}\nmodels:\n'
EXECUTE = "\n    def execute(self, requests):\n        return []\n"
ADDED = """\
c.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [2]})
c.add_output({"name": "OUT", "data_type": "TYPE_FP32", "dims": [2]})
"""
EXAMPLE = """\
inputs = [
    {"name": "A", "data_type": "TYPE_FP32", "dims": [4], "optional": True},
    {"name": "B", "data_type": "TYPE_STRING", "dims": [-1]},
]
outputs = [{"name": "C", "data_type": "TYPE_FP32", "dims": [4]}]
config = c.as_dict()
input_names = []
output_names = []
for input in config["input"]:
    input_names.append(input["name"])
for output in config["output"]:
    output_names.append(output["name"])
for input in inputs:
    if input["name"] not in input_names:
        c.add_input(input)
for output in outputs:
    if output["name"] not in output_names:
        c.add_output(output)
c.set_max_batch_size(4)
c.set_dynamic_batching()
return c
"""
"""The idiom of the Python backend's own example (python_backend, examples/auto_complete/batch_model.py)."""


def source(body: str, top: str = "") -> str:
    """Return a model.py with this auto_complete_config, and lines before its class."""
    head = f"import triton_python_backend_utils as pb_utils\n{top}\n\nclass TritonPythonModel:\n"
    method = f"    @staticmethod\n    def auto_complete_config(c):\n{textwrap.indent(body, ' ' * 8)}"
    return f"{head}{method}{EXECUTE}"


def build(*models: tuple[str, str, str]) -> int:
    """Build models of names, sources and configs."""
    lines = []
    for name, text, config in models:
        Path(f"{name}.py").write_text(text, "utf-8")
        lines.append(f"  {name}: {{backend: python, source: ./{name}.py, config: {config or '{}'}}}\n")
    Path("tritonrepo.yaml").write_text(HEAD + "".join(lines), "utf-8")
    return run(["build"])


def config(name: str) -> list[str]:
    """The lines of a config after its backend and versions."""
    return Path("model_repository", name, "config.pbtxt").read_text("utf-8").splitlines()[4:]


IN = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 2 ] }'
OUT = 'output { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] }'
READ: Mapping[str, tuple[str, str, str, list[str]]] = {
    "plain calls": (f"{ADDED}return c", "", "", [IN, OUT]),
    "all that can be set": (
        (
            f"{ADDED}c.set_max_batch_size(8)\nc.set_dynamic_batching()\n"
            "c.set_model_transaction_policy({'decoupled': True})\nreturn c"
        ),
        "",
        "",
        ["max_batch_size: 8", IN, OUT, "dynamic_batching { }", "model_transaction_policy { decoupled: true }"],
    ),
    "the example of the backend": (
        EXAMPLE,
        "",
        "",
        [
            "max_batch_size: 4",
            'input { name: "A" data_type: TYPE_FP32 dims: [ 4 ] optional: true }',
            'input { name: "B" data_type: TYPE_STRING dims: [ -1 ] }',
            'output { name: "C" data_type: TYPE_FP32 dims: [ 4 ] }',
            "dynamic_batching { }",
        ],
    ),
    "the example, with a tensor that the config lists": (
        EXAMPLE,
        "",
        "{input: [{name: B, data_type: TYPE_BYTES, dims: [1]}]}".replace("BYTES", "STRING"),
        [
            "max_batch_size: 4",
            'input { name: "B" data_type: TYPE_STRING dims: [ 1 ] }',
            'input { name: "A" data_type: TYPE_FP32 dims: [ 4 ] optional: true }',
            'output { name: "C" data_type: TYPE_FP32 dims: [ 4 ] }',
            "dynamic_batching { }",
        ],
    ),
    "names in a comprehension": (
        """\
there = {each["name"] for each in c.as_dict()["input"]}
for one in [{"name": "IN", "data_type": "TYPE_FP32", "dims": [2]}]:
    if one["name"] not in there:
        c.add_input(one)
    else:
        pass
return c
""",
        "",
        "{output: [{name: OUT, data_type: TYPE_FP32, dims: [2]}]}",
        [IN, OUT],
    ),
    "a name that is listed by then": (
        f"""\
{ADDED}
for one in c.as_dict()["input"]:
    if one["name"] in ["IN"]:
        c.set_max_batch_size(2)
return c
""",
        "",
        "",
        ["max_batch_size: 2", IN, OUT],
    ),
    "constants of the module": (
        f"for t in TENSORS:\n    c.add_input(t)\n{ADDED.splitlines()[1]}\nc.set_max_batch_size(MOST)\nreturn c",
        'TENSORS = [{"name": "IN", "data_type": "TYPE_FP32", "dims": [2]}]\nMOST: int = 16\nprint(MOST)\n',
        "",
        ["max_batch_size: 16", IN, OUT],
    ),
    "constants in a tensor": (
        (
            'c.add_input({"name": NAME, "data_type": "TYPE_FP32", "dims": [SIZE]})\n'
            'c.add_output(dict(name="OUT", data_type="TYPE_FP32", dims=[SIZE]))\nreturn c'
        ),
        'NAME = "IN"\nSIZE = 2\n',
        "",
        [IN, OUT],
    ),
    "types and dims that the config leaves out": (
        f"{ADDED}return c",
        "",
        "{input: [{name: IN, allow_ragged_batch: true}], max_batch_size: 2}",
        ["max_batch_size: 2", 'input { name: "IN" data_type: TYPE_FP32 dims: [ 2 ] allow_ragged_batch: true }', OUT],
    ),
    "a tensor that the example leaves as the config has it": (
        EXAMPLE,
        "",
        "{input: [{name: B, dims: [1]}]}",
        [
            "max_batch_size: 4",
            'input { name: "B" dims: [ 1 ] }',
            'input { name: "A" data_type: TYPE_FP32 dims: [ 4 ] optional: true }',
            'output { name: "C" data_type: TYPE_FP32 dims: [ 4 ] }',
            "dynamic_batching { }",
        ],
    ),
    "a list that the config removes": (f"{ADDED}return c", "", "{output: null}", [IN]),
    "an empty list in the config": (f"{ADDED}return c", "", "{output: []}", [IN, OUT]),
    "a larger limit than that of the config": (
        f"{ADDED}c.set_max_batch_size(8)\nreturn c",
        "",
        "{max_batch_size: 2}",
        ["max_batch_size: 2", IN, OUT],
    ),
    "a scheduler beside that of the config": (
        f"{ADDED}c.set_dynamic_batching()\nreturn c",
        "",
        "{max_batch_size: 2, dynamic_batching: {preserve_ordering: true}}",
        ["max_batch_size: 2", IN, OUT, "dynamic_batching { preserve_ordering: true }"],
    ),
}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(("body", "top", "own", "lines"), READ.values(), ids=READ)
def test_what_a_python_model_says_of_its_config_for_certain_is_read(
    body: str, top: str, own: str, lines: list[str]
) -> None:
    assert build(("m", source(body, top), own)) == 0
    assert config("m") == lines


LEFT: Mapping[str, tuple[str, str]] = {
    "a condition": (f"if pb_utils:\n{textwrap.indent(ADDED, '    ')}return c", ""),
    "a computed value": (f'{ADDED}c.set_max_batch_size(int("8"))\nreturn c', ""),
    "a formatted name": ('for n in [0, 1]:\n    c.add_input({"name": f"I{n}"})\nreturn c', ""),
    "the config passed away": (f"{ADDED}helper(c)\nreturn c", "def helper(c): c.set_max_batch_size(3)\n"),
    "another call on it": (f"{ADDED}c.set_more(2)\nreturn c", ""),
    "the config changed directly": (f'{ADDED}c.as_dict()["max_batch_size"] = 4\nreturn c', ""),
    "the config's list changed": (f'{ADDED}listed = c.as_dict()["input"]\nlisted.append({{}})\nreturn c', ""),
    "a value that is changed": ('t = {"name": "IN"}\nt["dims"] = [2]\nc.add_input(t)\nreturn c', ""),
    "a list that grows as it is read": (
        (
            'names = ["a"]\nfor name in names:\n    names.append("b")\n    c.add_input({"name": name, "data_type": '
            '"TYPE_FP32", "dims": [1]})\nreturn c'
        ),
        "",
    ),
    "what would change if the config listed it": (
        f"""\
names = [each["name"] for each in c.as_dict()["input"]]
if "IN" in names:
    c.set_max_batch_size(2)
{ADDED}
return c
""",
        "",
    ),
    "its config bound anew": (f"c = 1\n{ADDED}return c", ""),
    "a constant bound twice": (f"{ADDED}c.set_max_batch_size(N)\nreturn c", "N = 1\nN = 2\n"),
    "a constant bound in a condition": (f"{ADDED}c.set_max_batch_size(N)\nreturn c", "if pb_utils:\n    N = 2\n"),
    "a list that the module changes": (
        "for t in TENSORS:\n    c.add_input(t)\nreturn c",
        'TENSORS = [{"name": "IN", "data_type": "TYPE_FP32", "dims": [2]}]\nTENSORS.clear()\n',
    ),
    "a list that a function may change": (
        "for t in TENSORS:\n    c.add_input(t)\nreturn c",
        'TENSORS = [{"name": "IN", "data_type": "TYPE_FP32", "dims": [2]}]\ndef f(): TENSORS.clear()\nf()\n',
    ),
    "a local name before it is bound": (f"{ADDED}c.set_max_batch_size(N)\nN = 2\nreturn c", "N = 8\n"),
    "its own dict": (
        'c.add_input(dict(name="IN", data_type="TYPE_FP32", dims=[2]))\nreturn c',
        "def dict(**given): return given | {'dims': [3]}\n",
    ),
    "a method of the config's dicts": (
        f'{ADDED}for one in c.as_dict()["input"]:\n    if "name" in one:\n        c.set_max_batch_size(2)\nreturn c',
        "",
    ),
    "loops without end": (
        f"""\
{ADDED}
ones = {[1] * 30}
for a in ones:
    for b in ones:
        for d in ones:
            pass
return c
""",
        "",
    ),
    "a type that Triton lacks": (ADDED.replace("FP32", "FLOAT") + "return c", ""),
    "dims as a tuple, which differ from those of a config": (ADDED.replace("[2]", "(2,)") + "return c", ""),
    "dims that are no numbers": (ADDED.replace("[2]", "['2']") + "return c", ""),
    "a limit that is no number": (f"{ADDED}c.set_max_batch_size(True)\nreturn c", ""),
}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(("body", "top"), LEFT.values(), ids=LEFT)
def test_what_is_not_certain_is_left_to_the_server(body: str, top: str) -> None:
    assert build(("m", source(body, top), "")) == 0
    assert config("m") == []


@pytest.mark.usefixtures("inside")
def test_versions_that_say_different_things_are_left_to_the_server() -> None:
    one, other = source(f"{ADDED}return c"), source(f"{ADDED}c.set_max_batch_size(2)\nreturn c")
    Path("one.py").write_text(one, "utf-8")
    Path("other.py").write_text(other, "utf-8")
    text = "  m: {backend: python, versions: {1: ./one.py, 2: ./OTHER.py}}\n"
    Path("tritonrepo.yaml").write_text(HEAD + text.replace("OTHER", "one"), "utf-8")
    assert run(["build"]) == 0
    assert config("m") == [IN, OUT]
    Path("tritonrepo.yaml").write_text(HEAD + text.replace("OTHER", "other"), "utf-8")
    assert run(["build"]) == 0
    assert config("m") == []
    Path("other.py").write_text(source(f"{ADDED}print(c)\nreturn c"), "utf-8")
    assert run(["build"]) == 0
    assert config("m") == []


@pytest.mark.usefixtures("inside")
def test_a_completion_that_the_server_refuses_is_told_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    own = "{input: [{name: A, data_type: TYPE_INT8, dims: [4]}]}"
    loop = 'for t in [{"name": "A", "data_type": "TYPE_FP32", "dims": [4]}]:\n    c.add_input(t)\nreturn c'
    assert build(("m", source(loop), own)) == 1
    assert 'add_input sets TYPE_FP32 for input "A", but the config has TYPE_INT8' in capsys.readouterr().err


@pytest.mark.usefixtures("inside")
def test_an_odd_key_is_told_only_of_a_tensor_with_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's own words about a name that is no string are another error than that of the key."""
    body = 'c.add_input({"name": NAME, "data_type": "TYPE_FP32", "dims": [2], "x": 1})\nreturn c'
    assert build(("m", source(body.replace("NAME", "3")), "")) == 0
    assert build(("m", source(body.replace("NAME", '"A"')), "")) == 1
    assert 'add_input does not accept the key "x"' in capsys.readouterr().err


@pytest.mark.usefixtures("inside")
def test_the_server_still_completes_what_a_build_has_read() -> None:
    assert build(("m", source(f"{ADDED}return c"), "")) == 0
    assert json.loads(Path("model_repository", "tritonrepo.json").read_bytes())["target"]["auto_complete"] is True
    listed = (
        "{input: [{name: IN, data_type: TYPE_FP32, dims: [2]}], output: [{name: OUT, data_type: TYPE_FP32, dims: [2]}]}"
    )
    assert build(("m", source(f"{ADDED}return c"), listed)) == 0
    assert "auto_complete" not in json.loads(Path("model_repository", "tritonrepo.json").read_bytes())["target"]


@pytest.mark.usefixtures("inside")
def test_a_chain_is_joined_by_what_is_read() -> None:
    first, second = source(f"{ADDED}return c"), source(f"{ADDED}return c".replace("IN", "I").replace("OUT", "O"))
    assert build(("a", first, ""), ("b", second, "")) == 0
    with Path("tritonrepo.yaml").open("a", encoding="utf-8") as file:
        file.write("ensembles:\n  p: {chain: [a, b]}\n")
    assert run(["build"]) == 0
    assert '    input_map { key: "I" value: "OUT" }' in config("p")


def of_server(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a server's config what a model completes."""
    tensors = {
        kind: [(t["name"], t["data_type"], [*map(int, t["dims"])], t.get("optional", False)) for t in answer[kind]]
        for kind in ("input", "output")
    }
    decoupled = answer.get("model_transaction_policy", {}).get("decoupled", False)
    return {
        **tensors,
        "max_batch_size": answer["max_batch_size"],
        "dynamic": "dynamic_batching" in answer,
        "decoupled": decoupled,
    }


def of_build(path: Path) -> dict[str, Any]:
    """Return the same of a config in a repository."""
    found = json_format.MessageToDict(
        text_format.Parse(path.read_text("utf-8"), ModelConfig()), preserving_proto_field_name=True
    )
    return of_server({"input": [], "output": [], "max_batch_size": 0} | found)


@pytest.mark.usefixtures("inside")
def test_the_server_completes_a_bare_config_to_what_a_build_reads() -> None:
    """Each model is served twice: as it is built, and with no more than its backend and what the stack says."""
    names = {"all": "all that can be set", "part": "the example, with a tensor that the config lists"}
    assert build(*((name, source(READ[row][0], READ[row][1]), READ[row][2]) for name, row in names.items())) == 0
    out = Path("model_repository")
    for name, row in names.items():
        (out / f"bare_{name}" / "1").mkdir(parents=True)
        (out / f"bare_{name}" / "1" / "model.py").write_bytes(Path(f"{name}.py").read_bytes())
        listed = 'input { name: "B" data_type: TYPE_STRING dims: [ 1 ] }\n' if READ[row][2] else ""
        (out / f"bare_{name}" / "config.pbtxt").write_text(f'backend: "python"\n{listed}', "utf-8")
    with api.serve(out, api.ServeOptions(api.Ports(0, 0, 0)), api.Workspace(os.environ)) as server:
        client = Client(server.endpoint)
        served = {name: of_server(client.config(name)) for each in names for name in (each, f"bare_{each}")}
    built = {name: of_build(out / name / "config.pbtxt") for name in names}
    assert {name: served[name] for name in names} == built
    assert {name: served[f"bare_{name}"] for name in names} == built
