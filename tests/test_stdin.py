"""`validate -`: a config from stdin, checked as if it were in its place."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pages import files, sections, server
from tests.test_formats import CONFIG, TARGET
from tritonrepo import repository
from tritonrepo.cli import run
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.unsaved import ABSENT
from tritonrepo.rules import RULES, judge
from tritonrepo.tree import File

ABOVE = "dynamic-preferred-above-max"
GOOD = CONFIG.replace(", 16", "")
ENSEMBLE = """\
platform: "ensemble"
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
ensemble_scheduling {
  step { model_name: "m" model_version: -1
    input_map { key: "IN" value: "IN" } output_map { key: "é" value: "OUT" } }
}
"""

Piped = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def models(inside: Path) -> Path:
    """A repository with two models whose configs have the same fault."""
    for model in ("m", "n"):
        (inside / "models" / model / "1").mkdir(parents=True)
        (inside / "models" / model / "1" / "weights").touch()
        (inside / "models" / model / "config.pbtxt").write_text(CONFIG, "utf-8")
    return inside / "models"


@pytest.fixture
def piped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Piped:
    def of(content: bytes | str, place: str, *options: str) -> tuple[int, Any, str]:
        """Return the exit code, the document, or the text with `--format text`, and what stderr shows."""
        raw = content.encode() if isinstance(content, str) else content
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        code = run(["validate", "-", "--stdin-path", place, *TARGET, "--format", "json", *options])
        said = capsys.readouterr()
        return code, said.out if "text" in options else json.loads(said.out), said.err

    return of


def rules(document: Any) -> list[str]:  # noqa: ANN401  JSON
    return [each["rule"] for each in document["diagnostics"]]


@pytest.mark.usefixtures("models")
def test_the_text_stands_in_for_the_file_and_only_its_model_is_shown(piped: Piped) -> None:
    code, text, _ = piped(CONFIG.replace("16", "17"), "models/m/config.pbtxt", "--format", "text")
    assert code == 1
    assert text == (
        "models/m/config.pbtxt:5:47: error: preferred_batch_size 17 is above max_batch_size 8"
        f" [{ABOVE}]\n"
        "  5 | dynamic_batching { preferred_batch_size: [ 4, 17 ] }\n"
        "    |                                               ^\n"
        "  Raise max_batch_size to 17, or remove 17 from preferred_batch_size.\n"
        "1 model: 1 error\n"
    )
    code, document, _ = piped(GOOD, "models/m/config.pbtxt")
    assert (code, rules(document), document["summary"]["verdicts"]) == (0, [], {"ready": 1})


def test_the_other_models_count(models: Path, piped: Piped) -> None:
    assert rules(piped(ENSEMBLE, "models/e/config.pbtxt")[1]) == ["ensemble-no-version-directory", "step-model-refused"]
    (models / "m" / "config.pbtxt").write_text(GOOD, "utf-8")
    (models / "e" / "1").mkdir(parents=True)
    assert "step-model-refused" not in rules(piped(ENSEMBLE, "models/e/config.pbtxt")[1])
    assert "step-model-missing" in rules(piped(ENSEMBLE.replace('"m"', '"o"'), "models/e/config.pbtxt")[1])


def test_alone_a_config_is_not_held_against_missing_files(inside: Path, piped: Piped) -> None:
    code, document, _ = piped(ENSEMBLE, "nowhere/e/config.pbtxt")
    assert (code, rules(document)) == (0, [])
    assert document["verdicts"] == [
        {"model": "e", "verdict": "not judged", "rule": "", "stage": "", "server_reason": ""}
    ]
    assert document["not_looked_at"] == [{"what": "other files", "models": ["e"]}]
    code, document, _ = piped(CONFIG, "nowhere/m/config.pbtxt")
    assert (code, rules(document), document["verdicts"][0]["rule"]) == (1, [ABOVE], ABOVE)
    assert not [*inside.iterdir()]


def test_without_files_a_page_says_only_what_it_says_with_them() -> None:
    """What the rules find in a config alone, they also find in its repository, but for those that miss files."""

    def places(found: tuple[Diagnostic, ...]) -> set[object]:
        return {(each.rule, each.at, each.message) for each in found}

    for rule in RULES.values():
        page = sections(rule.page)
        target, tree = server(page.get("Run with", "")), files(page["Bad"])
        whole = places(judge(repository.read(tree, target)).diagnostics)
        for path, entry in tree.items():
            if path.count("/") == 1 and path.endswith("/config.pbtxt") and isinstance(entry, File):
                alone = judge(repository.read({path: entry}, target), lambda each: each.name not in ABSENT)
                assert places(alone.diagnostics) <= whole, rule.name


@pytest.mark.usefixtures("models")
def test_what_comments_hide_is_counted_for_the_model(piped: Piped) -> None:
    hidden = CONFIG.rstrip() + f"  # tritonrepo: ignore[{ABOVE}] because\n"
    document = piped(hidden, "models/m/config.pbtxt")[1]
    assert (rules(document), document["summary"]["ignored"]) == ([], 1)
    Path("models/m/config.pbtxt").write_text(hidden, "utf-8")
    assert piped(GOOD, "models/n/config.pbtxt")[1]["summary"]["ignored"] == 0


def test_the_file_has_the_path_that_was_given(models: Path, piped: Piped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models / "m")
    for place in ("config.pbtxt", "../m/config.pbtxt", str(models / "m" / "config.pbtxt")):
        code, document, _ = piped(CONFIG, place)
        assert (code, [each["path"] for each in document["diagnostics"]]) == (1, [place])
        assert [each["model"] for each in document["verdicts"]] == ["m"]
        assert "  5 | dynamic_batching" in piped(CONFIG, place, "--format", "text")[1]


def test_a_link_to_the_model_is_not_followed(models: Path, piped: Piped, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (models / "l").symlink_to(tmp_path / "out")
    assert piped(GOOD, "models/l/config.pbtxt")[1]["summary"]["verdicts"] == {"not judged": 1}


@pytest.mark.usefixtures("models")
def test_stdin_is_one_of_several_paths(piped: Piped) -> None:
    code, document, _ = piped(GOOD, "models/m/config.pbtxt", "models", "nowhere")
    assert code == 2
    assert [each["path"] for each in document["diagnostics"]] == [
        *("models/m/config.pbtxt", "models/n/config.pbtxt"),
        "nowhere",
    ]
    assert [each["verdict"] for each in document["verdicts"]] == ["ready", "refused", "refused"]


BAD = {
    "nothing": (b"", 0, ""),
    "binary": (bytes(range(256)), 1, ""),
    "not UTF-8": (b"backend: \xff", 1, ""),
    "too large": (b" " * 70, 2, "the config has more than the 64 bytes that are read"),
}


@pytest.mark.parametrize(("content", "code", "message"), BAD.values(), ids=BAD)
def test_any_content_is_judged_or_refused(
    piped: Piped, monkeypatch: pytest.MonkeyPatch, content: bytes, code: int, message: str
) -> None:
    if message:
        for module in ("cli.stdin", "flows.unsaved"):
            monkeypatch.setattr(f"tritonrepo.{module}.CONFIG_BYTES", 64)
    ended, document, err = piped(content, "nowhere/m/config.pbtxt")
    assert ended == code
    assert message in err
    assert len(document["diagnostics"]) == min(1, code)


@pytest.mark.parametrize("place", ["m/other.pbtxt", "/config.pbtxt", "s3://b/m/config.pbtxt", "m/config.pbtxt/", ""])
def test_a_path_that_no_config_has_is_refused(inside: Path, piped: Piped, place: str) -> None:
    code, document, err = piped(GOOD, place)
    if place.endswith("/"):
        assert code == 0  # as the shell completes it
    else:
        assert (code, rules(document)) == (2, ["validate-path"])
        assert "this is not the path of a model's config.pbtxt" in err
    assert not [*inside.iterdir()]


WRONG = {
    "no stdin": (["--stdin-path", "m/config.pbtxt"], "--stdin-path requires - as PATH"),
    "another release": (
        ["-", "--stdin-path", "m/config.pbtxt", "--upgrade-to", "26.07"],
        "--upgrade-to needs the files of a repository, not a config from stdin",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert run(["validate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_nobody_is_kept_waiting_at_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main, child = os.openpty()
    with os.fdopen(main), os.fdopen(child) as terminal:
        for stream, what in ((terminal, "a terminal"), (None, "closed")):
            monkeypatch.setattr(sys, "stdin", stream)
            assert run(["validate", "-", "--stdin-path", "m/config.pbtxt"]) == 2
            assert f"stdin is {what}: redirect the config, as in `< m/config.pbtxt`" in capsys.readouterr().err


@pytest.mark.usefixtures("models")
def test_a_path_that_is_given_twice_is_checked_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", "models", "models/m/..", "./models/", "models", *TARGET])
    assert capsys.readouterr().out.endswith("4 models: 4 errors\n")


def test_the_baseline_of_the_repository_holds_what_stdin_has(
    models: Path, piped: Piped, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["validate", "models", *TARGET, "--write-baseline", "known.json"])
    capsys.readouterr()
    monkeypatch.chdir(models / "m")
    for place in ("config.pbtxt", str(models / "m" / "config.pbtxt")):
        code, document, _ = piped(CONFIG, place, "--baseline", str(models.parent / "known.json"))
        assert (code, rules(document), document["summary"]["baselined"]) == (0, [], 1)
    monkeypatch.chdir(models.parent)
    known = piped(CONFIG, "models/m/config.pbtxt", "--baseline", "known.json", "--format", "text")
    assert known[:2] == (0, "1 model: no problems found, 1 in the baseline\n")
