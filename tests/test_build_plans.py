"""What a build says before it writes, where it may write, and what it is told by its caller."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tabled import tabled
from tests.test_build import digests
from tests.test_doubts import build, own
from tests.test_lock import built
from tests.test_own_stacks import ANSWER, SEARCH, edited
from tests.test_spec import read
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.diagnostics import Faults, Severity, Span, Stop
from tritonrepo.flows.build import directory
from tritonrepo.flows.doubts import by_hand, strictly
from tritonrepo.flows.events import Busy, Event
from tritonrepo.flows.paths import is_stack
from tritonrepo.flows.target import of_record, of_stack
from tritonrepo.parts import PARTS
from tritonrepo.repository import Said
from tritonrepo.sync.record import Record
from tritonrepo.sync.telling import Line

__all__ = ["built", "own"]

PLAN = r"""\+ tritonrepo.json  new
(?:\+ e/0[0-9]{20}/(?:tokenizers/  new \(\d+ files\)|tokenizer.json  new)
){2}\+ e/1/calls.json  new
\+ e/1/grouping.py  new
\+ e/1/model.py  new
\+ e/1/settings.json  new
\+ e_model/1/model.onnx  new
\+ r/1/embeddings.npy  new
\+ r/1/model.py  new
\+ r/1/passages.jsonl  new
\+ r/1/settings.json  new
\+ s/1/.keep  new
\+ e/config.pbtxt  new
\+ e_model/config.pbtxt  new
\+ r/config.pbtxt  new
\+ s/config.pbtxt  new
model_repository: \d+ to write \([0-9.]+ MiB\), 0 to delete
"""


@pytest.mark.usefixtures("own")
def test_a_plan_is_the_record_then_files_then_configs(capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(Path())
    assert run(["build", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(PLAN, said.out), said.out
    assert said.err == ""
    assert digests(Path()) == before


@pytest.mark.usefixtures("own")
def test_what_validate_warns_of_a_build_warns_of_too(capsys: pytest.CaptureFixture[str]) -> None:
    """At the stack's own line, each time, and strict options change nothing in it."""
    text = SEARCH.replace("source: ./w", "source: ./w, batching: {preferred: [4], max_queue_delay: 99999999999s}")
    for options in ([], ["--check", "--locked"], ["--dry-run"]):
        assert build(text, *options) == 0
        (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(" ")]
        assert line.startswith(f"tritonrepo.yaml:3:{text.splitlines()[2].index('[4]') + 1}: warning: ")
        assert re.search(r", in the generated e/config\.pbtxt:10:\d+ \[queue-delay-huge\]$", line)


@pytest.mark.usefixtures("built")
def test_files_of_others_are_left_alone_and_listed_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model_repository/own/1").mkdir(parents=True)
    Path("model_repository/own/1/model.py").write_text("", "utf-8")
    Path("model_repository/NOTES").write_text("mine", "utf-8")
    before = digests(Path())
    for options, listed in (
        ([], []),
        (["-v"], ["NOTES", "own/1/model.py"]),
        (["--verbose"], ["NOTES", "own/1/model.py"]),
    ):
        assert run(["build", *options]) == 0
        said = capsys.readouterr()
        assert said.out == "model_repository: nothing to do\n"
        assert said.err.splitlines() == [f"left alone: model_repository/{path}" for path in listed]
    assert digests(Path()) == before


@pytest.mark.usefixtures("built")
def test_a_check_writes_nothing_where_files_would_change(capsys: pytest.CaptureFixture[str]) -> None:
    edited("tritonrepo.yaml", "source: ./w", "source: ./w, batching: {max_batch_size: 8}")
    before = digests(Path())
    assert run(["build", "--check"]) == 1
    assert "~ e/config.pbtxt  changed\n" in capsys.readouterr().out
    assert run(["build", "--check", "--dry-run"]) == 1
    assert run(["build", "--check", "--locked"]) == 1
    assert digests(Path()) == before
    assert run(["build", "--locked"]) == 0, "configs have no number"
    assert run(["build", "--check", "--locked"]) == 0


