"""The outputs of `smoke`: what a CI service reads, whatever a model or a server is called or says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.speaking import Asked, Said, inferred, plain, speaking
from tritonrepo.cli import run
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.report.github import commands

HOSTILE = "m%0A::error::x,y:z\r\n::set-output name=x::1\x1b[31m]]>&<\u2028##[error]"
COMMAND = re.compile(r"::(error|warning|notice) ([a-z]+=[^,:\r\n]*)(,[a-z]+=[^,:\r\n]*)*::[^\r\n]*")
"""What GitHub's runner reads as a command that shows something."""


def named(asked: Asked) -> Said:
    """A server whose only model is called like a command, and answers with another."""
    if asked.path.endswith("index"):
        return plain([{"name": HOSTILE, "version": "1", "state": "READY"}])
    if asked.path.endswith("config"):
        tensor = {"name": "A", "data_type": "TYPE_FP32", "dims": [1]}
        return plain({"name": HOSTILE, "input": [tensor], "output": [{**tensor, "name": HOSTILE}]})
    return inferred() if asked.path.endswith("infer") else plain({"error": f"{HOSTILE}\n::error::injected"}, 400)


def smoked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with speaking(named) as server:
        code = run(["smoke", server.url, "--grpc", "none", *arguments])
    return code, capsys.readouterr().out


def test_nothing_foreign_becomes_a_command_of_github(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = smoked(capsys, "--format", "github")
    assert code == 1
    lines = out.split("\n")
    found = [line for line in lines if "::" in line and COMMAND.fullmatch(line)]
    assert len(found) == 1
    assert found[0].startswith("::error title=m%250A%3A%3Aerror%3A%3Ax%2Cy%3Az\\r\\n%3A%3Aset-output name=x%3A%3A1")
    assert "%0ATo repeat it: curl -sS " in found[0]
    others = [line for line in lines if line not in found]
    assert not [line for line in others if line.lstrip().startswith(("::", "##"))]
    assert "\x1b" not in out
    assert "\u2028" not in out
    assert lines[-2] == "1 model, 3 checks: 1 passed, 1 failed, 1 not checked"


ANNOTATED: dict[str, tuple[Diagnostic, str]] = {
    "in a file": (
        Diagnostic("r", Severity.WARNING, Span("a,b:c%.yaml", 3, 5), "m", "one\n::two"),
        "::warning title=r,file=a%2Cb%3Ac%25.yaml,line=3,col=5::m%0Aone%0A\\x3a:two",
    ),
    "in a whole file": (Diagnostic("r", Severity.FATAL, Span("f"), "m"), "::error title=r,file=f::m"),
    "on a server": (
        Diagnostic("r", Severity.ERROR, Span("http://u:p@h/v2"), "at http://u:p@h 100%", model="m"),
        "::error title=m%3A r::at http://***@h 100%25",
    ),
    "good to know": (Diagnostic("r", Severity.INFO, Span("f", 1), "m"), "::notice title=r,file=f,line=1::m"),
}


@pytest.mark.parametrize(("diagnostic", "line"), ANNOTATED.values(), ids=ANNOTATED)
def test_a_diagnostic_is_a_command_of_github(diagnostic: Diagnostic, line: str) -> None:
    assert [*commands([diagnostic])] == [line]


def test_what_stops_the_test_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["smoke", "http://127.0.0.1:1", "--format", "github"]) == 2
    first, second, _ = capsys.readouterr().out.split("\n")
    assert first.startswith("::error title=server-unreachable::the server cannot be reached: nothing listens on port 1")
    assert second == "0 models, 0 checks: 0 passed"


def test_junit_has_names_times_and_the_line_that_repeats_a_failure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _ = smoked(capsys, "--junit", str(tmp_path / "x" / "smoke.xml"))
    assert code == 1
    text = (tmp_path / "x" / "smoke.xml").read_text("utf-8")
    (suite,) = ET.fromstring(text)
    assert suite.get("name") == "m%0A::error::x,y:z\\r\\n::set-output name=x::1\\x1b[31m]]>&<\\u2028\\x23#[error]"
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert all(re.fullmatch(r"\d+\.\d{3}", case.get("time") or "") for case in suite)
    ((failure,),) = [list(case.iter("failure")) for case in suite if case.find("failure") is not None]
    assert "To repeat it: curl -sS http" in (failure.text or "")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["smoke.xml"]


BLOCKED = {
    "a directory": ("there", "it is a directory"),
    "below a file": ("file/x.xml", "Not a directory"),
    "a place where nobody can write": ("/proc/x.xml", "No such file or directory"),
    "a device": ("/dev/null", "it is not a regular file"),
    "a URI": ("s3://b/x.xml", "use a path on this machine, not a URI"),
    "a name that is too long": ("x" * 300, "File name too long"),
    "nothing": ("", "the path is empty"),
}


@pytest.mark.parametrize("option", ["--junit", "--record"])
@pytest.mark.parametrize(("path", "why"), BLOCKED.values(), ids=BLOCKED)
def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(
    inside: Path, capsys: pytest.CaptureFixture[str], option: str, path: str, why: str
) -> None:
    (inside / "there").mkdir()
    (inside / "file").touch()
    with speaking(named) as server:
        assert run(["smoke", server.url, option, path]) == 2
    assert server.asked == []
    assert why in capsys.readouterr().err
    assert sorted(path.name for path in inside.iterdir()) == ["file", "there"]


def test_results_have_times_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = smoked(capsys, "--format", "json")
    times = {row["check"]: row["ms"] for row in json.loads(out)["results"]}
    assert (times["loaded"], times["files"]) == (None, None)
    assert isinstance(times["answer"], int)


def test_ctrl_c_tells_what_was_found_up_to_then(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tritonrepo.smoke.case import Check, Result

    def ended(*_: object) -> object:
        yield Result("b", "1", Check.LOADED)
        yield Result("a", "1", Check.LOADED)
        raise KeyboardInterrupt

    monkeypatch.setattr("tritonrepo.cli.smoke.smoke", ended)
    for form in ("text", "json", "github"):
        assert run(["smoke", "u", "--format", form, "--junit", str(tmp_path / "x.xml")]) == 130
        said = capsys.readouterr()
        assert said.err.strip() == "interrupted"
        assert "2 models, 2 checks: 2 passed" in said.out or json.loads(said.out)["summary"]["passed"] == 2
        assert [suite.get("name") for suite in ET.parse(tmp_path / "x.xml").getroot()] == ["a", "b"]
