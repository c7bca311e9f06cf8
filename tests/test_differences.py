"""`diff`: what differs between repositories, model by model and field by field."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pushes import push, repository
from tests.tabled import tabled
from tests.test_json import checked
from tests.test_pull import made
from tests.test_stores import KINDS
from tritonrepo.cli import run
from tritonrepo.pbtxt import parse
from tritonrepo.pbtxt.changes import changes, text
from tritonrepo.report import differences
from tritonrepo.stores.store import Tag
from tritonrepo.sync.comparing import compare, equal, gone
from tritonrepo.sync.revision import Object
from tritonrepo.tree import File, Tree, of_bytes, of_text

__all__ = ["made"]

Capture = pytest.CaptureFixture[str]


def told(old: str, new: str) -> list[str]:
    found = changes(parse(old.encode()).root, parse(new.encode()).root)
    return [f"{path}: {text(one)} → {text(other)}" for path, one, other in found]


FIELDS = {
    "nothing": ("", "", []),
    "a number": (
        "dynamic_batching { max_queue_delay_microseconds: 100 }",
        "dynamic_batching { max_queue_delay_microseconds: 200 }",
        ["dynamic_batching.max_queue_delay_microseconds: 100 → 200"],
    ),
    "order, layout, comments and another spelling of a number": (
        'name: "m" max_batch_size: 8 # eight\ninput [{name: "A" dims: [1]}, {name: "B"}]',
        'input: {name: "B"} input <name: "A"; dims: 1>, max_batch_size: 0x8\nname: \'m\'',
        [],
    ),
    "an item that is matched by its name": (
        'input [{name: "A" data_type: TYPE_FP32}, {name: "B"}]',
        'input [{name: "B"}, {name: "A" data_type: TYPE_INT64}, {name: "C" dims: [2]}]',
        ["input[A].data_type: TYPE_FP32 → TYPE_INT64", 'input[C]: null → {name: "C", dims: [2]}'],
    ),
    "items without names": (
        "instance_group [{count: 1}]",
        "instance_group [{count: 2}, {kind: KIND_CPU}]",
        ["instance_group[0].count: 1 → 2", "instance_group[1]: null → {kind: KIND_CPU}"],
    ),
    "names that come twice": (
        'ensemble_scheduling { step [{model_name: "a" model_version: 1}, {model_name: "a" model_version: 2}] }',
        'ensemble_scheduling { step [{model_name: "a" model_version: 1}, {model_name: "a" model_version: 3}] }',
        ["ensemble_scheduling.step[1].model_version: 2 → 3"],
    ),
    "versions first": (
        "max_batch_size: 1 version_policy { specific { versions: [1] } }",
        "max_batch_size: 2 version_policy { latest { num_versions: 2 } }",
        [
            "version_policy.latest: null → {num_versions: 2}",
            "version_policy.specific: {versions: [1]} → null",
            "max_batch_size: 1 → 2",
        ],
    ),
    "the order of numbers that are a set": (
        "version_policy { specific { versions: [1, 2] } } dynamic_batching { preferred_batch_size: [4, 8] }",
        "version_policy { specific { versions: [2, 1] } } dynamic_batching { preferred_batch_size: [8, 4] }",
        [],
    ),
    "the order of dimensions": ("input {dims: [1, 2]}", "input {dims: [2, 1]}", ["input[0].dims: [1, 2] → [2, 1]"]),
    "a parameter": (
        'parameters { key: "k" value { string_value: "a" } }',
        'parameters { key: "n" value { string_value: "" } } parameters { key: "k" value { string_value: "b" } }',
        ['parameters[k].string_value: "a" → "b"', 'parameters[n]: null → {string_value: ""}'],
    ),
    "zero and nothing": ("max_batch_size: 0 default_model_filename: ''", "", []),
    "a message with nothing in it": ("", "dynamic_batching {}", ["dynamic_batching: null → {}"]),
}


@tabled(("old", "new", "found"), FIELDS.values(), ids=FIELDS)
def test_configs_are_compared_by_what_they_say(old: str, new: str, found: list[str]) -> None:
    assert told(old, new) == found
    assert told(old, old) == told(new, new) == []


def lines(old: Tree, new: Tree) -> list[str]:
    return list(differences.lines(compare(old, new), "a", "b"))


CONFIG = of_text('backend: "identity"')
ESC = "\x1b[31m"
BINARY, NEW = of_bytes(b"\0\xff"), of_text("new\n")
TREES: dict[str, tuple[Tree, Tree, list[str]]] = {
    "nothing": ({"m/config.pbtxt": CONFIG, "README": CONFIG}, {"m/config.pbtxt": CONFIG}, ["a → b: no differences"]),
    "a new model": (
        {},
        {"m/config.pbtxt": CONFIG, "m/1/x": of_text("x")},
        ["+ m  new: version 1, 2 files, 20 B", "a → b: 1 new"],
    ),
    "a model that is gone": ({"m/config.pbtxt": CONFIG}, {}, ["- m  gone: 1 file, 19 B", "a → b: 1 gone"]),
    "a new version against the one before it": (
        {"m/1/x": of_text("0\n"), "m/2/x": of_text("1\n"), "m/2/y": of_text("y"), "m/2/z": BINARY},
        {"m/1/x": of_text("0\n"), "m/2/x": of_text("1\n"), "m/2/y": of_text("y"), "m/2/z": BINARY}
        | {"m/3/x": of_text("2\n"), "m/3/y": of_text("y")},
        [
            "~ m  version 3 added",
            "  ~ m/3/x  from m/2/x",
            "--- a/m/2/x",
            "+++ b/m/3/x",
            "@@ -1 +1 @@",
            "-1",
            "+2",
            f"  - m/3/z  from m/2/z  2 B, SHA-256 {BINARY.sha256}",
            "a → b: 1 changed",
        ],
    ),
    "a version that is gone": (
        {"m/config.pbtxt": CONFIG, "m/1/x": CONFIG, "m/2/x": CONFIG},
        {"m/config.pbtxt": CONFIG, "m/2/x": CONFIG},
        ["~ m  version 1 removed", "a → b: 1 changed"],
    ),
    "another form": (
        {"m/config.pbtxt": CONFIG, "m/1/model.json": of_text('{"a": 1, "b": [2]}')},
        {"m/config.pbtxt": of_text("# so\nbackend:'identity'"), "m/1/model.json": of_text('{"b":[2],\n"a":1}\n')},
        [
            "~ m",
            "  = m/1/model.json  no difference in meaning",
            "  = m/config.pbtxt  no difference in meaning",
            "a → b: 1 changed",
        ],
    ),
    "JSON with a key twice, which readers read differently": (
        {"m/1/model.json": of_text('{"a": 1, "a": 2}')},
        {"m/1/model.json": of_text('{"a": 2}')},
        [
            "~ m",
            "  ~ m/1/model.json",
            "--- a/m/1/model.json",
            "+++ b/m/1/model.json",
            "@@ -1 +1 @@",
            '-{"a": 1, "a": 2}',
            '+{"a": 2}',
            "a → b: 1 changed",
        ],
    ),
    "a config that cannot be parsed": (
        {"m/config.pbtxt": of_text("backend: {\n")},
        {"m/config.pbtxt": of_text("backend: }\n")},
        [
            "~ m",
            "  ~ m/config.pbtxt",
            "--- a/m/config.pbtxt",
            "+++ b/m/config.pbtxt",
            "@@ -1 +1 @@",
            "-backend: {",
            "+backend: }",
            "a → b: 1 changed",
        ],
    ),
    "what drives a terminal": (
        {f"{ESC}m/1/x": of_text("a")},
        {f"{ESC}m/1/x": of_text(ESC)},
        [
            "~ \\x1b[31mm",
            "  ~ \\x1b[31mm/1/x",
            "--- a/\\x1b[31mm/1/x",
            "+++ b/\\x1b[31mm/1/x",
            "@@ -1 +1 @@",
            "-a",
            "+\\x1b[31m",
            "a → b: 1 changed",
        ],
    ),
    "what versions share": (
        {"m/config.pbtxt": CONFIG},
        {"m/config.pbtxt": CONFIG}
        | {"m/002247242259470112909/p/a": of_text("a"), "m/002247242259470112909/p/b": of_text("b")},
        ["~ m", "  + m/002247242259470112909/  2 files, 2 B", "a → b: 1 changed"],
    ),
    "a file that no longer exists": (
        {"m/1/x": gone(Object("0" * 64, 3, Tag("")))},
        {"m/1/x": NEW},
        [
            "~ m",
            f"  ~ m/1/x  3 B, SHA-256 {'0' * 64} → 4 B, SHA-256 {NEW.sha256}",
            "a → b: 1 changed",
        ],
    ),
}


@tabled(("old", "new", "found"), TREES.values(), ids=TREES)
def test_what_differs_is_told_model_by_model(old: Tree, new: Tree, found: list[str]) -> None:
    assert lines(old, new) == found


def test_what_is_known_or_large_is_not_read() -> None:
    def read(_offset: int, _n: int) -> bytes:
        raise AssertionError

    huge = File(5 << 30, read, digest="0" * 64)
    other = File(5 << 30, read, digest="1" * 64)
    larger = File(6 << 30, read)
    assert equal(huge, huge)
    assert lines({"m/1/x.json": huge, "m/config.pbtxt": huge}, {"m/1/x.json": other, "m/config.pbtxt": larger}) == [
        "~ m",
        f"  ~ m/1/x.json  5.0 GiB, SHA-256 {'0' * 64} → 5.0 GiB, SHA-256 {'1' * 64}",
        f"  ~ m/config.pbtxt  5.0 GiB, SHA-256 {'0' * 64} → 6.0 GiB",
        "a → b: 1 changed",
    ]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_directory_and_revisions_are_compared_with_what_is_published(
    request: pytest.FixtureRequest, inside: Path, kind: Callable[[pytest.FixtureRequest], str], capsys: Capture
) -> None:
    uri = kind(request)
    for version in (1, 2):
        assert push(repository(inside / "r", version), uri) == 0
    capsys.readouterr()
    assert run(["diff", "r", uri, "--check"]) == 0
    assert capsys.readouterr().out == f"{uri} → r: no differences\n"
    repository(inside / "r", 1)
    shutil.rmtree(inside / "r" / "leaf" / "2")
    expected = [
        "~ leaf  version 1 added, version 2 removed",
        "  ~ leaf/config.pbtxt",
        "      version_policy.specific.versions: [2] → [1]",
    ]
    for arguments, names in ((["r", uri], (uri, "r")), ([uri, "2", "1"], (f"{uri}@2", f"{uri}@1"))):
        assert run(["diff", *arguments]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[:3] == expected
        assert said[-2:] == [
            "      ensemble_scheduling.step[leaf].model_version: 2 → 1",
            f"{names[0]} → {names[1]}: 2 changed",
        ]
    assert run(["diff", uri, "1", "--check"]) == 1
    assert "versions: [1] → [2]" in capsys.readouterr().out


def test_what_is_left_of_earlier_versions_and_models_of_others_are_no_difference(made: Path, capsys: Capture) -> None:
    theirs = made / "s" / "prod" / "theirs"
    theirs.mkdir()
    (theirs / "config.pbtxt").write_text("theirs", "utf-8")
    assert (made / "s" / "prod" / "leaf" / "1").is_dir()
    assert run(["diff", "v2", "s/prod", "--check"]) == 0
    (made / "s" / "prod.tritonrepo" / "release.json").unlink()
    assert run(["diff", "v2", "s/prod"]) == 0
    assert "- theirs  gone" in capsys.readouterr().out


def test_a_revision_whose_files_are_gone_is_still_compared(made: Path, capsys: Capture) -> None:
    shutil.rmtree(made / "s" / "prod" / "leaf" / "1")
    capsys.readouterr()
    assert run(["diff", "s/prod", "1"]) == 0
    assert "  ~ leaf/2/part-0  from leaf/1/part-0  3 B, SHA-256 " in capsys.readouterr().out


@pytest.mark.usefixtures("made")
def test_the_document_has_every_field_and_file(capsys: Capture) -> None:
    assert run(["diff", "s/prod", "1", "2", "--format", "json"]) == 0
    document: Any = checked("diff", capsys.readouterr().out)
    leaf = next(each for each in document["models"] if each["model"] == "leaf")
    assert leaf["versions"] == {"added": [2], "removed": [1]}
    config = next(each for each in leaf["files"] if each["path"] == "leaf/config.pbtxt")
    assert config["fields"] == [{"field": "version_policy.specific.versions", "old": [1], "new": [2]}]
    part = next(each for each in leaf["files"] if each["path"] == "leaf/2/part-0")
    assert (part["old_path"], part["diff"][3:]) == ("leaf/1/part-0", ["-1 0", "+2 0"])
    assert document["summary"] == {"new": 0, "gone": 0, "changed": 2}
    assert run(["diff", "nowhere", "s/prod", "--format", "json"]) == 2
    ended = checked("diff", capsys.readouterr().out)
    assert [each["rule"] for each in ended["diagnostics"]] == ["diff-empty"]


@pytest.mark.parametrize("places", [["a"], ["a", "b", "c"], ["a", "1", "0"], ["a", "b", "c", "d"], ["a", "0", "1"]])
def test_what_is_compared_must_be_named(places: list[str], capsys: Capture) -> None:
    assert run(["diff", *places]) == 2
    assert "name a directory and a URI, or a URI and one or two numbers of revisions" in capsys.readouterr().err
