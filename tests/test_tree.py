"""Trees with unsaved buffers over them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonrepo.repository import read, target
from tritonrepo.rules import judge
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.tree import Directory, Entry, File, Link, Tree, Unreadable, files, of_bytes, overlay

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


@pytest.mark.parametrize(("base", "buffers", "expected"), CASES.values(), ids=CASES)
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
    saved = {"m/1/model.plan": weights, "m/config.pbtxt": File(1, unread)}

    def said(config: str) -> list[str]:
        tree = overlay(saved, {"m/config.pbtxt": f'platform: "tensorrt_plan"\n{config}\n{io}\n'.encode()})
        return [str(each.at) for each in judge(read(tree, target())).diagnostics if each.severity == "error"]

    assert said("max_batch_size: 8") == []
    assert said("max_batch_size: 8.0") == ["m/config.pbtxt:2:17"]
    assert files(overlay(saved, {}))["m/1/model.plan"] is weights
