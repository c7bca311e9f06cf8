"""`unlock`: the lock of a push that no longer runs is removed, and that of one that runs only by force."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.pushes import beside, hearing, push, repository, stored
from tests.servers.gcs import GCSServer
from tests.test_json import checked
from tests.test_push_flow import AT_ONCE
from tests.test_push_lock import Moments, beats, left_there, place
from tests.test_stores import KINDS
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.events import Event
from tritonrepo.flows.push import apply_push, plan_push
from tritonrepo.flows.unlock import LARGEST_BYTES, Lock, apply_unlock, plan_unlock
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores import open_store
from tritonrepo.sync import lock
from tritonrepo.sync.lock import find, held
from tritonrepo.sync.place import Place, open_place
from tritonrepo.sync.telling import Began, Waits
from tritonrepo.tree import of_bytes, of_text

__all__ = ["place"]

Capture = pytest.CaptureFixture[str]
PATH = "r.tritonrepo/lock.json"


def found(tmp_path: Path, moments: Moments) -> Lock:
    def tell(event: Event) -> None:
        assert isinstance(event, Waits)
        moments.told.append(event.text)

    return plan_unlock(str(tmp_path / "r"), Workspace(tell=tell))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for what a push may have sent takes no time."""
    monkeypatch.setattr(lock, "GRACE_S", -lock.VALID_S)


def at(place: Place) -> bool:
    """Whether the lock is there."""
    return place.store.fetch(PATH) is not None


def test_where_nobody_holds_the_lock_nothing_is_done(inside: Path, capsys: Capture) -> None:
    assert run(["unlock", "r"]) == 0
    assert capsys.readouterr() == ("r: nobody holds the lock\n", "")
    assert run(["unlock", "r", "--format", "json"]) == 0
    document = checked("unlock", capsys.readouterr().out)
    assert (document["lock"], document["prepared"], document["state"]) == (None, 0, "free")
    assert list(inside.iterdir()) == []


