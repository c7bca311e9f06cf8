"""What `--diff` prints is a patch: git makes of a directory what the steps make of its tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.diagnostics import Create, Move, Remove
from tritonrepo.fixes import Step, Write, after
from tritonrepo.flows.patching import changes
from tritonrepo.report import patch
from tritonrepo.tree import Directory, Entry, File, Tree, of_bytes

TREE = {
    "m/config.pbtxt": b"".join(b"line %d\n" % number for number in range(40)),
    "m/crlf": b"one\r\ntwo\r\nthree",
    "m/bytes": b"\xff\x1b[31m\x00 \xe2\x80\xa8 \x0c\x85\n\x0b\n",
    "m/no end": b"a\nb",
    "m/empty": b"",
    "m/gone": b"x\ny",
    "m/gone empty": b"",
    'm/\ta"\\\n\x1b\xc3\xa9\udcff': b"1\n2\n",
    "m/a name": b"1\n2\n",
    "m/01/weights": b"\x00" * 99,
    "m/01/model.json": b"{}\n",
    "::error": b"a\n",
    "diff --git a b/c": b"a\n",
    "unchanged": b"a\n",
    "many": b"".join(b"%d\n" % number for number in range(3000)),
}
STEPS: Sequence[Step] = (
    Write("m/config.pbtxt", TREE["m/config.pbtxt"].replace(b"line 3\n", b"").replace(b"line 30\n", b"new\nline\n")),
    Write("m/crlf", b"one\r\nTWO\r\nthree"),
    Write("m/bytes", b"\xff\x1b[31m\x00 \xe2\x80\xa8 \x0c\x85\n\xfe\n"),
    Write("m/no end", b"a\nb\n"),
    Write("m/empty", b"a"),
    Remove("m/gone"),
    Remove("m/gone empty"),
    Write('m/\ta"\\\n\x1b\xc3\xa9\udcff', b"1\n"),
    Move("m/a name", "m/another name"),
    Write("m/01/model.json", b'{"a": 1}\n'),
    Move("m/01", "m/1"),
    Create("m/new", "text\nwithout an end"),
    Create("m/new empty", ""),
    Create("m/2"),
    Write("::error", b""),
    Write("diff --git a b/c", b"b\n"),
    Write("many", b"first\n" + TREE["many"].replace(b"7", b"seven").removesuffix(b"2999\n")),
)


def written(top: Path, contents: Mapping[str, bytes]) -> None:
    for path, content in contents.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(content)


def on_disk(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def contents(tree: Tree) -> dict[str, bytes]:
    return {path: entry.content() for path, entry in tree.items() if isinstance(entry, File)}


def apply(top: Path, text: str) -> None:
    """Apply a patch with git, outside of any working tree."""
    environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(top.parent)}
    content = text.encode("utf-8", "surrogateescape")
    command = ["git", "apply", "--whitespace=nowarn", "-"]
    done = subprocess.run(command, cwd=top, input=content, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_git_makes_of_a_directory_what_the_steps_make_of_it(tmp_path: Path) -> None:
    written(tmp_path, TREE)
    tree = {path: of_bytes(content) for path, content in TREE.items()}
    text = "".join(f"{line}\n" for line in patch.lines(changes(tree, STEPS)))
    apply(tmp_path, text)
    assert on_disk(tmp_path) == contents(after(tree, STEPS))


SHOWN = {
    "a text": (
        Write("a b", b"2"),
        ["diff --git a/a b b/a b", "--- a/a b\t", "+++ b/a b\t", "@@ -1 +1 @@", "-1", "+2", patch.NO_END],
    ),
    "another name": (
        Move("w", "n"),
        ["diff --git a/w b/n", "similarity index 100%", "rename from w", "rename to n"],
    ),
    "an empty directory": (Create("f"), ["# new directory f"]),
    "what cannot be shown": (Remove("w"), ["# removed w"]),
    "a removed directory": (Remove("e"), ["# removed directory e"]),
    "the first file of a directory": (
        Move("w", "e/w"),
        ["diff --git a/w b/e/w", "similarity index 100%", "rename from w", "rename to e/w"],
    ),
    "the last file of a directory": (
        Move("d/w", "x"),
        ["diff --git a/d/w b/x", "similarity index 100%", "rename from d/w", "rename to x"],
    ),
    "nothing": (Write("a b", b"1\n"), []),
}


@tabled(("step", "lines"), SHOWN.values(), ids=SHOWN)
def test_a_change_is_shown_as_git_shows_it(step: Step, lines: list[str]) -> None:
    tree: dict[str, Entry] = {"a b": of_bytes(b"1\n"), "w": of_bytes(b"\0"), "e": Directory(), "d/w": of_bytes(b"")}
    assert [*patch.lines(changes(tree, [step]))] == lines


TEXT = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\n"]), max_size=12).map(b"".join)


@settings(max_examples=3, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, st.booleans()), min_size=20, max_size=20))
def test_git_applies_any_diff(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[bytes, bytes, bool]]) -> None:
    top = tmp_path_factory.mktemp("patch")
    pairs = [(old, new.removesuffix(b"\n") if cut else new) for old, new, cut in texts]
    tree = {f"f{number}": of_bytes(old) for number, (old, _) in enumerate(pairs)}
    steps = [Write(f"f{number}", new) for number, (_, new) in enumerate(pairs)]
    written(top, contents(tree))
    if text := "".join(f"{line}\n" for line in patch.lines(changes(tree, steps))):
        apply(top, text)
    assert on_disk(top) == contents(after(tree, steps))