def test_a_file_that_has_what_a_build_would_write_is_taken_over(built: Path) -> None:
    """A record that is lost, or a checkout of the files alone, does not make them somebody else's."""
    (built / "model_repository" / "tritonrepo.json").unlink()
    before = digests(built)
    assert run(["build", "--dry-run"]) == 0
    assert run(["build"]) == 0
    assert digests(built).keys() - before.keys() == {"model_repository/tritonrepo.json"}


NO_DIRECTORIES = ["s3://b/p", "gs://b", "http://x", "s3:/b", "ab:/c", "/", "//", "/.."]


@tabled("out", NO_DIRECTORIES)
def test_some_places_cannot_be_a_repository(out: str) -> None:
    with pytest.raises(Stop) as stop:
        directory(out)
    (found,) = stop.value.diagnostics
    assert (found.rule, found.severity) == ("build-directory", Severity.FATAL)
    assert found.at.path == str(out if "b" in out or "x" in out else Path(out))
    assert found.hint


def test_other_places_are_named(inside: Path) -> None:
    for out in ("a", "a/b", "c:/x", "a:b", "x:/", "/tmp/a", "a/../b"):
        assert directory(out) == directory(Path(out)) == Path(out)
    assert directory(".") == directory("") == inside
    assert directory("..") == inside.parent
    assert directory("a/..") == inside


def test_a_stack_is_a_file_or_a_directory_that_holds_one(inside: Path) -> None:
    (inside / "own.yaml").touch()
    (inside / "with").mkdir()
    (inside / "with" / "tritonrepo.yaml").touch()
    (inside / "without").mkdir()
    found = {path: is_stack(path) for path in ("own.yaml", "with", "with/tritonrepo.yaml", "without", "nowhere")}
    assert [path for path, stack in found.items() if stack] == ["own.yaml", "with", "with/tritonrepo.yaml"]


def test_a_stack_is_loaded_from_one_path_several_or_the_current_directory(own: Path) -> None:
    (own / "more.yaml").write_text("models: {r: {top_k: 1}}\n", "utf-8")
    default, stack = Path("tritonrepo.yaml"), own / "tritonrepo.yaml"
    work = api.Workspace()
    for paths, files in (
        ([], [default]),
        ("tritonrepo.yaml", [default]),
        (Path("tritonrepo.yaml"), [default]),
        (own, [stack]),
        ([str(own)], [stack]),
        (["tritonrepo.yaml", "more.yaml"], [default, Path("more.yaml")]),
    ):
        loaded = api.load(paths, work)
        assert loaded.paths == tuple(files)
        assert loaded.lock_path == files[0].with_suffix(".lock")
        assert [loaded.stack.models["r"].top_k] == ([1] if len(files) == 2 else [2])  # type: ignore[attr-defined]
    loaded = api.load(["tritonrepo.yaml", "more.yaml"], work)
    assert loaded.remake == "tritonrepo index -f tritonrepo.yaml -f more.yaml"
    assert loaded.lock.indexes.keys() == {"r"}


def test_a_command_in_a_hint_is_quoted(own: Path) -> None:
    (own / "tritonrepo.yaml").rename(own / "my stack.yaml")
    assert api.load("my stack.yaml", api.Workspace()).remake == "tritonrepo index -f 'my stack.yaml'"


MISSING = {
    "a file that is not there": ("nowhere.yaml", "does not exist"),
    "a directory without a stack": ("d", "does not exist"),
    "what is no regular file": ("/dev/null", "is not a regular file"),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("path", "message"), MISSING.values(), ids=MISSING)
def test_a_stack_that_is_not_there_is_told_with_its_path(path: str, message: str) -> None:
    with pytest.raises(Stop) as stop:
        api.load([path], api.Workspace())
    found = [each for each in stop.value.diagnostics if each.rule == "stack-missing"]
    assert [str(each.at) for each in found] == [path if path != "d" else "d/tritonrepo.yaml"]
    assert message in found[0].message


