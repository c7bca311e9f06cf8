"""Fixes: each one, in one file or several, is applied completely or not at all, whatever the file is."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from tests.test_json import SCHEMAS
from tritonrepo.diagnostics import Diagnostic, Fix, Replacement, Severity, Span
from tritonrepo.fixes import applied
from tritonrepo.generate.origins import moved
from tritonrepo.pbtxt import parse
from tritonrepo.report import json as report_json
from tritonrepo.report.checked import Checked
from tritonrepo.repository import read, target
from tritonrepo.rules.judge import judge
from tritonrepo.rules.registry import RULES, Finding
from tritonrepo.spec.nodes import parse as yaml
from tritonrepo.tree import of_bytes

CONFIG = b'name: "\xc3\xa9"  # a comment\nmax_batchsize: 8\n'
MODEL = b'{"modle": "o/m"}'
STACK = b"name: s\nmodels:\n  e: {role: embeder}\n"


def edit(path: str, line: int, start: int, end: int, text: str) -> Replacement:
    return Replacement(Span(path, line, start, line, end), text)


FILES = {"m/config.pbtxt": CONFIG, "m/1/model.json": MODEL, "tritonrepo.yaml": STACK}
RENAMED = edit("m/config.pbtxt", 2, 1, 14, "max_batch_size")
NAMED = edit("m/config.pbtxt", 1, 7, 10, '"m"')
KEYED = edit("m/1/model.json", 1, 3, 8, "model")
ROLE = edit("tritonrepo.yaml", 3, 13, 20, "embedder")
LAST = edit("m/config.pbtxt", 3, 1, 1, 'backend: "identity"\n')

APPLIED = {
    "a field": ([RENAMED], {"m/config.pbtxt": CONFIG.replace(b"batchsize", b"batch_size")}),
    "letters outside ASCII": ([NAMED], {"m/config.pbtxt": CONFIG.replace(b"\xc3\xa9", b"m")}),
    "several places, in any order": (
        [LAST, RENAMED, NAMED],
        {"m/config.pbtxt": b'name: "m"  # a comment\nmax_batch_size: 8\nbackend: "identity"\n'},
    ),
    "files of every kind": (
        [RENAMED, KEYED, ROLE],
        {
            "m/config.pbtxt": CONFIG.replace(b"batchsize", b"batch_size"),
            "m/1/model.json": MODEL.replace(b"modle", b"model"),
            "tritonrepo.yaml": STACK.replace(b"embeder", b"embedder"),
        },
    ),
    "nothing": ([], {}),
}


@pytest.mark.parametrize(("replacements", "files"), APPLIED.values(), ids=APPLIED)
def test_a_fix_changes_its_places_and_no_other_byte(replacements: list[Replacement], files: dict[str, bytes]) -> None:
    assert applied(FILES, [Fix(tuple(replacements))]) == (files, ())
    assert applied(FILES, [Fix((each,)) for each in replacements]) == (files, ())


LEFT = {
    "one that begins in another": edit("m/config.pbtxt", 2, 5, 17, "batch_size: 8"),
    "one around another": edit("m/config.pbtxt", 2, 1, 17, ""),
    "the same again": RENAMED,
    "text put in where another begins": edit("m/config.pbtxt", 2, 1, 1, "# "),
    "a line that is not there": edit("m/config.pbtxt", 9, 1, 1, "x"),
    "a column that is not there": edit("m/config.pbtxt", 1, 1, 99, "x"),
    "an end before its start": edit("m/config.pbtxt", 1, 9, 2, "x"),
    "an end that is not known": Replacement(Span("m/config.pbtxt", 1, 1), "x"),
    "a file that is not there": edit("n/config.pbtxt", 1, 1, 1, "x"),
}


@pytest.mark.parametrize("replacement", LEFT.values(), ids=LEFT)
def test_a_fix_that_does_not_fit_is_left_as_a_whole(replacement: Replacement) -> None:
    first, second = Fix((RENAMED,)), Fix((KEYED, replacement))
    files, left = applied(FILES, [first, second])
    assert files == {"m/config.pbtxt": CONFIG.replace(b"batchsize", b"batch_size")}
    assert left == (second,)
    assert applied(FILES, [Fix((RENAMED, replacement))]).files == {}


def test_text_may_be_put_in_where_another_place_ends() -> None:
    behind = edit("m/config.pbtxt", 2, 14, 14, "_")
    assert applied(FILES, [Fix((RENAMED,)), Fix((behind,))]).files == {
        "m/config.pbtxt": CONFIG.replace(b"max_batchsize", b"max_batch_size_")
    }


def test_bytes_that_are_no_text_stay() -> None:
    content = b"\xff\xe2\x82 a\r\n"
    assert applied({"f": content}, [Fix((edit("f", 1, 5, 6, "\udcff"),))]).files == {"f": b"\xff\xe2\x82 \xff\r\n"}


def test_nodes_say_what_to_replace() -> None:
    value = parse(CONFIG).root.fields[0].value
    assert applied(FILES, [Fix((Replacement(value.span("m/config.pbtxt"), '"m"'),))]).files == {
        "m/config.pbtxt": CONFIG.replace(b"\xc3\xa9", b"m")
    }
    node = yaml(STACK, "tritonrepo.yaml").keys["name"][1]
    assert applied(FILES, [Fix((Replacement(node.at, "t"),))]).files == {
        "tritonrepo.yaml": STACK.replace(b"s\n", b"t\n", 1)
    }


FOUND = Diagnostic("r", Severity.ERROR, Span("m/config.pbtxt", 2, 1), "x", fix=Fix((RENAMED, KEYED), safe=True))


def test_a_fix_is_in_the_document_where_there_is_one() -> None:
    text = report_json.judged(Checked((FOUND, replace(FOUND, fix=None)), ()))
    jsonschema.validate(json.loads(text), json.loads((SCHEMAS / "validate.schema.json").read_text("utf-8")))
    first, second = json.loads(text)["diagnostics"]
    assert first["fix"]["safe"] is True
    assert first["fix"]["replacements"][1] == {
        "path": "m/1/model.json",
        "line": 1,
        "column": 3,
        "end_line": 1,
        "end_column": 8,
        "text": "model",
    }
    assert "fix" not in second


def test_a_fix_goes_where_its_diagnostic_is_said_to_be() -> None:
    told = FOUND.renamed(lambda path: f"models/{path}")
    assert told.at.path == "models/m/config.pbtxt"
    assert told.fix is not None
    assert [each.at.path for each in told.fix.replacements] == ["models/m/config.pbtxt", "models/m/1/model.json"]
    assert told.fix.safe
    assert told.fix.replacements[0].at.end_column == 14


def test_a_generated_file_is_not_mended() -> None:
    found = replace(FOUND, at=Span("e/config.pbtxt", 2, 1))
    origins = {"e": {"": Span("a.yaml", 4, 3)}}
    assert moved(found, origins, {"e/config.pbtxt": of_bytes(CONFIG)}).fix is None


def test_a_rule_gives_its_fix_to_the_diagnostic(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "name-differs-from-directory"
    fix = Fix((NAMED,), safe=True)
    monkeypatch.setitem(RULES, name, replace(RULES[name], check=lambda _: iter([Finding(None, "x", fix=fix)])))
    tree = {"m/config.pbtxt": of_bytes(CONFIG.replace(b"max_batchsize", b"max_batch_size"))}
    (found,) = [each for each in judge(read(tree, target())).diagnostics if each.rule == name]
    assert found.fix == fix
