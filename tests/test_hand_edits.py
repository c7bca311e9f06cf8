"""Files that a build wrote and somebody changed since: named, kept, judged, and overwritten only when told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pushes import push
from tests.servers.s3 import S3Server
from tests.test_build import digests
from tests.test_own_stacks import ANSWER, edited, entered, weights
from tritonrepo.cli import run
from tritonrepo.shared import is_shared
from tritonrepo.stores import open_store
from tritonrepo.tree import File

CONFIG = "r/s/config.pbtxt"
TOP = "# Written by tritonrepo build; edit the stack file instead.\n"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A small search stack, indexed and built into `r`, where one stands."""
    stack = entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    assert run(["build", "-o", "r"]) == 0
    capsys.readouterr()
    return stack


def by_hand(path: str = CONFIG) -> str:
    """Change a file as an editor would, and give what it then says."""
    text = Path(path).read_text("utf-8") + "# mine\n"
    Path(path).write_text(text, "utf-8")
    return text


def recorded() -> dict[str, str]:
    files: dict[str, str] = json.loads(Path("r/tritonrepo.json").read_text("utf-8"))["files"]
    return files


@pytest.mark.usefixtures("built")
def test_a_file_changed_by_hand_is_named_and_kept_at_every_build(capsys: pytest.CaptureFixture[str]) -> None:
    good, mine = recorded(), by_hand()
    for _ in range(2):
        assert run(["build", "-o", "r"]) == 0
        said = capsys.readouterr()
        assert said.out == "! s/config.pbtxt  changed by hand\nr: nothing to write, 1 changed by hand and kept\n"
        assert "r/s/config.pbtxt: warning: the file was changed by hand after build wrote it" in said.err
        assert "tritonrepo build --overwrite" in said.err
        assert Path(CONFIG).read_text("utf-8") == mine
    assert recorded() == good


@pytest.mark.usefixtures("built")
def test_a_file_changed_by_hand_is_kept_where_the_stack_changes_too(capsys: pytest.CaptureFixture[str]) -> None:
    good, mine = recorded(), by_hand("r/e_model/config.pbtxt")
    edited("tritonrepo.yaml", "source: ./w", "source: ./w, batching: {max_batch_size: 8}")
    assert run(["build", "-o", "r"]) == 0
    assert capsys.readouterr().out.splitlines()[-2] == "! e_model/config.pbtxt  changed by hand"
    assert Path("r/e_model/config.pbtxt").read_text("utf-8") == mine
    assert "max_batch_size: 8" in Path("r/e/config.pbtxt").read_text("utf-8")
    assert recorded()["e_model/config.pbtxt"] == good["e_model/config.pbtxt"]
    before = digests(Path())
    assert run(["build", "-o", "r"]) == 0
    assert digests(Path()) == before


@pytest.mark.usefixtures("built")
def test_with_overwrite_it_is_as_the_stack_says(capsys: pytest.CaptureFixture[str]) -> None:
    good = digests(Path("r"))
    by_hand()
    by_hand("r/e/1/model.py")
    assert run(["build", "-o", "r", "--overwrite"]) == 0
    said = capsys.readouterr()
    assert "~ s/config.pbtxt  changed by hand\n" in said.out
    assert said.err == ""
    assert digests(Path("r")) == good


@pytest.mark.usefixtures("built")
def test_what_was_changed_back_is_an_ordinary_file_again(capsys: pytest.CaptureFixture[str]) -> None:
    was = Path(CONFIG).read_bytes()
    by_hand()
    assert run(["build", "-o", "r"]) == 0
    Path(CONFIG).write_bytes(was)
    capsys.readouterr()
    assert run(["build", "-o", "r", "--check", "--locked"]) == 0
    assert capsys.readouterr().out == "r: nothing to do\n"


ASKED = {
    "checking": (["--check"], 1),
    "checking against the lock": (["--check", "--locked"], 1),
    "only from the lock": (["--locked"], 1),
    "planning": (["--dry-run"], 0),
    "planning to overwrite": (["--dry-run", "--overwrite"], 0),
    "checking what overwriting would do": (["--check", "--overwrite"], 1),
}


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(("options", "code"), ASKED.values(), ids=ASKED)
def test_a_repository_changed_by_hand_is_not_what_the_stack_says(
    capsys: pytest.CaptureFixture[str], options: list[str], code: int
) -> None:
    by_hand()
    before = digests(Path())
    assert run(["build", "-o", "r", *options]) == code
    said = capsys.readouterr()
    assert "s/config.pbtxt  changed by hand\n" in said.out
    assert ("error: the file was changed by hand" in said.err) == (code == 1 and "--overwrite" not in options)
    assert digests(Path()) == before


def two_passages() -> None:
    edited("tritonrepo.yaml", "top_k: 2", "top_k: 1")


def no_pipeline() -> None:
    edited("tritonrepo.yaml", "ensembles:\n  s: {chain: [e, r]}\n", "")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("change", [two_passages, no_pipeline])
def test_a_kept_file_that_no_longer_loads_with_the_rest_stops_the_build(
    capsys: pytest.CaptureFixture[str], change: Callable[[], None]
) -> None:
    """One pins a version that this build would end, the other is a config whose model leaves the stack."""
    by_hand()
    change()
    before = digests(Path())
    assert run(["build", "-o", "r"]) == 1
    said = capsys.readouterr()
    assert re.search(r"^r/s(/config.pbtxt:\d+:\d+)?: error: ", said.err, re.MULTILINE)
    assert "r/s/config.pbtxt: warning: the file was changed by hand" in said.err
    assert digests(Path()) == before
    assert run(["build", "-o", "r", "--overwrite"]) == 0
    assert run(["build", "-o", "r", "--check", "--locked"]) == 0
    assert Path("r/s").exists() == (change is two_passages)


