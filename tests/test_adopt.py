"""`tritonrepo adopt`: the stack file of a repository builds the same files and configs that mean the same."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.graphs import add_graph
from tests.servers.gcs import GCSServer
from tests.servers.s3 import S3Server
from tritonrepo.cli import run
from tritonrepo.pbtxt import parse
from tritonrepo.pbtxt.convert import Plain, to_plain

CONFIG = """\
# the price model
backend: "python"  # runs on a CPU
max_batch_size: 8
input [ { name: "IN" data_type: 11 dims: [ -1, 4 ] } ]
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" }
instance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_CPU } ]
dynamic_batching {
  preferred_batch_size: [ 2, 4 ]
  priority_levels: 2
  default_priority_level: 1
  priority_queue_policy { key: 2 value { max_queue_size: 7 } }
}
parameters { key: "a$b" value { string_value: "x: \\"y\\" ${HOME} # é\\n" } }
version_policy { specific { versions: [ 1, 3 ] } }
"""
PIPELINE = """\
platform: "ensemble"
input { name: "given" data_type: TYPE_FP32 dims: [ -1, 4 ] }
output { name: "result" data_type: TYPE_FP32 dims: [ 4 ] }
max_batch_size: 8
ensemble_scheduling {
  step {
    model_name: "price"
    model_version: -1
    input_map { key: "IN" value: "given" }
    output_map { key: "OUT" value: "result" }
  }
}
"""


@pytest.fixture
def hand(inside: Path) -> Path:
    """A repository that was written by hand, in the working directory."""
    root = inside / "hand"
    for path, content in {
        "price/config.pbtxt": CONFIG,
        "price/1/model.py": "class TritonPythonModel: ...\n",
        "price/3/model.py": "class TritonPythonModel: pass\n",
        "price/3/tables/deep.csv": "1,2",
        "price/labels.txt": "a\nb\nc\nd\n",
        "price/docs/notes.md": "not read by anybody",
        "whole/config.pbtxt": PIPELINE,
        "README.md": "about all of it",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, "utf-8")
    (root / "whole" / "1").mkdir()
    add_graph(root / "add" / "1" / "model.onnx")
    shutil.copytree(root / "add" / "1", root / "add" / "2")
    return inside


def files(root: Path) -> dict[str, bytes]:
    """Everything below the models of a repository except their configs."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    ours = {path for path in found if "/" in path and not path.endswith((".keep", "config.pbtxt"))}
    return {path: found[path].read_bytes() for path in sorted(ours)}


def config(root: Path, name: str) -> Plain:
    return to_plain(parse((root / name / "config.pbtxt").read_bytes()).root)


def test_a_build_of_what_is_adopted_gives_the_same_repository(hand: Path) -> None:
    assert run(["adopt", "hand", "--release", "24.10", "--gpus", "0", "-o", "tritonrepo.yaml"]) == 0
    assert run(["build", "-o", "built"]) == 0
    assert files(hand / "built") == files(hand / "hand")
    same = {"name": "price"} | config(hand / "hand", "price")
    assert config(hand / "built", "price") == same
    pinned = {"name": "whole", "version_policy": {"specific": {"versions": [1]}}}
    assert config(hand / "built", "whole") == pinned | config(hand / "hand", "whole")
    assert config(hand / "built", "add") == {
        "name": "add",
        "version_policy": {"specific": {"versions": [2]}},
        "max_batch_size": 4,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [2]}],
        "dynamic_batching": {},
    }


