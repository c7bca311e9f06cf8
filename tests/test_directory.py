"""A directory as a Store: what reaches the disk, what is linked, what a scan follows, and what the system refuses."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.stores import directory as module
from tritonrepo.stores import open_store, walk
from tritonrepo.stores.beneath import Scanned, Spot
from tritonrepo.stores.directory import DirectoryStore, awake, runs
from tritonrepo.stores.store import Conflict, Late, Tag, Write
from tritonrepo.stores.walk import Walk, is_in
from tritonrepo.sync.sealed import seal
from tritonrepo.tree import Directory, Entry, File, Link, Outside, Unreadable, of_bytes, on_disk

STAGING = ".tritonrepo-staging"
NOBODY = 65534
ROOT = os.geteuid() == 0


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """The Store of a directory that has nothing else in it."""
    (tmp_path / "store").mkdir()
    return DirectoryStore(tmp_path / "store")


@pytest.fixture(autouse=True)
def no_descriptors_left() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    yield
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_runs_that_write_and_tidy_up_at_once_keep_nothing_from_each_other(store: DirectoryStore) -> None:
    """Each removes the directories that it leaves empty, while another one is about to write there."""

    def run(number: int) -> None:
        for turn in range(100):
            own = DirectoryStore(store.root)
            own.put(f"m/{turn % 3}/{number}", of_bytes(b"x"))
            own.delete(f"m/{turn % 3}/{number}")
            own.tidy()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert everything(store.root) == []


def everything(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


@contextmanager
def nobody(real: int = 0) -> Iterator[Path]:
    """Yield an open directory while this process acts as a user without rights.

    Files are opened by the effective user; the kernel judges signals by the real one, too.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as given:  # pytest's own, and TMPDIR, may be closed to other users
        os.chown(given, NOBODY, NOBODY)
        os.setresuid(real, NOBODY, 0)
        try:
            yield Path(given)
        finally:
            os.setresuid(0, 0, 0)


def test_the_last_delete_leaves_the_stores_own_directory_and_no_other(store: DirectoryStore) -> None:
    store.put("r/a/1/x", of_bytes(b""))
    store.tidy()
    store.delete("r/a/1/x")
    assert everything(store.root.parent) == ["store"]


def test_a_delete_stops_at_the_first_directory_that_holds_something(store: DirectoryStore) -> None:
    for path in ("r/a/1/x", "r/a/2/y"):
        store.put(path, of_bytes(b""))
    store.tidy()
    store.delete("r/a/1/x")
    store.delete("nowhere/1/x")
    assert everything(store.root) == ["r", "r/a", "r/a/2", "r/a/2/y"]


WRITABLE = {"its owner": 0o644, "its group": 0o464, "everyone": 0o446, "nobody": 0o444, "nobody, not all read": 0o400}


@pytest.mark.parametrize(("who", "mode"), WRITABLE.items(), ids=WRITABLE)
def test_a_file_is_linked_only_if_nobody_may_write_it(
    store: DirectoryStore, tmp_path: Path, who: str, mode: int
) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"weights")
    source.chmod(mode)
    store.put("r/weights", on_disk(source, 7))
    assert (store.root / "r" / "weights").read_bytes() == b"weights"
    assert (store.root / "r" / "weights").samefile(source) == who.startswith("nobody")


def test_a_scanned_file_is_copied_although_nobody_may_write_it(store: DirectoryStore, tmp_path: Path) -> None:
    """It is the user's own: whoever edits it later must not change what was written."""
    source = tmp_path / "own" / "weights"
    source.parent.mkdir()
    source.write_bytes(b"weights")
    source.chmod(0o444)
    found = DirectoryStore(tmp_path).scan("own")["weights"]
    assert isinstance(found, File)
    assert isinstance(found.place, Scanned)
    for file in (found, seal({"weights": found})["weights"]):
        assert isinstance(file, File)
        store.put("r/weights", file)
        assert (store.root / "r" / "weights").read_bytes() == b"weights"
        assert not (store.root / "r" / "weights").samefile(source)


