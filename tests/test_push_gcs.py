"""`push` to Google Cloud Storage: what it sends and prints, two at once, and one that another has overtaken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pushes import beside, own_files, push, repository, stored
from tests.servers.gcs import GCSServer
from tritonrepo.flows.push import USUAL
from tritonrepo.stores import open_store
from tritonrepo.stores.store import Conflict, Late, Write
from tritonrepo.sync.lock import held
from tritonrepo.sync.place import Place
from tritonrepo.tree import File, of_bytes, of_text

LONG_S = 60


@pytest.fixture
def uri(gcs_server: GCSServer) -> str:
    return gcs_server.fresh()


def test_a_push_brings_everything_a_second_one_nothing_a_third_what_changed(
    tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = repository(tmp_path / "m", 1)
    assert push(made, uri) == 0
    assert stored(uri) == own_files(made)
    capsys.readouterr()
    assert push(made, uri) == 0
    assert capsys.readouterr().out == f"{uri}: nothing to do\n"
    first = stored(uri)
    assert push(repository(made, 2), uri) == 0
    assert capsys.readouterr().out.split("expand\n")[1] == (
        "  ~ leaf/config.pbtxt  serves versions 1 and 2\n"
        "switch\n  ~ top/config.pbtxt  calls leaf version 2\n"
        "contract\n  ~ leaf/config.pbtxt  serves only version 2\n"
        f"{uri}: 24 to write (936 B), 0 to delete\n"
    )
    assert stored(uri) == {path: first[path] for path in first if path.startswith("leaf/1/")} | own_files(made)
    assert beside(uri) == ["release.json"]


def test_a_second_push_at_the_same_time_is_refused(
    tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store, prefix = open_store(uri)
    with held(Place(store, prefix, uri), {"by": "ann", "at": "noon"}, USUAL, lambda _: None):
        assert push(repository(tmp_path / "m", 1), uri) == 1
    assert "ann on " in (said := capsys.readouterr().err)
    assert "has been pushing to this prefix since noon; nothing was sent [push-locked]" in said
    assert stored(uri) == {}
    assert beside(uri) == []


def test_a_server_that_ignores_conditions_is_found_out(
    tmp_path: Path,
    gcs_server: GCSServer,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As fake-gcs-server does by itself."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.careless)
    assert push(repository(tmp_path / "m", 1), uri) == 1
    assert "the store ignores conditional writes" in capsys.readouterr().err
    assert stored(uri) == {}
    assert push(tmp_path / "m", uri, "--no-lock") == 0
    assert stored(uri) == own_files(tmp_path / "m")


def test_what_was_prepared_before_another_took_the_lock_is_not_written(uri: str) -> None:
    """However late it arrives: whoever sends it may have slept after the last look at a clock."""
    ours, prefix = open_store(uri)
    theirs, _ = open_store(uri)
    ours.revoke(f"{prefix}.tritonrepo/prepared")
    seen = ours.put(f"{prefix}/a", of_bytes(b"seen"))
    over = ours.ticket(Write(f"{prefix}/a", of_bytes(b"ours"), if_match=seen), LONG_S)
    new = ours.ticket(Write(f"{prefix}/b", of_bytes(b"ours"), if_absent=True), LONG_S)
    theirs.revoke(f"{prefix}.tritonrepo/prepared")
    for send in (over, new):
        with pytest.raises(Late):
            send()
    assert stored(uri) == {"a": b"seen"}
    assert ours.ticket(Write(f"{prefix}/b", of_bytes(b"again"), if_absent=True), LONG_S)()
    with pytest.raises(Conflict):
        theirs.ticket(Write(f"{prefix}/b", of_bytes(b"theirs"), if_absent=True), LONG_S)()
    assert stored(uri) == {"a": b"seen", "b": b"again"}
    assert beside(uri) == []


def test_a_lock_that_another_has_taken_over_is_not_removed(uri: str) -> None:
    store, prefix = open_store(uri)
    place = Place(store, prefix, uri)
    with held(place, {}, USUAL, lambda _: None):
        store.put(place.beside("lock.json"), of_text("{}"))
    found = store.fetch(place.beside("lock.json"))
    assert found
    assert found.content == b"{}"


DRIVER = """
import os, signal, sys
from tritonrepo.stores.gcs import GCSStore
from tritonrepo.sync import lock, pace
lock.BEAT_S, lock.LOOK_S, lock.VALID_S, lock.SILENT_S = 0.2, 0.2, 60, 1
pace.GRAIN_S = 0
lock._machine = lambda: sys.argv[1]  # so that neither can ask whether the other's process runs
sends = GCSStore._copied
def copied(self, place, write, end):
    if sys.argv[1] == "asleep" and write.path.endswith("top/config.pbtxt"):
        os.kill(os.getpid(), signal.SIGSTOP)
    return sends(self, place, write, end)
GCSStore._copied = copied
from tritonrepo.cli import run
sys.exit(run(["push", *sys.argv[2:], "--settle", "0"]))
"""


def pushing(machine: str, source: Path, uri: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, machine, str(source), uri]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_push_that_slept_between_its_last_look_and_a_write_writes_nothing(tmp_path: Path, uri: str) -> None:
    """It is stopped when only the request is left to be sent, long before its time is over; the other one finishes."""
    first, second, third = (repository(tmp_path / str(number), number) for number in (1, 2, 3))
    assert push(first, uri) == 0
    with pushing("asleep", second, uri) as asleep:
        stopped(asleep.pid)
        try:
            with pushing("awake", third, uri) as awake:
                said = awake.communicate(timeout=60)[1]
                assert awake.returncode == 0, said
            there = stored(uri)
        finally:
            asleep.send_signal(signal.SIGCONT)
        said = asleep.communicate(timeout=60)[1]
        assert asleep.returncode == 1, said
        assert "top/config.pbtxt: error: someone else wrote this file after the push was planned" in said
    assert stored(uri) == there
    assert there.items() >= own_files(third).items()
    assert beside(uri) == ["release.json"]


def stopped(pid: int) -> None:
    """Wait until a process has stopped itself."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status


def test_a_large_file_that_becomes_shorter_meanwhile_is_not_written(uri: str) -> None:
    store, prefix = open_store(uri)
    whole, rest = 9 << 20, 1 << 20
    shorter = File(whole, lambda offset, n: b"x" * max(0, min(n, whole - rest - offset)))
    with pytest.raises(OSError, match="the file has become shorter"):
        store.put(f"{prefix}/w", shorter)
    assert stored(uri) == {}


def test_a_large_file_that_another_has_written_meanwhile_is_not_written(uri: str) -> None:
    store, prefix = open_store(uri)

    def read(offset: int, n: int) -> bytes:
        if not stored(uri):
            store.put(f"{prefix}/w", of_bytes(b"theirs"))
        return b"x" * min(n, (9 << 20) - offset)

    with pytest.raises(Conflict):
        store.put(f"{prefix}/w", File(9 << 20, read), if_absent=True)
    assert stored(uri) == {"w": b"theirs"}


def test_a_bucket_that_does_not_exist_is_told(
    tmp_path: Path, gcs_server: GCSServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(repository(tmp_path / "m", 1), gcs_server.uri("none-at-all", "prod")) == 2
    assert capsys.readouterr().err == (
        "gs://none-at-all/prod: fatal: cannot list: the bucket does not exist (404) [store-access]\n"
        "  Create the bucket, or fix the URI.\n"
    )
