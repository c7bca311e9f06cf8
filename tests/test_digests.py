"""Digests of large files: read once, and again after any change that could be one."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tritonrepo.sources.digests import SMALL, WRITTEN_BACK_NS, YOUNG_NS, Digests, untraced
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


def entry(cache: Path) -> Path:
    (found,) = (cache / "digests").iterdir()
    return found


def test_links_and_names_of_one_file_share_what_is_known(large: Reads, tmp_path: Path) -> None:
    digests = Digests(tmp_path / "cache", later)
    (tmp_path / "hard").hardlink_to(large.path)
    large.digest(digests)
    (tmp_path / "soft").symlink_to(large.path)
    for name in ("hard", "soft"):
        assert digests(File(len(LARGE), unread, str(tmp_path / name))) == sha256(LARGE)


def unread(offset: int, n: int) -> bytes:
    pytest.fail(f"{n} bytes at {offset} are read")


def test_a_file_that_somebody_has_open_for_writing_is_remembered_only_once_it_is_old(
    large: Reads, tmp_path: Path
) -> None:
    """Linux notes the first change through memory, and not the next ones before the page is written back."""
    digests = Digests(tmp_path / "cache", later)
    with large.path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as memory:
        memory[0] = ord("b")
        for first in (b"b", b"c"):
            memory[0:1] = first
            assert large.digest(digests) == sha256(first + LARGE[1:])
        assert not (tmp_path / "cache").exists()
        large.digest(Digests(tmp_path / "cache", lambda: time.time_ns() + 2 * WRITTEN_BACK_NS))
        assert entry(tmp_path / "cache").is_file()
    entry(tmp_path / "cache").unlink()
    large.digest(digests)
    assert entry(tmp_path / "cache").is_file()


MOUNT = "36 35 {} / /mnt rw,relatime shared:1 - {} /dev/sdb1 {}\n"

MOUNTS = {
    "a disk": ("ext4", "rw,errors=remount-ro", 1),
    "an image that is read-only": ("squashfs", "ro,errors=continue", 2),
    "a disk that is read-only": ("ext4", "ro", 2),
    "a program": ("fuse.sshfs", "rw,user_id=0", 2),
    "FAT": ("vfat", "rw,fmask=0022", 2),
    "another device": ("", "", 1),
}


@pytest.mark.parametrize(("kind", "options", "read"), MOUNTS.values(), ids=MOUNTS)
def test_a_file_that_can_become_another_without_a_trace_is_not_remembered(
    kind: str, options: str, read: int, large: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = large.path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}" if kind else "999:1"
    (tmp_path / "mounts").write_text(
        MOUNT.format("999:0", "ext4", "ro") + MOUNT.format(number, kind or "tmpfs", options)
    )
    monkeypatch.setattr("tritonrepo.sources.digests.MOUNTS", tmp_path / "mounts")
    for _ in range(2):
        assert large.digest(Digests(tmp_path / "cache", later)) == sha256(LARGE)
    assert large.count == read


@pytest.mark.parametrize(("kinds", "count"), [(["overlay"], 1), (["overlay", "btrfs"], 0), (["ext4"], 0)])
def test_a_layer_of_an_overlay_can_be_an_image(
    kinds: list[str], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text("".join(MOUNT.format(f"0:{50 + n}", k, "rw") for n, k in enumerate(kinds)))
    monkeypatch.setattr("tritonrepo.sources.digests.MOUNTS", tmp_path / "mounts")
    assert sum(map(untraced, (os.makedev(0, 41), os.makedev(0, 50), os.makedev(8, 1)))) == count


def test_a_file_of_an_image_is_not_known_although_another_was(large: Reads, tmp_path: Path) -> None:
    """Numbers and times of a file on a loop device are those of any other image that was made alike."""
    assert untraced(os.makedev(7, 3))
    large.digest(Digests(tmp_path / "cache", later))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tritonrepo.sources.digests.LOOP", os.major(large.path.stat().st_dev))
        large.digest(Digests(tmp_path / "cache", later))
    assert large.count == 2


def test_a_file_in_memory_is_not_remembered(tmp_path: Path) -> None:
    """There, a change through memory that was read first shows nowhere."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("the system has no files in memory at a known place")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        large = Reads(Path(folder) / "large", LARGE)
        for _ in range(2):
            assert large.digest(Digests(tmp_path / "cache", later)) == sha256(LARGE)
    assert large.count == 2
    assert not (tmp_path / "cache").exists()


