"""What every Store promises, on each kind that there is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tritonrepo.diagnostics import Stop
from tritonrepo.stores import open_store
from tritonrepo.stores.directory import STAGING, DirectoryStore
from tritonrepo.stores.store import Conflict
from tritonrepo.tree import Directory, File, Link, Unreadable, of_bytes, on_disk


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def content(store: DirectoryStore, path: str) -> bytes:
    prefix, _, name = path.partition("/")
    entry = store.scan(prefix)[name]
    assert isinstance(entry, File)
    return entry.content()


def test_what_is_put_is_found(store: DirectoryStore) -> None:
    store.put("repo/a/1/model.onnx", of_bytes(b"x" * 3_000_000))
    store.put("repo/é\n.txt", of_bytes(b""))
    tree = store.scan("repo")
    assert sorted(tree) == ["a/1/model.onnx", "é\n.txt"]
    assert content(store, "repo/a/1/model.onnx") == b"x" * 3_000_000


def test_an_absent_prefix_is_an_empty_tree(store: DirectoryStore) -> None:
    assert store.scan("nothing") == {}


def test_paths_come_sorted_by_their_bytes(store: DirectoryStore) -> None:
    for name in ("b", "B", "a/z", "a.b", "é", "10", "9"):
        store.put(f"r/{name}", of_bytes(b""))
    assert list(store.scan("r")) == sorted(store.scan("r"), key=os.fsencode)


def test_a_put_replaces_the_whole_file(store: DirectoryStore) -> None:
    store.put("r/a", of_bytes(b"long content"))
    tag = store.put("r/a", of_bytes(b"short"))
    assert content(store, "r/a") == b"short"
    assert tag == of_bytes(b"short").sha256


def test_a_put_if_absent_is_refused_where_a_file_is(store: DirectoryStore) -> None:
    store.put("r/a", of_bytes(b"1"), if_absent=True)
    with pytest.raises(Conflict):
        store.put("r/a", of_bytes(b"2"), if_absent=True)
    assert content(store, "r/a") == b"1"


def test_a_put_if_match_is_refused_where_the_content_is_another(store: DirectoryStore) -> None:
    tag = store.put("r/a", of_bytes(b"1"))
    store.put("r/a", of_bytes(b"2"), if_match=tag)
    with pytest.raises(Conflict):
        store.put("r/a", of_bytes(b"3"), if_match=tag)
    with pytest.raises(Conflict):
        store.put("r/b", of_bytes(b"3"), if_match=tag)
    assert content(store, "r/a") == b"2"


def test_a_delete_takes_the_directories_that_it_leaves_empty(store: DirectoryStore) -> None:
    store.put("r/a/1/x", of_bytes(b""))
    store.put("r/a/y", of_bytes(b""))
    store.delete("r/a/1/x")
    store.delete("r/a/1/x")
    assert list(store.scan("r")) == ["a/y"]


def test_entries_of_every_kind_are_told_apart(store: DirectoryStore, tmp_path: Path) -> None:
    top = tmp_path / "r"
    (top / "empty").mkdir(parents=True)
    (top / "__pycache__").mkdir()
    (top / "__pycache__" / "x.pyc").touch()
    (top / "file").write_bytes(b"1")
    (top / "link").symlink_to("file")
    (top / "loop").symlink_to("loop")
    (top / "out").symlink_to("/")
    (top / "gone").symlink_to("nowhere")
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(top / "sock"))
        found = dict(store.scan("r"))
    assert isinstance(found.pop("file"), File)
    assert isinstance(found.pop("link"), File)
    assert found == {
        "empty": Directory(),
        "loop": Unreadable.DANGLING,
        "out": Link("/"),
        "gone": Unreadable.DANGLING,
        "fifo": Unreadable.FIFO,
        "sock": Unreadable.SOCKET,
    }


def test_a_file_that_nobody_may_write_is_linked_and_others_are_copied(store: DirectoryStore, tmp_path: Path) -> None:
    for name, mode in (("cached", 0o444), ("own", 0o644)):
        source = tmp_path / name
        source.write_bytes(b"weights")
        source.chmod(mode)
        store.put(f"r/{name}", on_disk(source, 7))
    assert (tmp_path / "r" / "cached").samefile(tmp_path / "cached")
    assert not (tmp_path / "r" / "own").samefile(tmp_path / "own")
    assert content(store, "r/own") == b"weights"


def test_nothing_half_written_is_ever_in_the_repository(store: DirectoryStore, tmp_path: Path) -> None:
    class BrokenError(Exception):
        pass

    def read(offset: int, n: int) -> bytes:
        if offset:
            raise BrokenError
        return b"x" * n

    store.put("r/a", of_bytes(b"whole"))
    with pytest.raises(BrokenError):
        store.put("r/a", File(1 << 30, read))
    assert content(store, "r/a") == b"whole"
    assert not list((tmp_path / STAGING).iterdir())


def test_what_a_killed_run_left_is_swept_away(store: DirectoryStore, tmp_path: Path) -> None:
    store.put("r/a", of_bytes(b""))
    (tmp_path / STAGING / "half").write_bytes(b"x")
    store.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


TROUBLE = {
    "the repository is a file": ("r", "r", "is not a directory"),
    "a file where a directory is needed": ("r/a", "r/a/1/x", "cannot write"),
}


@pytest.mark.parametrize(("file", "path", "message"), TROUBLE.values(), ids=TROUBLE)
def test_what_the_system_refuses_is_told(
    store: DirectoryStore, tmp_path: Path, file: str, path: str, message: str
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(Stop, match=message):
        store.scan(path) if path == file else store.put(path, of_bytes(b""))


def test_a_bucket_is_not_yet_a_store() -> None:
    with pytest.raises(Stop, match="buckets are not supported yet"):
        open_store("s3://bucket/prefix")
