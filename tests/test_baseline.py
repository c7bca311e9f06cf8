"""The baseline: what it hides, what it says is fixed, and that it is written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tritonrepo.cli import run
from tritonrepo.flows import baseline as flow
from tritonrepo.report.baseline import Known, read, written
from tritonrepo.settings import NAME

CONFIG = """\
backend: "identity"
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
dynamic_batching { preferred_batch_size: [ 4, 16 ] }
"""
RULE = "dynamic-preferred-above-max"
FILE = "known.json"
Left = Callable[..., tuple[int, ...]]


@pytest.fixture
def models(inside: Path) -> Path:
    """A repository with the same mistake in two models, and an info finding in each."""
    for name in ("m", "n"):
        (inside / "models" / name / "1").mkdir(parents=True)
        (inside / "models" / name / "config.pbtxt").write_text(CONFIG)
    return inside / "models"


def edit(config: Path, *changes: tuple[str, str]) -> None:
    for old, new in changes:
        assert old in config.read_text()
        config.write_text(config.read_text().replace(old, new))


@pytest.fixture
def left(models: Path, capsys: pytest.CaptureFixture[str]) -> Left:
    """Write a baseline, and return what checks again: exit code, and the number of new, known and fixed findings."""
    assert run(["validate", models.name, "--write-baseline", FILE]) == 0
    capsys.readouterr()

    def found(*options: str, path: str = "models", file: str = FILE) -> tuple[int, ...]:
        capsys.readouterr()
        code = run(["validate", path, "--baseline", file, "--format", "json", *options])
        document = json.loads(capsys.readouterr().out)
        summary = document["summary"]
        assert len(document["diagnostics"]) == summary["error"] + summary["warning"] + summary["info"]
        return code, len(document["diagnostics"]), summary["baselined"], summary["resolved"]

    return found


def test_what_is_known_is_hidden(models: Path, left: Left, capsys: pytest.CaptureFixture[str]) -> None:
    assert left() == (0, 0, 2, 0)
    assert run(["validate", models.name, "--baseline", FILE]) == 0
    assert capsys.readouterr().out == "2 models: no problems found, 2 in the baseline\n"
    assert run(["validate", models.name]) == 1


def test_lines_may_move(models: Path, left: Left) -> None:
    edit(models / "m" / "config.pbtxt", ("backend", "# moved\n\nbackend"), ("[ 4, 16 ]", "[\n 4,\n 16 ]"))
    assert left() == (0, 0, 2, 0)


def test_one_more_of_the_same_is_new(models: Path, left: Left) -> None:
    edit(models / "m" / "config.pbtxt", ("[ 4, 16 ]", "[ 16, 4, 16 ]"))
    assert left() == (1, 1, 2, 0)
    edit(models / "m" / "config.pbtxt", ("[ 16, 4, 16 ]", "[ 4 ]"))
    assert left() == (0, 0, 1, 1)
    edit(models / "m" / "config.pbtxt", ("[ 4 ]", "[ 4, 17 ]"))
    assert left() == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("where", "path", "file"),
    [("..", "inside/models", f"inside/{FILE}"), ("models", ".", f"../{FILE}"), ("models/m", "../../models/", "")],
    ids=["from above", "from inside", "with absolute paths"],
)
def test_it_is_the_same_from_everywhere(
    models: Path, left: Left, monkeypatch: pytest.MonkeyPatch, where: str, path: str, file: str
) -> None:
    known = str(models.parent / FILE)
    monkeypatch.chdir(models.parent / where)
    assert left(path=path, file=file or known) == (0, 0, 2, 0)


def test_only_what_was_looked_for_is_fixed(models: Path, left: Left, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "m" / "config.pbtxt").write_text("")
    (models.parent / "others").mkdir()
    assert left("--select", "vllm") == (0, 0, 0, 0)
    assert left(path="others") == (0, 0, 0, 0)
    assert left("--select", "dynamic") == (0, 0, 1, 1)
    said = "1 finding of the baseline is fixed. Rewrite it with --write-baseline.\n"
    which = f"  models/m/config.pbtxt: preferred_batch_size 16 is above max_batch_size 8 [{RULE}]\n"
    assert run(["validate", models.name, "--baseline", FILE, "--select", "dynamic"]) == 0
    assert capsys.readouterr().out.endswith("1 in the baseline\n" + said)
    assert run(["validate", models.name, "--baseline", FILE, "--select", "dynamic", "-v"]) == 0
    assert capsys.readouterr().out.endswith("1 in the baseline\n" + said + which)
    (models / "n" / "config.pbtxt").unlink()
    run(["validate", models.name, "--baseline", FILE, "--select", "dynamic"])
    assert "2 findings of the baseline are fixed." in capsys.readouterr().out


def test_what_settings_hide_is_not_fixed(models: Path, left: Left) -> None:
    (models.parent / NAME).write_text(f'ignore = ["{RULE}"]')
    assert left() == (0, 0, 0, 0)


@pytest.mark.usefixtures("left")
def test_settings_name_the_baseline(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models.parent / NAME).write_text(f'baseline = "{FILE}"')
    os.chdir(models)
    assert run(["validate", "."]) == 0
    assert run(["validate", ".", "--isolated"]) == 1
    (models.parent / FILE).unlink()
    capsys.readouterr()
    assert run(["validate", "."]) == 2
    assert "the baseline does not exist [baseline-missing]" in capsys.readouterr().err
    assert run(["validate", ".", "--write-baseline", f"../{FILE}"]) == 0
    assert run(["validate", "."]) == 0


def test_a_baseline_keeps_what_a_run_did_not_look_for(models: Path, left: Left) -> None:
    edit(models / "m" / "config.pbtxt", ("[ 4, 16 ]", "[ 4 ]"))
    whole = (models.parent / FILE).read_text()
    (models.parent / "others").mkdir()
    assert run(["validate", "others", "--write-baseline", FILE]) == 0
    assert run(["validate", models.name, "--write-baseline", FILE, "--select", "vllm"]) == 0
    assert (models.parent / FILE).read_text() == whole
    assert run(["validate", models.name, "--write-baseline", FILE, "--select", "dynamic"]) == 0
    assert left() == (0, 0, 1, 0)


@pytest.mark.usefixtures("left")
def test_the_same_findings_give_the_same_bytes(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = (models.parent / FILE).read_bytes()
    assert str(models.parent).encode() not in first
    assert run(["validate", str(models), str(models), "--write-baseline", str(models.parent / FILE)]) == 0
    said = capsys.readouterr()
    assert said.out == "2 models: no problems found, 2 in the baseline\n"
    assert said.err == f"{models.parent / FILE}: 2 findings in the baseline\n"
    assert (models.parent / FILE).read_bytes() == first
    assert sorted(os.listdir(models.parent)) == [FILE, "models"]  # noqa: PTH208


@pytest.mark.usefixtures("left")
def test_what_cannot_be_read_is_never_hidden(models: Path) -> None:
    before = (models.parent / FILE).read_bytes()
    assert run(["validate", models.name, "nowhere", "--baseline", FILE]) == 2
    assert run(["validate", models.name, "nowhere", "--write-baseline", FILE]) == 2
    assert (models.parent / FILE).read_bytes() == before


STACK = 'name: s\ntarget: {release: "24.10"}\nmodels: {m: {backend: nosuch, source: ./w}}\n'


@pytest.mark.parametrize("path", ["s", "s/tritonrepo.yaml", "./s/"])
def test_a_stack_is_one_whichever_way_it_is_named(inside: Path, path: str) -> None:
    (inside / "s").mkdir()
    (inside / "s" / "w").touch()
    (inside / "s" / "tritonrepo.yaml").write_text(STACK)
    assert run(["validate", "s"]) == 1
    assert run(["validate", "s", "--write-baseline", FILE]) == 0
    assert run(["validate", path, "--baseline", FILE]) == 0
    assert list(json.loads((inside / FILE).read_text())["findings"]) == ["s/tritonrepo.yaml"]


ENTRY = {"path": "a", "rule": RULE, "message": "x", "model": "m", "fingerprint": "0" * 32}


def document(**changes: Any) -> str:  # noqa: ANN401  JSON
    return json.dumps({"tritonrepo": "baseline", "schema": 1, "findings": {"models": [ENTRY]}} | changes)


WRONG = {
    "empty": ("", "1:1: fatal: the file is not a baseline, and no JSON: Expecting value [baseline-syntax]"),
    "no JSON": ('{\n  "a": x}', "2:8: fatal: the file is not a baseline, and no JSON: Expecting value"),
    "a list": ("[]", " fatal: the file is not a baseline [baseline-syntax]"),
    "another document": ('{"schema": 1, "diagnostics": []}', " fatal: the file is not a baseline [baseline-syntax]"),
    "another version": (document(schema=2), " fatal: the baseline has schema 2, but this tritonrepo reads 1"),
    "no version": (document(schema=None), " fatal: the baseline has schema null, but this tritonrepo reads 1"),
    "no findings": (document(findings=None), ' fatal: the baseline has no "findings" by path'),
    "a finding as a text": (document(findings={"a": ["x"]}), ' fatal: a finding on "a" is incomplete: "x"'),
    "a finding without a rule": (
        document(findings={"a": [{"path": "b"}]}),
        ' fatal: a finding on "a" is incomplete: {"path": "b"}',
    ),
    "no fingerprint": (document(findings={"a": [ENTRY | {"fingerprint": "x"}]}), ' fatal: a finding on "a" is incomp'),
    "a rule that is unknown": (
        document(findings={"a": [ENTRY | {"rule": "nosuch"}]}),
        ' fatal: the baseline names the rule "nosuch", which does not exist [baseline-schema]',
    ),
    "a conflict": (
        "{\n<<<<<<< ours\n}",
        "2: fatal: the baseline has an unresolved merge conflict [baseline-syntax]",
    ),
    "not UTF-8": ('{\n"\udcff"}', "2:2: fatal: the baseline is not UTF-8"),
    "deep": ("[" * 100000, " fatal: the baseline is nested too deeply"),
    "a long number": ("9" * 5000, " fatal: the baseline is nested too deeply, or has a number with too many digits"),
    "a terminal escape": (document(findings={"\x1b[31m": [""]}), ' fatal: a finding on "\\x1b[31m" is incomplete: ""'),
}


@pytest.mark.parametrize("option", ["--baseline", "--write-baseline"])
@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_another_file_is_neither_used_nor_overwritten(
    models: Path, capsys: pytest.CaptureFixture[str], option: str, text: str, says: str
) -> None:
    (models.parent / FILE).write_text(text, "utf-8", "surrogateescape")
    before = (models.parent / FILE).read_bytes()
    assert run(["validate", models.name, option, FILE]) == 2
    assert capsys.readouterr().err.startswith(f"{FILE}:{says}")
    assert (models.parent / FILE).read_bytes() == before


def test_a_huge_file_is_not_read(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "MOST_BYTES", 1 << 20)
    with (models.parent / FILE).open("wb") as stream:
        stream.truncate((1 << 20) + 1)
    assert run(["validate", models.name, "--baseline", FILE]) == 2
    assert "the baseline has more than 1 MiB" in capsys.readouterr().err


def test_a_fifo_is_no_baseline(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(models.parent / FILE)
    assert run(["validate", models.name, "--baseline", FILE]) == 2
    assert "the baseline is not a regular file" in capsys.readouterr().err
    assert run(["validate", models.name, "--write-baseline", FILE]) == 2
    assert run(["validate", models.name, "--baseline", "a", "--write-baseline", "b"]) == 2


@pytest.mark.usefixtures("left")
def test_one_of_two_writers_is_told(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = flow.rewrite

    def overtaken(*given: Any) -> int:  # noqa: ANN401  rewrite's
        (models.parent / FILE).write_text(document())
        return rewrite(*given)

    monkeypatch.setattr(flow, "rewrite", overtaken)
    assert run(["validate", models.name, "--write-baseline", FILE]) == 1
    assert "somebody else changed the baseline after it was read [baseline-overtaken]" in capsys.readouterr().err
    assert (models.parent / FILE).read_text() == document()
    assert sorted(os.listdir(models.parent)) == [FILE, "models"]  # noqa: PTH208


def test_a_link_stays_a_link(models: Path, left: Left) -> None:
    (models.parent / "link").symlink_to(FILE)
    edit(models / "m" / "config.pbtxt", ("[ 4, 16 ]", "[ 4 ]"))
    assert run(["validate", models.name, "--write-baseline", "link"]) == 0
    assert (models.parent / "link").is_symlink()
    assert left() == (0, 0, 1, 0)


def test_hostile_names_are_text_in_it(models: Path) -> None:
    name = "\x1b[31m::error::%0A\u202e\udcff"
    (models / "m").rename(models / name)
    assert run(["validate", models.name, "--write-baseline", FILE]) == 0
    text = (models.parent / FILE).read_text("utf-8")
    assert re.search("[\x00-\x09\x0b-\x1f\u202e]", text) is None
    assert run(["validate", models.name, "--baseline", FILE]) == 0


def test_it_is_read_as_it_was_written() -> None:
    known = {"models": [Known("b", RULE, "x", "m", "1" * 32), Known("a", RULE, "é\n", "", "0" * 32)], "none": []}
    assert read(written(known).encode(), FILE) == {"models": known["models"][::-1]}


@pytest.mark.parametrize("option", ["--baseline", "--write-baseline"])
def test_an_upgrade_has_no_baseline(models: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert run(["validate", models.name, option, FILE, "--upgrade-to", "24.10"]) == 2
    assert f"--upgrade-to and {option} cannot be combined" in capsys.readouterr().err
    assert not (models.parent / FILE).exists()


def test_what_was_left_out_is_neither_fixed_nor_forgotten(models: Path, left: Left) -> None:
    (models / "m" / "config.pbtxt").write_text("")
    edit(models / "n" / "config.pbtxt", ("[ 4, 16 ]", "[ 4, 17 ]"))
    assert left("--files", path="models/n/config.pbtxt") == (1, 1, 0, 1)
    assert run(["validate", "--files", "models/n/config.pbtxt", "--write-baseline", FILE]) == 0
    assert left("--select", "dynamic") == (0, 0, 1, 1)
