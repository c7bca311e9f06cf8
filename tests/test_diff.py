"""`build --diff` shows what changes in each file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.tabled import tabled
from tests.test_doubts import own
from tests.test_lock import built
from tests.test_own_stacks import edited
from tritonrepo.cli import run
from tritonrepo.report.diff import LARGEST_BYTES, lines
from tritonrepo.sync.plan import Action, Delete, Phase, Put
from tritonrepo.tree import Directory, Link, Tree, of_bytes, of_text

__all__ = ["built", "own"]


def put(path: str, content: str | bytes) -> Put:
    return Put(Phase.FILES, path, of_bytes(content.encode() if isinstance(content, str) else content), "x")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ODD, A, MANY = b"\xfe", b"a\n", b"x\n" * LARGEST_BYTES
BINARY = b"\xff\0"
ONE = "a\nb\nc\n"
CASES: dict[str, tuple[list[Action], Tree, list[str]]] = {
    "nothing": ([], {}, []),
    "a changed text": (
        [put("m/config.pbtxt", "a\nB\nc\n")],
        {"m/config.pbtxt": of_text(ONE)},
        ["--- r/m/config.pbtxt", "+++ r/m/config.pbtxt", "@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"],
    ),
    "a new text": ([put("m/x", "a\n")], {}, ["--- /dev/null", "+++ r/m/x", "@@ -0,0 +1 @@", "+a"]),
    "a text of a new version": (
        [put("m/10/x", "b\n"), Delete(Phase.PRUNE, "m/9/x", "y")],
        {"m/9/x": of_text("a\n"), "m/2/x": of_text("z\n"), "n/11/x": of_text("z\n"), "m/v/x": of_text("z\n")},
        ["--- r/m/9/x", "+++ r/m/10/x", "@@ -1 +1 @@", "-a", "+b"],
    ),
    "a directory whose name is no number": (
        [put("m/2/x", "b\n")],
        {"m/²/x": of_text("a\n"), "m/" + "9" * 5000 + "/x": of_text("a\n")},
        ["--- /dev/null", "+++ r/m/2/x", "@@ -0,0 +1 @@", "+b"],
    ),
    "an equal file of a new version": ([put("m/2/d/x", "a")], {"m/1/d/x": of_text("a")}, []),
    "a file of a new version that the earlier one lacks": (
        [put("m/2/x", "a\n")],
        {"m/1/d/x": of_text("b\n")},
        ["--- /dev/null", "+++ r/m/2/x", "@@ -0,0 +1 @@", "+a"],
    ),
    "what is only deleted": ([Delete(Phase.PRUNE, "m/x", "y")], {"m/x": of_text("a")}, []),
    "the record": ([put("tritonrepo.json", "{}")], {}, []),
    "a new binary": ([put("m/1/w", BINARY)], {}, [f"r/m/1/w: new → 2 B, SHA-256 {sha(BINARY)}"]),
    "a changed binary": (
        [put("m/1/w", BINARY)],
        {"m/1/w": of_bytes(b"\xfe")},
        [f"r/m/1/w: 1 B, SHA-256 {sha(ODD)} → 2 B, SHA-256 {sha(BINARY)}"],
    ),
    "a binary of a new version": (
        [put("m/2/w", BINARY)],
        {"m/1/w": of_text("a")},
        [f"r/m/1/w → r/m/2/w: 1 B, SHA-256 {sha(b'a')} → 2 B, SHA-256 {sha(BINARY)}"],
    ),
    "a long line": ([put("m/1/t", "x" * 3000)], {}, [f"r/m/1/t: new → 2.9 KiB, SHA-256 {sha(b'x' * 3000)}"]),
    "a large text": (
        [put("m/1/t", b"x\n" * LARGEST_BYTES)],
        {},
        [f"r/m/1/t: new → 128.0 KiB, SHA-256 {sha(MANY)}"],
    ),
    "a vendored package": (
        [put("m/012345678901234567890/p/a.py", "a\n")],
        {},
        [f"r/m/012345678901234567890/p/a.py: new → 2 B, SHA-256 {sha(A)}"],
    ),
    "only the end of the last line": (
        [put("m/x", "a")],
        {"m/x": of_text("a\n")},
        [f"r/m/x: 2 B, SHA-256 {sha(A)} → 1 B, SHA-256 {sha(b'a')}"],
    ),
    "in place of a link": (
        [put("m/x", "a\n")],
        {"m/x": Link("y"), "n": Directory()},
        ["--- /dev/null", "+++ r/m/x", "@@ -0,0 +1 @@", "+a"],
    ),
    "what would drive a terminal or a CI service": (
        [put("m/\x1b", "\x1b[31m\r\n\t::error::\n")],
        {"m/\x1b": of_text("\t::error::\n")},
        ["--- r/m/\\x1b", "+++ r/m/\\x1b", "@@ -1 +1,2 @@", "+\\x1b[31m\\r", " \t\\x3a:error::"],
    ),
}


@tabled(("actions", "have", "expected"), CASES.values(), ids=CASES)
def test_what_changes_in_a_file(actions: list[Action], have: Tree, expected: list[str]) -> None:
    assert [*lines(actions, have, "r")] == expected


def test_colours_say_nothing_that_the_signs_do_not() -> None:
    actions, have = [put("m/x", "--\nB\n")], {"m/x": of_text("++\nB\n")}
    plain = [*lines(actions, have, "r")]
    coloured = [*lines(actions, have, "r", colour=True)]
    assert coloured == [
        "\x1b[1m--- r/m/x\x1b[0m",
        "\x1b[1m+++ r/m/x\x1b[0m",
        "\x1b[36m@@ -1,2 +1,2 @@\x1b[0m",
        "\x1b[31m-++\x1b[0m",
        "\x1b[32m+--\x1b[0m",
        " B",
    ]
    assert len(plain) == len(coloured)


@pytest.mark.usefixtures("built")
def test_a_build_shows_what_it_changes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    edited("tritonrepo.yaml", "top_k: 2", "top_k: 1")
    assert run(["build", "--dry-run", "--diff"]) == 0
    out = capsys.readouterr().out
    plan, _, diff = out.partition("to delete\n")
    assert "+ r/2/settings.json  new\n" in plan
    assert "--- model_repository/r/1/settings.json\n+++ model_repository/r/2/settings.json\n" in diff
    assert '-  "top_k": 2\n+  "top_k": 1\n' in diff
    assert "--- model_repository/r/config.pbtxt\n+++ model_repository/r/config.pbtxt\n" in diff
    assert "embeddings.npy" not in diff, "it is the same"
    assert "tritonrepo.json" not in diff
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(["build", "--dry-run", "--diff"]) == 0
    assert '\x1b[31m-  "top_k": 2\x1b[0m\n' in capsys.readouterr().out
    assert run(["build", "--diff"]) == 0
    assert Path("model_repository/r/2/settings.json").is_file(), "it only shows more"
    capsys.readouterr()
    assert run(["build", "--diff"]) == 0
    assert capsys.readouterr().out == "model_repository: nothing to do\n"
