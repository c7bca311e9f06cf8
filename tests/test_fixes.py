"""Fixes: each one, in one file or several, is applied completely or not at all, whatever the file is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import jsonschema
import pytest

from tests.tabled import tabled
from tests.test_json import SCHEMAS
from tritonrepo.diagnostics import Create, Diagnostic, FileChange, Fix, Move, Remove, Replacement, Severity, Span
from tritonrepo.fixes import Write, after, applied
from tritonrepo.generate.origins import moved
from tritonrepo.pbtxt import parse
from tritonrepo.report import json as report_json
from tritonrepo.report.checked import Checked
from tritonrepo.repository import read, target
from tritonrepo.rules.judge import judge
from tritonrepo.rules.registry import RULES, Finding
from tritonrepo.spec.nodes import parse as yaml
from tritonrepo.tree import Directory, Entry, File, Link, of_bytes

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


def written(files: Mapping[str, bytes], fixes: Sequence[Fix]) -> tuple[dict[str, bytes], tuple[Fix, ...]]:
    """Return the files that fixes change, with their new content, and the fixes that are left."""
    found = applied({path: of_bytes(content) for path, content in files.items()}, fixes)
    assert {*found.done, *found.left} == {*fixes}
    return {step.path: step.content for step in found.steps if isinstance(step, Write)}, found.left


@tabled(("replacements", "files"), APPLIED.values(), ids=APPLIED)
def test_a_fix_changes_its_places_and_no_other_byte(replacements: list[Replacement], files: dict[str, bytes]) -> None:
    assert written(FILES, [Fix(tuple(replacements))]) == (files, ())
    assert written(FILES, [Fix((each,)) for each in replacements]) == (files, ())


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


@tabled("replacement", LEFT.values(), ids=LEFT)
def test_a_fix_that_does_not_fit_is_left_as_a_whole(replacement: Replacement) -> None:
    first, second = Fix((RENAMED,)), Fix((KEYED, replacement))
    files, left = written(FILES, [first, second])
    assert files == {"m/config.pbtxt": CONFIG.replace(b"batchsize", b"batch_size")}
    assert left == (second,)
    assert written(FILES, [Fix((RENAMED, replacement))])[0] == {}


TREE: dict[str, Entry] = {
    "m/config.pbtxt": of_bytes(CONFIG),
    "m/model.onnx": of_bytes(b"weights"),
    "m/01/a": of_bytes(b"a"),
    "m/01/b/c": of_bytes(b"c"),
    "m/2": Directory(),
    "m/link": Link("01"),
    "n/1/model.onnx": of_bytes(b"n"),
}

CHANGED: dict[str, tuple[list[FileChange], dict[str, str], set[str]]] = {
    "a directory, with all in it": ([Move("m/01", "m/1")], {"m/1/a": "m/01/a", "m/1/b/c": "m/01/b/c"}, set()),
    "a file into an empty directory": (
        [Move("m/model.onnx", "m/2/model.onnx")],
        {"m/2/model.onnx": "m/model.onnx"},
        set(),
    ),
    "the last file of a directory": ([Move("n/1/model.onnx", "m/3")], {"m/3": "n/1/model.onnx"}, {"n/1"}),
    "a link that goes": ([Remove("m/link")], {}, set()),
    "a directory that goes": ([Remove("m/01/b")], {}, set()),
    "an empty directory": ([Create("m/1")], {}, {"m/1"}),
    "one after the other": ([Remove("m/2"), Create("m/3")], {}, {"m/3"}),
}


@tabled(("changes", "kept", "empty"), CHANGED.values(), ids=CHANGED)
def test_whole_files_change_as_a_scan_would_find_them(
    changes: list[FileChange], kept: dict[str, str], empty: set[str]
) -> None:
    found = applied(TREE, [Fix(files=tuple(changes))])
    assert (found.steps, found.left) == (tuple(changes), ())
    there = after(TREE, found.steps)
    gone = {path for path in TREE for each in changes for at in [each.path] if path == at or path.startswith(f"{at}/")}
    made = {path: TREE[old] for path, old in kept.items()} | dict.fromkeys(empty, Directory())
    filled = {
        path
        for path, entry in TREE.items()
        if entry == Directory() and any(each.startswith(path + "/") for each in made)
    }
    assert there == {path: entry for path, entry in TREE.items() if path not in gone | filled} | made


IMPOSSIBLE: dict[str, FileChange] = {
    "over a file": Move("m/model.onnx", "n/1/model.onnx"),
    "over a directory": Move("m/model.onnx", "m/01"),
    "below a file": Move("m/01", "n/1/model.onnx/x"),
    "below a link": Create("m/link/x", ""),
    "what is not there": Move("m/9", "m/1"),
    "what is gone": Remove("m/9"),
    "a file over another": Create("m/config.pbtxt", ""),
    "a directory over another": Create("m/01"),
    "what another fix moves": Remove("m/01/a"),
    "where another fix moves to": Create("m/1/x", ""),
    "what another fix writes": Move("m/config.pbtxt", "m/2/config.pbtxt"),
}


@tabled("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_change_that_is_not_possible_is_left_with_its_whole_fix(change: FileChange) -> None:
    first, second = Fix((RENAMED,), files=(Move("m/01", "m/1"),)), Fix((), files=(Create("m/4"), change))
    found = applied(TREE, [first, second])
    assert (found.done, found.left) == ((first,), (second,))
    assert found.steps == (Write("m/config.pbtxt", CONFIG.replace(b"batchsize", b"batch_size")), Move("m/01", "m/1"))


def test_a_file_may_be_mended_and_moved_by_one_fix() -> None:
    found = applied(TREE, [Fix((RENAMED,), files=(Move("m/config.pbtxt", "o/config.pbtxt"),))])
    there = after(TREE, found.steps)
    entry = there["o/config.pbtxt"]
    assert isinstance(entry, File)
    assert entry.content() == CONFIG.replace(b"batchsize", b"batch_size")
    assert "m/config.pbtxt" not in there
    assert applied(TREE, [Fix(files=(Move("m", "o"),)), Fix((RENAMED,))]).left == (Fix((RENAMED,)),)


def test_text_may_be_put_in_where_another_place_ends() -> None:
    behind = edit("m/config.pbtxt", 2, 14, 14, "_")
    assert written(FILES, [Fix((RENAMED,)), Fix((behind,))])[0] == {
        "m/config.pbtxt": CONFIG.replace(b"max_batchsize", b"max_batch_size_")
    }


def test_bytes_that_are_no_text_stay() -> None:
    content = b"\xff\xe2\x82 a\r\n"
    assert written({"f": content}, [Fix((edit("f", 1, 5, 6, "\udcff"),))])[0] == {"f": b"\xff\xe2\x82 \xff\r\n"}


def test_nodes_say_what_to_replace() -> None:
    value = parse(CONFIG).root.fields[0].value
    assert written(FILES, [Fix((Replacement(value.span("m/config.pbtxt"), '"m"'),))])[0] == {
        "m/config.pbtxt": CONFIG.replace(b"\xc3\xa9", b"m")
    }
    node = yaml(STACK, "tritonrepo.yaml").keys["name"][1]
    assert written(FILES, [Fix((Replacement(node.at, "t"),))])[0] == {
        "tritonrepo.yaml": STACK.replace(b"s\n", b"t\n", 1)
    }


CHANGES = (Move("m/01", "m/1"), Create("m/a", "b"), Create("m/c"), Remove("m/d"))
MENDED = Fix((RENAMED, KEYED), safe=True, files=CHANGES)
FOUND = Diagnostic("r", Severity.ERROR, Span("m/config.pbtxt", 2, 1), "x", fix=MENDED)


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
    assert first["fix"]["files"] == [
        {"action": "move", "path": "m/01", "to": "m/1"},
        {"action": "create", "path": "m/a", "text": "b"},
        {"action": "create", "path": "m/c", "text": None},
        {"action": "remove", "path": "m/d"},
    ]
    assert "fix" not in second


def test_a_fix_goes_where_its_diagnostic_is_said_to_be() -> None:
    told = FOUND.renamed(lambda path: f"models/{path}")
    assert told.at.path == "models/m/config.pbtxt"
    assert told.fix is not None
    assert [each.at.path for each in told.fix.replacements] == ["models/m/config.pbtxt", "models/m/1/model.json"]
    assert told.fix.safe
    assert [each.path for each in told.fix.files] == ["models/m/01", "models/m/a", "models/m/c", "models/m/d"]
    assert told.fix.files[0] == Move("models/m/01", "models/m/1")
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


def test_of_two_texts_put_in_at_one_place_of_a_line_that_is_no_ascii_only_the_first_is_taken() -> None:
    first, second = (Fix((edit("m/config.pbtxt", 1, 10, 10, text),)) for text in (" ", "  "))
    files, left = written(FILES, [first, second])
    assert files == {"m/config.pbtxt": CONFIG.replace(b'"  #', b'"   #')}
    assert left == (second,)


def test_a_fix_that_is_left_takes_no_place_from_the_next() -> None:
    both = Fix((NAMED, edit("m/config.pbtxt", 2, 5, 17, "x")))
    assert written(FILES, [Fix((RENAMED,)), both, Fix((NAMED,))])[1] == (both,)


def test_thousands_of_directories_of_one_model_move_at_once() -> None:
    names = [f"m/{number:05}" for number in range(5000)]
    tree = {f"{name}/w": of_bytes(b"") for name in names}
    found = applied(tree, [Fix(files=(Move(name, f"{name}0"),)) for name in names])
    assert not found.left
