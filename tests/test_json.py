"""JSON is an interface: whatever ends a command, its one document is there, of the form that `schemas/` describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.test_plain import hostile
from tritonrepo.cli import run

SCHEMAS = Path(__file__).parent.parent / "schemas"
NOWHERE = "http://127.0.0.1:1"


def checked(command: str, text: str) -> Any:  # noqa: ANN401  JSON
    document = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{command}.schema.json").read_text("utf-8")))
    return document


ENDED = {
    "no repository at any path": (["validate", "nowhere", "nor-here"], ["validate-path", "validate-path"]),
    "a stack file that cannot be read": (["validate", "broken.yaml"], ["stack-syntax"]),
    "a bucket of another scheme": (["validate", "gs://bucket/models"], ["store-uri"]),
    "a server that is not there": (["smoke", NOWHERE], ["server-unreachable"]),
    "a password in the URL": (["smoke", "http://u:p@127.0.0.1:1"], ["server-url"]),
    "nothing to compare with": (["smoke", NOWHERE, "nowhere"], ["smoke-repository"]),
    "a stack file in smoke": (["smoke", NOWHERE, "broken.yaml"], ["stack-syntax"]),
}


@pytest.mark.parametrize(("arguments", "rules"), ENDED.values(), ids=ENDED)
def test_what_ends_a_command_is_in_its_document(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], rules: list[str]
) -> None:
    (inside / "broken.yaml").write_text("a: [", "utf-8")
    assert run(arguments) == 2
    text = capsys.readouterr()
    assert text.out == ""
    assert run([*arguments, "--format", "json"]) == 2
    said = capsys.readouterr()
    assert said.err == text.err
    document = checked(arguments[0], said.out)
    assert [each["rule"] for each in document["diagnostics"]] == rules
    assert {each["severity"] for each in document["diagnostics"]} == {"fatal"}
    assert document["summary"]["models"] == 0


def test_what_was_judged_before_stays(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "a" / "m" / "1").mkdir(parents=True)
    (inside / "a" / "m" / "config.pbtxt").write_text("backend: 3", "utf-8")
    assert run(["validate", "nowhere", "a", "--format", "json"]) == 2
    document = checked("validate", capsys.readouterr().out)
    assert [each["path"] for each in document["diagnostics"]] == ["a/m/config.pbtxt", "nowhere"]
    assert [each["model"] for each in document["verdicts"]] == ["m"]
    assert (document["summary"]["fatal"], document["summary"]["error"]) == (1, 1)


def test_results_are_not_lost_with_the_file_for_them(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "taken").write_text("", "utf-8")
    with hostile() as url:
        assert run(["smoke", url, "--grpc", "none", "--format", "json", "--junit", "taken/smoke.xml"]) == 2
    document = checked("smoke", capsys.readouterr().out)
    assert document["results"]
    assert document["diagnostics"][-1]["severity"] == "fatal"


@pytest.mark.parametrize("arguments", [["validate", "--ignore", "no-such-rule"], ["smoke"]], ids=str)
def test_wrong_usage_has_no_document(inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run([*arguments, "--format", "json"]) == 2
    assert capsys.readouterr().out == ""
    assert not [*inside.iterdir()]


def test_a_bug_has_no_document(
    inside: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritonrepo.cli.validate.judge_directory", None)
    assert run(["validate", str(inside), "--format", "json"]) == 3
    assert capsys.readouterr().out == ""
