"""Digests of large files: read once, and again after any change that could be one."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tritonrepo.sources.digests import SMALL, YOUNG_NS, Digests
from tritonrepo.tree import File, of_bytes, on_disk

LARGE = b"a" * (SMALL + 1)


def later() -> int:
    """A clock that is far enough ahead for files that were just written."""
    return time.time_ns() + 2 * YOUNG_NS


class Reads:
    """A file on disk that counts how often it is read from its beginning."""

    def __init__(self, path: Path, content: bytes = LARGE) -> None:
        self.path, self.count = path, 0
        path.write_bytes(content)

    def file(self, hasher: Callable[[File], str]) -> File:
        known = on_disk(self.path, self.path.stat().st_size)

        def read(offset: int, n: int) -> bytes:
            self.count += offset == 0
            return known.read(offset, n)

        return File(known.size, read, known.place, None, hasher)

    def digest(self, digests: Digests) -> str:
        return self.file(digests).sha256


@pytest.fixture
def large(tmp_path: Path) -> Reads:
    return Reads(tmp_path / "large")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_large_file_is_read_once_also_by_other_processes(large: Reads, tmp_path: Path) -> None:
    for _ in range(3):
        assert large.digest(Digests(tmp_path / "cache", later)) == sha256(LARGE)
    assert large.count == 1
    assert not list((tmp_path / "cache" / "work").iterdir())


def test_a_file_that_is_as_young_as_its_digest_is_read_again(large: Reads, tmp_path: Path) -> None:
    for _ in range(2):
        assert large.digest(Digests(tmp_path / "cache")) == sha256(LARGE)
    assert large.count == 2
    assert not (tmp_path / "cache").exists()


def test_a_file_does_not_grow_old_while_it_is_read(large: Reads, tmp_path: Path) -> None:
    now = [time.time_ns()]
    digests = Digests(tmp_path / "cache", lambda: now[0])
    file = large.file(digests)

    def read(offset: int, n: int) -> bytes:
        now[0] += 5 * YOUNG_NS
        return file.read(offset, n)

    digests(File(file.size, read, file.place))
    assert not (tmp_path / "cache").exists()


def test_small_files_and_those_in_memory_are_not_remembered(tmp_path: Path) -> None:
    digests, small = Digests(tmp_path / "cache", later), Reads(tmp_path / "small", LARGE[:-2])
    assert [small.digest(digests), small.digest(digests)] == [sha256(LARGE[:-2])] * 2
    assert small.count == 2
    assert digests(of_bytes(LARGE)) == sha256(LARGE)
    assert not (tmp_path / "cache").exists()


OTHER = b"b" * len(LARGE)


def rewritten(path: Path) -> None:
    """The same size, and the same time of its content."""
    facts = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replaced(path: Path) -> None:
    """Another file of the same size and time, moved into its place."""
    facts, other = path.stat(), path.with_name("other")
    other.write_bytes(OTHER)
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [rewritten, replaced])
def test_a_change_that_size_and_time_do_not_show_is_seen(
    large: Reads, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    digests = Digests(tmp_path / "cache", later)
    assert large.digest(digests) == sha256(LARGE)
    change(large.path)
    assert large.digest(digests) == sha256(OTHER)


def test_a_file_that_changes_while_it_is_read_is_not_remembered(large: Reads, tmp_path: Path) -> None:
    digests = Digests(tmp_path / "cache", later)
    file = large.file(digests)

    def read(offset: int, n: int) -> bytes:
        content = file.read(offset, n)
        rewritten(large.path)
        return content

    digests(File(file.size, read, file.place))
    assert large.digest(digests) == sha256(OTHER)


DAMAGED = ["", "{", "[]", "null", '{"state": 1}', '{"sha256": "0"}']


@pytest.mark.parametrize("text", DAMAGED)
def test_what_is_damaged_is_read_and_written_again(large: Reads, tmp_path: Path, text: str) -> None:
    digests = Digests(tmp_path / "cache", later)
    large.digest(digests)
    (entry,) = (tmp_path / "cache" / "digests").iterdir()
    entry.write_text(text, "utf-8")
    assert [large.digest(digests), large.digest(digests)] == [sha256(LARGE)] * 2
    assert large.count == 2


@contextmanager
def blocked(place: Path) -> Iterator[None]:
    """A file in the place of a directory, which not even root can write into."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("", "utf-8")
    yield
    assert place.read_text("utf-8") == ""


@pytest.mark.parametrize("name", ["", "digests", "work"])
def test_a_cache_that_cannot_be_written_is_done_without(large: Reads, tmp_path: Path, name: str) -> None:
    with blocked(tmp_path / "cache" / name):
        for _ in range(2):
            assert large.digest(Digests(tmp_path / "cache", later)) == sha256(LARGE)
    assert large.count == 2
