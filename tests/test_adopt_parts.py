"""`tritonrepo adopt` of a repository that a build wrote: parts and pipelines come back if a build writes them again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from tests.servers.s3 import S3Server
from tests.test_chat_files import CONFIG, tokenizer
from tests.test_own_stacks import edited, entered
from tritonrepo.cli import run
from tritonrepo.diagnostics import fatal
from tritonrepo.flows import adopt_trial
from tritonrepo.parts.recognition import Found
from tritonrepo.spec.stack import Stack

COMMIT = "0123456789abcdef0123456789abcdef01234567"
STACK = f"""\
name: lost
target: {{release: "26.07", images: [py3, vllm-python-py3], gpus: 2, gpu_memory: 24GiB}}
models:
  e:
    role: embedder
    source: ./w
    batching: {{max_batch_size: 8, preferred: [2, 4], max_queue_delay: 1500us}}
    instances: {{count: 2, kind: gpu, gpus: [0]}}
    model_config: {{parameters: {{intra_op_thread_count: {{string_value: "2"}}}}}}
  r: {{role: retriever, documents: ./d/*.jsonl, index: ./i, embed_with: e, top_k: 2}}
  g:
    role: generator
    source: hf://o/m@{COMMIT}
    tokenizer: ./chat
    args: {{max_model_len: 900, quantization: null}}
    sampling: {{temperature: 0}}
    chat_template_kwargs: {{think: false}}
    lora: {{support: {{path: /mnt/lora}}}}
  length: {{backend: python, source: ./length.py, config: {{max_batch_size: 8,
    input: [{{name: vector, data_type: TYPE_FP32, dims: [16]}}],
    output: [{{name: length, data_type: TYPE_FP32, dims: [1]}}]}}}}
ensembles:
  p: {{chain: [e, r, g], prompt: {{file: p.j2, system: Be brief., max_context_tokens: 300}}}}
  s: {{chain: [e, r], outputs: [ids]}}
  t: {{chain: [e, length]}}
  u:
    steps:
      - {{model: e, inputs: {{text: query}}, outputs: {{embedding: own}}}}
      - {{model: length, inputs: {{vector: own}}, outputs: {{length: length}}}}
"""
ADOPTED = f"""\
name: lost
target: {{release: "26.07", gpus: 2, gpu_memory: 24GiB}}
models:
  e:
    role: embedder
    source: ./lost/e_model/1/model.onnx  # the exported graph: the repository does not say from which weights
    tokenizer: ./lost/e/TOKENIZER/tokenizer.json
    max_tokens: 20
    batching: {{max_batch_size: 8, preferred: [2, 4], max_queue_delay: 1500us}}
    instances: {{count: 2, kind: gpu, gpus: [0]}}
    model_config: {{parameters: {{intra_op_thread_count: {{string_value: "2"}}}}}}
  g:
    role: generator
    source: hf://o/m@{COMMIT}
    tokenizer: ./lost/g_prompt
    args: {{max_model_len: 900, quantization: null}}
    lora: {{support: {{path: /mnt/lora}}}}
    sampling: {{temperature: 0}}
    chat_template_kwargs: {{think: false}}
  length:
    backend: python
    source: ./lost/length/1
    config:
      max_batch_size: 8
      input: [{{name: vector, data_type: TYPE_FP32, dims: [16]}}]
      output: [{{name: length, data_type: TYPE_FP32, dims: [1]}}]
  r:
    role: retriever
    index: ./lost/r/1
    documents: ./lost/r/1/passages.jsonl  # the passages: the repository does not have the documents themselves
    embed_with: e
    top_k: 2
ensembles:
  p: {{chain: [e, r, g], prompt: {{file: ./lost/g_prompt/1/prompt.j2, system: Be brief., max_context_tokens: 300}}}}
  s: {{chain: [e, r], outputs: [ids]}}
  t: {{chain: [e, length]}}
  u:
    steps:
      - {{model: e, inputs: {{text: query}}, outputs: {{embedding: own}}}}
      - {{model: length, inputs: {{vector: own}}, outputs: {{length: length}}}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the small stack, its repository `lost`, and its sources."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        here = entered(place / "here", patch)
        (here / "chat").mkdir()
        (here / "chat" / "tokenizer.json").write_text(tokenizer(), "utf-8")
        config = CONFIG | {"chat_template": CONFIG["chat_template"] + "{% if think is false %}-{% endif %}"}
        (here / "chat" / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
        (here / "length.py").write_text("class TritonPythonModel:\n    def execute(self, requests): ...\n", "utf-8")
        (here / "tritonrepo.yaml").write_text(STACK, "utf-8")
        assert run(["index"]) == 0
        assert run(["build", "-o", "lost"]) == 0
    return here


@pytest.fixture
def lost(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the repository alone."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "lost", "lost")
    return tmp_path / "lost"


def files(root: Path) -> dict[str, bytes]:
    """Return what a repository holds; its record without the digest of the stack, which another text may describe."""
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    if record := found.get("tritonrepo.json"):
        found["tritonrepo.json"] = re.sub(rb'\n +"stack": "[0-9a-f]{64}",', b"", record)
    return found


def shown(lost: Path) -> str:
    """The stack file of the repository, with TOKENIZER for a directory with digits of a digest."""
    assert run(["adopt", "lost", "-o", "tritonrepo.yaml"]) == 0
    settings = json.loads((lost / "e" / "1" / "settings.json").read_bytes())
    return Path("tritonrepo.yaml").read_text("utf-8").replace(settings["tokenizer"].partition("/")[0], "TOKENIZER")


def test_the_stack_of_a_build_comes_back_and_builds_the_same_bytes(lost: Path) -> None:
    assert shown(lost) == ADOPTED
    assert run(["build", "-o", "again"]) == 0
    assert files(Path("again")) == files(lost)
    assert run(["build", "-o", "again", "--check"]) == 0


FORMS = {
    "with its sources": ("outputs: [answer, sources]", ["outputs: [answer, sources]"]),
    "without sources": ("form: bls, outputs: [answer]", ["outputs: [answer]", "form: bls"]),
}


@pytest.mark.parametrize(("keys", "lines"), FORMS.values(), ids=FORMS)
def test_a_pipeline_that_is_a_python_model_comes_back(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, lines: list[str]
) -> None:
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "here"))
    edited("tritonrepo.yaml", "p: {chain: [e, r, g], ", f"p: {{chain: [e, r, g], {keys}, ")
    assert run(["build", "-o", "new"]) == 0
    shutil.move("new", tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    assert run(["adopt", "new", "-o", "tritonrepo.yaml"]) == 0
    said = Path("tritonrepo.yaml").read_text("utf-8").partition("\n  p:")[2].partition("\n  s:")[0]
    assert re.findall(r"form: \w+|outputs: [^]]*\]", said) == lines
    assert run(["build", "-o", "again"]) == 0
    assert files(Path("again")) == files(Path("new"))


def test_version_numbers_come_back(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    shutil.copytree(made, here)
    monkeypatch.chdir(here)
    edited("tritonrepo.yaml", "top_k: 2", "top_k: 1")
    assert run(["build", "-o", "lost"]) == 0
    assert (here / "lost" / "r" / "2").is_dir()
    assert run(["adopt", "lost", "-o", "adopted.yaml"]) == 0
    assert "index: ./lost/r/2\n" in Path("adopted.yaml").read_text("utf-8")
    assert run(["build", "-f", "adopted.yaml", "-o", "again"]) == 0
    assert files(Path("again")) == files(here / "lost")


def test_a_version_that_is_not_served_is_left_out_and_keeps_its_number(lost: Path) -> None:
    shutil.copytree("lost/e/1", "lost/e/7")
    before = files(lost)
    text = shown(lost)
    assert "    role: retriever\n" in text
    assert "    role: embedder  # versions that are not served are left out: e/7\n" in text
    assert run(["build", "-o", "again"]) == 0
    assert files(Path("again")).keys() == {path for path in before if not path.startswith("e/7/")}
    lock = json.loads(Path("tritonrepo.lock").read_bytes())["models"]["e"]
    assert (lock["version"], [*lock["contents"]]) == (1, ["1", "7"])


def test_without_a_file_nothing_says_the_numbers(lost: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adopt", str(lost)]) == 0
    printed = capsys.readouterr()
    assert "role: embedder" in printed.out
    assert "The stack file needs the lock file. Use -o FILE to write all of them." in printed.err


def test_parts_that_cannot_be_tried_any_more_leave_nothing_in_the_lock(
    lost: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round drops the generator; in the second, the packages of the others cannot be obtained."""
    rounds: list[adopt_trial.Trial] = []

    def once(stack: Stack, reading: adopt_trial.Reading, found: Found) -> adopt_trial.Trial:
        if rounds:
            raise fatal("source-missing", "lost", "the packages are gone")
        rounds.append(adopt_trial.tried(stack, reading, found)._replace(wrong={"g": "gone"}))
        return rounds[0]

    monkeypatch.setattr("tritonrepo.flows.adopt_parts.tried", once)
    assert run(["adopt", "lost", "-o", "tritonrepo.yaml"]) == 0
    assert "the packages are gone" in Path("tritonrepo.yaml").read_text("utf-8")
    assert lost.is_dir()
    assert not Path("tritonrepo.lock").exists()


def test_a_lock_in_the_way_is_not_overwritten(lost: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tritonrepo.lock").write_text("mine", "utf-8")
    assert run(["adopt", str(lost), "-o", "tritonrepo.yaml"]) == 2
    assert "tritonrepo.lock: fatal: the file already exists" in capsys.readouterr().err
    assert not Path("tritonrepo.yaml").exists()


def add_a_line(path: str) -> Callable[[], None]:
    def add() -> None:
        Path(path).write_bytes(Path(path).read_bytes() + b"\n# by hand\n")

    return add


def move_the_vectors() -> None:
    """Exchange the two vectors, so that every file still has its form."""
    import numpy as np

    vectors = np.load("lost/r/1/embeddings.npy")
    np.save("lost/r/1/embeddings.npy", vectors[::-1])


def add_a_field() -> None:
    with Path("lost/e/config.pbtxt").open("a", encoding="utf-8") as stream:
        stream.write('parameters { key: "a" value { string_value: "b" } }\n')


def lead_out() -> None:
    """Name a tokenizer that is outside the repository."""
    settings = Path("lost/e/1/settings.json")
    said = json.loads(settings.read_bytes()) | {"tokenizer": "../../tritonrepo.json"}
    settings.write_text(json.dumps(said), "utf-8")


def nest() -> None:
    """Nest an engine argument deeper than a stack file can be."""
    text = json.dumps({"model": "o/m", "revision": COMMIT, "hf_overrides": {"deep": 0}})
    Path("lost/g/1/model.json").write_text(text.replace(": 0}", f": {'[' * 30}{']' * 30}}}"), "utf-8")


CHANGED: dict[str, tuple[Callable[[], object], str, str, set[str]]] = {
    "a step of an embedder": (add_a_line("lost/e/1/model.py"), "e", "lost/e/1/model.py", {"g"}),
    "the config of an embedder": (add_a_field, "e", "lost/e/config.pbtxt", {"g"}),
    "the vectors of a retriever": (move_the_vectors, "r", "lost/r/1/embeddings.npy", {"e", "g"}),
    "the chat template": (
        lambda: edited("lost/g_prompt/1/settings.json", "Be brief.", "Be long."),
        "p",
        "",
        {"e", "r", "g"},
    ),
    "a file beside the versions": (
        lambda: Path("lost/e/notes.txt").write_text("mine", "utf-8"),
        "e",
        "lost/e/notes.txt",
        {"g"},
    ),
    "a path that leads out": (lead_out, "e", "", {"g"}),
    "engine arguments without end": (nest, "g", "", {"e", "r"}),
    "no record": (lambda: Path("lost/tritonrepo.json").unlink(), "r", "lost/r/1/embeddings.npy", {"g"}),
}


@pytest.mark.parametrize(("change", "name", "file", "roles"), CHANGED.values(), ids=CHANGED)
def test_what_a_build_would_write_in_another_way_stays_a_model_with_its_own_files(
    lost: Path, change: Callable[[], object], name: str, file: str, roles: set[str]
) -> None:
    change()
    text = shown(lost)
    found = {line.strip(" :") for line, after in pairwise(text.splitlines()) if after.startswith("    role: ")}
    assert found == roles
    assert not file or re.search(f"# not declared with its role: .*{file.removeprefix('lost/')}", text)
    assert run(["build", "-o", "again"]) == 0
    built, there = files(Path("again")), files(lost)
    assert built.keys() - {"tritonrepo.json"} == there.keys() - {"tritonrepo.json"}
    assert {path for path in built if built[path] != there.get(path)} <= {f"{name}/config.pbtxt", "tritonrepo.json"}


def test_parts_in_a_bucket_come_back_with_their_index_and_prompt_next_to_the_stack_file(
    lost: Path, s3_server: S3Server
) -> None:
    """The record of a push is written here as a push writes it: a push itself waits between its phases."""
    uri, client = s3_server.fresh(), s3_server.client()
    bucket, _, prefix = uri.removeprefix(f"s3://{s3_server.endpoint}/").partition("/")
    there = {path: content for path, content in files(lost).items() if path != "tritonrepo.json"}

    def put(path: str) -> tuple[str, list[object]]:
        tag = client.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=there[path])["ETag"].strip('"')
        return path, [sha256(there[path]).hexdigest(), len(there[path]), tag]

    with ThreadPoolExecutor(8) as pool:
        objects = dict(pool.map(put, there))
    target = json.loads((lost / "tritonrepo.json").read_bytes())["target"]
    record = {"schema": 1, "name": "lost", "target": target, "local": {}, "files": objects, "made": {}}
    client.put_object(Bucket=bucket, Key=f"{prefix}.tritonrepo/release.json", Body=json.dumps(record).encode())
    assert run(["adopt", uri, "-o", "tritonrepo.yaml"]) == 0
    text = Path("tritonrepo.yaml").read_text("utf-8")
    assert f"    role: embedder\n    source: {uri}/e_model/1/model.onnx" in text
    assert "    index: ./r_index\n    documents: ./r_index/passages.jsonl  #" in text
    assert text.endswith(ADOPTED[ADOPTED.index("  s: {chain") :])
    assert "prompt: {file: ./g_prompt.j2, system: Be brief., max_context_tokens: 300}" in text
    assert Path("r_index/embeddings.npy").read_bytes() == there["r/1/embeddings.npy"]
    assert Path("g_prompt.j2").read_bytes() == there["g_prompt/1/prompt.j2"]
    assert run(["build", "-o", "again"]) == 0
    built = files(Path("again"))
    assert built.keys() == there.keys() | {"tritonrepo.json"}
    assert [path for path in there if built[path] != there[path]] == []
