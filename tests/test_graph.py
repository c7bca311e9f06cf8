"""`graph` draws pipelines as text, Mermaid and SVG, whatever their names are."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tabled import tabled
from tests.test_extends import inside, written
from tests.test_own_stacks import ANSWER, SEARCH, own
from tritonrepo.cli import run
from tritonrepo.report.graph import Pipeline, Port, Step, Tensor, mermaid, svg, text
from tritonrepo.report.graph.layout import Card, Drawing, laid_out

__all__ = ["inside", "own"]

STRING, FLOATS = "STRING[1]", "FP32[4]"
SIMPLE = Pipeline(
    "p",
    (Tensor("query", STRING), Tensor("k", "INT64[1]", optional=True)),
    (Tensor("ids", STRING),),
    (
        Step("e", "1", "python", (Port("text", "query"),), (Port("embedding", "v", FLOATS),), ("e_model",)),
        Step("r", "", "python", (Port("embedding", "v"), Port("k", "k")), (Port("ids", "ids", STRING),)),
    ),
)
ALONE = Pipeline("m", (Tensor("x", FLOATS),), (Tensor("y"),), (Step("m", "", "onnxruntime", (), ()),), alone=True)
TEXT = """\
p
  input   query STRING[1]
  input   k INT64[1] (optional)
  step    e (python, version 1), calls e_model
            text ← query
            embedding → v FP32[4]
  step    r (python)
            embedding ← v
            k ← k
            ids → ids STRING[1]
  output  ids STRING[1]

