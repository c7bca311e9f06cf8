"""Embedders from an own ONNX file, and prompt steps whose tokenizer is that of an earlier build."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.graphs import Value, node, onnx_file
from tests.test_chat_files import tokenizer
from tests.test_own_stacks import SEARCH, edited, entered
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.sources.chat_step import chat_step, is_step
from tritonrepo.tree import File, of_text

AT = Span("s.yaml", 3, 5)
OWN = "e: {role: embedder, source: ./g, max_tokens: 12}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the graph that was exported from weights, and its tokenizer."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        here = entered(place / "here", patch)
        edited("tritonrepo.yaml", SEARCH[SEARCH.index("  r:") :], "")
        assert run(["build"]) == 0
        (here / "g").mkdir()
        shutil.copy("model_repository/e_model/1/model.onnx", "g/encoder.onnx")
        shutil.copy("w/tokenizer.json", "g/tokenizer.json")
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def built(model: str) -> int:
    Path("tritonrepo.yaml").write_text(f"name: own\nmodels:\n  {model}\n", "utf-8")
    return run(["build"])


def test_an_embedder_can_be_its_own_graph(here: Path) -> None:
    before = (here / "model_repository" / "e_model" / "1" / "model.onnx").read_bytes()
    config = (here / "model_repository" / "e_model" / "config.pbtxt").read_text("utf-8")
    assert built(OWN) == 0
    assert (here / "model_repository" / "e_model" / "1" / "model.onnx").read_bytes() == before
    assert (here / "model_repository" / "e_model" / "config.pbtxt").read_text("utf-8") == config
    (settings,) = (here / "model_repository" / "e").glob("*/settings.json")
    assert json.loads(settings.read_bytes())["max_tokens"] == 12


def test_the_tokenizer_of_a_graph_can_be_elsewhere(here: Path) -> None:
    (here / "g" / "tokenizer.json").unlink()
    for place in ("./w/tokenizer.json", "./w"):
        model = f"e: {{role: embedder, source: ./g/encoder.onnx, tokenizer: {place}, max_tokens: 12}}"
        assert built(model) == 0


def graph(inputs: str = "input_ids attention_mask", **dims: Sequence[str | int]) -> None:
    """Write a graph with these inputs, some with dims other than those of an encoder."""
    names = inputs.split()
    made = [Value(name, "INT64", dims.get(name, ["b", "t"])) for name in names]
    given = [Value("embedding", "FLOAT", dims.get("out", ["b", 4]))]
    onnx_file(Path("g/encoder.onnx"), made, given, node("Identity", names[:1], ["embedding"]))


WRONG: dict[str, tuple[Callable[[], object], str, str]] = {
    "two ONNX files": (lambda: shutil.copy("g/encoder.onnx", "g/b.onnx"), OWN, "must contain one ONNX file, not 2"),
    "pooling": (
        int,
        OWN.replace("max", "pooling: mean, max"),
        "3:45: fatal: pooling is part of the ONNX file in source",
    ),
    "no limit": (
        int,
        "e: {role: embedder, source: ./g}",
        "max_tokens is missing, and neither the ONNX file in source nor the files around it say it",
    ),
    "a limit of nothing": (int, OWN.replace("12", "2"), "max_tokens is 2, but the tokenizer adds 2 tokens"),
    "no tokenizer": (lambda: Path("g/tokenizer.json").unlink(), OWN, "the embedder has no tokenizer.json"),
    "a file that is not ONNX": (lambda: Path("g/encoder.onnx").write_text("x"), OWN, "is damaged or incomplete"),
    "a tokenizer that is none": (lambda: Path("g/tokenizer.json").write_text("{}"), OWN, "is not a tokenizer"),
    "three inputs": (lambda: graph("input_ids attention_mask types"), OWN, "must have the inputs input_ids and"),
    "a fixed length": (
        lambda: graph(input_ids=["b", 8]),
        OWN,
        '"input_ids" of the embedder\'s ONNX file must be INT64',
    ),
    "a vector a token": (lambda: graph(out=["b", "t", 4]), OWN, "not embedding FP32 [-1, -1, 4]"),
    "a Git LFS pointer": (
        lambda: Path("g/encoder.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        OWN,
        "the ONNX file of the embedder is a Git LFS pointer, not the file itself",
    ),
    "an empty file": (lambda: Path("g/encoder.onnx").write_text(""), OWN, "is damaged or incomplete: it is empty"),
    "half a file": (
        lambda: Path("g/encoder.onnx").write_bytes(Path("g/encoder.onnx").read_bytes()[:4000]),
        OWN,
        "is damaged or incomplete: it is cut off: the field at byte",
    ),
    "a graph that does not run": (
        graph,  # its output is FP32 by its header, and INT64 by its only node
        OWN,
        "ONNX Runtime cannot run the ONNX file of the embedder",
    ),
    "more tokens than positions": (
        lambda: Path("g/config.json").write_text('{"max_position_embeddings": 9}'),
        OWN,
        "max_tokens is 12, but the model has only 9 positions",
    ),
    "a prefix without room": (
        int,
        OWN.replace("max", "prefixes: {passage: a b c d e f g h i j}, max"),
        "the prefix of passage and the special tokens take 12 tokens, but the embedder cuts its texts at 12",
    ),
    "a tokenizer beside weights": (
        int,
        "e: {role: embedder, source: ./w, tokenizer: ./g}",
        "tokenizer is only for an ONNX file in source",
    ),
}


@pytest.mark.parametrize(("change", "model", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.usefixtures("here")
def test_a_graph_that_cannot_be_an_embedder_is_told(
    capsys: pytest.CaptureFixture[str], change: Callable[[], object], model: str, message: str
) -> None:
    change()
    assert built(model) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "tritonrepo.yaml:3:" in said


SETTINGS = {
    "tokenizer": "0123/tokenizer.json",
    "chat_template": "{{ messages }}",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "adds_bos": True,
    "special_tokens": ["<s>", "</s>"],
    "max_model_len": 900,
}


def step(**changes: object) -> dict[str, File]:
    settings = json.dumps(SETTINGS | changes)
    return {
        "0123/tokenizer.json": of_text(tokenizer()),
        "1/settings.json": of_text("{}"),
        "2/settings.json": of_text(settings),
    }


def test_a_prompt_step_has_the_tokenizer_of_its_highest_version() -> None:
    assert is_step(step())
    assert not is_step({"tokenizer.json": of_text("{}"), "settings.json": of_text("{}")})
    found = chat_step(step(), AT)
    assert found.tokenizer.content().decode() == tokenizer()
    assert (found.template, found.bos_token, found.eos_token) == ("{{ messages }}", "<s>", "</s>")
    assert (found.adds_bos, found.special_tokens, found.context_length) == (True, ("<s>", "</s>"), 900)
    assert found.begins == ()
    assert chat_step(step(begins=["[g]", "<s>"]), AT).begins == ("[g]", "<s>")


UNREADABLE = {
    "another tokenizer": {"tokenizer": "0999/tokenizer.json"},
    "a number": {"chat_template": 3},
    "a bool for a number": {"max_model_len": True},
    "no list": {"special_tokens": "<s>"},
}


@pytest.mark.parametrize("changes", UNREADABLE.values(), ids=UNREADABLE)
def test_settings_that_a_build_did_not_write_are_told(changes: dict[str, object]) -> None:
    with pytest.raises(Stop) as stop:
        chat_step(step(**changes), AT)
    (found,) = stop.value.diagnostics
    assert found.at == AT
    assert found.message == "2/settings.json of the source is not the one that a build wrote"
