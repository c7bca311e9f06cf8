"""What a push prints: its closing lines, its single JSON document however it ends, and what `-q` leaves out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.pushes import CODE, push, repository
from tests.tabled import tabled
from tests.test_json import checked
from tritonrepo.cli import run
from tritonrepo.cli.display import Display
from tritonrepo.cli.publishing import Publishing
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.report import published
from tritonrepo.report.published import Written
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.revision import Revision


@pytest.fixture
def made(inside: Path) -> str:
    return repository(inside / "models", 1).name


Capture = pytest.CaptureFixture[str]


def said(capsys: Capture) -> Any:  # noqa: ANN401  JSON
    return checked("push", capsys.readouterr().out)


def test_the_document_has_the_plan_and_what_was_written_and_the_present_revision(made: str, capsys: Capture) -> None:
    assert run(["push", made, "s/prod", "--dry-run", "--format", "json"]) == 0
    dry = said(capsys)
    assert [(row["phase"], row["action"], row["path"]) for row in dry["plan"]][:3] == [
        ("gate", "write", "leaf/config.pbtxt"),
        ("gate", "write", "top/config.pbtxt"),
        ("files", "write", "leaf/1/model.py"),
    ]
    assert dry["plan"][2] == {**dry["plan"][2], "bytes": len(CODE), "reason": "new"}
    assert (dry["uri"], dry["revision"], dry["written"]) == ("s/prod", None, {"objects": 0, "bytes": 0, "removed": 0})
    assert push(made, "s/prod", "--format", "json") == 0
    document = said(capsys)
    assert document["plan"] == dry["plan"]
    total = {"write": len(dry["plan"]), "delete": 0, "bytes": sum(row["bytes"] for row in dry["plan"])}
    assert document["summary"] == {**total, "info": 0, "warning": 0, "error": 0, "fatal": 0}
    assert document["written"] == {"objects": total["write"], "bytes": total["bytes"], "removed": 0}
    record = json.loads(Path("s/prod.tritonrepo/release.json").read_text("utf-8"))
    assert document["revision"] == {"number": 1, "name": "", "made": record["made"]}
    assert push(made, "s/prod", "--format", "json") == 0
    again = said(capsys)
    assert (again["plan"], again["revision"], again["written"]) == ([], document["revision"], dry["written"])


def test_models_of_others_and_warnings_are_in_the_document(made: str, capsys: Capture) -> None:
    Path("s/prod/theirs/1").mkdir(parents=True)
    Path("s/prod/theirs/config.pbtxt").write_text('backend: "identity"', "utf-8")
    assert push(made, "s/prod") == 0
    capsys.readouterr()
    Path(made, "leaf/1/part-3").unlink()
    assert push(made, "s/prod", "--dry-run", "--format", "json") == 0
    document = said(capsys)
    assert document["left_alone"] == ["theirs"]
    assert [each["severity"] for each in document["diagnostics"]] == ["warning"]
    assert document["summary"]["warning"] == 1


def test_what_ends_a_push_is_in_its_document_with_what_was_written_before(
    made: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["push", "nowhere", "s/prod", "--format", "json"]) == 2
    document = said(capsys)
    assert [each["rule"] for each in document["diagnostics"]] == ["push-source"]
    assert (document["plan"], document["revision"], document["summary"]["fatal"]) == ([], None, 1)
    assert push(made, "s/prod") == 0
    before = json.loads(Path("s/prod.tritonrepo/release.json").read_text("utf-8"))
    capsys.readouterr()
    repository(Path(made), 2)
    real = DirectoryStore.put

    def put(store: DirectoryStore, path: str, *arguments: Any, **options: Any) -> object:  # noqa: ANN401
        if path.endswith("/part-7"):
            Path(made, "leaf/2/part-7").write_text("other", "utf-8")
        return real(store, path, *arguments, **options)

    monkeypatch.setattr(DirectoryStore, "put", put)
    assert push(made, "s/prod", "--format", "json") == 1
    document = said(capsys)
    assert "push-source-changed" in [each["rule"] for each in document["diagnostics"]]
    assert document["revision"]["made"] == before["made"]
    assert 0 < document["written"]["objects"] < document["summary"]["write"]


@pytest.mark.parametrize("arguments", [["push", "models"], ["push", "models", "s/p", "--format", "xml"]], ids=str)
def test_wrong_usage_has_no_document(arguments: list[str], capsys: Capture) -> None:
    assert run([*arguments, *(["--format", "json"] if len(arguments) == 2 else [])]) == 2
    assert capsys.readouterr().out == ""


def test_a_password_is_in_no_document(capsys: Capture) -> None:
    assert run(["push", "models", "s3://user:secret-1@b/p", "--format", "json"]) == 2
    document = capsys.readouterr().out
    assert "secret-1" not in document
    assert checked("push", document)["uri"] == "s3://***@b/p"


def test_quiet_is_the_plan_alone(made: str, capsys: Capture) -> None:
    assert push(made, "s/prod", "-q") == 0
    loud = capsys.readouterr()
    assert (loud.err, loud.out.splitlines()[-1]) == ("", "s/prod: 26 to write (891 B), 0 to delete")
    record = {"schema": 1, "name": "", "target": {"release": "26.11"}, "files": {}, "local": {}}
    Path(made, "tritonrepo.json").write_text(json.dumps(record), "utf-8")  # not all of it is known: an info
    assert push(made, "s/prod", "-q") == 0
    assert capsys.readouterr() == ("s/prod: nothing to do\n", "")
    assert push(made, "s/prod") == 0
    assert " info: " in capsys.readouterr().err
    Path("s/prod/leaf/1/part-0").write_text("changed", "utf-8")
    assert push(made, "s/prod", "--quiet") == 1
    assert "error:" in capsys.readouterr().err


def test_a_push_ends_with_what_it_published_and_one_without_anything_to_do_says_so(made: str, capsys: Capture) -> None:
    assert push(made, "s/prod") == 0
    pattern = r"s/prod: revision 1 is published: 26 objects written \(891 B\) in [0-9.]+ s"
    assert re.fullmatch(pattern, capsys.readouterr().err.splitlines()[-1])
    assert push(made, "s/prod") == 0
    again = capsys.readouterr()
    assert again.out == "s/prod: nothing to do\n"
    assert re.fullmatch(r"s/prod: revision 1 is up to date, nothing was sent\n", again.err)


def test_a_later_push_names_the_command_that_goes_back(made: str, capsys: Capture) -> None:
    assert push(made, "s/a b") == 0
    assert "rollback" not in capsys.readouterr().err
    repository(Path(made), 2)
    assert push(made, "s/a b") == 0
    assert capsys.readouterr().err.splitlines()[-1] == "go back with `tritonrepo rollback 's/a b'`"
    for version in (3, 4):
        assert push(repository(Path(made), version), "s/c", "--record", "kept elsewhere") == 0
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "go back with `tritonrepo rollback s/c --record 'kept elsewhere'`"


SUMMARIES = {
    "one object": (Written(1, 5), 0.04, "u: revision 3 is published: 1 object written (5 B) in 0.0 s"),
    "deletions": (Written(1200, 5, 3), 59.4, "1,200 objects written (5 B), 3 objects removed in 59.4 s"),
    "minutes": (Written(2, 1 << 30), 61.2, "2 objects written (1.0 GiB) in 1 min 1 s"),
    "nearly a minute": (Written(2, 1 << 30), 59.96, "in 1 min 0 s"),
    "nothing": (Written(), 3, "u: revision 3 is up to date, nothing was sent"),
}


@tabled(("written", "seconds", "line"), SUMMARIES.values(), ids=SUMMARIES)
def test_the_closing_line_counts(written: Written, seconds: float, line: str) -> None:
    assert published.summary("u", written, Revision(number=3), seconds).endswith(line)


def test_a_closing_line_cannot_drive_the_terminal() -> None:
    assert published.way_back("s/\x1b[31m'x") == r"""go back with `tritonrepo rollback 's/\x1b[31m'"'"'x'`"""
    assert published.summary("::s\n", Written(), Revision(), 0).startswith(r"\x3a:s\n: ")


def test_warnings_that_come_later_are_in_the_document_too() -> None:
    run = Publishing("u", "json", Display("", quiet=True, line=None))
    plan, later = (Diagnostic("r", Severity.WARNING, Span("f"), message) for message in ("of the plan", "later"))
    run.planned(Plan(()), None, [plan])
    run.tell(later)
    assert [each["message"] for each in json.loads(run.document([]))["diagnostics"]] == ["of the plan", "later"]
