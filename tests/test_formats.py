"""The formats of `validate` for CI services: whole documents, read as their readers do, whatever a name contains."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from junitparser import Failure, JUnitXml

from tests.runner import Command, command
from tests.tabled import tabled
from tests.test_plain import DRIVING
from tritonrepo import __version__
from tritonrepo.cli import run
from tritonrepo.cli.forms import DOCUMENTS, EVERY
from tritonrepo.diagnostics import Diagnostic, Fix, Move, Remove, Replacement, Severity, Span, State, Verdict
from tritonrepo.plain import inline, printable
from tritonrepo.report.checked import Checked, Part
from tritonrepo.report.home import Home

DATA = Path(__file__).parent / "data"
GOLDEN = Path(__file__).parent / "golden" / "validate"
SUFFIXES = {"sarif": "sarif", "gitlab": "json", "junit": "xml", "github": "txt"}
CONFIG = """\
backend: "identity"
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "é" data_type: TYPE_FP32 dims: [ 4 ] }
dynamic_batching { preferred_batch_size: [ 4, 16 ] }
"""
ABOVE, MISSING = "dynamic-preferred-above-max", "no-version-available"
FAULT = Diagnostic(
    ABOVE, Severity.ERROR, Span("models/m/config.pbtxt", 5, 47, 5, 49), "16 is above 8", "Raise it.", "m", "words"
)
NOTE = replace(
    FAULT, severity=Severity.WARNING, at=Span("models/m/config.pbtxt", 4, 1, 5, 2), hint="", server_reason=""
)


@pytest.fixture
def two(inside: Path) -> Path:
    """Two repositories with a model `m` of the same fault each, in a working tree; one also has another model."""
    (inside / ".git").mkdir()
    for model in ("one/m", "two/m", "two/n"):
        (inside / model / "1").mkdir(parents=True)
        (inside / model / "1" / "weights").touch()
        (inside / model / "config.pbtxt").write_text(
            CONFIG.replace(", 16", "") if model == "two/n" else CONFIG, "utf-8"
        )
    return inside


TARGET = ["--release", "24.10", "--gpus", "0"]


def found(capsys: pytest.CaptureFixture[str], form: str, *arguments: str) -> str:
    run(["validate", *arguments, *TARGET, "--format", form])
    return capsys.readouterr().out


def checked(*diagnostics: Diagnostic, path: str = "models") -> Checked:
    part = Part(path, diagnostics, (Verdict("m", State.REFUSED),), lambda _: [])
    return Checked(diagnostics, part.verdicts, parts=(part,), home=Home("/w", "/w"))


@cache
def schema() -> Any:  # noqa: ANN401  a validator
    text = (DATA / "sarif" / "sarif-2.1.0.json").read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def sarif(text: str) -> Any:  # noqa: ANN401  JSON
    """Return the run of a log, which must be as the schema says; its results must be unique."""
    log = json.loads(text)
    schema().validate(log)
    (only,) = log["runs"]
    results = [json.dumps(each) for each in only["results"]]
    assert len(set(results)) == len(results)
    driver = only["tool"]["driver"]
    for each in only["results"]:
        assert driver["rules"][each["ruleIndex"]]["id"] == each["ruleId"]
    for each in only["invocations"][0]["toolExecutionNotifications"]:
        assert driver["notifications"][each["descriptor"]["index"]]["id"] == each["descriptor"]["id"]
    return only


def gitlab(text: str) -> list[dict[str, Any]]:
    """Return a report, whose required fields are those that GitLab's docs list under "Code Quality report format"."""
    report: list[dict[str, Any]] = json.loads(text)
    for each in report:
        assert each.keys() == {"check_name", "description", "fingerprint", "location", "severity"}
        assert each["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert each["location"]["lines"]["begin"] >= 1
        assert each["location"]["path"]
    assert len({each["fingerprint"] for each in report}) == len(report)
    return report


def annotated(text: str) -> list[Command]:
    """Return the commands that GitHub's runner sees."""
    return [each for line in text.split("\n") if (each := command(line))]


def suites(text: str) -> dict[str, dict[str, list[str]]]:
    """Return the names of suites and cases, and the kinds of what went wrong, as junitparser reads them."""
    return {
        suite.name: {case.name: [type(each).__name__ for each in case.result] for case in suite}
        for suite in JUnitXml.fromstring(text.encode())
    }


@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.usefixtures("two")
def test_a_document_is_its_golden_file(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """GOLDEN=1 in the environment writes them: review the difference."""
    text = found(capsys, form, "one", "nowhere", "two").replace(f'"{__version__}"', '"VERSION"')
    golden = GOLDEN / f"report.{SUFFIXES[form]}"
    if os.environ.get("GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


@pytest.mark.usefixtures("two")
def test_equal_models_of_two_repositories_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    run_ = sarif(found(capsys, "sarif", "two", "nowhere", "one"))
    places = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run_["results"]]
    assert places == ["one/m/config.pbtxt", "two/m/config.pbtxt"]
    assert len({each["partialFingerprints"]["tritonrepo/v1"] for each in run_["results"]}) == 2
    assert [each["location"]["path"] for each in gitlab(found(capsys, "gitlab", "two", "one"))] == places
    assert suites(found(capsys, "junit", "two", "nowhere", "one")) == {
        "nowhere": {"validate-path": ["Error"]},
        "one": {"m": ["Failure"]},
        "two": {"m": ["Failure"], "n": []},
    }


@pytest.mark.usefixtures("two")
def test_the_order_of_the_paths_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("sarif", "gitlab", "junit"):
        assert found(capsys, form, "one", "nowhere", "two") == found(capsys, form, "two", "one", "nowhere")


def test_paths_are_from_the_top_of_the_working_tree(
    two: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = json.loads(found(capsys, "json", "one"))["diagnostics"][0]["fingerprint"]
    monkeypatch.chdir(two / "two")
    for path in ("../one", str(two / "one")):
        assert annotated(found(capsys, "github", path))[0].properties["file"] == "one/m/config.pbtxt"
        assert gitlab(found(capsys, "gitlab", path))[0]["location"]["path"] == "one/m/config.pbtxt"
    result = sarif(found(capsys, "sarif", "../one"))["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "one/m/config.pbtxt"
    monkeypatch.chdir(two)
    result = sarif(found(capsys, "sarif", "one"))["results"][0]
    assert result["partialFingerprints"] == {"tritonrepo/v1": here}


PLACES = {
    "at the top": (Home("/w", "/w"), "m/c", "m/c"),
    "below it": (Home("/w/a", "/w"), "m/c", "a/m/c"),
    "beside it": (Home("/w/a", "/w"), "../b/c", "b/c"),
    "an absolute path": (Home("/w/a", "/w"), "/w/b/c", "b/c"),
    "outside": (Home("/w/a", "/w"), "/v/b", "/v/b"),
    "outside, relative": (Home("/w/a", "/w"), "../../v", "/v"),
    "a sibling whose name begins alike": (Home("/w", "/w"), "/w2/b", "/w2/b"),
    "the top itself": (Home("/w", "/w"), ".", "."),
    "in the root": (Home("/", "/"), "w/c", "w/c"),
    "a removed working directory": (Home(), "/w/b", "/w/b"),
    "in a bucket": (Home("/w", "/w"), "s3://k:s@b/m", "s3://***@b/m"),
}


@tabled(("home", "name", "path"), PLACES.values(), ids=PLACES)
def test_a_path_is_what_a_ci_service_knows(home: Home, name: str, path: str) -> None:
    assert home.path(name) == path


URIS = {
    "m/a b#?%:é.pbtxt": {"uri": "m/a%20b%23%3F%25%3A%C3%A9.pbtxt", "uriBaseId": "%SRCROOT%"},
    "a:b/c": {"uri": "a%3Ab/c", "uriBaseId": "%SRCROOT%"},
    "byte\udcff": {"uri": "byte%FF", "uriBaseId": "%SRCROOT%"},
    "/v/m c": {"uri": "file:///v/m%20c"},
    "s3://http://h:9000/b/m c": {"uri": "s3://http://h:9000/b/m%20c"},
}


@tabled(("path", "uri"), URIS.items(), ids=ascii)
def test_a_path_is_a_uri_in_sarif(path: str, uri: dict[str, str]) -> None:
    run_ = sarif(DOCUMENTS["sarif"](checked(replace(FAULT, at=Span(path)))))
    place = run_["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": uri, "region": {"startLine": 1}}


def test_a_place_over_several_lines_has_no_columns_on_github() -> None:
    text = DOCUMENTS["github"](checked(FAULT, NOTE))
    one, several = (each.properties for each in annotated(text))
    assert {"line": "5", "endLine": "5", "col": "47", "endColumn": "49"}.items() <= one.items()
    assert (several["line"], several["endLine"]) == ("4", "5")
    assert not {"col", "endColumn"} & several.keys()
    assert text.endswith("\n1 model: 1 error, 1 warning")


def test_fixes_are_in_sarif_as_they_are() -> None:
    change = Replacement(Span("models/m/config.pbtxt", 5, 47, 5, 49), "8")
    there = Replacement(Span("models/m/config.pbtxt", 1, 1, 1, 1), "# é\n")
    result = sarif(DOCUMENTS["sarif"](checked(replace(FAULT, fix=Fix((change, there))))))["results"][0]
    ((made,),) = ([*each["artifactChanges"]] for each in result["fixes"])
    assert made["artifactLocation"]["uri"] == "models/m/config.pbtxt"
    assert made["replacements"] == [
        {
            "deletedRegion": {"startLine": 5, "startColumn": 47, "endLine": 5, "endColumn": 49},
            "insertedContent": {"text": "8"},
        },
        {
            "deletedRegion": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
            "insertedContent": {"text": "# é\n"},
        },
    ]


UNWRITABLE = {
    "a password": Fix((Replacement(FAULT.at, "http://u:p@h"),)),
    "a byte that is not UTF-8": Fix((Replacement(FAULT.at, "\udcff"),)),
    "a file that moves": Fix(files=(Move("models/m/a", "models/m/b"),)),
    "a file that moves, beside a replacement": Fix((Replacement(FAULT.at, "8"),), files=(Remove("models/m/a"),)),
}


@pytest.mark.parametrize("fix", UNWRITABLE.values(), ids=UNWRITABLE)
def test_a_fix_that_cannot_be_written_as_it_is_is_left_out(fix: Fix) -> None:
    assert "fixes" not in sarif(DOCUMENTS["sarif"](checked(replace(FAULT, fix=fix))))["results"][0]


def test_a_message_of_sarif_has_no_links() -> None:
    result = sarif(DOCUMENTS["sarif"](checked(replace(FAULT, message="[dims](http://evil) [ 4 ]"))))["results"][0]
    assert result["message"]["text"] == "[dims\\](http://evil) [ 4 ].\nRaise it."


def test_warnings_fail_in_junit_only_if_they_fail_the_command() -> None:
    kinds = [
        [type(each) for suite in JUnitXml.fromstring(text.encode()) for case in suite for each in case.result]
        for bad in ([], [Severity.WARNING])
        for text in [DOCUMENTS["junit"](checked(NOTE)._replace(bad=frozenset(bad)))]
    ]
    assert kinds == [[], [Failure]]


def test_what_is_wrong_with_a_repository_is_a_case_of_its_own() -> None:
    whole = replace(FAULT, model="", at=Span("models"))
    assert suites(DOCUMENTS["junit"](checked(whole))) == {"models": {"(whole)": ["Failure"], "m": []}}
    empty = Checked((), (), parts=(Part("models", (), (), lambda _: []),))
    assert suites(DOCUMENTS["junit"](empty)) == {"models": {"(whole)": []}}


def test_the_exit_code_is_in_sarif() -> None:
    fatal = replace(FAULT, severity=Severity.FATAL, rule="validate-path")
    codes = {
        (invocation["exitCode"], invocation["executionSuccessful"])
        for each in (checked(), checked(NOTE), checked(FAULT), checked(FAULT, fatal))
        for invocation in sarif(DOCUMENTS["sarif"](each))["invocations"]
    }
    assert codes == {(0, True), (1, True), (2, False)}
    assert sarif(DOCUMENTS["sarif"](checked(NOTE)._replace(bad=frozenset({Severity.WARNING}))))["invocations"][0][
        "exitCode"
    ]


PLAIN = "model"
PIECES = [
    *("\n", "\r\n", "\r", "::error::x", "::stop-commands::t", "##[add-mask]x", "##vso[task.complete]", "%0A", "%250A"),
    *(
        "%0D%0A::error file=a::b",
        "\x1b[31m",
        "\x1b]0;t\x07",
        "\x9b2J",
        "\u202e",
        "\u2066",
        "\u2028",
        "\ud83d",
        "\udcff",
    ),
    *("]]>", "<![CDATA[", "<!--", "&amp;", "&#0;", "<x/>", '"', "'", "\\", "\\u0041", "\\n", "\0", "\x7f", "\ufffe"),
    *("{0}", "[a](1)", "](http://x)", "../..", "//", "a:b", "?#", " ", "\t", "é", "😀", ",line=1", ";", "=", "s" * 300),
]
COUNT = 1000


def names() -> Iterator[str]:
    """Yield names with one to four pieces, the same in every run."""
    choice = random.Random(18)
    yield from PIECES
    for _ in range(COUNT - len(PIECES)):
        yield "".join(choice.choices([*PIECES, "m", "-"], k=choice.randint(1, 4)))


def of_names(given: list[str]) -> Checked:
    """Return findings on models of these names, in an order that the names do not change."""
    parts = []
    for number, name in enumerate(given):
        at = Span(f"{number:04}/{name.replace('/', '_')}/config.pbtxt", 1, 1, 1, 2)
        fault = Diagnostic(ABOVE, Severity.ERROR, at, name, name.replace("\n", " "), name, name)
        parts.append(Part(f"{number:04} {name}", (fault,), (Verdict(name, State.REFUSED, ABOVE, "poll", name),), _none))
    diagnostics = tuple(each for part in parts for each in part.diagnostics)
    verdicts = tuple(each for part in parts for each in part.verdicts)
    return Checked(diagnostics, verdicts, parts=tuple(parts), home=Home("/w", "/w"))


def _none(_: str) -> list[str]:
    return []


def of_xml(text: str) -> Any:  # noqa: ANN401  nested lists
    def data(element: ET.Element) -> Any:  # noqa: ANN401
        return [element.tag, dict(element.attrib), (element.text or "").strip(), [data(each) for each in element]]

    return data(ET.fromstring(text.encode()))


READ: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "sarif": sarif,
    "gitlab": gitlab,
    "junit": of_xml,
    "github": lambda text: [each._asdict() for each in annotated(text)],
    "text": lambda text: text.split("\n"),
}


def leaves(data: Any, place: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  JSON
    """Yield each value that holds no others, with the keys and positions that lead to it."""
    if isinstance(data, dict | list):
        yield place, (type(data), len(data))
        for key, each in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(each, f"{place}/{key}")
    else:
        yield place, data


@tabled("form", EVERY)
def test_a_thousand_hostile_names_change_only_their_own_text(form: str) -> None:
    given = [*names()]
    text, plain = EVERY[form](of_names(given)), EVERY[form](of_names([PLAIN] * len(given)))
    ours, theirs = ([*leaves(READ[form](each))] for each in (text, plain))
    assert [place for place, _ in ours] == [place for place, _ in theirs]
    for (place, one), (_, other) in zip(ours, theirs, strict=True):
        same = one == other or "ingerprint" in place or (isinstance(other, str) and PLAIN in other)
        assert same, place
    commands = annotated(text)
    assert len(commands) == (len(given) if form == "github" else 0)
    assert all(each.name == "error" for each in commands)
    assert not DRIVING.search(text)


def test_every_format_is_tried_with_hostile_names() -> None:
    assert READ.keys() == EVERY.keys()
    assert len([*names()]) == COUNT


def test_names_come_back_from_each_format_as_they_are_shown() -> None:
    given = [*names()]
    of = of_names(given)
    shown = [inline(name) for name in given]
    results = sarif(DOCUMENTS["sarif"](of))["results"]
    assert [each["properties"]["model"] for each in results] == shown
    commands = annotated(DOCUMENTS["github"](of))
    lines = [printable(f"{each.at}: {each.message}") for each in of.diagnostics]
    assert [each.data.split("\n")[0] for each in commands] == lines
    assert [each.properties["title"] for each in commands] == [f"{name}: {ABOVE}" for name in shown]
    places = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results]
    real = [os.fsencode(each.at.path.replace("\ud83d", "\ufffd")) for each in of.diagnostics]
    assert [*map(unquote_to_bytes, places)] == real


@pytest.mark.usefixtures("two")
def test_the_exit_code_is_the_same_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    for code, arguments in ((1, ["two"]), (0, ["two", "--ignore", ABOVE]), (2, ["nowhere"]), (2, ["two", "nowhere"])):
        codes = {run(["validate", *arguments, "--format", form]) for form in EVERY}
        assert codes == {code}
    assert "sarif" in capsys.readouterr().out


def test_a_finding_on_a_whole_file_is_at_its_first_line() -> None:
    whole = checked(replace(FAULT, at=Span("models/m")))
    assert gitlab(DOCUMENTS["gitlab"](whole))[0]["location"] == {"lines": {"begin": 1}, "path": "models/m"}
    place = sarif(DOCUMENTS["sarif"](whole))["results"][0]["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 1}
    assert "line" not in annotated(DOCUMENTS["github"](whole))[0].properties


def test_a_removed_working_directory_is_no_bug(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (two / "gone").mkdir()
    os.chdir(two / "gone")
    (two / "gone").rmdir()
    (command_,) = annotated(found(capsys, "github", str(two / "one")))
    assert command_.properties["file"] == str(two / "one" / "m" / "config.pbtxt")


@pytest.mark.parametrize("form", SUFFIXES)
def test_an_upgrade_is_text_or_json(capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert run(["validate", "nowhere", "--release", "24.05", "--upgrade-to", "26.07", "--format", form]) == 2
    assert f"--upgrade-to does not have the format {form}. Use text or json." in capsys.readouterr().err