def test_a_stack_file_larger_than_four_mebibytes_is_refused(own: Path) -> None:
    (own / "tritonrepo.yaml").write_bytes(b"#" * ((4 << 20) + 1))
    with pytest.raises(Stop, match="the stack file has more than 4,194,304 bytes"):
        api.load([], api.Workspace())


def test_a_workspace_tells_what_it_does_and_finds_its_cache_by_its_environment(tmp_path: Path) -> None:
    told: list[Event] = []
    work = api.Workspace({"XDG_CACHE_HOME": str(tmp_path)}, tell=told.append)
    work.line("waiting")
    work.cache.tell("exporting")
    assert told == [Line("waiting"), Busy("exporting")]
    assert work.cache.root == tmp_path / "tritonrepo"
    assert work.parts is PARTS
    assert (work.environ, work.links) == ({"XDG_CACHE_HOME": str(tmp_path)}, ())
    assert api.Workspace().environ == {}


def test_a_target_is_what_the_stack_says_and_its_configs_are_complete() -> None:
    stack = read(f"target: {{release: '25.01', images: [py3], backends: [own], gpus: 3, arch: aarch64}}\n{LEAST}")
    assert of_stack(stack) == Said("25.01", ("py3",), 3, auto_complete=False, arch="aarch64", backends=("own",))
    assert of_stack(stack, complete=False).auto_complete


LEAST = "name: s\nmodels: {e: {role: embedder, source: ./w}}\n"


@pytest.mark.parametrize("where", ["r", "r/"])
def test_a_record_is_at_the_top_of_its_repository(where: str) -> None:
    assert of_record(Record(target={"release": "25.01", "gpus": 2}), where) == Said(
        "25.01", None, 2, where="r/tritonrepo.json"
    )


def test_only_what_does_not_match_the_stack_is_raised_to_an_error() -> None:
    """These three by name; all else that a build warns of stays a warning."""
    stack = read(LEAST)
    found = [
        api.Diagnostic(rule, Severity.WARNING, Span("a"), "m")
        for rule in ("index-stale", "tokenizer-stand-in", "build-hand-edited", "source-not-pinned", "queue-delay-huge")
    ]
    assert [each.severity for each in strictly(found, stack)] == [Severity.ERROR] * 3 + [Severity.WARNING] * 2
    assert by_hand("r/a", "is kept").at == Span("r/a")


@pytest.mark.usefixtures("own")
def test_what_serve_runs_instead_of_hub_models_is_recorded_only_where_the_stack_names_it() -> None:
    assert build(ANSWER) == 0
    record = json.loads(Path("model_repository/tritonrepo.json").read_text("utf-8"))
    assert record["local"].keys() == {"o/m"}
    assert build(SEARCH) == 0
    assert json.loads(Path("model_repository/tritonrepo.json").read_text("utf-8"))["local"] == {}


def another_index() -> None:
    path = Path("i/embeddings.npy")
    path.write_bytes(path.read_bytes() + b"\0")


def other_passages() -> None:
    edited("i/passages.jsonl", '"x"', '"z"')


def no_lock() -> None:
    Path("tritonrepo.lock").unlink()


def half_an_index() -> None:
    Path("i/passages.jsonl").unlink()


def no_vectors() -> None:
    Path("i/embeddings.npy").unlink()


SPOILT = {
    "other vectors": (another_index, "index-changed"),
    "other passages": (other_passages, "index-changed"),
    "an index that no lock pins": (no_lock, "index-changed"),
    "no passages": (half_an_index, "index-missing"),
    "no vectors": (no_vectors, "index-missing"),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("spoil", "rule"), SPOILT.values(), ids=SPOILT)
def test_an_index_is_that_of_the_lock_or_none(spoil: Callable[[], None], rule: str) -> None:
    spoil()
    before = digests(Path())
    with pytest.raises(Stop) as stop:
        api.plan_build(api.load([], api.Workspace(os.environ)), "model_repository")
    assert [(each.rule, each.severity, str(each.at)) for each in stop.value.diagnostics] == [
        (rule, Severity.FATAL, f"tritonrepo.yaml:4:{SEARCH.splitlines()[3].index('./i') + 1}")
    ]
    assert "Run `tritonrepo index -f tritonrepo.yaml`." in stop.value.diagnostics[0].hint
    assert digests(Path()) == before


