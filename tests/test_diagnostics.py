"""What every report is made of: severities, places, stops, words that are nearest, harmless text, and releases."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import get_args

import pytest

from tests.tabled import tabled
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.diagnostics import (
    FEW,
    Diagnostic,
    Faults,
    Fix,
    Replacement,
    Severity,
    Span,
    State,
    Stop,
    closest,
    counted,
    either,
    failure,
    fatal,
    nearest,
    unreadable,
)
from tritonrepo.fixes import Write, applied
from tritonrepo.flows.target import of_record, record_of
from tritonrepo.flows.validate import EXCERPT_BYTES, declared, everything, validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.plain import escaped, hidden, inline, printable
from tritonrepo.releases import RELEASES, instead, newest, runnable
from tritonrepo.repository import NOTHING, Said
from tritonrepo.rules import RULES
from tritonrepo.stores import open_store
from tritonrepo.tree import of_bytes, of_text

SPANS = {
    "a file": (Span("f"), "f"),
    "a line": (Span("f", 3), "f:3"),
    "a column": (Span("f", 3, 4), "f:3:4"),
    "with an end": (Span("f", 3, 4, 5, 6), "f:3:4"),
}


@pytest.mark.parametrize(("at", "text"), SPANS.values(), ids=SPANS)
def test_a_place_is_written_as_editors_read_it(at: Span, text: str) -> None:
    assert str(at) == text


def test_places_are_in_order_of_path_line_and_column() -> None:
    places = [Span("a", 2, 1), Span("a", 1, 9), Span("b"), Span("a", 1, 10), Span("a")]
    assert sorted(places) == [Span("a"), Span("a", 1, 9), Span("a", 1, 10), Span("a", 2, 1), Span("b")]


def test_words_of_severities_and_verdicts_are_an_interface() -> None:
    assert [*map(str, Severity)] == ["info", "warning", "error", "fatal"]
    assert [*map(str, State)] == ["ready", "refused", "crash", "hang", "not judged"]


def test_a_diagnostic_has_its_message_and_each_line_of_its_hint() -> None:
    found = Diagnostic("r", Severity.WARNING, Span("f\n", 1), "is\x1b wrong", "Do\x07.\n\n  Then.", "m")
    assert found.lines == ("f\\n:1: warning: is\\x1b wrong [r]", "  Do\\x07.", "    Then.")
    assert str(found) == "\n".join(found.lines)
    assert Diagnostic("r", Severity.INFO, Span("f"), "x").lines == ("f: info: x [r]",)


def test_a_diagnostic_is_renamed_with_its_fix_and_nothing_else() -> None:
    fix = Fix((Replacement(Span("a", 1, 2, 3, 4), "t"), Replacement(Span("b", 1, 1), "u")), safe=True)
    found = Diagnostic("r", Severity.ERROR, Span("a", 5, 6, 7, 8), "x", "Do.", "m", "reason", fix)
    moved = found.renamed(lambda path: f"up/{path}")
    assert (moved.at, moved.at.end_line, moved.at.end_column) == (Span("up/a", 5, 6), 7, 8)
    assert moved.fix
    assert [(each.at.path, each.at.line, each.text) for each in moved.fix.replacements] == [
        ("up/a", 1, "t"),
        ("up/b", 1, "u"),
    ]
    assert (moved.fix.safe, moved.hint, moved.model, moved.server_reason) == (True, "Do.", "m", "reason")
    assert Diagnostic("r", Severity.ERROR, Span("a"), "x").renamed(str.upper).at == Span("A")


def test_a_stop_can_be_made_of_another_severity() -> None:
    stop = Stop(
        [Diagnostic("r", Severity.FATAL, Span("f"), "x", "Do."), Diagnostic("s", Severity.WARNING, Span("g"), "y")]
    )
    assert [(each.rule, each.severity, each.hint) for each in stop.of(Severity.ERROR).diagnostics] == [
        ("r", "error", "Do."),
        ("s", "error", ""),
    ]
    assert [each.severity for each in stop.diagnostics] == ["fatal", "warning"]
    assert str(stop) == "f: fatal: x [r]\n  Do.\ng: warning: y [s]"


def stopping(stop: Stop | OSError) -> int:
    raise stop


def test_all_faults_are_kept_once_and_told_in_order() -> None:
    faults = Faults()
    faults.stop()
    assert faults.tried(lambda: 1, 2) == 1
    assert faults.tried(lambda: stopping(fatal("s", Span("b", 2), "x")), 2) == 2
    assert faults.tried(lambda: stopping(fatal("s", Span("b", 2), "x")), 2) == 2
    assert faults.tried(lambda: stopping(failure("r", Span("b", 2), "x")), 2) == 2
    assert faults.tried(lambda: stopping(OSError(errno.EACCES, "Permission denied", "a")), 3) == 3
    again = Diagnostic("a", Severity.WARNING, Span("c"), "y")
    faults.add(again, again)
    with pytest.raises(Stop) as caught:
        faults.stop()
    assert [(each.rule, str(each.at)) for each in caught.value.diagnostics] == [
        ("input-access", "a"),
        ("r", "b:2"),
        ("s", "b:2"),
        ("a", "c"),
    ]
    with pytest.raises(ZeroDivisionError):
        faults.tried(lambda: 1 // 0, 2)


def test_a_file_that_cannot_be_read_is_told_with_the_systems_words() -> None:
    (told,) = unreadable(OSError(errno.EACCES, "Permission denied", "f")).diagnostics
    assert (told.rule, told.severity, told.at) == ("input-access", "fatal", Span("f"))
    assert told.message == "the file cannot be read: Permission denied"
    assert told.hint == "Grant this user read access, or use another path."
    nameless = OSError(errno.EIO, "Input/output error")
    with pytest.raises(OSError, match="Input/output error") as caught:
        unreadable(nameless)
    assert caught.value is nameless


def test_the_nearest_word_is_the_most_similar_above_the_cutoff() -> None:
    assert nearest("batchs", ["match", "batch", "x"]) == "batch"
    assert nearest("q", ["batch"]) == ""
    assert nearest("abcde", ["abcxy"], 0.6) == "abcxy"
    assert nearest("abcde", ["abcxy"], 0.61) == ""
    assert nearest("a" * 100_000, ["a" * 99]) == "a" * 99
    assert nearest("", []) == ""


ALTERNATIVES = {"": [], "a": ["a"], "a or b": ["a", "b"], "a, b or c": ["a", "b", "c"]}


@pytest.mark.parametrize(("text", "words"), ALTERNATIVES.items(), ids=ALTERNATIVES)
def test_alternatives_are_joined_with_or(text: str, words: list[str]) -> None:
    assert either(iter(words)) == text


def test_up_to_twelve_choices_are_listed() -> None:
    names = [f"x{letter}" for letter in "lkjihgfedcba"]
    assert len(names) == FEW
    assert closest("9", names) == f"Use one of: {', '.join(sorted(names))}."
    told = closest("9", [*names, "xm"])
    assert told.startswith("Use one of 13 names. The closest are: ")
    assert told.count(",") == 5
    assert closest("xa\x1b", {"xa\x1b": 1}) == 'Did you mean "xa\\x1b"?'


HIDDEN = {
    "a user": ("s3://u@h/b", "s3://***@h/b"),
    "a user and a password": ("http://u:p@h:1/b", "http://***@h:1/b"),
    "a password with a slash": ("http://u:p/q@h", "http://***@h"),
    "a password with an at sign": ("http://u:p@q@h", "http://***@h"),
    "one slash": ("s3:/u:p@h", "s3:/***@h"),
    "two of them": ("http://u:p@h and http://v:q@i", "http://***@h and http://***@i"),
    "a port": ("http://h:80/a@b", "http://h:80/a@b"),
    "a port at the end": ("http://h:80 a@b", "http://h:80 a@b"),
    "a path": ("http://h/a@b", "http://h/a@b"),
    "no scheme": ("a@b", "a@b"),
    "in quotes": ('"http://u:p@h"', '"http://***@h"'),
}


@tabled(("text", "shown"), HIDDEN.values(), ids=HIDDEN)
def test_a_password_in_a_uri_is_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown
    assert inline(text) == printable(text) == shown


LINES = {
    "a line break": ("a\nb", "a\\nb", "a\nb"),
    "a tab": ("a\tb", "a\\tb", "a\tb"),
    "a carriage return": ("a\rb", "a\\rb", "a\\rb"),
    "an escape": ("\x1b", "\\x1b", "\\x1b"),
    "a delete": ("\x7f", "\\x7f", "\\x7f"),
    "C1": ("\x9f", "\\x9f", "\\x9f"),
    "a no-break space": ("\xa0", "\\xa0", "\xa0"),
    "an override": ("\u202e", "\\u202e", "\\u202e"),
    "a line separator": ("\u2028", "\\u2028", "\\u2028"),
    "an isolate": ("\u2066", "\\u2066", "\\u2066"),
    "a byte that is no text": ("\udcff", "\\udcff", "\\udcff"),
    "a tag": ("\U000e0041", "\\U000e0041", "\\U000e0041"),
    "letters": ("é😀", "é😀", "é😀"),
    "a command of GitHub": ("::error::x", "\\x3a:error::x", "::error::x"),
    "a command after blanks": ("  ::error", "  \\x3a:error", "  ::error"),
    "a command of Azure": ("##vso[x]", "\\x23#vso[x]", "##vso[x]"),
    "a colon": (":x::", ":x::", ":x::"),
    "a heading": ("# x", "# x", "# x"),
}


@tabled(("text", "line", "piece"), LINES.values(), ids=LINES)
def test_foreign_text_is_written_out_where_it_could_drive_something(text: str, line: str, piece: str) -> None:
    assert printable(text) == line
    assert escaped(text) == piece


INSTEAD = {
    "a month without its zero": ("26.5", 'Did you mean "26.05"?'),
    "an image's tag": ("24.10-py3", 'Did you mean "24.10"?'),
    "a name in words": ("release 25.01!", 'Did you mean "25.01"?'),
    "one that names begin with": ("24.1", "Use a release from 24.01 to 26.11."),
    "two": ("24.10 or 24.11", "Use a release from 24.01 to 26.11."),
    "nothing": ("", "Use a release from 24.01 to 26.11."),
    "another century": ("1.1", "Use a release from 24.01 to 26.11."),
}


@tabled(("text", "hint"), INSTEAD.values(), ids=INSTEAD)
def test_an_unknown_release_gets_the_one_that_is_meant_or_the_range(text: str, hint: str) -> None:
    assert instead(text) == hint


def test_a_difference_holds_from_its_first_to_its_last_release() -> None:
    assert [RELEASES[name].has("vllm-lora") for name in ("24.04", "24.05", "24.06")] == [False, True, True]
    assert [RELEASES[name].has("tensorflow-backend") for name in ("24.01", "25.02", "25.03")] == [True, True, False]


def test_a_release_is_what_its_containers_are() -> None:
    """Source: the Triton release notes of 24.01 and 26.08, and the PyPI page of the wheel."""
    old, new = RELEASES["24.01"], RELEASES["26.08"]
    assert (old.server_version, old.python, old.vllm, old.vllm_builds, old.unknown) == (
        "2.42.0",
        "3.10",
        "0.2.3",
        ("0.2.3",),
        (),
    )
    assert old.backends(("vllm-python-py3",)) == {"python", "vllm"}
    both = old.backends(("vllm-python-py3", "trtllm-python-py3"))
    assert both == {"python", "vllm", "ensemble", "tensorrtllm"}
    assert old.backends(()) == old.backends(("nothing",)) == frozenset()
    assert "trtllm-python-py3" in old.images
    assert "trtllm-python-py3" not in new.images
    assert RELEASES["26.11"].unknown == ("image backends", "Python version", "vLLM version", "ONNX Runtime version")
    assert (runnable().name, newest().name) == ("24.10", "26.08")
    assert [name for name in RELEASES if RELEASES[name].server_wheel] == [f"24.{month:02}" for month in range(1, 11)]
    assert len(RELEASES) == len([*RELEASES]) > 30
    assert [*RELEASES] == sorted(RELEASES)


def put(line: int, start: int, end: int, text: str, end_line: int = 0) -> Replacement:
    return Replacement(Span("f", line, start, end_line or line, end), text)


SPLICED = {
    "an insertion before another place": ([put(1, 1, 1, "x"), put(1, 2, 3, "y")], b"xayc\nde\n"),
    "an insertion at a place's end": ([put(1, 1, 2, "x"), put(1, 2, 2, "y")], b"xybc\nde\n"),
    "over two lines": ([put(1, 3, 2, "-", 2)], b"ab-e\n"),
    "at the end of a line": ([put(1, 4, 4, "!")], b"abc!\nde\n"),
    "after the end of a line": ([put(1, 5, 5, "!")], None),
    "the line after the last": ([put(3, 1, 1, "!")], b"abc\nde\n!"),
    "the second line after the last": ([put(4, 1, 1, "!")], None),
    "line 0": ([put(0, 1, 1, "!")], None),
    "column 0": ([put(1, 0, 1, "!")], None),
    "two at one place": ([put(1, 2, 2, "x"), put(1, 2, 2, "y")], None),
    "one that ends where another begins": ([put(1, 1, 2, "x"), put(1, 2, 3, "y")], b"xyc\nde\n"),
    "one that ends in another": ([put(1, 1, 3, "x"), put(1, 2, 4, "y")], None),
    "one in another": ([put(1, 1, 4, "x"), put(1, 2, 3, "y")], None),
}


@tabled(("replacements", "content"), SPLICED.values(), ids=SPLICED)
def test_a_fix_is_applied_at_its_bounds(replacements: list[Replacement], content: bytes | None) -> None:
    fix = Fix(tuple(replacements))
    found = applied({"f": of_bytes(b"abc\nde\n")}, [fix])
    assert found == (((), (), (fix,)) if content is None else ((Write("f", content),), (fix,), ()))
    apart = applied({"f": of_bytes(b"abc\nde\n")}, [Fix((each,)) for each in replacements])
    assert len(apart.left) == (content is None)


def test_equal_places_of_two_files_do_not_meet() -> None:
    other = Replacement(Span("g", 1, 1, 1, 2), "y")
    found = applied({"f": of_bytes(b"ab"), "g": of_bytes(b"ab")}, [Fix((put(1, 1, 2, "x"),)), Fix((other,))])
    assert (found.steps, found.left) == ((Write("f", b"xb"), Write("g", b"yb")), ())


def test_the_target_of_what_declares_none_is_the_default() -> None:
    assert declared(NOTHING, NOTHING).release == newest()
    assert declared(Said("24.05"), Said("24.06")).release.name == "24.05"
    assert declared(NOTHING, Said("24.06")).in_stack
    assert all(everything(rule) for rule in RULES.values())


def test_a_record_of_a_build_is_read_and_a_hand_written_repository_has_none(tmp_path: Path) -> None:
    store, _ = open_store(str(tmp_path))
    written = {"schema": 1, "name": "n", "target": {"release": "24.05"}, "files": {}, "local": {}}
    tree = {"tritonrepo.json": of_text(json.dumps(written))}
    assert of_record(record_of(store, "", tree, "dir/"), "dir/") == Said("24.05", where="dir/tritonrepo.json")
    assert of_record(record_of(store, "", {}, "dir"), "dir") == NOTHING


CONFIG = 'backend: "python"\nmax_batch_size: 2\ndynamic_batching { preferred_batch_size: 4 }\n'


def test_a_judgement_reads_the_lines_of_its_files_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.py").touch()
    config = tmp_path / "m" / "config.pbtxt"
    config.write_text(CONFIG, "utf-8")
    found = validate(tmp_path, Workspace())
    (finding,) = [each for each in found.diagnostics if each.rule == "dynamic-preferred-above-max"]
    assert (finding.at, finding.model) == (Span(str(config), 3, 42), "m")
    assert found.lines(str(config)) == CONFIG.split("\n")
    assert found.lines("m/config.pbtxt") == found.lines("x") == []
    config.write_text(CONFIG.ljust(EXCERPT_BYTES), "utf-8")
    assert validate(tmp_path, Workspace()).lines(str(config))[:3] == CONFIG.split("\n")[:3]
    config.write_text(CONFIG.ljust(EXCERPT_BYTES + 1), "utf-8")
    found = validate(tmp_path, Workspace())
    assert [each.rule for each in found.diagnostics].count("dynamic-preferred-above-max") == 1
    assert found.lines(str(config)) == []
    assert validate(tmp_path, Workspace(), shown=lambda rule: rule.name == "version-zero").diagnostics == ()


def test_an_empty_directory_is_a_repository_and_a_path_to_nothing_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 models: no problems found\n"
    with pytest.raises(Stop) as caught:
        validate(tmp_path / "none", Workspace())
    (told,) = caught.value.diagnostics
    assert (told.rule, told.severity, told.at) == ("validate-path", "fatal", Span(str(tmp_path / "none")))
    assert told.hint == "Use its directory, or the URI of its prefix."


def test_a_config_that_is_too_large_is_no_config(tmp_path: Path) -> None:
    path = tmp_path / "m" / "config.pbtxt"
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    with pytest.raises(Stop) as caught:
        validate(tmp_path, Workspace())
    (told,) = caught.value.diagnostics
    assert (told.rule, told.severity, told.at) == ("config-too-large", "fatal", Span(f"{tmp_path}/m/config.pbtxt"))
    assert told.message == "the config has 67,108,865 bytes, but at most 67,108,864 are read"


def test_what_a_flow_may_tell_is_part_of_the_api() -> None:
    progress = {api.Began, api.Sent, api.Waits, api.Line, api.Interrupted}
    assert set(get_args(api.Event)) == {api.Busy, api.Counted, *progress, api.Indexed, api.Built, api.Diagnostic}
    assert all(hasattr(api, name) for name in api.__all__)
    told: list[api.Event] = []
    Workspace(tell=told.append).line("x")
    assert told == [api.Line("x")]
    assert Workspace().links == ()


NUMBERS = {
    "none": ((0, "file"), "0 files"),
    "one": ((1, "file"), "1 file"),
    "thousands": ((2000, "file"), "2,000 files"),
    "another plural": ((2, "copy", "copies"), "2 copies"),
    "one of another plural": ((1, "copy", "copies"), "1 copy"),
}


@tabled(("words", "said"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_has_its_noun(words: tuple[int, str], said: str) -> None:
    assert counted(*words) == said