def test_a_file_that_cannot_be_linked_is_copied(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    source = tmp_path / "weights"
    source.write_bytes(b"weights")
    source.chmod(0o444)
    monkeypatch.setattr(os, "link", refused)
    store.put("r/weights", on_disk(source, 7))
    assert (store.root / "r" / "weights").read_bytes() == b"weights"
    assert source.stat().st_nlink == 1


def test_a_half_written_file_is_beside_the_repository_in_a_directory_of_its_run(store: DirectoryStore) -> None:
    seen: list[str] = []

    def read(offset: int, n: int) -> bytes:  # noqa: ARG001  a File's signature
        seen.extend([] if seen else everything(store.root))
        return b"" if offset else b"whole"

    store.put("r/a", File(5, read))
    own = [path for path in seen if re.fullmatch(rf"{re.escape(STAGING)}/{os.getpid()}-[0-9a-f]+/[0-9a-f]+", path)]
    assert own
    assert not [path for path in seen if path.startswith("r/")]
    assert [path for path in everything(store.root) if not path.startswith(STAGING)] == ["r", "r/a"]
    store.tidy()
    assert everything(store.root) == ["r", "r/a"]


PROCESSES: dict[str, tuple[Callable[[], str], bool]] = {
    "this one": (lambda: str(os.getpid()), True),
    "the first of this machine": (lambda: "1", True),
    "one that ended": (lambda: str(ended()), False),
    "no number": (lambda: "half", False),
    "nothing": (lambda: "", False),
    "a number that no system has": (lambda: "9" * 30, False),
}


def ended() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


@tabled(("pid", "expected"), PROCESSES.values(), ids=PROCESSES)
def test_a_process_runs_or_not(pid: Callable[[], str], *, expected: bool) -> None:
    assert runs(pid()) is expected


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_another_users_run_goes_on_and_keeps_its_half_written_files() -> None:
    with nobody(real=NOBODY) as place:
        assert runs("1")
        (place / STAGING / "1-0").mkdir(parents=True)
        (place / STAGING / "1-0" / "half").write_bytes(b"x")
        DirectoryStore(place).tidy()
        assert everything(place) == [STAGING, f"{STAGING}/1-0", f"{STAGING}/1-0/half"]


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Be another process that lets nobody else write: a shared lock keeps out who wants one of his own."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


CONDITIONAL: dict[str, Callable[[DirectoryStore], object]] = {
    "where none is": lambda store: store.put("r/new", of_bytes(b"mine"), if_absent=True),
    "where that one is": lambda store: store.put("r/a", of_bytes(b"mine"), if_match=Tag(of_bytes(b"1").sha256)),
    "in time": lambda store: store.ticket(Write("r/a", of_bytes(b"mine")), 60)(),
    "a removal in time": lambda store: store.ticket(Write("r/a", None), 60)(),
}


@pytest.mark.parametrize("write", CONDITIONAL.values(), ids=CONDITIONAL)
def test_a_conditional_write_waits_for_another_one_but_not_forever(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, write: Callable[[DirectoryStore], object]
) -> None:
    monkeypatch.setattr(module, "ALONE_S", 0)
    store.put("r/a", of_bytes(b"1"))
    with locked(store.root), pytest.raises(Stop) as stop:
        write(store)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("store-busy", Severity.FATAL, str(store.root))
    assert told.message == "another process has been in the middle of a write to this directory for 0 s"
    assert told.hint == "If that process is stopped, resume or end it."
    store.tidy()
    assert everything(store.root) == ["r", "r/a"]
    assert (store.root / "r" / "a").read_bytes() == b"1"
    write(store)


def test_a_write_without_a_condition_waits_for_nobody(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALONE_S", 0)
    with locked(store.root):
        store.put("r/a", of_bytes(b"1"))
        store.delete("r/a")
        store.put("r/b", of_bytes(b"2"))
    store.tidy()
    assert everything(store.root) == ["r", "r/b"]


def test_a_write_that_another_one_keeps_for_a_moment_is_done(store: DirectoryStore) -> None:
    """The wait for a lock is in short steps: the other one leaves while it lasts."""
    left = iter([False, False, True])

    def freed(_: int) -> bool:
        return next(left)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_locked", freed)
        store.put("r/a", of_bytes(b"1"), if_absent=True)
    assert (store.root / "r" / "a").read_bytes() == b"1"


def test_a_refused_write_leaves_no_file_behind(store: DirectoryStore) -> None:
    store.put("r/a", of_bytes(b"1"))
    with pytest.raises(Conflict, match="r/a"):
        store.put("r/a", of_bytes(b"2"), if_absent=True)
    with pytest.raises(Late, match="r/a"):
        store.ticket(Write("r/a", of_bytes(b"2")), -1)()
    with pytest.raises(Late, match="r/a"):
        store.ticket(Write("r/a", None), -1)()
    store.tidy()
    assert everything(store.root) == ["r", "r/a"]
    assert (store.root / "r" / "a").read_bytes() == b"1"


def unreadable(offset: int, n: int) -> bytes:  # noqa: ARG001  a File's signature
    raise OSError(errno.EIO, os.strerror(errno.EIO))


NEVER: dict[str, tuple[Callable[[DirectoryStore], object], type[Exception]]] = {
    "on a condition": (lambda store: store.put("r/new/1/x", of_bytes(b"1"), if_match=Tag("0" * 64)), Conflict),
    "in time": (lambda store: store.ticket(Write("r/new/1/x", of_bytes(b"1")), -1)(), Late),
    "of what cannot be read": (lambda store: store.put("r/new/1/x", File(3, unreadable)), Stop),
}


@pytest.mark.parametrize(("write", "error"), NEVER.values(), ids=NEVER)
def test_a_write_that_is_not_done_leaves_no_directories(
    store: DirectoryStore, write: Callable[[DirectoryStore], object], error: type[Exception]
) -> None:
    """A server would take an empty directory with a number for a version."""
    with pytest.raises(error):
        write(store)
    store.tidy()
    assert everything(store.root) == []


def test_a_directory_that_another_one_removes_as_a_file_is_read_is_made_again(store: DirectoryStore) -> None:
    def read(offset: int, n: int) -> bytes:  # noqa: ARG001  a File's signature
        DirectoryStore(store.root).delete("r/1/old")
        return b"" if offset else b"new"

    store.put("r/1/old", of_bytes(b"old"))
    store.put("r/1/new", File(3, read))
    store.tidy()
    assert everything(store.root) == ["r", "r/1", "r/1/new"]


def test_time_runs_by_the_clock_that_runs_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source: clock_gettime(2), CLOCK_BOOTTIME."""
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 7.0, time.CLOCK_MONOTONIC: 1.0}.__getitem__)
    assert awake() == 7.0
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert awake() == 1.0


SYSTEM = {
    "no permission": (errno.EACCES, "Permission denied", "Grant this user access, or choose another directory."),
    "a read-only file system": (
        errno.EROFS,
        "Read-only file system",
        "Choose a directory on a writable file system.",
    ),
    "a full disk": (
        errno.ENOSPC,
        "No space left on device",
        "Free some space and run the command again. It continues from this point.",
    ),
    "a full quota": (
        errno.EDQUOT,
        "Disk quota exceeded",
        "Free some of this user's quota and run the command again. It continues from this point.",
    ),
    "a file for a new directory": (errno.EEXIST, "File exists", "Move the file that is where a directory is needed."),
    "a file for a directory": (errno.ENOTDIR, "Not a directory", "Move the file that is where a directory is needed."),
    "a directory for a file": (errno.EISDIR, "Is a directory", "Move the directory that is where a file is needed."),
    "a broken disk": (errno.EIO, "Input/output error", ""),
}


@pytest.mark.parametrize(("number", "reason", "hint"), SYSTEM.values(), ids=SYSTEM)
def test_what_the_system_refuses_is_one_message_and_nothing_is_written(
    store: DirectoryStore, number: int, reason: str, hint: str
) -> None:
    def read(offset: int, n: int) -> bytes:  # noqa: ARG001  a File's signature
        raise OSError(number, os.strerror(number))

    store.put("r/a", of_bytes(b"1"))
    with pytest.raises(Stop) as stop:
        store.put("r/a", File(3, read))
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("store-access", Severity.FATAL, f"{store.root}/r/a")
    assert (told.message, told.hint) == (f"cannot write: {reason}", hint)
    store.tidy()
    assert everything(store.root) == ["r", "r/a"]
    assert (store.root / "r" / "a").read_bytes() == b"1"


def test_an_error_without_a_number_is_told_in_its_own_words(store: DirectoryStore) -> None:
    def read(offset: int, n: int) -> bytes:  # noqa: ARG001  a File's signature
        raise OSError("no words of the system")

    with pytest.raises(Stop, match="r/a: fatal: cannot write: no words of the system"):
        store.put("r/a", File(3, read))


def test_a_directory_is_neither_read_nor_deleted_as_a_file(store: DirectoryStore) -> None:
    store.put("r/a/x", of_bytes(b"1"))
    with pytest.raises(Stop, match=r"r/a: fatal: cannot delete: Is a directory .*\n  Move the directory that is where"):
        store.delete("r/a")
    with pytest.raises(Stop, match="r/a: fatal: the path leads through a link or to something other than a file"):
        store.fetch("r/a")
    assert (store.root / "r" / "a" / "x").read_bytes() == b"1"


def test_a_dangling_link_is_no_repository(store: DirectoryStore) -> None:
    (store.root / "r").symlink_to("nowhere")
    with pytest.raises(Stop) as stop:
        store.scan("r")
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity) == ("store-access", Severity.FATAL)
    assert (told.message, told.hint) == (
        "the path is not a directory",
        "Use the directory of a model repository.",
    )


@pytest.mark.skipif(not ROOT, reason="only root can become a user who may not read")
def test_a_repository_that_this_user_cannot_list_is_told() -> None:
    with nobody() as place:
        (place / "r").mkdir()
        (place / "r").chmod(0)
        with pytest.raises(Stop, match=r"/r: fatal: cannot read: Permission denied .*\n  Grant this user access"):
            DirectoryStore(place).scan("r")
        (place / "r").chmod(0o700)


@pytest.mark.skipif(not ROOT, reason="only root can become a user who may not read")
def test_a_file_that_this_user_alone_may_read_is_readable() -> None:
    with nobody() as place:
        (place / "r").mkdir()
        for name, mode in (("own", 0o400), ("closed", 0o044), ("written", 0o222)):
            (place / "r" / name).write_bytes(b"x")
            (place / "r" / name).chmod(mode)
        found = DirectoryStore(place).scan("r")
        own = found["own"]
        assert isinstance(own, File)
        assert own.content() == b"x"
    assert (found["closed"], found["written"]) == (Unreadable.FORBIDDEN, Unreadable.FORBIDDEN)


def entries(top: Path, *allowed: Path) -> dict[str, Entry]:
    return {path: entry for path, entry in Walk(top, allowed).found.items() if not isinstance(entry, File)}


def test_a_link_out_is_one_to_a_directory_or_not(tmp_path: Path) -> None:
    top, outside = tmp_path / "r", tmp_path / "r2"
    (outside / "below").mkdir(parents=True)
    (outside / "file").touch()
    os.mkfifo(outside / "fifo")
    top.mkdir()
    for name in ("below", "file", "fifo", "absent"):
        (top / name).symlink_to(outside / name)
    (top / "null").symlink_to("/dev/null")
    assert entries(top) == {
        "below": Outside(f"{outside}/below", directory=True),
        "file": Outside(f"{outside}/file", directory=False),
        "fifo": Outside(f"{outside}/fifo", directory=False),
        "absent": Unreadable.DANGLING,
        "null": Outside("/dev/null", directory=False),
    }


def test_links_into_an_allowed_directory_are_what_they_lead_to(tmp_path: Path) -> None:
    top, allowed = tmp_path / "r", tmp_path / "allowed"
    (allowed / "weights" / "empty").mkdir(parents=True)
    (allowed / "weights" / "a").write_bytes(b"weights")
    os.mkfifo(allowed / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(allowed / "sock"))
    top.mkdir()
    for name in ("weights", "fifo", "sock"):
        (top / name).symlink_to(f"../allowed/{name}")
    (top / "null").symlink_to("/dev/null")
    assert entries(top, tmp_path / "other", allowed, Path("/dev")) == {
        "weights/empty": Directory(),
        "fifo": Unreadable.FIFO,
        "sock": Unreadable.SOCKET,
        "null": Unreadable.DEVICE,
    }
    found = DirectoryStore(tmp_path, (allowed,)).scan("r")["weights/a"]
    assert isinstance(found, File)
    assert (found.content(), found.path) == (b"weights", top / "weights" / "a")
    by_path, name = open_store(str(top), (allowed,))
    assert "weights/a" in by_path.scan(name)


LEFT: dict[str, tuple[int, dict[str, Entry]]] = {
    "too few for the link behind the first": (3, {"l/y": Link("../y"), "x/y": Link("../y")}),
    "enough for one of two": (4, {"x/y": Link("../y")}),
    "enough for all": (5, {}),
}


@pytest.mark.parametrize(("most", "links"), LEFT.values(), ids=LEFT)
def test_what_is_seen_through_links_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, links: dict[str, Entry]
) -> None:
    """Through l there are 1, 2 and y, then y/f."""
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    for name in ("x/1", "x/2", "y/f"):
        (tmp_path / name).touch()
    (tmp_path / "x" / "y").symlink_to("../y")
    (tmp_path / "l").symlink_to("x")
    monkeypatch.setattr(walk, "FOLLOWED", most)
    assert entries(tmp_path) == links


def test_a_thousand_files_through_a_link_do_not_use_up_what_is_followed(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "f").touch()
    for number in range(1000):
        (tmp_path / "x" / f"{number}").touch()
    (tmp_path / "x" / "y").symlink_to("../y")
    (tmp_path / "l").symlink_to("x")
    found = Walk(tmp_path).found
    assert isinstance(found["l/y/f"], File)
    assert len(found) == 2003


def test_a_scan_keeps_few_directories_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "/".join("abcdefghij")).mkdir(parents=True)
    for name in "klmnopqrst":
        (tmp_path / name).mkdir()
    look, most = os.scandir, [0]
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def looked(where: int) -> object:
        with look("/proc/self/fd") as opened:
            most.append(len(list(opened)))
        return look(where)

    monkeypatch.setattr(os, "scandir", looked)
    assert len(Walk(tmp_path).found) == 11
    assert max(most) <= before + 3


INSIDE = [
    ("/a", "/a", True),
    ("/a/b", "/a", True),
    ("/a/b", "/a/", True),
    ("/a", "/", True),
    ("/ab", "/a", False),
    ("/", "/a", False),
    ("", "/a", False),
]


@tabled(("path", "directory", "expected"), INSIDE)
def test_a_path_is_in_a_directory_or_not(path: str, directory: str, *, expected: bool) -> None:
    assert is_in(path, directory) is expected


def to_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def to_fifo(path: Path) -> None:
    os.mkfifo(path)


def to_directory(path: Path) -> None:
    path.mkdir()


def to_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


ODD = {"a link": to_link, "a FIFO": to_fifo, "a directory": to_directory, "a socket": to_socket}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_only_a_file_is_read_at_a_spot(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    spot = Spot(str(tmp_path), "odd")
    for read in (spot.content, lambda: spot.read(0, 9), spot.open):
        with pytest.raises(Stop) as stop:
            read()
        (told,) = stop.value.diagnostics
        assert (told.rule, told.severity, told.at.path) == ("store-link", Severity.FATAL, f"{tmp_path}/odd")
        assert told.message == "the path leads through a link or to something other than a file; it was not read"
        assert told.hint == "If another process writes to this path, run the command again when it has finished."


@pytest.mark.parametrize("make", [to_link, to_fifo], ids=["a link", "a FIFO"])
def test_what_is_no_file_gets_no_second_name(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    with pytest.raises(Stop, match="odd: fatal: the path leads through a link"):
        Spot(str(tmp_path), "odd").link(tmp_path / "second")
    assert everything(tmp_path) == ["odd"]


def test_a_spot_is_read_from_any_offset_and_linked(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_bytes(b"0123456789")
    spot = Spot(str(tmp_path), "").child("d").child("e").child("f")
    assert str(spot) == f"{tmp_path}/d/e/f"
    assert str(Spot(str(tmp_path), "")) == str(tmp_path)
    assert (spot.read(2, 3), spot.read(8, 9), spot.read(10, 1), spot.content()) == (b"234", b"89", b"", b"0123456789")
    spot.link(tmp_path / "second")
    assert (tmp_path / "second").samefile(tmp_path / "d" / "e" / "f")


def test_a_system_that_reads_less_than_asked_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source: read(2): it is not an error if this number is smaller than the number of bytes requested."""
    (tmp_path / "f").write_bytes(b"0123456789")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, n, offset: pread(descriptor, min(n, 3), offset))
    spot = Spot(str(tmp_path), "f")
    assert (spot.read(1, 8), spot.read(5, 99)) == (b"12345678", b"56789")


def test_what_is_absent_is_told_with_its_whole_path(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for path in ("d/absent", "absent/f"):
        with pytest.raises(FileNotFoundError) as error:
            Spot(str(tmp_path), path).content()
        assert error.value.filename == f"{tmp_path}/{path if path[0] == 'd' else 'absent'}"
    with pytest.raises(FileNotFoundError):
        Spot(str(tmp_path), "d/absent").link(tmp_path / "second")


@pytest.mark.parametrize("step", ["d", "d/e"], ids=["the first step", "the last step"])
def test_a_spot_leads_through_no_link(tmp_path: Path, step: str) -> None:
    (tmp_path / "home" / "e").mkdir(parents=True)
    (tmp_path / "home" / "e" / "f").write_bytes(b"x")
    (tmp_path / "home" / "f").write_bytes(b"x")
    (tmp_path / step).parent.mkdir(exist_ok=True)
    (tmp_path / step).symlink_to(tmp_path / "home")
    with pytest.raises(Stop, match="the path leads through a link"):
        Spot(str(tmp_path), "d/e/f").content()
