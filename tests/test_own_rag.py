"""A pipeline of seven models of one's own, by hand: forty lines of a stack file, or eight configs."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.graphs import Value, node, onnx_file
from tritonrepo.cli import run
from tritonrepo.pbtxt import parse
from tritonrepo.pbtxt.convert import Plain, to_plain

DATA = Path(__file__).parent / "data" / "own_rag"
PYTHON = ("tokenize", "retrieve", "pair_tokenize", "prompt")
TOKENS = ["input_ids", "attention_mask", "token_type_ids"]
SCRIPT = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"


def written(root: Path, paths: dict[str, str]) -> None:
    """Write the files of the models at these paths: name → path."""
    for name, path in paths.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if name in PYTHON:
            (root / path).write_text(SCRIPT, "utf-8")
        elif name == "llm":
            (root / path).write_text('{"model": "o/m"}', "utf-8")
        else:
            inputs, output, size = (TOKENS[:2], "embedding", 384) if name == "embed" else (TOKENS, "logits", 1)
            made = [Value(each, "INT64", ["batch", "tokens"]) for each in inputs]
            onnx_file(root / path, made, [Value(output, "FLOAT", ["batch", size])], node("Shape", inputs[:1], [output]))


def config(content: bytes) -> Plain:
    return to_plain(parse(content, "24.10").root)


def test_forty_lines_say_what_eight_configs_say(inside: Path) -> None:
    files = {name: f"{name}.py" for name in PYTHON} | {"embed": "embed.onnx", "rerank": "rerank.onnx"}
    written(inside, files | {"llm": "model.json"})
    shutil.copy(DATA / "tritonrepo.yaml", inside)
    assert len((inside / "tritonrepo.yaml").read_text("utf-8").splitlines()) <= 40
    assert run(["build"]) == 0
    for path in DATA.glob("*.pbtxt"):
        built = config((inside / "model_repository" / path.stem / "config.pbtxt").read_bytes())
        newest = path.read_bytes().replace(b"model_version: -1", b"model_version: 1")  # a build pins what it calls
        by_hand = {"name": path.stem, "version_policy": {"specific": {"versions": [1]}}} | config(newest)
        assert built == by_hand, path.stem


def test_the_same_by_hand_is_adopted_and_builds_equal_configs(inside: Path) -> None:
    files = {"llm": "llm/1/model.json", "embed": "embed/1/model.onnx", "rerank": "rerank/1/model.onnx"}
    written(inside / "hand", files | {name: f"{name}/1/model.py" for name in PYTHON})
    (inside / "hand" / "rag" / "1").mkdir(parents=True)
    for path in DATA.glob("*.pbtxt"):
        shutil.copy(path, inside / "hand" / path.stem / "config.pbtxt")
    assert run(["adopt", "hand", "--release", "24.10", "--gpus", "0", "-o", "tritonrepo.yaml"]) == 0
    lines = (inside / "tritonrepo.yaml").read_text("utf-8").splitlines()
    assert len(lines) < sum(len(path.read_text("utf-8").splitlines()) for path in DATA.glob("*.pbtxt"))
    graph = lines[lines.index("  rerank:") : lines.index("  retrieve:")]
    assert not any("dims" in line for line in graph)  # they are read from its ONNX file
    assert run(["build"]) == 0
    for path in DATA.glob("*.pbtxt"):
        built = config((inside / "model_repository" / path.stem / "config.pbtxt").read_bytes())
        pinned = {"name": path.stem, "version_policy": {"specific": {"versions": [1]}}}
        assert built == pinned | config(path.read_bytes()), path.stem
