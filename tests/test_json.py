"""JSON is an interface: whatever ends a command, its one document is there, of the form that `schemas/` describes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.speaking import Asked, Said, speaking
from tests.tabled import tabled
from tests.test_plain import hostile
from tritonrepo.cli import run
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.report.fingerprints import fingerprints
from tritonrepo.spec.nodes import parse

SCHEMAS = Path(__file__).parent.parent / "schemas"
NOWHERE = "http://127.0.0.1:1"


def checked(command: str, text: str) -> Any:  # noqa: ANN401  JSON
    document = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{command}.schema.json").read_text("utf-8")))
    return document


ENDED = {
    "no repository at any path": (["validate", "nowhere", "nor-here"], ["validate-path", "validate-path"]),
    "a stack file that cannot be read": (["validate", "broken.yaml"], ["stack-syntax"]),
    "a bucket of another scheme": (["validate", "as://account/models"], ["store-uri"]),
    "a server that is not there": (["smoke", NOWHERE], ["server-unreachable"]),
    "a password in the URL": (["smoke", "http://u:p@127.0.0.1:1"], ["server-url"]),
    "no URL": (["smoke", "a b"], ["server-url"]),
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
    def taken(asked: Asked) -> Said:
        (inside / "smoke.xml").mkdir(exist_ok=True)  # something else is faster
        return hostile(asked)

    with speaking(taken) as here:
        assert run(["smoke", here.url, "--grpc", "none", "--format", "json", "--junit", "smoke.xml"]) == 2
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
    monkeypatch.setattr("tritonrepo.flows.settled.settings_of", None)
    assert run(["validate", str(inside), "--format", "json"]) == 3
    assert capsys.readouterr().out == ""


CONFIG = b"""backend: "onnxruntime"
max_batch_size: 8
input { name: "a" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "b" data_type: TYPE_FP32 dims: [ 1 ] }
dynamic_batching { preferred_batch_size: [ 16, 16 ] }
"""
ABOVE = "dynamic-preferred-above-max"
WARMED = b'backend: "identity"\nmodel_warmup {\n  name: "\xc3\xa9"\n}\n'


@pytest.fixture
def findings(inside: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Path, bytes, str], list[dict[str, Any]]]:
    def of(path: Path, content: bytes, rule: str) -> list[dict[str, Any]]:
        """Return the findings of a rule in the repository `models` once it has a file of this content."""
        (inside / path).parent.mkdir(parents=True, exist_ok=True)
        (inside / path).write_bytes(content)
        run(["validate", "models", "--format", "json", "-v"])
        document = checked("validate", capsys.readouterr().out)
        return [each for each in document["diagnostics"] if each["rule"] == rule]

    return of


Findings = Callable[[Path, bytes, str], list[dict[str, Any]]]
PBTXT = Path("models/m/config.pbtxt")


def spanned(text: str, finding: dict[str, Any]) -> str:
    """Return what stands from a finding's place to its end."""
    lines = text.splitlines(keepends=True)
    start, end = (
        sum(map(len, lines[: finding[f"{which}line"] - 1])) + finding[f"{which}column"] - 1 for which in ("", "end_")
    )
    return text[start:end]


ENDS = {
    "scalars": (PBTXT, CONFIG, ABOVE, ["16", "16"]),
    "a message over several lines": (PBTXT, WARMED, "warmup-batch-zero", ['{\n  name: "é"\n}']),
    "a string of letters outside ASCII": (PBTXT, b'name: "\xc3\xa9"', "name-differs-from-directory", ['"é"']),
    "a token where reading fails": (PBTXT, b"max_batchsize: 8\nfoo: 1", "unknown-field", ["max_batchsize", "foo"]),
    "a key of a JSON file": (
        Path("models/m/1/model.json"),
        b'{\n "model": "o/m",\n "max_modle_len": 1}',
        "vllm-unknown-engine-arg",
        ['"max_modle_len"'],
    ),
}


@pytest.mark.parametrize(("path", "content", "rule", "ends"), ENDS.values(), ids=ENDS)
def test_a_finding_says_where_its_text_ends(
    inside: Path, findings: Findings, path: Path, content: bytes, rule: str, ends: list[str]
) -> None:
    (inside / "models" / "m" / "1").mkdir(parents=True)
    (inside / PBTXT).write_text('backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n', "utf-8")
    assert [spanned(content.decode(), each) for each in findings(path, content, rule)] == ends


def test_a_place_without_a_text_has_no_end(findings: Findings) -> None:
    (finding,) = findings(PBTXT, b'backend: "identity"', "no-version-available")
    assert [finding[key] for key in ("line", "column", "end_line", "end_column")] == [None] * 4