def test_who_does_not_trust_what_is_known_reads_and_remembers(large: Reads, tmp_path: Path) -> None:
    large.digest(Digests(tmp_path / "cache", later))
    entry(tmp_path / "cache").write_text("{}", "utf-8")
    for count in (2, 3):
        assert large.digest(Digests(tmp_path / "cache", later, trusting=False)) == sha256(LARGE)
        assert large.count == count
    assert large.digest(Digests(tmp_path / "cache", later)) == sha256(LARGE)
    assert large.count == 3


def test_only_its_user_can_read_what_is_known(large: Reads, tmp_path: Path) -> None:
    large.digest(Digests(tmp_path / "cache", later))
    assert entry(tmp_path / "cache").stat().st_mode & 0o777 == 0o600


def test_the_oldest_digests_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.sources.digests.MOST", 2)
    files = [Reads(tmp_path / str(number), LARGE) for number in range(4)]
    for age, file in enumerate(files):
        file.digest(Digests(tmp_path / "cache", later))
        newest = max((tmp_path / "cache" / "digests").iterdir(), key=lambda each: each.stat().st_mtime_ns)
        os.utime(newest, (age, age))
    for file in reversed(files):
        file.digest(Digests(tmp_path / "cache", later))
    assert [file.count for file in files] == [2, 1, 1, 1]


def changed(place: Path) -> None:
    """One digit of the digest, as a failing disk may do."""
    known = json.loads(place.read_text("utf-8"))
    digit = known["sha256"][0]
    place.write_text(json.dumps({**known, "sha256": ("1" if digit == "0" else "0") + known["sha256"][1:]}), "utf-8")


def queue(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


def linked(place: Path) -> None:
    place.rename(place.with_name("other"))
    place.symlink_to("other")


HOSTILE = {
    "another digit": changed,
    "cut off": lambda place: os.truncate(place, 100),
    "endless": lambda place: os.truncate(place, 1 << 40),
    "deep": lambda place: place.write_text("[" * 900, "utf-8"),
    "a FIFO": queue,
    "a link": linked,
}


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE)
def test_what_is_in_the_place_of_an_entry_is_not_believed(
    large: Reads, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    large.digest(Digests(tmp_path / "cache", later))
    damage(entry(tmp_path / "cache"))
    for _ in range(2):
        assert large.digest(Digests(tmp_path / "cache", later)) == sha256(LARGE)
    assert large.count == 2


RUN = """
import sys, time
from pathlib import Path
from tritonrepo.sources.digests import Digests
from tritonrepo.tree import on_disk
digests = Digests(Path(sys.argv[1]), lambda: time.time_ns() + 10**10, trusting=False)
for path in list(map(Path, sys.argv[2:])) * 20:
    print(digests(on_disk(path, path.stat().st_size)))
"""


def test_two_processes_remember_at_the_same_time(tmp_path: Path) -> None:
    files = [Reads(tmp_path / name, name.encode() * (SMALL + 1)) for name in "ab"]
    command = [sys.executable, "-c", RUN, str(tmp_path / "cache"), *(str(file.path) for file in files)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].split() for process in running]
    assert said == [[sha256(b"a" * (SMALL + 1)), sha256(b"b" * (SMALL + 1))] * 20] * 2
    for file in files:
        file.digest(Digests(tmp_path / "cache", later))
    assert [file.count for file in files] == [0, 0]


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
