"""`push` to Google Cloud Storage: conditions, two at once, and writes that come too late."""

from __future__ import annotations

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


def test_a_removal_that_was_prepared_before_another_took_the_lock_removes_nothing(uri: str) -> None:
    """The other may have found that the object is what it needs, and left it as it is."""
    ours, prefix = open_store(uri)
    theirs, _ = open_store(uri)
    ours.revoke(f"{prefix}.tritonrepo/prepared")
    seen = ours.put(f"{prefix}/a", of_bytes(b"needed"))
    late = ours.ticket(Write(f"{prefix}/a", None, if_match=seen), LONG_S)
    theirs.revoke(f"{prefix}.tritonrepo/prepared")
    with pytest.raises(Late):
        late()
    assert stored(uri) == {"a": b"needed"}
    assert ours.ticket(Write(f"{prefix}/a", None, if_match=seen), LONG_S)() is None
    assert stored(uri) == {}
    assert beside(uri) == []


def test_a_lock_that_another_has_taken_over_is_not_removed(uri: str) -> None:
    store, prefix = open_store(uri)
    place = Place(store, prefix, uri)
    with held(place, {}, USUAL, lambda _: None):
        store.put(place.beside("lock.json"), of_text("{}"))
    found = store.fetch(place.beside("lock.json"))
    assert found
    assert found.content == b"{}"


def test_a_large_file_that_becomes_shorter_meanwhile_is_not_written(uri: str) -> None:
    store, prefix = open_store(uri)
    whole, rest = 9 << 20, 1 << 20
    shorter = File(whole, lambda offset, n: b"x" * max(0, min(n, whole - rest - offset)))
    with pytest.raises(OSError, match="the file has changed since it was first read"):
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
