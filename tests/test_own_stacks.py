"""Stacks of one's own, on small models: odd sources, documents, prompts and places, each told in one message."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMOLLM2
from tests.test_export import bert_config, bert_weights
from tritonrepo.cli import run

SEARCH = """\
name: own
models:
  e: {role: embedder, source: ./w}
  r: {role: retriever, documents: ./d/*.jsonl, index: ./i, embed_with: e, top_k: 2}
ensembles:
  s: {chain: [e, r]}
"""
ANSWER = f"""{SEARCH}\
  p: {{chain: [e, r, g], prompt: {{file: p.j2}}}}
"""
ANSWER = ANSWER.replace(
    "ensembles:",
    f"  g: {{role: generator, source: 'hf://o/m', local: '{SMOLLM2}', args: {{max_model_len: 900}}}}\nensembles:",
)
WORDS = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrst"]
MODULES = ("Transformer", "Pooling", "Normalize")


def modules(*names: str) -> str:
    return json.dumps([{"type": f"sentence_transformers.models.{name}"} for name in names])


def weights(place: Path, words: list[str] = WORDS, *, lower: bool = True, **changes: object) -> None:
    """Write a small encoder as sentence-transformers saves one."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    (place / "1_Pooling").mkdir(parents=True, exist_ok=True)
    config = bert_config(**changes)
    (place / "config.json").write_text(json.dumps(config), "utf-8")
    save_file(bert_weights(config), place / "model.safetensors")
    tokenizer: Any = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(place / "tokenizer.json"))
    (place / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}', "utf-8")
    (place / "modules.json").write_text(modules(*MODULES), "utf-8")


def entered(stack: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small stack with documents and without an index, and change to its directory."""
    weights(stack / "w")
    (stack / "d").mkdir()
    (stack / "d" / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "x", "text": "a b"}\r\n\r\n{"id": "y", "text": "c"}')
    (stack / "p.j2").write_text("{{ passages }} {{ query }}", "utf-8")
    (stack / "tritonrepo.yaml").write_text(SEARCH, "utf-8")
    monkeypatch.chdir(stack)
    return stack


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small stack with documents and without an index, in the current directory."""
    return entered(tmp_path / "own", monkeypatch)


def edited(name: str, old: str, new: str) -> None:
    text = Path(name).read_text("utf-8")
    assert old in text
    Path(name).write_text(text.replace(old, new), "utf-8")


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def test_a_stack_on_small_weights_is_indexed_and_built(own: Path) -> None:
    assert run(["index"]) == 0
    assert [json.loads(line)["id"] for line in (own / "i" / "passages.jsonl").read_text("utf-8").splitlines()] == [
        "x",
        "y",
    ]
    assert run(["build"]) == 0
    assert run(["build", "--check", "--locked"]) == 0


def keep_capitals() -> None:
    weights(Path("w"), ["A", *WORDS[:-1]], lower=False)
    Path("w/sentence_bert_config.json").write_text('{"do_lower_case": true}', "utf-8")


SOURCES: dict[str, tuple[Callable[[], object], str]] = {
    "a config that is a list": (lambda: Path("w/config.json").write_text("[]"), '"config.json" of the embedder'),
    "a config nested without end": (lambda: Path("w/config.json").write_text("[" * 100_000), "is not valid JSON"),
    "a model of another kind": (
        lambda: edited("w/config.json", "BertModel", "T5Model"),
        "config.json of the embedder's source: architectures is ['T5Model']",
    ),
    "weights that are none": (
        lambda: Path("w/model.safetensors").write_bytes(b"x"),
        "model.safetensors of the embedder's source: the safetensors file is damaged or incomplete",
    ),
    "pooling that is a number": (lambda: Path("w/1_Pooling/config.json").write_text("3"), "is not a JSON object"),
    "modules that are numbers": (lambda: Path("w/modules.json").write_text("[1]"), "is not a list of modules"),
    "a layer that the export leaves out": (
        lambda: Path("w/modules.json").write_text(modules("Transformer", "Pooling", "WordWeights")),
        'has a "WordWeights" module, which cannot be exported',
    ),
    "a limit that is text": (
        lambda: Path("w/sentence_bert_config.json").write_text('{"max_seq_length": "x"}'),
        "max_seq_length in the embedder's own files must be an integer of at least 1, not 'x'",
    ),
    "a limit below nothing": (
        lambda: Path("w/sentence_bert_config.json").write_text('{"max_seq_length": -1}'),
        "max_seq_length in the embedder's own files must be an integer of at least 1, not -1",
    ),
    "a limit that leaves nothing of a text": (
        lambda: edited("tritonrepo.yaml", "source: ./w", "source: ./w, max_tokens: 2"),
        "3:48: fatal: max_tokens is 2, but the tokenizer adds 2 tokens",
    ),
    "a tokenizer that is none": (lambda: Path("w/tokenizer.json").write_text("{}"), "is not a tokenizer"),
    "a tokenizer of another model": (
        lambda: weights(Path("w"), [*WORDS, "further"]),
        "has ids up to 24, but the weights have only 24 vectors",
    ),
    "lower case that the tokenizer does not make": (keep_capitals, "require lower case"),
    "a path that no system takes": (
        lambda: edited("tritonrepo.yaml", "source: ./w", f"source: {'w' * 300}"),
        "cannot be read: File name too long",
    ),
    "a directory without documents": (
        lambda: edited("tritonrepo.yaml", "./d/*.jsonl", "./w"),
        "no documents are below w; its files are in other formats: .json (",
    ),
    "half a character in a document": (
        lambda: Path("d/a.jsonl").write_text('{"id": "x", "text": "\\ud800"}'),
        'd/a.jsonl:1: fatal: "text" contains half of a surrogate pair',
    ),
    "a document nested without end": (lambda: Path("d/a.jsonl").write_text("[" * 100_000), "is not valid JSON"),
    "an id that a long document takes": (
        lambda: Path("d/a.jsonl").write_text(
            json.dumps({"id": "x", "text": "a " * 30}) + '\n{"id": "x#2", "text": "b"}'
        ),
        '"x#2" is both the id of a document and of a further passage',
    ),
}


@pytest.mark.parametrize(("spoil", "message"), SOURCES.values(), ids=SOURCES)
@pytest.mark.usefixtures("own")
def test_what_cannot_be_indexed_is_one_message(
    capsys: pytest.CaptureFixture[str], spoil: Callable[[], object], message: str
) -> None:
    spoil()
    before = files()
    assert run(["index"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("fatal:") == 1
    assert files() == before


def test_a_file_of_another_form_is_told_by_its_first_lines(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "d" / "a.jsonl").write_text("id,text\n" * 5000, "utf-8")
    assert run(["index"]) == 2
    said = capsys.readouterr().err
    assert said.count("is not valid JSON") == 20
    assert "4,980 more lines are wrong." in said


def test_an_index_stays_as_it_is_where_another_cannot_be_made(own: Path) -> None:
    second = "  r2: {role: retriever, documents: ./d2/*.jsonl, index: ./i2, embed_with: e}\nensembles:"
    edited("tritonrepo.yaml", "ensembles:", second)
    (own / "d2").mkdir()
    (own / "d2" / "b.jsonl").write_text('{"id": "x", "text": "d"}', "utf-8")
    assert run(["index"]) == 0
    (own / "d" / "a.jsonl").write_text('{"id": "new", "text": "e"}', "utf-8")
    (own / "d2" / "b.jsonl").write_text("{", "utf-8")
    before = (own / "i" / "passages.jsonl").read_bytes()
    assert run(["index"]) == 2
    assert (own / "i" / "passages.jsonl").read_bytes() == before


def test_documents_may_be_named_by_their_whole_path(own: Path) -> None:
    edited("tritonrepo.yaml", "./d/*.jsonl", f"{own}/d/*.jsonl")
    assert run(["index"]) == 0


def test_roberta_reads_as_many_tokens_as_it_has_positions_behind_its_padding(own: Path) -> None:
    """Positions count from the padding id: of 20 rows with padding id 1, 18 are for tokens."""
    weights(own / "w", architectures=["RobertaModel"], type_vocab_size=1)
    (own / "d" / "a.jsonl").write_text(json.dumps({"id": "long", "text": "a " * 40}), "utf-8")
    assert run(["index"]) == 0
    assert len((own / "i" / "passages.jsonl").read_text("utf-8").splitlines()) == 3


PROMPTS = {
    "an open block": (
        "{% for p in passages %}{{ query }}",
        "p.j2:1: fatal: the file is not a Jinja template: Unexpected end",
    ),
    "a filter that is none": ("x\n{{ query | nothing }}", "p.j2:2: fatal: the file is not a Jinja template"),
    "a name that is nowhere": ("{{ query }}{{ pasages }}", 'the template uses the undefined variable "pasages"'),
    "another file": ("{% include 'x' %}{{ query }}", "the prompt template uses x, but it must be a single file"),
    "no question": ("{{ passages }}", "the prompt template does not use the variable query"),
    "no text": (b"{{ query }}\n\xff", "p.j2:2: fatal: the prompt template is not valid UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), PROMPTS.values(), ids=PROMPTS)
def test_a_wrong_prompt_is_told_before_anything_is_written(
    own: Path, capsys: pytest.CaptureFixture[str], text: str | bytes, message: str
) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    assert run(["index"]) == 0
    (own / "p.j2").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = files()
    assert run(["build"]) == 2
    assert message in capsys.readouterr().err
    assert files() == before


def test_a_prompt_has_what_chat_templates_have(own: Path) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    text = "{% for p in passages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ p }}{% endfor %}{{ query | trim }}"
    (own / "p.j2").write_text(text + "{% if not query %}{{ raise_exception('no query') }}{% endif %}", "utf-8")
    assert run(["index"]) == 0
    assert run(["build"]) == 0


def test_an_answer_that_leaves_no_room_for_its_prompt_is_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER.replace("max_model_len: 900", "max_model_len: 200"), "utf-8")
    assert run(["index"]) == 0
    assert run(["build"]) == 2
    assert "an answer may take 256 tokens, but prompt and answer together must fit in 200" in capsys.readouterr().err


OUTS = {
    "a URI": ("s3://models/prod", "the output must be a directory, not a URI"),
    "the root": ("/", "the output directory is the root of the file system"),
    "a place where the record is a directory": (
        "taken",
        "the build keeps its record at this path, but it is a directory",
    ),
}


@pytest.mark.parametrize(("out", "message"), OUTS.values(), ids=OUTS)
def test_where_nothing_can_be_built_nothing_is_written(
    own: Path, capsys: pytest.CaptureFixture[str], out: str, message: str
) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    assert run(["index"]) == 0
    (own / "taken/tritonrepo.json").mkdir(parents=True)
    before = files()
    assert run(["build", "-o", out]) == 2
    assert message in capsys.readouterr().err
    assert files() == before


def test_a_repository_may_be_where_one_stands(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    assert run(["index"]) == 0
    (own / "r").mkdir()
    monkeypatch.chdir(own / "r")
    assert run(["build", "-f", "..", "-o", "."]) == 0
    assert (own / "r" / "e" / "config.pbtxt").is_file()


UNREADABLE = {
    "documents": ("d/a.jsonl", "index"),
    "the lock": ("tritonrepo.lock", "build"),
    "the stack": ("tritonrepo.yaml", "build"),
    "the index": ("i/embeddings.npy", "build"),
    "the prompt": ("p.j2", "build"),
}


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv to be less")
@pytest.mark.parametrize(("path", "command"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_this_user_cannot_read_is_told(own: Path, path: str, command: str) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    assert run(["index"]) == 0
    (own / path).chmod(0)
    rights = "--bounding-set=-dac_override,-dac_read_search"
    done = subprocess.run(
        ["setpriv", rights, sys.executable, "-m", "tritonrepo", command], capture_output=True, text=True, check=False
    )
    assert f"{path}: fatal: the file cannot be read: Permission denied" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize("more", [[], ["-f", "more.yaml"]], ids=["alone", "the first of two"])
def test_a_stack_file_is_not_taken_for_its_lock(own: Path, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (own / "tritonrepo.yaml").rename(own / "own.lock")
    (own / "more.yaml").write_text("name: more\n", "utf-8")
    assert run(["index", "-f", "own.lock", *more]) == 2
    assert "the stack file has the path of its own lock file" in capsys.readouterr().err
    assert run(["index", "-f", "x" * 5000]) == 2
    assert "File name too long" in capsys.readouterr().err


def test_a_local_file_that_serve_cannot_find_is_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"schema": 1, "name": "own", "target": {}, "files": {}, "local": {"o/m": "./m.gguf"}}
    (own / "r").mkdir()
    (own / "r" / "tritonrepo.json").write_text(json.dumps(record), "utf-8")
    assert run(["serve", "r"]) == 2
    said = capsys.readouterr().err
    assert "./m.gguf: fatal: the local file for o/m does not exist [source-missing]" in said
    assert "Start in the stack file's directory, to which the path is relative" in said


MISSING = {
    "the exporter": ("onnx", "index", "exporting an embedder needs numpy, onnx, safetensors and tokenizers"),
    "the tokenizer": ("tokenizers", "index", "exporting an embedder needs numpy, onnx, safetensors and tokenizers"),
    "the part of the client for gRPC": ("grpc", "smoke", "sending requests to a server needs tritonclient"),
}


@pytest.mark.parametrize(("module", "command", "message"), MISSING.values(), ids=MISSING)
def test_what_is_not_installed_is_told(own: Path, tmp_path: Path, module: str, command: str, message: str) -> None:
    weights(own / "w", hidden_size=8)
    words = [command, *(["http://127.0.0.1:1"] if command == "smoke" else [])]
    script = f"import sys; sys.modules[{module!r}] = None; from tritonrepo.cli import run; sys.exit(run({words!r}))"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "empty")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert f"tritonrepo: fatal: {message} [extra-missing]" in done.stderr
    assert done.returncode == 2
