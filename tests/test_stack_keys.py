"""Each key of the stack file does what its row in the reference says: seen in what a build writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.test_build import digests
from tests.test_own_stacks import ANSWER, SEARCH, entered
from tritonrepo import spec
from tritonrepo.cli import run
from tritonrepo.parts import PARTS


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A small stack with an index, in the current directory."""
    stack = entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    capsys.readouterr()
    return stack


def build(text: str) -> int:
    Path("tritonrepo.yaml").write_text(text, "utf-8")
    return run(["build", "-o", "r"])


class Row(NamedTuple):
    """A text of the stack and what replaces it, the file that a build writes, and what it must contain."""

    old: str
    new: str
    path: str
    written: str


E = "source: ./w"
G = "role: generator,"
AUTO = "instance_group { kind: KIND_AUTO count: 1 }"
ROWS = {
    "an embedder": Row(E, E, "e/config.pbtxt", 'input { name: "text" data_type: TYPE_STRING dims: [ 1 ] }'),
    "max_tokens": Row(E, f"{E}, max_tokens: 7", "e/{}/settings.json", '"max_tokens": 7'),
    "batching": Row(
        E, f"{E}, batching: {{max_batch_size: 8, preferred: [4, 8], max_queue_delay: 2ms}}", "e/config.pbtxt",
        "max_batch_size: 8\n"
        "dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 2000 }",
    ),
    "batching by default": Row(E, E, "e/config.pbtxt", "max_batch_size: 32\ndynamic_batching { }"),
    "copies on the CPU": Row(
        E, f"{E}, instances: {{kind: cpu, count: 3}}", "e_model/config.pbtxt",
        "instance_group { kind: KIND_CPU count: 3 }",
    ),
    "auto, without a GPU": Row("name: own", "name: own\ntarget: {gpus: 0}", "e_model/config.pbtxt", AUTO),
    "auto, with GPUs": Row("name: own", "name: own\ntarget: {gpus: 2}", "e_model/config.pbtxt", AUTO),
    "some GPUs": Row(
        E, f"{E}, instances: {{kind: gpu, gpus: [0]}}", "e_model/config.pbtxt",
        "instance_group { kind: KIND_GPU count: 1 gpus: [ 0 ] }",
    ),
    "top_k": Row("top_k: 2", "top_k: 1", "r/config.pbtxt", 'name: "ids" data_type: TYPE_STRING dims: [ 1 ]'),
    "args": Row("max_model_len: 900", "max_model_len: 900, max_num_seqs: 3", "g/{}/model.json", '"max_num_seqs": 3'),
    "sampling": Row(G, f"{G} sampling: {{temperature: 0.5}},", "g_prompt/{}/settings.json", '"temperature": 0.5'),
    "sampling by default": Row(G, G, "g_prompt/{}/settings.json", '"max_tokens": 256'),
    "outputs": Row(
        "prompt: {file: p.j2}", "outputs: [answer]", "p/config.pbtxt", 'output { name: "answer" data_type: TYPE_STRING'
    ),
}  # fmt: skip


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_key_of_the_stack_does_what_its_row_says(row: Row) -> None:
    text = ANSWER if row.path.startswith(("g", "p/")) else SEARCH
    assert row.old in text
    Path("tritonrepo.yaml").write_text(text.replace(row.old, row.new), "utf-8")
    written = made(row.path)
    assert [part for part in row.written.split("\n") if part not in written] == []


def made(path: str) -> str:
    """Build the index and the repository of the stack file, and return a text of the only version that is left."""
    assert run(["index"]) == 0
    assert run(["build", "-o", "r"]) == 0
    (found,) = Path("r").glob(path.replace("{}", "[0-9]*"))
    return found.read_text("latin-1")


@pytest.mark.usefixtures("own")
def test_both_forms_are_an_ensemble() -> None:
    assert build(SEARCH) == 0
    before = digests(Path("r"))
    assert 'platform: "ensemble"' in Path("r/s/config.pbtxt").read_text("utf-8")
    record = before.pop("tritonrepo.json")
    for form in ("auto", "ensemble"):
        assert build(SEARCH.replace("chain: [e, r]", f"chain: [e, r], form: {form}")) == 0
        now = digests(Path("r"))
        assert now.pop("tritonrepo.json") != record  # it has the digest of the stack
        assert now == before


@pytest.mark.usefixtures("own")
def test_an_answer_needs_a_generator(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(SEARCH.replace("chain: [e, r]", "chain: [e, r], outputs: [answer]")) == 2
    assert "answer" in capsys.readouterr().err
    assert not Path("r").exists()


@pytest.mark.usefixtures("own")
def test_the_prompt_by_default_is_numbered_passages_then_the_question() -> None:
    from jinja2 import Template

    assert build(ANSWER.replace(", prompt: {file: p.j2}", "")) == 0
    template = Path("r/g_prompt/1/prompt.j2").read_text("utf-8")
    said = Template(template).render(sources=[{"text": "first text"}, {"text": "second", "title": "Two"}], query="why")
    assert re.search(r"1\W+first text\W+2\W+Two\W+second\W+.*why", said, re.DOTALL)


@pytest.mark.usefixtures("own")
def test_pooling_and_length_are_those_of_the_models_own_files_unless_told() -> None:
    """Its files say the mean, of length 1."""
    texts = {"": SEARCH} | {
        more: SEARCH.replace(E, f"{E}, {more}")
        for more in ("pooling: mean, normalize: true", "pooling: cls", "pooling: last", "normalize: false")
    }
    graphs = {}
    for more, text in texts.items():
        Path("tritonrepo.yaml").write_text(text, "utf-8")
        graphs[more] = made("e_model/{}/model.onnx")
    assert graphs[""] == graphs["pooling: mean, normalize: true"]
    assert len(set(graphs.values())) == 4


def test_the_memory_of_a_gpu_is_read_as_a_size() -> None:
    text = "name: s\ntarget: {gpu_memory: 80GiB}\nmodels: {e: {role: embedder, source: ./w}}\n"
    assert spec.read([("a.yaml", text.encode())], {}, PARTS).target.gpu_memory == 80 * 1024**3