@pytest.mark.usefixtures("hurried")
def test_the_lock_of_a_push_that_was_killed_on_this_machine_is_removed(
    place: Place, tmp_path: Path, capsys: Capture
) -> None:
    left_there(place, pid="", born="", at="2026-01-01T00:00:00Z")
    uri = str(tmp_path / "r")
    assert run(["unlock", uri]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{uri}: me on ")
    assert out[0].endswith(" has held the lock since 2026-01-01T00:00:00Z")
    assert out[1] == f"{uri}: removed the lock"
    assert not at(place)


def test_what_a_killed_push_sent_can_no_longer_arrive_when_its_lock_is_gone(place: Place, tmp_path: Path) -> None:
    left_there(place, pid="", born="")
    moments = Moments()
    apply_unlock(found(tmp_path, moments), moments.pace)
    assert moments.time == lock.VALID_S + lock.GRACE_S
    assert not at(place)


def test_the_lock_of_another_machine_is_watched_before_it_is_removed(place: Place, tmp_path: Path) -> None:
    left_there(place, machine="other", host="ci-7")
    moments = Moments()
    apply_unlock(found(tmp_path, moments), moments.pace)
    assert moments.time == lock.SILENT_S
    assert moments.told == ["waiting up to 60 s to see whether the push by me on ci-7 is still running"]
    assert not at(place)


def test_a_lock_that_changes_while_it_is_watched_stays(place: Place, tmp_path: Path) -> None:
    left_there(place, machine="other", host="ci-7")
    moments = Moments()
    moments.events = (partial(beats, place, moment) for moment in range(100))
    with pytest.raises(Stop, match=r"me on ci-7 has held the lock since .*, and the push still runs") as stop:
        apply_unlock(found(tmp_path, moments), moments.pace)
    assert [each.rule for each in stop.value.diagnostics] == ["unlock-running"]
    assert at(place)


def test_the_lock_of_a_process_that_runs_here_is_refused_at_once(place: Place, tmp_path: Path, capsys: Capture) -> None:
    moments = Moments()
    with held(place, {"by": "me", "at": "today"}, moments.pace, hearing(moments.told)):
        assert run(["unlock", str(tmp_path / "r"), "-q", "--format", "json"]) == 1
        assert at(place)
    said = capsys.readouterr()
    assert "has held the lock since today, and the push still runs [unlock-running]" in said.err
    document = checked("unlock", said.out)
    assert (document["state"], document["lock"]["by"]) == ("held", "me")
    assert [each["rule"] for each in document["diagnostics"]] == ["unlock-running"]


ODD = {"no JSON": b"{", "a list": b"[]", "nothing": b"", "no UTF-8": b"\xff", "deep": b"[" * 50_000}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_what_is_no_lock_is_watched_and_removed(place: Place, tmp_path: Path, content: bytes) -> None:
    place.store.put(PATH, of_bytes(content))
    moments = Moments()
    there = found(tmp_path, moments)
    assert there.described == "someone on an unknown machine has held the lock since an unknown time"
    apply_unlock(there, moments.pace)
    assert moments.time == lock.SILENT_S
    assert not at(place)


@pytest.mark.usefixtures("hurried")
def test_an_object_that_is_too_large_for_a_lock_is_not_read(place: Place, tmp_path: Path, capsys: Capture) -> None:
    place.store.put(PATH, of_bytes(bytes(LARGEST_BYTES + 1)))
    uri = str(tmp_path / "r")
    assert run(["unlock", uri]) == 1
    assert "error: the lock has 64.0 KiB, so no push wrote it [unlock-foreign]" in capsys.readouterr().err
    assert at(place)
    assert run(["unlock", uri, "--force"]) == 0
    assert not at(place)


def test_names_in_a_lock_drive_no_terminal(place: Place, tmp_path: Path, capsys: Capture) -> None:
    moments = Moments()
    with held(place, {"by": "me\x1b[31m\n::error::x", "at": "\x07"}, moments.pace, hearing(moments.told)):
        assert run(["unlock", str(tmp_path / "r")]) == 1
    said = capsys.readouterr()
    assert "me\\x1b[31m\\n::error::x on " in said.out
    assert not {"\x1b", "\x07"} & {*said.out, *said.err}


def test_a_root_has_no_lock(capsys: Capture) -> None:
    assert run(["unlock", "gs://models"]) == 2
    assert "[push-root]" in capsys.readouterr().err


def test_the_lock_of_a_record_elsewhere_is_found(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "records").mkdir()
    moments = Moments()
    apart = open_place(str(tmp_path / "r"), str(tmp_path / "records"))
    with held(apart, {"by": "me", "at": "today"}, moments.pace, hearing(moments.told)):
        assert run(["unlock", str(tmp_path / "r"), "--record", str(tmp_path / "records")]) == 1
    assert "me on " in capsys.readouterr().out


def test_prepared_writes_that_are_left_are_removed(gcs_server: GCSServer, capsys: Capture) -> None:
    uri = gcs_server.uri(gcs_server.bucket(), "r")
    store, _ = open_store(uri)
    for name in ("a", "b"):
        store.put(f"r.tritonrepo/prepared/{name}", of_text("left"))
    assert run(["unlock", uri]) == 0
    assert capsys.readouterr().out == f"{uri}: nobody holds the lock\n{uri}: removed 2 prepared writes\n"
    assert list(store.scan("r.tritonrepo")) == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_running_push_that_loses_its_lock_writes_nothing_more(
    request: pytest.FixtureRequest, tmp_path: Path, kind: Callable[[pytest.FixtureRequest], str]
) -> None:
    uri = kind(request)
    assert push(repository(tmp_path / "v1", 1), uri) == 0
    waits, goes = threading.Event(), threading.Event()

    def tell(event: Event) -> None:
        if isinstance(event, Began) and event.phase == "switch":
            waits.set()
            assert goes.wait(60)

    planned = plan_push(repository(tmp_path / "v2", 2), uri, Workspace(tell=tell))
    with ThreadPoolExecutor(1) as pool, ExitStack() as end:
        end.callback(goes.set)  # a failure must not wait for the push
        running = pool.submit(apply_push, planned, AT_ONCE)
        assert waits.wait(60)
        moments = Moments()
        there = plan_unlock(uri, Workspace())
        with pytest.raises(Stop, match="and the push still runs"):
            apply_unlock(there, moments.pace)
        apply_unlock(there, moments.pace, force=True)
        assert moments.time == lock.VALID_S + lock.GRACE_S
        before = stored(uri)
        assert beside(uri) == ["release.json"]
        goes.set()
        with pytest.raises(Stop, match="took over its lock") as stop:
            running.result()
    assert next(each.rule for each in stop.value.diagnostics) == "push-locked"
    assert stored(uri) == before
    assert json.loads(stored(f"{uri}.tritonrepo")["release.json"])["number"] == 1
    assert push(tmp_path / "v2", uri) == 0
    assert find(Place(*open_store(uri), uri)) is None