@pytest.mark.usefixtures("built")
def test_a_file_that_the_stack_no_longer_makes_stays_where_it_was_changed(capsys: pytest.CaptureFixture[str]) -> None:
    mine = by_hand("r/r/1/model.py")
    two_passages()
    for _ in range(2):
        assert run(["build", "-o", "r"]) == 0
        assert "! r/1/model.py  changed by hand\n" in capsys.readouterr().out
        assert Path("r/r/1/model.py").read_text("utf-8") == mine
        assert not Path("r/r/1/settings.json").exists()
    assert run(["build", "-o", "r", "--overwrite"]) == 0
    assert "- r/1/model.py  not in the stack\n" in capsys.readouterr().out
    assert not Path("r/r/1").exists()


@pytest.mark.usefixtures("built")
def test_what_stands_in_a_files_place_is_kept_too() -> None:
    Path(CONFIG).unlink()
    Path(CONFIG).symlink_to("nowhere")
    assert run(["build", "-o", "r"]) == 1
    assert Path(CONFIG).is_symlink()
    assert run(["build", "-o", "r", "--overwrite"]) == 0
    assert not Path(CONFIG).is_symlink()


def test_every_generated_text_says_at_its_top_what_made_it(built: Path) -> None:
    text = ANSWER.replace(", prompt: {file: p.j2}", "")
    (built / "tritonrepo.yaml").write_text(text, "utf-8")
    assert run(["build", "-o", "r"]) == 0
    steps = {*Path("r").glob("*/1/*.py")}
    made = [path for path in Path("r").rglob("*") if path.name == "config.pbtxt" or path in steps]
    assert len(made) == 7 + 4 + 5
    for path in made:
        assert path.read_text("utf-8").startswith(TOP), path
    assert Path("r/g_prompt/1/prompt.j2").read_text("utf-8").startswith("{# Written by tritonrepo build; ")
    for path in Path("r").rglob("*.json"):
        json.loads(path.read_text("utf-8"))
    shared = {path for path in Path("r").glob("*/*") if is_shared(path.name)}
    others = {p.name for p in Path("r").rglob("*") if p.is_file() and shared.isdisjoint(p.parents)}
    assert others - {"config.pbtxt", "prompt.j2"} - {path.name for path in steps} - {
        path.name for path in Path("r").rglob("*.json")
    } == {
        *(".keep", "embeddings.npy", "model.onnx", "passages.jsonl"),  # have no comments
    }


@pytest.mark.usefixtures("built")
def test_a_push_names_what_was_changed_by_hand_and_sends_it(
    s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = s3_server.fresh()
    assert run(["push", "r", uri, "--dry-run"]) == 0
    assert "by hand" not in capsys.readouterr().err
    mine = by_hand()
    assert push("r", uri) == 0
    said = capsys.readouterr().err
    assert "r/s/config.pbtxt: warning: the file was changed by hand after build wrote it" in said
    assert said.count("by hand") == 1
    store, prefix = open_store(uri)
    sent = store.scan(prefix)["s/config.pbtxt"]
    assert isinstance(sent, File)
    assert sent.content() == mine.encode()


def tokenizers() -> list[str]:
    """Return the tokenizers of the embedder's versions."""
    return sorted(str(path) for path in Path("r/e").glob("0*/tokenizer.json"))


def another_tokenizer() -> None:
    weights(Path("w"), lower=False)
    assert run(["index"]) == 0


@pytest.mark.usefixtures("built")
def test_what_no_version_shares_any_more_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = tokenizers()
    another_tokenizer()
    assert run(["build", "-o", "r"]) == 0
    assert f"- {old.removeprefix('r/')}  not in the stack\n" in capsys.readouterr().out
    (new,) = tokenizers()
    assert new != old
    assert json.loads(Path("r/e/2/settings.json").read_text("utf-8"))["tokenizer"] == new.removeprefix("r/e/")


@pytest.mark.usefixtures("built")
def test_settings_changed_by_hand_keep_what_they_share(capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = tokenizers()
    edited("r/e/1/settings.json", "}", "}\n")
    another_tokenizer()
    for _ in range(2):
        assert run(["build", "-o", "r"]) == 0
        assert "! e/1/settings.json  changed by hand\n" in capsys.readouterr().out
        assert old in tokenizers()
        assert len(tokenizers()) == 2
    assert run(["build", "-o", "r", "--overwrite"]) == 0
    assert old not in tokenizers()
    assert not Path("r/e/1").exists()


@pytest.mark.usefixtures("built")
def test_a_shared_file_changed_by_hand_is_not_pushed(s3_server: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = tokenizers()
    by_hand(file)
    assert push("r", s3_server.fresh()) == 1
    said = capsys.readouterr().err
    top = file.removeprefix("r/").removesuffix("/tokenizer.json")
    assert f"{top}: error: files of the directory are missing or changed" in said
    assert run(["build", "-o", "r", "--overwrite"]) == 0
    assert push("r", s3_server.fresh()) == 0