m (onnxruntime)
  input   x FP32[4]
  output  y"""
MERMAID = """\
flowchart LR
  subgraph p0["p"]
    p0i0(["query<br/>STRING[1]"])
    p0i1(["k<br/>INT64[1]<br/>optional"])
    p0s0["e<br/>python, version 1"]
    p0s1["r<br/>python"]
    p0o0(["ids<br/>STRING[1]"])
    p0i0 --> p0s0
    p0s0 -->|"v<br/>FP32[4]"| p0s1
    p0i1 --> p0s1
    p0s1 --> p0o0
    p0s0 -. calls .-> p0s0c0["e_model"]
  end"""


def test_text_has_inputs_steps_and_outputs() -> None:
    assert text.drawn([SIMPLE, ALONE]) == TEXT


def test_mermaid_has_a_node_for_each_and_an_edge_for_each_tensor() -> None:
    assert mermaid.drawn([SIMPLE]) == MERMAID


def test_svg_has_every_name_and_a_line_for_each_tensor() -> None:
    root = ET.fromstring(svg.drawn([SIMPLE, ALONE]))
    said = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"p", "e", "r", "query STRING[1]", "k INT64[1]?", "embedding FP32[4]", "calls e_model", "m"} <= said
    paths = [node for node in root.iter("{http://www.w3.org/2000/svg}path") if node.get("class", "").startswith("line")]
    assert ["".join(path.itertext()) for path in paths] == [
        "query STRING[1]: inputs → e",
        "v FP32[4]: e → r",
        "k INT64[1]: inputs → r",
        "ids STRING[1]: r → outputs",
    ]
    assert [path.get("class") for path in paths] == ["line string", "line float", "line integer", "line string"]


HOSTILE = [
    *('"]; click a "javascript:x"', "<script>&amp;</script>", "\x1b[31m\n", "::error::", "#quot;", "%%{init}%%"),
    *("e" * 255, "日本", ""),
]


def named(name: str) -> Pipeline:
    port = (Port(name, name, name),)
    return Pipeline(name, (Tensor(name, name),), (Tensor(name, name),), (Step(name, name, name, port, port, (name,)),))


@tabled("name", HOSTILE)
def test_a_name_is_never_syntax(name: str) -> None:
    root = ET.fromstring(svg.drawn([named(name)]))
    assert {node.tag.rpartition("}")[2] for node in root.iter()} <= {
        *("svg", "title", "style", "rect", "g", "text", "tspan", "path", "circle")
    }
    for line in mermaid.drawn([named(name)]).splitlines():
        assert re.fullmatch(r'[^"]*|[^"]*"[^"<>;#%{}`]*(?:(?:#\d+;|<br/>)[^"<>;#%{}`]*)*"[^"]*', line), line
    for drawing in (svg.drawn([named(name)]), mermaid.drawn([named(name)]), text.drawn([named(name)])):
        assert "\x1b" not in drawing
        assert not any(line.lstrip().startswith("::") for line in drawing.splitlines())


def of(steps: Mapping[str, tuple[str, ...]]) -> Pipeline:
    """Return the pipeline of these steps, each of which makes the tensor of its name from others."""
    made = tuple(
        Step(name, "", "python", tuple(Port(each, each) for each in takes), (Port("out", name, FLOATS),))
        for name, takes in steps.items()
    )
    return Pipeline("p", (Tensor("q"), Tensor("x")), tuple(Tensor(name) for name in steps), made)


def columns(drawing: Drawing) -> dict[str, int]:
    return {card.title: card.column for card in drawing.cards}


def test_a_step_is_behind_what_it_reads_from() -> None:
    found = columns(laid_out(of({"c": ("b", "a"), "b": ("a",), "a": ("q",), "d": ("x",)})))
    assert found == {"inputs": 0, "a": 1, "d": 1, "b": 2, "c": 3, "outputs": 4}


def test_a_cycle_and_a_tensor_that_nothing_makes_are_drawn_too() -> None:
    pipeline = of({"a": ("b",), "b": ("a",), "c": ("b", "nowhere")})
    assert columns(laid_out(pipeline)) == {"inputs": 0, "a": 1, "b": 2, "c": 3, "outputs": 4}
    assert columns(laid_out(of({"a": ("a",)}))) == {"inputs": 0, "a": 1, "outputs": 2}
    ET.fromstring(svg.drawn([pipeline]))
    assert "nowhere" in text.drawn([pipeline])


def apart(one: Card, other: Card) -> bool:
    return (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )


NAMES = "abcdefgh"


@settings(max_examples=60)
@given(st.lists(st.sets(st.sampled_from([*NAMES, "q", "x"]), max_size=4), max_size=8))
def test_no_card_is_over_another_and_no_line_runs_through_one(reads: list[set[str]]) -> None:
    drawing = laid_out(of({name: tuple(sorted(takes)) for name, takes in zip(NAMES, reads, strict=False)}))
    assert all(apart(one, other) for one, other in combinations(drawing.cards, 2))
    lanes = {(line.edge.source, line.edge.out): line.lane for line in drawing.lines if line.lane}
    for left, right, height in (line.lane for line in drawing.lines if line.lane):
        for card in drawing.cards:
            assert card.x + card.width <= left or right <= card.x or card.y + card.height < height
    for (left, right, height), (other_left, other_right, other_height) in combinations(lanes.values(), 2):
        assert height != other_height or right <= other_left or other_right <= left
    assert max(card.y + card.height for card in drawing.cards) <= drawing.height
    assert max(card.x + card.width for card in drawing.cards) <= drawing.width


def test_a_stack_is_drawn_as_it_would_be_built(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index"]) == 0
    capsys.readouterr()
    drawn = set()
    for words in ([], ["."], ["tritonrepo.yaml"], ["-f", "tritonrepo.yaml"]):
        assert run(["graph", *words]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        drawn.add(said.out)
    (out,) = drawn
    assert out.startswith("s\n  input   query STRING[1]\n  step    e (python, version 1), calls e_model\n")
    assert "            embedding → query_embedding FP32[16]\n" in out
    assert "\n\n" not in out, "what others call is not drawn again"
    assert run(["build", "-o", "r"]) == 0
    capsys.readouterr()
    assert run(["graph", "r"]) == 0
    assert capsys.readouterr().out == out
    (own / "tritonrepo.yaml").write_text(SEARCH.replace("ensembles:\n  s: {chain: [e, r]}\n", ""), "utf-8")
    assert run(["graph"]) == 0
    assert re.findall(r"^\S.*", capsys.readouterr().out, re.MULTILINE) == ["e (python), calls e_model", "r (python)"]


def test_what_is_missing_is_a_warning_and_the_rest_is_drawn(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    assert run(["graph"]) == 0
    said = capsys.readouterr()
    assert 'warning: the index of "r" does not exist' in said.err
    assert re.findall(r"^\S.*", said.out, re.MULTILINE) == ["p", "s"]


def test_its_calls_are_drawn_as_steps(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = ANSWER.replace("prompt: {file: p.j2}", "outputs: [answer, sources]")
    (own / "tritonrepo.yaml").write_text(text, "utf-8")
    assert run(["graph"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^\S.*", out, re.MULTILINE) == ["p", "s"]
    steps = re.findall(r"step +(.*)", out.partition("\ns\n")[0])
    assert steps == [
        "e (python, version 1), calls e_model",
        "r (python, version 1)",
        "g_prompt (python, version 1)",
        "g (vllm, version 1)",
    ]
    assert "            text ← query\n            embedding → query_embedding FP32[" in out
    assert "  output  answer STRING[-1]\n  output  sources STRING[1]\n" in out


OWN = """\
name: s
models:
  m:
    backend: python
    source: ./m.py
    config:
      input: [{name: a, data_type: TYPE_FP32, dims: [2, 3]}]
      output: [{name: b, data_type: TYPE_INT8, dims: []}]