ROOM = {
    "an answer as long as all": ("args: {max_model_len: 256}", "args: "),
    "an answer of the stack's own length": ("args: {max_model_len: 99}, sampling: {max_tokens: 99}", "sampling: "),
    "a token for the prompt": ("args: {max_model_len: 257}", None),
    "a token for the prompt and a short answer": ("args: {max_model_len: 99}, sampling: {max_tokens: 98}", None),
}


@pytest.mark.parametrize(("keys", "at"), ROOM.values(), ids=ROOM)
def test_an_answer_leaves_a_token_for_its_prompt(own: Path, keys: str, at: str | None) -> None:
    text = ANSWER.replace("args: {max_model_len: 900}", keys)
    (own / "tritonrepo.yaml").write_text(text, "utf-8")
    faults = Faults()
    api.load([], api.Workspace(os.environ)).gathering().gathered(faults)
    if at is None:
        assert not faults.found
        return
    (found,) = faults.found
    assert (found.rule, str(found.at)) == (
        "source-generator",
        f"tritonrepo.yaml:5:{text.splitlines()[4].index(at) + len(at) + 1}",
    )


@pytest.mark.usefixtures("own")
def test_a_release_whose_facts_are_not_all_known_is_told_at_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(SEARCH.replace("name: own", "name: own\ntarget: {release: '26.11'}"), "--dry-run") == 0
    said = capsys.readouterr().err
    assert said.startswith("tritonrepo.yaml:2:19: info: ")
    assert "[release-incomplete]" in said


def test_paths_count_from_the_file_that_names_them(own: Path) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    (own / "over").mkdir()
    (own / "i").rename(own / "over" / "i")
    (own / "w").rename(own / "over" / "v")
    (own / "over" / "q.j2").write_text("{{ query }} and {{ passages }}", "utf-8")
    later = "models: {e: {source: ./v}, r: {index: ./i}}\nensembles: {p: {prompt: {file: q.j2}}}\n"
    (own / "over" / "tritonrepo.yaml").write_text(later, "utf-8")
    faults, later_faults = Faults(), Faults()
    api.load(["."], api.Workspace(os.environ)).gathering().gathered(faults)
    assert {each.rule for each in faults.found} >= {"index-missing", "source-missing"}
    found = api.load([".", "over"], api.Workspace(os.environ)).gathering().gathered(later_faults).files
    assert not later_faults.found
    assert found["g"].prompt.content() == b"{{ query }} and {{ passages }}"
    assert found["r"].passages.content() == (own / "over" / "i" / "passages.jsonl").read_bytes()
    assert found["r"].rows == 2


def a_directory(record: Path) -> None:
    record.mkdir()


def a_full_directory(record: Path) -> None:
    (record / "x").mkdir(parents=True)
    (record / "x" / "y").touch()


TAKEN = {
    "a directory": (a_directory, "a directory"),
    "a directory with something in it": (a_full_directory, "a directory"),
    "a FIFO": (os.mkfifo, "a FIFO"),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("make", "what"), TAKEN.values(), ids=TAKEN)
def test_what_stands_in_the_records_place_is_told(
    capsys: pytest.CaptureFixture[str], make: Callable[[Path], None], what: str
) -> None:
    record = Path("model_repository/tritonrepo.json")
    record.parent.mkdir()
    make(record)
    before = digests(Path())
    assert run(["build"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(" ")]
    assert line.startswith("model_repository/tritonrepo.json: fatal: ")
    assert line.endswith(f" it is {what} [plan-blocked]")
    assert digests(Path()) == before


@pytest.mark.usefixtures("built")
def test_packages_that_cannot_be_obtained_are_the_only_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert run(["build", "-o", "r"]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if re.search(r": (warning|error|fatal): ", line)]
    assert len(said) == 1
    assert "tokenizers==" in said[0]
