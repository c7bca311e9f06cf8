"""Reports: the exact text, JSON and XML that a few values become."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from tests.tabled import tabled
from tritonrepo.cli import results as smoke_results
from tritonrepo.diagnostics import Diagnostic, Fix, Replacement, Severity, Span, State, Unseen, Verdict
from tritonrepo.report import json as report_json
from tritonrepo.report import pages, plan, text
from tritonrepo.report.checked import Checked
from tritonrepo.report.fingerprints import fingerprints
from tritonrepo.report.junit import Row, junit
from tritonrepo.report.registry import REGISTRY, named
from tritonrepo.report.table import table
from tritonrepo.smoke.case import Check, Result
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put
from tritonrepo.tree import File


def found(severity: Severity = Severity.ERROR, at: Span | None = None, hint: str = "") -> Diagnostic:
    return Diagnostic("a-rule", severity, at or Span("f", 1, 1), "a fault", hint, "m")


def shown(diagnostic: Diagnostic, *lines: str, colour: bool = False) -> list[str]:
    (told,) = text.diagnostics([diagnostic], lambda path: [*lines] if path == "f" else [], colour=colour)
    return told.split("\n")


EXCERPTS: dict[str, tuple[Span, Sequence[str], list[str]]] = {
    "a column": (Span("f", 2, 3), ["x", "abcd"], ["  2 | abcd", "    |   ^"]),
    "the first column": (Span("f", 1, 1), ["abcd"], ["  1 | abcd", "    | ^"]),
    "after the end": (Span("f", 1, 5), ["abcd"], ["  1 | abcd", "    |     ^"]),
    "a line without a column": (Span("f", 1), ["abcd"], ["  1 | abcd"]),
    "no line": (Span("f"), ["abcd"], []),
    "the last line": (Span("f", 2, 1), ["a", ""], ["  2 | ", "    | ^"]),
    "a line that is not there": (Span("f", 3, 1), ["a", ""], []),
    "another file": (Span("g", 1, 1), ["a"], []),
    "a line number of two digits": (Span("f", 10, 2), ["a"] * 9 + ["bc"], ["  10 | bc", "     |  ^"]),
    "tabs as blanks": (Span("f", 1, 2), ["\tx"], ["  1 |  x", "    |  ^"]),
    "escapes before the column": (Span("f", 1, 2), ["\x1bx"], ["  1 | \\x1bx", "    |     ^"]),
    "a line as long as is shown": (Span("f", 1, 100), ["a" * 100], [f"  1 | {'a' * 100}", f"    | {' ' * 99}^"]),
    "a longer line, at its start": (Span("f", 1, 1), ["a" * 100 + "b"], [f"  1 | {'a' * 100}", "    | ^"]),
    "a longer line, near its start": (
        Span("f", 1, 51),
        ["b" * 50 + "a" * 51],
        [f"  1 | {'b' * 50}{'a' * 50}", f"    | {' ' * 50}^"],
    ),
    "a longer line, further on": (
        Span("f", 1, 52),
        ["b" + "a" * 199],
        [f"  1 | {'a' * 100}", f"    | {' ' * 50}^"],
    ),
}


@tabled(("at", "lines", "excerpt"), EXCERPTS.values(), ids=EXCERPTS)
def test_a_finding_shows_its_line(at: Span, lines: Sequence[str], excerpt: list[str]) -> None:
    head, *rest = shown(found(at=at), *lines)
    assert head == f"{at}: error: a fault [a-rule]"
    assert rest == excerpt


def test_a_hint_comes_last_and_each_of_its_lines_is_indented() -> None:
    assert shown(found(hint="Do this.\n\nThen that."), "abc")[1:] == [
        "  1 | abc",
        "    | ^",
        "  Do this.",
        "  Then that.",
    ]


@pytest.mark.parametrize(("severity", "code"), [("fatal", 31), ("error", 31), ("warning", 33), ("info", 36)])
def test_place_and_severity_are_coloured(severity: str, code: int) -> None:
    head = shown(found(Severity(severity)), colour=True)[0]
    assert head == f"\033[1mf:1:1\033[0m: \033[1;{code}m{severity}\033[0m: a fault [a-rule]"
    assert shown(found(Severity(severity)))[0] == f"f:1:1: {severity}: a fault [a-rule]"


SUMMARIES = {
    "nothing": ([], 0, 0, "0 models: no problems found"),
    "one of each": (["error", "warning"], 1, 1, "1 model: 1 error, 1 warning, 1 ignored"),
    "several": (["warning", "error", "warning", "error"], 2, 3, "2 models: 2 errors, 2 warnings, 3 ignored"),
    "only warnings": (["warning"], 3, 0, "3 models: 1 warning"),
    "what is only good to know": (["info", "info"], 1, 0, "1 model: no problems found"),
    "what is hidden": ([], 1, 2, "1 model: no problems found, 2 ignored"),
}


@tabled(("severities", "models", "ignored", "line"), SUMMARIES.values(), ids=SUMMARIES)
def test_the_closing_line_counts(severities: list[str], models: int, ignored: int, line: str) -> None:
    diagnostics = tuple(found(Severity(each)) for each in severities)
    assert text.summary(Checked(diagnostics, (Verdict("m", State.READY),) * models, ignored)) == line


def test_the_closing_line_says_what_was_not_looked_at() -> None:
    left = (Unseen("TensorRT plan", ("a", "b")), Unseen("own backend f\n", ("c",)))
    said = "not looked at: TensorRT plan of 2 models, own backend f\\n of 1 model"
    verdicts = (Verdict("m", State.READY),) * 3
    assert text.summary(Checked((), verdicts, 0, left)) == f"3 models: no problems found; {said}"
    failed = Checked((found(Severity.ERROR),), verdicts, 1, left)
    assert text.summary(failed) == f"3 models: 1 error, 1 ignored; {said}"


def put(path: str, size: int = 1, reason: str = "new", phase: Phase = Phase.FILES) -> Put:
    return Put(phase, path, File(size, lambda _, __: b""), reason)


def removed(path: str, phase: Phase = Phase.PRUNE) -> Delete:
    return Delete(phase, path, "not in the stack")


SHARED = "012345678901234567890"

PLANS: dict[str, tuple[list[Action], tuple[str, ...], str]] = {
    "nothing": ([], (), "out: nothing to do"),
    "nothing but what somebody changed": (
        [],
        ("m/a", "m/b"),
        "! m/a  changed by hand\n! m/b  changed by hand\nout: nothing to write, 2 changed by hand and kept",
    ),
    "of each kind": (
        [put("m/a", 1000), put("m/b", 24, "changed"), put("m/n", 0, "new version 2"), removed("n/a")],
        ("m/c",),
        (
            "+ m/a  new\n~ m/b  changed\n+ m/n  new version 2\n- n/a  not in the stack\n! m/c  changed by hand\n"
            "out: 3 to write (1.0 KiB), 1 to delete, 1 changed by hand and kept"
        ),
    ),
    "a vendored package": (
        [put(f"m/{SHARED}/p/a", 5), put(f"m/{SHARED}/p/b/c", 6), put(f"m/{SHARED}/q/a"), put("m/1/p/a")],
        (),
        (
            f"+ m/{SHARED}/p/  new (2 files)\n+ m/{SHARED}/q/  new (1 file)\n+ m/1/p/a  new\n"
            "out: 4 to write (13 B), 0 to delete"
        ),
    ),
    "a vendored package, partly new": (
        [put(f"m/{SHARED}/p/a"), put(f"m/{SHARED}/p/b", 1, "changed"), put(f"m/{SHARED}/tokenizer.json")],
        (),
        (
            f"~ m/{SHARED}/p/  new (1 file), changed (1 file)\n+ m/{SHARED}/tokenizer.json  new\n"
            "out: 3 to write (3 B), 0 to delete"
        ),
    ),
    "a vendored package between whose files another comes": (
        [put(f"m/{SHARED}/p/a"), put("m/1/z"), put(f"m/{SHARED}/p/b", 1, phase=Phase.CONTRACT)],
        (),
        f"+ m/{SHARED}/p/  new (2 files)\n+ m/1/z  new\nout: 3 to write (3 B), 0 to delete",
    ),
    "a record, written first and last": (
        [put("tritonrepo.json", 9, phase=Phase.CLAIM), put("m/a"), put("tritonrepo.json", 7, phase=Phase.CLOSE)],
        (),
        "+ tritonrepo.json  new\n+ m/a  new\nout: 2 to write (8 B), 0 to delete",
    ),
    "a name that drives a terminal": ([put("m/\x1b")], (), "+ m/\\x1b  new\nout: 1 to write (1 B), 0 to delete"),
}


@tabled(("actions", "kept", "lines"), PLANS.values(), ids=PLANS)
def test_a_plan_has_a_line_for_each_action_and_counts(actions: list[Action], kept: tuple[str, ...], lines: str) -> None:
    assert plan.lines(actions, "out", kept) == lines


SIZES = {
    0: "0 B",
    1023: "1023 B",
    1024: "1.0 KiB",
    1536: "1.5 KiB",
    1024**2 - 1: "1024.0 KiB",
    1024**2: "1.0 MiB",
    1024**3: "1.0 GiB",
    1024**4: "1.0 TiB",
    1024**5: "1024.0 TiB",
}


@tabled(("size", "told"), SIZES.items(), ids=map(str, SIZES))
def test_bytes_have_a_unit_that_people_read(size: int, told: str) -> None:
    assert plan.lines([put("m/a", size)], "out").endswith(f"out: 1 to write ({told}), 0 to delete")


def test_a_push_names_each_phase_above_its_actions() -> None:
    actions = (put("m/1/a", 2), put("m/1/b", 3), put("m/c", 1, "serves 1", Phase.SWITCH), removed("n/a"))
    assert "\n".join(plan.phases(Plan(actions), "bucket")) == (
        "files\n  + m/1/a  new\n  + m/1/b  new\nswitch\n  ~ m/c  serves 1\nprune\n  - n/a  not in the stack\n"
        "bucket: 3 to write (6 B), 1 to delete"
    )
    assert list(plan.phases(Plan(()), "bucket")) == ["bucket: nothing to do"]


def test_a_table_is_aligned_and_ends_without_blanks() -> None:
    rows = [("a", "long \x1b", ""), ("longer", "b", "")]
    assert table(("x", "y", "z"), rows) == "x       y          z\na       long \\x1b\nlonger  b"
    assert table(("x",), []) == "x"


def test_junit_has_a_suite_for_each_model_and_counts() -> None:
    rows = [
        Row("n", "one", 1.5, [found(hint="Do this."), found()]),
        Row("m \x07", "two", 0.25, notes=[found(Severity.WARNING)]),
        Row("n", "three \x1b", 0.0015, skipped="why \x1b"),
    ]
    told = junit("name \x1b", rows)
    assert told.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="name \\x1b">\n  <testsuite ')
    assert told.endswith("</testsuites>\n")
    first, second = ET.fromstring(told)
    assert first.attrib == {
        "name": "m \\x07",
        "tests": "1",
        "failures": "0",
        "errors": "0",
        "skipped": "0",
        "time": "0.250",
    }
    assert second.attrib == {"name": "n", "tests": "2", "failures": "1", "errors": "0", "skipped": "1", "time": "1.502"}
    assert [each.tag for each in (first, *second)] == ["testsuite", "testcase", "testcase"]
    assert [case.attrib for case in (*first, *second)] == [
        {"classname": "m \\x07", "name": "two", "time": "0.250"},
        {"classname": "n", "name": "one", "time": "1.500"},
        {"classname": "n", "name": "three \\x1b", "time": "0.002"},
    ]
    (failure,) = second[0]
    assert (failure.tag, failure.attrib) == ("failure", {"type": "a-rule", "message": "a fault"})
    assert failure.text == "f:1:1: error: a fault [a-rule]\n  Do this.\nf:1:1: error: a fault [a-rule]"
    (skipped,) = second[1]
    assert (skipped.tag, skipped.attrib) == ("skipped", {"message": "why \\x1b"})
    (note,) = first[0]
    assert (note.tag, note.text) == ("system-out", "f:1:1: warning: a fault [a-rule]")


def test_json_has_findings_verdicts_and_counts() -> None:
    told = report_json.judged(
        Checked(
            (found(Severity.FATAL, Span("f")), found(Severity.WARNING, Span("f", 2)), found(Severity.WARNING)),
            (Verdict("m", State.READY), Verdict("n", State.NOT_JUDGED), Verdict("o", State.READY)),
            4,
            (Unseen("TensorRT plan", ("m", "o")),),
        )
    )
    document = json.loads(told)
    assert list(document) == ["diagnostics", "not_looked_at", "schema", "summary", "verdicts"]
    assert document["not_looked_at"] == [{"what": "TensorRT plan", "models": ["m", "o"]}]
    assert document["schema"] == 1
    assert document["summary"] == {
        "models": 3,
        "fatal": 1,
        "error": 0,
        "warning": 2,
        "info": 0,
        "ignored": 4,
        "hidden": 0,
        "baselined": 0,
        "resolved": 0,
        "verdicts": {"ready": 2, "not judged": 1},
    }
    assert [(each["line"], each["column"], each["end_line"]) for each in document["diagnostics"]] == [
        (None, None, None),
        (2, None, None),
        (1, 1, None),
    ]
    assert told.startswith('{\n  "diagnostics": [')


def test_json_has_everything_of_a_finding() -> None:
    fix = Fix((Replacement(Span("g", 1, 2, 3, 4), "new"),))
    whole = Diagnostic("r", Severity.ERROR, Span("f", 1, 2, 3, 4), "x", "Do.", "m", "reason", fix)
    first, second = report_json.listed([whole, replace(whole, fix=None, at=Span("f"))])
    place = {"line": 1, "column": 2, "end_line": 3, "end_column": 4}
    said = {"rule": "r", "severity": "error", "message": "x", "hint": "Do.", "model": "m", "server_reason": "reason"}
    assert len(first.pop("fingerprint")) == 32
    assert first == {
        **said,
        **place,
        "path": "f",
        "fix": {"safe": False, "replacements": [{"path": "g", **place, "text": "new"}], "files": []},
    }
    assert second.pop("fingerprint")
    assert second == {**said, **dict.fromkeys(place), "path": "f"}


def test_json_of_a_smoke_test_counts_outcomes_and_models() -> None:
    rows = [
        {"model": "m", "outcome": "passed"},
        {"model": "m", "outcome": "not checked"},
        {"model": "n", "outcome": "passed"},
    ]
    document = json.loads(report_json.checked(rows, [found()]))
    assert document["results"] == rows
    assert document["summary"] == {"passed": 2, "warning": 0, "failed": 0, "not checked": 1, "models": 2}
    assert len(document["diagnostics"]) == 1


JSON = {
    "a password": ("http://u:p@h", '"http://***@h"'),
    "letters outside ASCII": ("é", '"é"'),
    "an escape": ("\x1b\u202e", '"\\u001b\\u202e"'),
    "a byte that is no text": ("\udcff", '"\\\\udcff"'),
    "a tag that is not shown": ("\U000e0041", '"\\udb40\\udc41"'),
}


@tabled(("value", "written"), JSON.values(), ids=JSON)
def test_json_is_safe_everywhere_in_a_document(value: str, written: str) -> None:
    assert report_json.dumps(value) == written
    assert report_json.dumps({"b": [(value,)], "a": 1}) == (
        '{\n  "a": 1,\n  "b": [\n    [\n      ' + written + "\n    ]\n  ]\n}"
    )


def test_a_fingerprint_ignores_numbers_of_lines_and_no_others() -> None:
    def of(message: str) -> str:
        return fingerprints([Diagnostic("r", Severity.ERROR, Span("f"), message)])[0]

    assert of("in m/config.pbtxt:3:1 at line 3, column 4, char 5") == of(
        "in m/config.pbtxt:30:10 at line 1, column 2, char 6"
    )
    assert of("a  b\nc") == of("a b c")
    assert of("8 is above 4") != of("8 is above 5")
    assert of("offline 3") != of("offline 4")
    assert len(of("a")) == 32


RESULTS = (
    Result("n", "2", Check.ANSWER, "batch of 2", "gRPC", 1500),
    Result("m", "", Check.LOADED, "", "", 7, (found(Severity.WARNING),)),
    Result("m", "1", Check.ANSWER, "", "HTTP", 0, (found(Severity.ERROR), found(Severity.WARNING))),
    Result("o", "1", Check.REFERENCE, unchecked="no reference"),
    Result("m", "1", Check.REFERENCE, unchecked="no reference"),
    Result("m", "2", Check.REFERENCE, unchecked="no reference"),
    Result("m", "2", Check.ANSWER, unchecked="no input"),
    Result("p", "1", Check.ANSWER, unchecked="no input", diagnostics=(found(),)),
)


def test_results_are_rows_of_a_table() -> None:
    assert smoke_results.HEAD == ("model", "version", "check", "protocol", "result", "ms")
    assert smoke_results.texts(RESULTS[:4]) == [
        ("n", "2", f"{Check.ANSWER} batch of 2", "gRPC", "passed", "1500"),
        ("m", "", f"{Check.LOADED}", "", "warning", ""),
        ("m", "1", f"{Check.ANSWER}", "HTTP", "failed", "0"),
        ("o", "1", f"{Check.REFERENCE}", "", "not checked", ""),
    ]


def test_results_are_values() -> None:
    first, *_, last = smoke_results.rows(RESULTS[:4])
    assert first == {
        "model": "n",
        "version": "2",
        "check": str(Check.ANSWER),
        "case": "batch of 2",
        "protocol": "gRPC",
        "ms": 1500,
        "outcome": "passed",
        "reason": "",
        "seen": "",
    }
    assert (last["outcome"], last["reason"]) == ("not checked", "no reference")


def test_results_are_cases_of_junit() -> None:
    first, second, third, fourth, *_, last = smoke_results.junit_rows(RESULTS)
    assert (first.suite, first.name, first.seconds) == ("n", f"version 2 {Check.ANSWER} batch of 2 gRPC", 1.5)
    assert (second.name, second.failures, len(second.notes)) == (str(Check.LOADED), (), 1)
    assert ([each.severity for each in third.failures], [each.severity for each in third.notes]) == (
        ["error"],
        ["warning"],
    )
    assert (first.skipped, fourth.skipped, last.skipped) == ("", "no reference", "")


def test_what_was_not_checked_is_told_once_for_each_reason() -> None:
    assert smoke_results.gaps(RESULTS) == [
        f"not checked: {Check.REFERENCE} of m, o: no reference",
        f"not checked: {Check.ANSWER} of m: no input",
    ]
    assert smoke_results.gaps(RESULTS[:3]) == []


def test_the_closing_line_of_results_counts_outcomes() -> None:
    assert smoke_results.summary(RESULTS) == "4 models, 8 checks: 1 passed, 1 warning, 2 failed, 4 not checked"
    assert smoke_results.summary(RESULTS[1:2]) == "1 model, 1 check: 0 passed, 1 warning"
    assert smoke_results.summary(RESULTS[:1]) == "1 model, 1 check: 1 passed"


def test_a_page_for_the_terminal_has_its_name_severity_and_sections_indented() -> None:
    entry = REGISTRY["stack-schema"]
    head, empty, why, first, *rest = pages.page(entry).split("\n")
    title = entry.page.split("\n")[0]
    assert title.startswith("# ")
    assert (head, empty, why) == (f"stack-schema (fatal): {title[2:]}", "", "Why")
    assert first.startswith("  ")
    assert rest[rest.index("What to do") - 1 : rest.index("What to do") + 1] == ["", "What to do"]
    assert all(line.startswith("  ") for line in rest if line and line != "What to do")


def test_names_are_listed_in_order_with_their_severities() -> None:
    entries = [REGISTRY[name] for name in ("store-access", "dynamic-preferred-above-max", "stack-schema")]
    told = pages.table(entries).split("\n")
    assert [line.split()[:2] for line in told] == [
        ["dynamic-preferred-above-max", "error"],
        ["stack-schema", "fatal"],
        ["store-access", "fatal"],
    ]
    assert told[1].startswith(f"stack-schema{' ' * 15}  fatal    {entries[2].page[2:10]}")
    assert pages.table([]) == ""
    first, second, *rows = pages.index(entries, "rules").split("\n")
    assert (first, second) == ("| Name | Severity | Fix | Title |", "|---|---|---|---|")
    assert rows[0].startswith("| [dynamic-preferred-above-max](rules/dynamic-preferred-above-max.md) | error | ")
    assert [row.split("]")[0] for row in rows[1:]] == ["| [stack-schema", "| [store-access"]


def test_sections_begin_at_headings_outside_of_fences() -> None:
    page = "# T\nnot a section\n## A b\n\ntext\n### C\n\n## D\n\n```sh\n## in it\n\n```\n\n## E\nafter\n```sh\nx\n```\n"
    assert pages.title(page) == "T"
    assert pages.sections(page) == [("A b", "text\n### C"), ("D", "## in it\n"), ("E", "after\n```sh\nx\n```")]


NAMED = {
    "a name": ("stack-schema", ["stack-schema"]),
    "words that names begin with": ("release", ["release-incomplete", "release-unknown"]),
    "words with their dash": ("release-", ["release-incomplete", "release-unknown"]),
    "letters that names begin with": ("releas", []),
    "nothing": ("", []),
}


@tabled(("words", "names"), NAMED.values(), ids=NAMED)
def test_names_are_found_by_whole_words(words: str, names: list[str]) -> None:
    assert [entry.name for entry in named(words)] == names


def test_a_name_that_other_names_begin_with_is_that_name_alone() -> None:
    assert [entry.name for entry in named("version-zero")] == ["version-zero"]
    family = {entry.name for entry in named("ignores")}
    assert family == {"ignore-not-readable", "ignore-unknown-rule", "ignore-unused", "ignore-without-reason"}
