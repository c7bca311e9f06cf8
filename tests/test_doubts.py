"""What a build warns of although it can build, and when that is an error; and all that is wrong, told in one run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SMOLLM2
from tests.test_build import digests
from tests.test_own_stacks import ANSWER, SEARCH, edited, entered, weights
from tritonrepo.cli import run

COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
QWEN = ANSWER.replace("hf://o/m", f"hf://Qwen/Qwen2.5-0.5B-Instruct@{COMMIT}")
STAND_IN = 'warning: "g" uses the tokenizer and chat template of its "local" file'


def named(text: str, source: str = SMOLLM2) -> str:
    return text.replace("local: ", f"tokenizer: '{source}', local: ")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A small stack with an index and optionally a generator, in the current directory."""
    stack = entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    capsys.readouterr()
    return stack


def build(text: str, *options: str) -> int:
    Path("tritonrepo.yaml").write_text(text, "utf-8")
    return run(["build", *options])


@pytest.mark.usefixtures("own")
def test_a_tokenizer_that_only_stands_in_is_told_at_each_build(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert build(QWEN) == 0
        assert STAND_IN in capsys.readouterr().err
    assert build(QWEN, "--check") == 1
    assert STAND_IN.replace("warning", "error") in capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_a_tokenizer_that_only_stands_in_is_refused_where_all_must_be_locked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert build(QWEN) == 0
    shutil.rmtree("model_repository")
    before = digests(Path())
    capsys.readouterr()
    assert build(QWEN, "--locked") == 1
    said = capsys.readouterr().err
    assert STAND_IN.replace("warning", "error") in said
    assert "Set tokenizer to" in said
    assert digests(Path()) == before


@pytest.mark.usefixtures("own")
def test_a_tokenizer_that_the_stack_names_is_pinned_and_no_doubt(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(named(QWEN)) == 0
    assert build(named(QWEN), "--check", "--locked") == 0
    assert "warning" not in capsys.readouterr().err
    assert SMOLLM2 in json.loads(Path("tritonrepo.lock").read_text("utf-8"))["sources"]


@pytest.mark.usefixtures("own")
def test_the_tokenizer_that_the_stack_names_is_the_one_that_is_carried(capsys: pytest.CaptureFixture[str]) -> None:
    """`local` is only for a CPU: a build does not even look for it."""
    assert build(named(QWEN).replace(f"local: '{SMOLLM2}'", "local: ./nowhere.gguf")) == 0
    assert "warning" not in capsys.readouterr().err
    assert build(named(QWEN, "./nowhere.gguf")) == 2
    assert '"./nowhere.gguf" does not exist' in capsys.readouterr().err
    assert build(named(QWEN).replace(f", local: '{SMOLLM2}'", ""), "--check") == 1
    assert json.loads(Path("model_repository/tritonrepo.json").read_text("utf-8"))["local"] == {
        "Qwen/Qwen2.5-0.5B-Instruct": "./nowhere.gguf"
    }


HUBS = {
    "no revision": ("hf://o/m", 1),
    "a branch": ("hf://o/m@main", 1),
    "a tag": ("hf://o/m@v1.0", 1),
    "half a commit": ("hf://o/m@12fd25f", 1),
    "a commit": (f"hf://o/m@{COMMIT}", 0),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("source", "loose"), HUBS.values(), ids=HUBS)
def test_a_hub_model_without_a_commit_is_a_doubt(capsys: pytest.CaptureFixture[str], source: str, loose: int) -> None:
    text = named(ANSWER).replace("hf://o/m", source)
    assert build(text) == 0
    assert capsys.readouterr().err.count("[source-not-pinned]") == loose
    assert build(text, "--check", "--locked") == 0
    assert capsys.readouterr().err.count("warning: the source of ") == loose


@pytest.mark.usefixtures("own")
def test_stale_documents_are_an_error_where_nothing_may_have_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(SEARCH) == 0
    Path("d/a.jsonl").write_text('{"id": "new", "text": "d"}', "utf-8")
    stale = 'the documents of "r" have changed since its index was built [index-stale]'
    capsys.readouterr()
    for options, code, word in (
        ((), 0, "warning"),
        (("--dry-run",), 0, "warning"),
        (("--check",), 1, "error"),
        (("--locked",), 1, "error"),
        (("--check", "--locked"), 1, "error"),
    ):
        assert build(SEARCH, *options) == code
        assert f"{word}: {stale}" in capsys.readouterr().err
    assert run(["index"]) == 0
    assert build(SEARCH) == 0
    assert build(SEARCH, "--check", "--locked") == 0


@pytest.mark.usefixtures("own")
def test_all_that_must_not_be_is_told_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(QWEN) == 0
    Path("d/a.jsonl").write_text('{"id": "new", "text": "d"}', "utf-8")
    Path("p.j2").write_text("{{ query }}", "utf-8")
    capsys.readouterr()
    assert build(QWEN, "--check", "--locked") == 2
    said = capsys.readouterr()
    for rule in ("index-stale", "tokenizer-stand-in", "lock-drift"):
        assert f"[{rule}]" in said.err
    assert "~ p/config.pbtxt  changed\n" in said.out


def no_index() -> None:
    shutil.rmtree("i")


def no_weights() -> None:
    shutil.rmtree("w")


def no_config_and_no_weights() -> None:
    Path("w/config.json").unlink()
    Path("w/model.safetensors").unlink()


def no_documents() -> None:
    shutil.rmtree("d")


def no_prompt() -> None:
    Path("p.j2").unlink()


def no_tokenizer() -> None:
    edited("tritonrepo.yaml", f"tokenizer: '{SMOLLM2}'", "tokenizer: ./nowhere.gguf")


def an_argument_misspelt() -> None:
    edited("tritonrepo.yaml", "max_model_len: 900", "max_modle_len: 900")


def a_backend_that_no_image_has() -> None:
    edited("tritonrepo.yaml", "name: own", "name: own\ntarget: {images: [py3]}")


def a_batch_too_large() -> None:
    edited("tritonrepo.yaml", "source: ./w", "source: ./w, batching: {max_batch_size: 2, preferred: [4]}")


def a_record_that_is_none() -> None:
    Path("model_repository").mkdir()
    Path("model_repository/tritonrepo.json").write_text("{", "utf-8")


FAULTS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {
    "no index": (no_index, ('the index of "r" does not exist',)),
    "no weights": (no_weights, ('"./w" does not exist',)),
    "two files of the weights": (
        no_config_and_no_weights,
        ('"config.json" is missing', '"model.safetensors" is missing'),
    ),
    "no documents": (no_documents, ("no file matches",)),
    "no prompt": (no_prompt, ('file "p.j2" does not exist',)),
    "no tokenizer": (no_tokenizer, ('"./nowhere.gguf" does not exist',)),
    "an argument": (an_argument_misspelt, ("max_modle_len",)),
    "a backend": (a_backend_that_no_image_has, ('image has the backend "vllm"',)),
    "a batch": (a_batch_too_large, ("preferred_batch_size 4 is above max_batch_size 2",)),
    "a record": (a_record_that_is_none, ("tritonrepo.json: fatal: the file is not a build record",)),
}
TOGETHER = [
    ("no index", "an argument"),
    ("no index", "no prompt", "no tokenizer", "an argument", "a batch"),
    ("no weights", "no documents", "an argument", "a batch"),
    ("two files of the weights", "no index", "no prompt"),
    ("an argument", "a record", "no index"),
    ("a record", "a batch"),
    ("a backend", "no index", "no prompt", "no documents"),
]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("names", TOGETHER, ids=" and ".join)
@pytest.mark.parametrize("command", ["build", "validate"])
def test_no_fault_hides_another(capsys: pytest.CaptureFixture[str], names: tuple[str, ...], command: str) -> None:
    Path("tritonrepo.yaml").write_text(named(QWEN), "utf-8")
    for name in names:
        FAULTS[name][0]()
    before = digests(Path())
    assert run([command, *(["."] if command == "validate" else [])]) == (
        1 if command == "validate" and names == ("a record", "a batch") else 2
    )
    said = "".join(capsys.readouterr())
    for name in names:
        if command == "build" or name not in {"no documents", "a record"}:
            assert all(message in said for message in FAULTS[name][1]), name
    assert digests(Path()) == before


@pytest.mark.usefixtures("own")
def test_what_is_missing_is_all_that_is_said_where_nothing_else_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """The stand-ins for missing files are never judged themselves."""
    Path("tritonrepo.yaml").write_text(named(QWEN, "./nowhere.gguf"), "utf-8")
    for spoil in (no_index, no_weights, no_prompt):
        spoil()
    assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert sum(not line.startswith(" ") for line in said.splitlines()) == 4, said


@pytest.mark.usefixtures("own")
def test_each_index_that_cannot_be_made_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    second = "  r2: {role: retriever, documents: ./d2/*.jsonl, index: ./i2, embed_with: e}\nensembles:"
    edited("tritonrepo.yaml", "ensembles:", second)
    Path("d/a.jsonl").write_text("{", "utf-8")
    assert run(["index"]) == 2
    said = capsys.readouterr().err
    assert "d/a.jsonl:1: fatal: the line is not valid JSON" in said
    assert 'no file matches "./d2/*.jsonl"' in said


@pytest.mark.usefixtures("own")
def test_a_broken_lock_and_a_broken_stack_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tritonrepo.lock").write_text("{", "utf-8")
    edited("tritonrepo.yaml", "embed_with", "embedwith")
    assert run(["build"]) == 2
    said = capsys.readouterr().err
    assert "tritonrepo.lock:1:2: fatal: the file is not a valid lock file" in said
    assert 'unknown key "embedwith"' in said


@pytest.mark.usefixtures("own")
def test_up_says_all_that_is_wrong_before_it_starts_anything(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tritonrepo.yaml").write_text(named(QWEN), "utf-8")
    for spoil in (no_index, no_documents, no_prompt, an_argument_misspelt):
        spoil()
    assert run(["up"]) == 2
    said = capsys.readouterr().err
    for message in ('no file matches "./d/*.jsonl"', 'file "p.j2" does not exist', "max_modle_len"):
        assert message in said
    assert 'the index of "r"' not in said


@pytest.mark.usefixtures("own")
def test_an_index_of_another_embedder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Its vectors mean nothing to the new embedder, and nobody would notice."""
    assert build(SEARCH) == 0
    weights(Path("w"), architectures=["RobertaModel"], type_vocab_size=1)
    before = digests(Path())
    capsys.readouterr()
    for text in (SEARCH, SEARCH.replace("source: ./w", "source: ./w, pooling: cls")):
        assert build(text) == 2
        assert 'the index of "r" was built with another embedder than the current "e"' in capsys.readouterr().err
    Path("tritonrepo.yaml").write_text(SEARCH, "utf-8")
    assert digests(Path()) == before
    assert run(["index"]) == 0
    assert build(SEARCH) == 0


@pytest.mark.usefixtures("own")
def test_each_file_and_each_variable_of_a_stack_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    edited("tritonrepo.yaml", "source: ./w", "source: '${WEIGHTS}/${KIND:?which kind}'")
    edited("tritonrepo.yaml", "index: ./i", "index: '${INDEX}'")
    assert run(["build"]) == 2
    said = capsys.readouterr().err
    for name in ("WEIGHTS", "KIND", "INDEX"):
        assert said.count(f"the environment variable {name} is not set") == 1
    Path("one.yaml").write_text("name: s\n\tx: y\n", "utf-8")
    Path("two.yaml").write_text("name: s\nname: t\n", "utf-8")
    assert run(["build", "-f", "one.yaml", "-f", "two.yaml", "-f", "three.yaml"]) == 2
    said = capsys.readouterr().err
    for message in (
        "one.yaml:2:1: fatal: YAML cannot be indented with a tab",
        'two.yaml:2:1: fatal: key "name" is set',
        "three.yaml: fatal: the stack file does not exist",
    ):
        assert message in said


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_path_that_cannot_be_judged_hides_no_other(capsys: pytest.CaptureFixture[str], form: str) -> None:
    for name in ("a", "b"):
        Path(name, "m", "1").mkdir(parents=True)
        Path(name, "m", "config.pbtxt").write_text("backend: 3", "utf-8")
    assert run(["validate", "a", "nowhere", "b", "nor-here", "--format", form]) == 2
    said = capsys.readouterr()
    assert "a/m/config.pbtxt" in said.out
    assert "b/m/config.pbtxt" in said.out
    assert "nowhere: fatal:" in said.err
    assert "nor-here: fatal:" in said.err
    assert form == "text" or [each["path"] for each in json.loads(said.out)["diagnostics"]] == [
        "a/m/config.pbtxt",
        "b/m/config.pbtxt",
        "nor-here",
        "nowhere",
    ]


@pytest.mark.usefixtures("own")
def test_a_hint_at_index_names_every_file_of_the_stack(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more.yaml").write_text("models: {r: {top_k: 1}}\n", "utf-8")
    no_index()
    assert run(["build", "-f", "tritonrepo.yaml", "-f", "more.yaml"]) == 2
    assert "Run `tritonrepo index -f tritonrepo.yaml -f more.yaml`.\n" in capsys.readouterr().err