ensembles:
  q: {steps: [{model: m, inputs: {a: given}, outputs: {b: made}}]}
"""


@pytest.mark.usefixtures("inside")
def test_a_pipeline_that_is_wired_by_hand_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path(), {"tritonrepo.yaml": OWN, "m.py": "pass\n"})
    assert run(["graph"]) == 0
    assert capsys.readouterr().out == (
        "q\n  input   given FP32[2, 3]\n  step    m (python, version 1)\n            a ← given\n"
        "            b → made INT8[]\n  output  made INT8[]\n"
    )


@pytest.mark.usefixtures("inside")
def test_a_repository_written_by_hand_is_drawn_although_it_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    step = 'step { model_name: "ghost" input_map { key: "a" value: "q" } output_map { key: "b" } }'
    written(
        Path(),
        {
            "r/p/config.pbtxt": f'platform: "ensemble"\ninput {{ name: "q" }}\nensemble_scheduling {{ {step} }}\n',
            "r/n/config.pbtxt": 'backend: "python"\ninput { name: "x" data_type: TYPE_BOOL dims: [ 1 }\n',
            "r/o/1/model.onnx": "",
        },
    )
    assert run(["graph", "r"]) == 0
    out = capsys.readouterr().out
    assert "p\n  input   q\n  step    ghost (unknown model, version 0)\n            a ← q\n" in out
    assert {"n (python)", "o (onnxruntime)"} <= set(out.splitlines())
    for form in ("mermaid", "svg"):
        assert run(["graph", "r", "--format", form]) == 0


CALLS = {"a": ["b"], "b": ["c"], "c": [], "d": ["e"], "e": ["d"]}


@pytest.mark.usefixtures("inside")
def test_every_call_of_a_model_is_in_a_drawing_also_in_a_circle(capsys: pytest.CaptureFixture[str]) -> None:
    made = {f"r/{name}/config.pbtxt": 'backend: "python"\n' for name in CALLS}
    made |= {f"r/{name}/1/calls.json": json.dumps(dict.fromkeys(called, 1)) for name, called in CALLS.items()}
    written(Path(), made | {"r/odd/config.pbtxt": "max_batch_size: 0\n"})
    assert run(["graph", "r"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        "a (python), calls b",
        "b (python), calls c",
        "d (python), calls e",
        "e (python), calls d",
        "odd",
    ]


def test_a_step_of_the_newest_version_of_an_unknown_backend_is_drawn_by_its_name() -> None:
    step = Step("m", "", "", (Port("x", "q"),), (Port("y", "v", FLOATS),))
    pipeline = Pipeline("p", (Tensor("q"),), (Tensor("v"),), (step,))
    assert "  step    m\n" in text.drawn([pipeline])
    assert '    p0s0["m"]\n' in mermaid.drawn([pipeline])


def test_a_model_alone_shows_in_svg_which_inputs_are_optional() -> None:
    step = Step("m", "", "vllm", (), ())
    given = (Tensor("x", FLOATS), Tensor("k", "INT64[1]", optional=True))
    root = ET.fromstring(svg.drawn([Pipeline("m", given, (Tensor("y", STRING),), (step,), alone=True)]))
    said = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert said == ["m", "vllm", "x FP32[4]", "k INT64[1]?", "y STRING[1]"]


@pytest.mark.parametrize("name", ["x" * 40, "日" * 39])
def test_a_picture_is_as_wide_as_the_name_of_its_pipeline(name: str) -> None:
    root = ET.fromstring(svg.drawn([Pipeline(name, (), (), ())]))
    cells = len(name) * (2 if name[0] == "日" else 1)
    assert float(root.get("width", "0")) >= cells * 15 * 0.6


EMPTY = {"an empty directory": ".", "nothing": "nowhere"}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("place", EMPTY.values(), ids=EMPTY)
def test_where_there_is_nothing_to_draw(capsys: pytest.CaptureFixture[str], place: str) -> None:
    assert run(["graph", place]) == 2
    said = capsys.readouterr()
    assert f"{place}: fatal: the path does not exist or has no models, so there is nothing to draw" in said.err
    assert said.out == ""


@pytest.mark.usefixtures("own")
def test_a_path_and_files_cannot_be_combined(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["graph", ".", "-f", "tritonrepo.yaml"]) == 2
    assert "cannot be combined" in capsys.readouterr().err