def test_the_stack_file_reads_well(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(hand / "hand" / "add")
    shutil.rmtree(hand / "hand" / "whole")
    assert run(["adopt", "hand", "--release", "24.10", "--gpus", "0"]) == 0
    assert (
        capsys.readouterr().out
        == """\
name: hand
target: {release: "24.10", gpus: 0}
models:
  price:
    backend: python  # the price model runs on a CPU
    versions: {"1": ./hand/price/1, "3": ./hand/price/3}
    files: {docs: ./hand/price/docs, labels.txt: ./hand/price/labels.txt}
    config:
      max_batch_size: 8
      input: [{name: IN, data_type: TYPE_FP32, dims: [-1, 4]}]
      output: [{name: OUT, data_type: TYPE_FP32, dims: [4], label_filename: labels.txt}]
      instance_group: [{count: 2, kind: KIND_CPU}, {kind: KIND_CPU}]
      dynamic_batching:
        preferred_batch_size: [2, 4]
        priority_levels: 2
        default_priority_level: 1
        priority_queue_policy: {"2": {max_queue_size: 7}}
      parameters: {"a$b": {string_value: "x: \\"y\\" $${HOME} # é\\n"}}
"""
    )


def test_a_backend_of_an_own_image_is_declared(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = hand / "hand" / "price" / "config.pbtxt"
    own.write_text(CONFIG.replace('"python"', '"prices"'), "utf-8")
    assert run(["adopt", "hand", "--release", "24.10", "--gpus", "0", "-o", "own.yaml"]) == 0
    assert "backends: [prices], " in (hand / "own.yaml").read_text("utf-8")
    assert run(["build", "-f", "own.yaml", "-o", "built"]) == 0
    assert run(["validate", "built"]) == 0
    capsys.readouterr()
    (hand / "own.yaml").write_text((hand / "own.yaml").read_text("utf-8").replace("backends: [prices], ", ""), "utf-8")
    assert run(["build", "-f", "own.yaml", "-o", "built"]) == 1
    assert "If your own image has it, add prices to backends in target." in capsys.readouterr().err


def test_an_own_image_is_named_and_what_it_has_is_not_missed(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = hand / "hand" / "price" / "1" / "model.py"
    source.write_text(f"import ours\n{source.read_text('utf-8')}", "utf-8")
    stack, options = hand / "own.yaml", ["--release", "24.10", "--gpus", "0", "-o", "own.yaml"]
    text = ""
    for images, written in ((["mine:1"], "[mine:1]"), (["py3", "mine:1"], "[py3, mine:1]")):
        assert run(["adopt", "hand", *options, *(word for name in images for word in ("--image", name))]) == 0
        assert f"images: {written}, " in stack.read_text("utf-8")
        assert run(["build", "-f", "own.yaml", "-o", "built"]) == 0
        assert run(["validate", "built"]) == run(["validate", "own.yaml"]) == 0
        text = stack.read_text("utf-8")
        stack.unlink()
    capsys.readouterr()
    stack.write_text(text.replace(", mine:1", ""), "utf-8")
    assert run(["build", "-f", "own.yaml", "-o", "built"]) == 1
    assert "If your own image has it, add that image to images in target." in capsys.readouterr().err


def test_sources_are_relative_to_the_stack_file(hand: Path) -> None:
    (hand / "stacks").mkdir()
    assert run(["adopt", str(hand / "hand"), "-o", "stacks/all.yaml", "--release", "24.10", "--gpus", "0"]) == 0
    assert '{"1": ../hand/price/1,' in (hand / "stacks" / "all.yaml").read_text("utf-8")
    assert run(["build", "-f", "stacks/all.yaml", "-o", "built"]) == 0


@pytest.fixture
def one(inside: Path) -> Path:
    """A repository with one Python model, which has no config yet."""
    (inside / "repo" / "m" / "1").mkdir(parents=True)
    (inside / "repo" / "m" / "1" / "model.py").write_text("class TritonPythonModel: ...\n", "utf-8")
    return inside / "repo" / "m"


def adopted(capsys: pytest.CaptureFixture[str]) -> str:
    """The stack file of the repository `repo`, without its head."""
    assert run(["adopt", "repo", "--release", "24.10", "--gpus", "0"]) == 0
    return capsys.readouterr().out.partition("models:")[2]


LICENCE = """\
# Copyright (c) 2024, Somebody. All rights reserved.
# Redistribution and use in source and binary forms are permitted.
backend: "python"
"""
WORDS = " ".join(["many"] * 30)
COMMENTS = {
    "a licence": (LICENCE, "backend: python, source: ./repo/m/1"),
    "long": (
        f'# {WORDS}\nbackend: "python"',
        f"    # {' '.join(['many'] * 20)}\n    # {' '.join(['many'] * 10)}\n    backend: python\n",
    ),
    "a mebibyte": (f'# {"x" * (1 << 20)}\nbackend: "python"', f"    # {'x' * 100}\n    # …\n    backend: python\n"),
    "with line breaks of YAML": ('backend: "python" # a\u2028smoke: 1\r\n', r"backend: python  # a\u2028smoke: 1"),
    "with carriage returns": ('backend: "python" # a\r\nmax_batch_size: 1 # b\r\n', "max_batch_size: 1  # b\n"),
}


@pytest.mark.parametrize(("config", "text"), COMMENTS.values(), ids=COMMENTS)
def test_a_comment_stays_a_comment_and_is_readable(
    one: Path, capsys: pytest.CaptureFixture[str], config: str, text: str
) -> None:
    (one / "config.pbtxt").write_bytes(config.encode())
    assert text in adopted(capsys)
    assert run(["adopt", "repo", "--release", "24.10", "--gpus", "0", "-o", "tritonrepo.yaml"]) == 0
    assert run(["build", "-o", "built"]) == 0


def test_what_is_not_a_model_is_left_out_and_said(one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one / "config.pbtxt").write_text('backend: "python"', "utf-8")
    (one / "labels.txt").symlink_to("nowhere.txt")
    (one.parent / "some scripts").mkdir()
    (one.parent / "some scripts" / "run.sh").write_text("true", "utf-8")
    assert (
        adopted(capsys)
        == """
  m:
    # left out:
    # labels.txt (a dangling symbolic link)
    backend: python
    source: ./repo/m/1
"""
    )
    assert "# left out, because they have neither a config.pbtxt nor a version:\n#   some scripts/\n" in stack()


def test_a_git_lfs_pointer_is_said(one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one / "config.pbtxt").write_text('backend: "python"', "utf-8")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 14246826\n"
    (one / "1" / "weights.bin").write_text(pointer, "utf-8")
    assert (
        adopted(capsys)
        == """
  m:
    # Git LFS pointers, in place of which `git lfs pull` puts the files:
    # 1/weights.bin
    backend: python
    source: ./repo/m/1
"""
    )


def stack() -> str:
    """The stack file of the repository `repo`, as it is written to a file."""
    assert run(["adopt", "repo", "--release", "24.10", "--gpus", "0", "-o", "tritonrepo.yaml"]) == 0
    return Path("tritonrepo.yaml").read_text("utf-8")


HALF = 'input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }\noutput { name: "y" data_type: TYPE_FP32 dims: [ 2 ] }\n'
DERIVED = {
    "all that the graph says": (f"max_batch_size: 4\n{HALF}dynamic_batching {{ }}", "source: ./repo/add/1"),
    "its own batch size": (f"max_batch_size: 8\n{HALF}dynamic_batching {{ }}", "config: {max_batch_size: 8}"),
    "its own scheduler": (
        f"max_batch_size: 4\n{HALF}dynamic_batching {{ preserve_ordering: true }}",
        "config: {dynamic_batching: {preserve_ordering: true}}",
    ),
    "a batch size of 1": (f"max_batch_size: 1\n{HALF}", "config: {max_batch_size: 1}"),
    "no scheduler": (f"max_batch_size: 4\n{HALF}", "input: [{name: x, data_type: TYPE_FP32, dims: [2]}]"),
    "more about a tensor": (
        f"max_batch_size: 4\n{HALF.replace('dims', 'is_shape_tensor: false dims', 1)}dynamic_batching {{ }}",
        "input: [{name: x, data_type: TYPE_FP32, is_shape_tensor: false, dims: [2]}]",
    ),
}


@pytest.mark.parametrize(("text", "line"), DERIVED.values(), ids=DERIVED)
def test_what_a_build_reads_from_the_graph_is_left_out_if_it_is_the_same(inside: Path, text: str, line: str) -> None:
    add_graph(inside / "repo" / "add" / "1" / "model.onnx")
    (inside / "repo" / "add" / "config.pbtxt").write_text(f'backend: "onnxruntime"\n{text}', "utf-8")
    text = stack()
    assert line in text
    assert ("input" in text) == ("input" in line)
    assert run(["build", "-o", "built"]) == 0
    pinned = {"name": "add", "version_policy": {"specific": {"versions": [1]}}}
    assert config(inside / "built", "add") == pinned | config(inside / "repo", "add")


REFUSED = {
    "nothing there": (["adopt", "nowhere"], 2, "the repository does not exist or contains no models"),
    "a file": (["adopt", "hand/README.md"], 2, ""),
    "a broken config": (["adopt", "broken"], 1, "broken/m/config.pbtxt:1:"),
    "a name that no stack can have": (["adopt", "odd"], 1, 'model "a b" cannot be declared in a stack file'),
    "names that are one for some disks": (["adopt", "cases"], 1, 'cannot be declared in one stack file: "m" needs'),
    "a template": (["adopt", "templates"], 1, 'the config of model "m" is a template that was not filled in'),
    "a FIFO": (["adopt", "pipes"], 1, '"tap" of model "m" is a FIFO'),
    "no model at all": (["adopt", "empty"], 2, "the repository does not exist or contains no models"),
    "a file in the way": (["adopt", "hand", "-o", "there.yaml"], 2, "the file already exists"),
    "an unknown release": (["adopt", "hand", "--release", "24.99"], 2, 'unknown Triton release "24.99"'),
}


@pytest.mark.parametrize(("command", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_adopted_is_told_and_nothing_is_written(
    hand: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: int, message: str
) -> None:
    for path, text in {
        "broken/m/config.pbtxt": "max_batch_size: eight\n",
        "odd/a b/config.pbtxt": "",
        "cases/M/config.pbtxt": "",
        "cases/m/config.pbtxt": "",
        "templates/m/config.pbtxt": "max_batch_size: ${triton_max_batch_size}\n",
        "pipes/m/config.pbtxt": "",
        "empty/m/scripts/run.sh": "",
    }.items():
        (hand / path).parent.mkdir(parents=True)
        (hand / path).write_text(text, "utf-8")
    os.mkfifo(hand / "pipes" / "m" / "tap")
    (hand / "there.yaml").write_text("mine", "utf-8")
    before = sorted(hand.iterdir())
    assert run(command) == code
    assert message in capsys.readouterr().err
    assert sorted(hand.iterdir()) == before
    assert (hand / "there.yaml").read_text("utf-8") == "mine"


def test_of_two_at_once_one_writes_the_file(one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one / "config.pbtxt").write_text('backend: "python"', "utf-8")
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: run(["adopt", "repo", "--release", "24.10", "-o", "a.yaml"]), range(4)))
    assert sorted(codes) == [0, 2, 2, 2]
    assert capsys.readouterr().err.count("a.yaml: fatal: the file already exists") == 3


@pytest.mark.parametrize("kind", ["s3_server", "gcs_server"], ids=["s3", "gcs"])
def test_a_bucket_is_adopted_with_its_own_uri(
    hand: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    server: S3Server | GCSServer = request.getfixturevalue(kind)
    uri = server.uri(server.bucket(), "hand")
    shutil.rmtree(hand / "hand" / "whole")
    shutil.rmtree(hand / "hand" / "add")
    assert run(["push", "hand", uri, "--settle", "0"]) == 0
    capsys.readouterr()
    assert run(["adopt", uri, "--release", "24.10", "--gpus", "0"]) == 0
    assert f'"3": {uri}/price/3' in capsys.readouterr().out


def test_a_link_out_of_the_repository_is_not_followed(hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (hand / "secret").write_text("s", "utf-8")
    (hand / "hand" / "price" / "1" / "key").symlink_to(hand / "secret")
    assert run(["adopt", "hand"]) == 2
    assert "price/1/key" in capsys.readouterr().err