def test_a_fingerprint_stays_when_lines_move_and_tells_equal_findings_apart(findings: Findings) -> None:
    before = [each["fingerprint"] for each in findings(PBTXT, CONFIG, ABOVE)]
    after = findings(PBTXT, b"# moved\n\n" + CONFIG.replace(b"[ 16, 16 ]", b"[\n 16,\n   16 ]"), ABOVE)
    assert [each["line"] for each in after] == [8, 9]
    assert [each["fingerprint"] for each in after] == before
    assert len(set(before)) == 2
    assert len(findings(PBTXT, CONFIG.replace(b"[ 16,", b"[ 12,"), ABOVE)) == 2


WAYS = {
    "from elsewhere": ("elsewhere", "../work/models"),
    "as an absolute path": ("work", "{}/work/models"),
    "with a slash": ("work", "./models/"),
    "from inside": ("work/models", "."),
}


@pytest.mark.parametrize("top", [".git", "README.md"], ids=["in a work tree", "without git"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_fingerprint_does_not_tell_where_the_command_runs(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: tuple[str, str], top: str
) -> None:
    def told(where: str, path: str) -> list[str]:
        monkeypatch.chdir(inside / where)
        run(["validate", path.format(inside), "--format", "json", "--gpus", "0"])
        return [each["fingerprint"] for each in json.loads(capsys.readouterr().out)["diagnostics"]]

    for name in ("models", "others"):
        (inside / "work" / name / "m" / "1").mkdir(parents=True)
        (inside / "work" / name / "m" / "config.pbtxt").write_bytes(CONFIG)
    (inside / "elsewhere").mkdir()
    (inside / "work" / top).write_text("gitdir: ../elsewhere\n", "utf-8")
    first = told("work", "models")
    assert len(first) > 1
    assert told(*way) == first
    assert (told("work", "others") == first) is (top != ".git")


DIFFER = {
    "rule": {"rule": "other"},
    "path": {"at": Span("n/config.pbtxt", 1, 1)},
    "anchor": {"anchored": "n/m/config.pbtxt"},
    "model": {"model": "n"},
    "message": {"message": "dims [ 4 ] at line 3"},
}
ONE = Diagnostic("r", Severity.ERROR, Span("m/config.pbtxt", 3, 1), "dims [ 3 ] at line 3", "Add it.", "m")


@tabled("changes", DIFFER.values(), ids=DIFFER)
def test_another_finding_has_another_fingerprint(changes: dict[str, Any]) -> None:
    assert fingerprints([ONE]) != fingerprints([replace(ONE, **changes)])


SAME = {
    "another line": {"at": Span("m/config.pbtxt", 30, 7, 30, 9)},
    "another line in the message": {"message": "dims [ 3 ]  at line 30"},
    "another hint": {"hint": "Add that."},
    "another severity": {"severity": Severity.WARNING},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_a_finding_keeps_its_fingerprint(changes: dict[str, Any]) -> None:
    assert fingerprints([ONE]) == fingerprints([replace(ONE, **changes)])


def test_the_order_in_which_equal_findings_come_is_not_told() -> None:
    later = replace(ONE, at=Span("m/config.pbtxt", 9, 1))
    assert fingerprints([ONE, later]) == fingerprints([later, ONE])[::-1]


def test_a_fingerprint_is_for_ever() -> None:
    assert fingerprints([ONE]) == ["57402f71990f71a43d152773a78fb238"]


def test_the_end_tells_no_two_places_apart() -> None:
    assert Span("f", 1, 2, 3, 4) == Span("f", 1, 2)
    assert sorted([Span("f", 2, 1, 2, 5), Span("f", 1, 9)]) == [Span("f", 1, 9), Span("f", 2, 1)]


YAML = """
name: s  # a comment
models:
  e:
    role: embedder
    chain: [a,
      b]

# the end
x: &v word
y:
  - one
  - "t w o"
z: *v
none:
""".lstrip()


def test_nodes_of_the_stack_file_end_where_their_text_ends() -> None:
    top = parse(YAML.encode(), "f").keys
    lines = YAML.splitlines(keepends=True)

    def text(at: Span) -> str:
        start, end = (
            sum(map(len, lines[: line - 1])) + column - 1
            for line, column in ((at.line, at.column), (at.end_line, at.end_column))
        )
        return YAML[start:end]

    assert {name: text(at) for name, (at, _) in top.items()} == {name: name for name in top}
    assert text(top["name"][1].at) == "s"
    assert text(top["models"][1].at) == "e:\n    role: embedder\n    chain: [a,\n      b]"
    assert text(top["y"][1].at) == '- one\n  - "t w o"'
    assert text(top["z"][1].at) == text(top["x"][1].at)
    assert (top["none"][1].at.end_line, top["none"][1].at.end_column) == (0, 0)
