"""`validate --output`: documents in files beside text on the terminal, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_formats import CONFIG, TARGET, found
from tritonrepo.cli import run
from tritonrepo.cli.forms import EVERY
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.tree import File


@pytest.fixture
def models(inside: Path) -> Path:
    """A working directory with a repository with one fault."""
    (inside / "models" / "m" / "1").mkdir(parents=True)
    (inside / "models" / "m" / "1" / "weights").touch()
    (inside / "models" / "m" / "config.pbtxt").write_text(CONFIG, "utf-8")
    return inside


def validated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["validate", *arguments, *TARGET])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_file_of_each_format_is_what_stdout_would_be(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = {form: found(capsys, form, "models") for form in EVERY}
    options = [f"--output={form}=out/{form}" for form in EVERY]
    assert validated(capsys, "models", *options)[:2] == (1, printed["text"])
    assert {path.name: path.read_text("utf-8") for path in (models / "out").iterdir()} == printed


def test_a_file_without_a_format_takes_that_of_the_option(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = found(capsys, "text", "models")
    code, out, _ = validated(capsys, "models", "--format", "gitlab", "--output", "report.json")
    assert (code, out) == (1, text)
    assert json.loads((models / "report.json").read_text("utf-8"))[0]["check_name"] == "dynamic-preferred-above-max"
    assert json.loads(validated(capsys, "models", "--format", "json", "--output", "text=t")[1])["schema"] == 1
    assert (models / "t").read_text("utf-8") == text


def test_files_are_written_if_a_path_cannot_be_read(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = validated(capsys, "models", "nowhere", "--output", "text=t", "--output", "sarif=s")
    assert code == 2
    *lines, summary = out.splitlines()
    assert (models / "t").read_text("utf-8").splitlines() == [*lines, *err.splitlines(), summary]
    assert json.loads((models / "s").read_text("utf-8"))["runs"][0]["invocations"][0]["exitCode"] == 2


WRONG = {
    "a directory": (["there"], '"there" cannot be written: it is a directory.'),
    "a directory, with a format": (["sarif=there"], '"there" cannot be written: it is a directory.'),
    "a place where nobody can write": (["/proc/x"], '"/proc/x" cannot be written: No such file or directory.'),
    "no file": (["sarif="], "the path is empty"),
    "a format alone": (["sarif"], '"sarif" is a format. Use sarif=FILE, or --format sarif.'),
    "a misspelt format": (["serif=a"], 'unknown format "serif". Did you mean "sarif"? For a file of this name, use ./'),
    "one file twice": (
        ["sarif=a", "junit=there/../a"],
        '--output names "there/../a" twice. Use a file for each format.',
    ),
    "another release": (["a", "--upgrade-to=26.07"], "--upgrade-to and --output cannot be combined: redirect stdout"),
}


@pytest.mark.parametrize(("outputs", "message"), WRONG.values(), ids=WRONG)
def test_a_file_that_cannot_be_written_is_reported_before_anything_is_read(
    inside: Path, capsys: pytest.CaptureFixture[str], outputs: list[str], message: str
) -> None:
    (inside / "there").mkdir()
    options = [each if each.startswith("--") else f"--output={each}" for each in outputs]
    code, out, err = validated(capsys, "nowhere", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert "the repository does not exist" not in err
    assert [path.name for path in inside.iterdir()] == ["there"]


def test_a_file_with_an_equals_sign_has_a_path(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validated(capsys, "models", "--output", "./serif=a")[0] == 1
    assert (models / "serif=a").is_file()


def test_a_file_that_fails_in_the_end_hides_nothing(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = DirectoryStore.put

    def full(store: DirectoryStore, path: str, file: File) -> None:
        if "bad" in path:
            raise OSError(28, "No space left on device", path)
        put(store, path, file)

    monkeypatch.setattr(DirectoryStore, "put", full)
    code, out, err = validated(capsys, "models", "nowhere", "--output", "sarif=bad", "--output", "junit=good")
    assert code == 2
    assert "[dynamic-preferred-above-max]" in out
    assert "the repository does not exist" in err
    assert "No space left on device" in err
    assert (models / "good").is_file()
    assert not (models / "bad").exists()
