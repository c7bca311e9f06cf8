"""Trees with unsaved buffers over them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.repository import read, target
from tritonrepo.rules import judge
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.tree import (
    Directory,
    Entry,
    File,
    Link,
    Outside,
    Tree,
    Unreadable,
    below,
    digest,
    facts,
    files,
    in_bytes,
    in_order,
    is_directory,
    of_bytes,
    of_text,
    on_disk,
    overlay,
    parents,
    state_of,
)

FILE = of_bytes(b"base")
EMPTY = Directory()
Buffers = Mapping[str, bytes | None]

CASES: dict[str, tuple[Tree, Buffers, dict[str, Entry | bytes]]] = {
    "nothing": ({"m/a": FILE}, {}, {"m/a": b"base"}),
    "a file is added": ({"m/b": FILE}, {"m/a": b"1"}, {"m/a": b"1", "m/b": b"base"}),
    "a file is replaced": ({"m/a": FILE}, {"m/a": b"1"}, {"m/a": b"1"}),
    "a file is removed": ({"m/a": FILE, "m/b": FILE}, {"m/a": None}, {"m/b": b"base"}),
    "a directory is removed": ({"m/1/a": FILE, "m/b": FILE}, {"m/1": None}, {"m/b": b"base"}),
    "the last file of a directory is removed": (
        {"m/1/a": FILE, "m/b": FILE},
        {"m/1/a": None},
        {"m/1": EMPTY, "m/b": b"base"},
    ),
    "all that lies in nested directories is removed": ({"m/1/a": FILE}, {"m/1/a": None}, {"m/1": EMPTY}),
    "the only directory of one is removed": ({"m/1/a": FILE}, {"m/1": None}, {"m": EMPTY}),
    "a file at the top is removed": ({"a": FILE}, {"a": None}, {}),
    "what is not there is removed": ({"m": EMPTY}, {"m/1/a": None, "n/a": None}, {"m": EMPTY}),
    "a file comes into an empty directory": ({"m/1": EMPTY}, {"m/1/a": b"1"}, {"m/1/a": b"1"}),
    "a directory comes where a file was": ({"m/1": FILE}, {"m/1/a": b"1"}, {"m/1/a": b"1"}),
    "a file comes where a directory was": ({"m/1/a": FILE, "m/1/v/b": FILE}, {"m/1": b"1"}, {"m/1": b"1"}),
    "a file comes as its neighbour goes": ({"m/1/a": FILE}, {"m/1/a": None, "m/1/b": b"1"}, {"m/1/b": b"1"}),
    "what cannot be read is replaced": (
        {"m/a": Unreadable.FORBIDDEN, "m/b": Link("..")},
        {"m/a": b"1"},
        {"m/a": b"1", "m/b": Link("..")},
    ),
    "a name begins as another does": (
        {"m/1": EMPTY, "m/10": EMPTY, "m/1.b": FILE},
        {"m/1": None},
        {"m/1.b": b"base", "m/10": EMPTY},
    ),
    "order is by bytes": (
        {"b": FILE, "é": FILE},
        {"B": b"1", "a/x": b"2"},
        {"B": b"1", "a/x": b"2", "b": b"base", "é": b"base"},
    ),
}


def told(tree: Tree) -> dict[str, Entry | bytes]:
    return {path: entry.content() if isinstance(entry, File) else entry for path, entry in tree.items()}


@tabled(("base", "buffers", "expected"), CASES.values(), ids=CASES)
def test_buffers_lie_over_a_tree(base: Tree, buffers: Buffers, expected: dict[str, Entry | bytes]) -> None:
    assert list(told(overlay(base, buffers)).items()) == list(expected.items())


PATHS = st.sampled_from(["a", "m/a", "m/1/a", "m/1/b", "m/2/v/a", "n/1/a"])
"""No path is a directory of another."""


def written(top: Path, path: str) -> None:
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).write_text(path, "utf-8")


@given(st.sets(PATHS), st.dictionaries(PATHS, st.one_of(st.none(), st.binary(max_size=2))), st.sets(PATHS))
def test_an_overlay_is_what_a_scan_gives_once_the_buffers_are_saved(
    there: set[str], buffers: Buffers, removed: set[str]
) -> None:
    with TemporaryDirectory() as place:
        top, store = Path(place, "r"), DirectoryStore(Path(place))
        top.mkdir()
        for path in there:
            written(top, path)
        gone = {path.rpartition("/")[0]: None for path in removed if "/" in path}
        gone = {path: None for path in gone if not any(each.startswith(f"{path}/") for each in (*buffers, *gone))}
        over = overlay(store.scan("r"), {**gone, **buffers})
        contents = told(over)
        for path in gone:
            shutil.rmtree(top / path, ignore_errors=True)
        for path, content in buffers.items():
            if content is None:
                (top / path).unlink(missing_ok=True)
            else:
                written(top, path)
                (top / path).write_bytes(content)
        assert contents == told(store.scan("r"))


def unread(offset: int, n: int) -> bytes:
    raise AssertionError((offset, n))


def test_a_buffer_is_judged_as_if_it_were_saved_and_nothing_else_is_read() -> None:
    weights = File(1 << 40, unread)
    io = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] } output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }'
    saved = {"m/1/weights": weights, "m/config.pbtxt": File(1, unread)}

    def said(config: str) -> list[str]:
        tree = overlay(saved, {"m/config.pbtxt": f'backend: "identity"\n{config}\n{io}\n'.encode()})
        return [str(each.at) for each in judge(read(tree, target())).diagnostics if each.severity == "error"]

    assert said("max_batch_size: 8") == []
    assert said("max_batch_size: 8.0") == ["m/config.pbtxt:2:17"]
    assert files(overlay(saved, {}))["m/1/weights"] is weights


MIB = 1 << 20


def reading(content: bytes, size: int) -> tuple[File, list[tuple[int, int]]]:
    """Return a file that has a size and a content, and what is read of it."""
    asked: list[tuple[int, int]] = []

    def read(offset: int, n: int) -> bytes:
        asked.append((offset, n))
        return content[offset : offset + n]

    return File(size, read), asked


READS = {
    "nothing": (0, 0, [(0, 1)]),
    "little": (5, 5, [(0, 6)]),
    "one less than a piece": (MIB - 1, MIB - 1, [(0, MIB)]),
    "a whole piece": (MIB, MIB, [(0, MIB), (MIB, MIB)]),
    "more than a piece": (MIB + 1, MIB + 1, [(0, MIB), (MIB, MIB)]),
    "more than it should": (9, 5, [(0, 6), (6, MIB)]),
    "less than it should": (3, 5, [(0, 6)]),
}


@tabled(("length", "size", "reads"), READS.values(), ids=READS)
def test_a_file_is_read_to_its_end_in_few_pieces(length: int, size: int, reads: list[tuple[int, int]]) -> None:
    content = bytes(number % 251 for number in range(length))
    file, asked = reading(content, size)
    assert file.content() == content
    assert asked == reads
    assert max(map(len, file.chunks()), default=0) <= MIB


def test_a_digest_is_computed_once_and_not_where_it_is_known() -> None:
    file, asked = reading(b"abc", 3)
    assert {file.sha256, file.sha256} == {"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert asked == [(0, 4)]
    assert File(3, unread, None, "known").sha256 == "known"


@tabled("sha256", ["0" * 64, f"{1:064x}", "f" * 64, "F" * 64, "12", ""])
def test_a_digest_is_remembered_as_it_was_said(sha256: str) -> None:
    file = of_text("x")
    file.remember(sha256)
    assert [file.known_sha256, file.sha256] == [sha256, sha256]


def test_a_file_on_disk_is_read_from_any_offset(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    file = on_disk(tmp_path / "f", 10, "known")
    assert (file.read(0, 3), file.read(7, 9), file.content()) == (b"012", b"789", b"0123456789")
    assert (file.size, file.path, file.sha256) == (10, tmp_path / "f", "known")
    assert on_disk(tmp_path / "f", 10).sha256 == "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
    assert of_bytes(b"x").path is None


STATES = {
    "usual": (2049, 131_072, 1_764_412_345_678_901_234, 1_764_412_345_000_000_001),
    "before 1970": (2049, 131_072, -1, -1_000_000_001),
    "after 2262": (2049, 131_072, 10**9 * 253_402_300_799 + 999_999_999, 10**9 * (2**62)),
    "large numbers": (2**62, 2**64 - 1, 0, 0),
}


@tabled("told", STATES.values(), ids=STATES)
def test_a_state_says_all_that_the_system_said(told: tuple[int, int, int, int]) -> None:
    names = ("st_dev", "st_ino", "st_mtime_ns", "st_ctime_ns")
    state = state_of(cast("os.stat_result", SimpleNamespace(**dict(zip(names, told, strict=True)))))
    assert facts(state) == told


def test_a_text_is_in_utf_8() -> None:
    assert (of_text("é").content(), of_text("é").size, of_bytes(b"abc").read(1, 1)) == (b"\xc3\xa9", 2, b"b")


DIRECTORIES: dict[str, tuple[Entry | None, bool]] = {
    "nothing, for something is in it": (None, True),
    "an empty one": (EMPTY, True),
    "a link back": (Link(".."), True),
    "a link out to one": (Outside("/x", directory=True), True),
    "a link out to a file": (Outside("/x", directory=False), False),
    "one that cannot be listed": (Unreadable.LOCKED, True),
    "a file that cannot be read": (Unreadable.FORBIDDEN, False),
    "a dangling link": (Unreadable.DANGLING, False),
    "a file": (FILE, False),
}


@tabled(("entry", "expected"), DIRECTORIES.values(), ids=DIRECTORIES)
def test_an_entry_is_a_directory_or_not(entry: Entry | None, *, expected: bool) -> None:
    assert is_directory(entry) is expected


def test_the_digest_of_a_tree_is_that_of_its_paths_and_contents() -> None:
    """It is in every lock: `printf 'a\0SHA\n…' | sha256sum` gives it, too."""
    tree: Tree = {"é": Unreadable.FIFO, "b": of_bytes(b"abc"), "a": of_bytes(b"")}
    lines = (
        "a\0e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "b\0ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
        "é\0a FIFO\n"
    )
    assert digest(tree) == hashlib.sha256(lines.encode()).hexdigest()
    assert digest(dict(reversed([*tree.items()]))) == digest(tree)
    assert digest({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("path", "above"), [("a", []), ("a/b", ["a"]), ("a/b/c", ["a/b", "a"])], ids=["none", "one", "two"]
)
def test_the_parents_of_a_path_are_its_directories_the_nearest_first(path: str, above: list[str]) -> None:
    assert parents(path) == above


@pytest.mark.parametrize("prefix", ["m", "m/"])
def test_what_is_below_a_directory_has_paths_from_there(prefix: str) -> None:
    tree: Tree = {"m/b": FILE, "m/a/c": EMPTY, "m": FILE, "m2/d": FILE, "n/m/e": FILE}
    assert list(below(tree, prefix).items()) == [("a/c", EMPTY), ("b", FILE)]


def test_files_and_entries_are_in_the_order_of_their_bytes() -> None:
    """U+FFFD is before U+10000 in UTF-8, and a byte that is none of it is after every ASCII character."""
    names = ["a", "a.b", "a/b", "é", "\ufffd", "\U00010000", "\udcff"]
    tree: Tree = {name: EMPTY if name == "a.b" else FILE for name in reversed(names)}
    assert [path for path, _ in in_order(tree)] == names
    assert list(files(tree)) == [name for name in names if name != "a.b"]
    assert in_bytes("a\udcff") == b"a\xff"
    assert [path for path, _ in in_order({"b": FILE, "B": FILE, "a": FILE})] == ["B", "a", "b"]
