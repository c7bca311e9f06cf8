"""One push at a time: who holds the lock, what a killed push leaves, and what happens to one that lost it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.ending import ending
from tests.pushes import hearing
from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Tag
from tritonrepo.sync import lock
from tritonrepo.sync.lock import find, held
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.tree import File, of_text

PATH = "r.tritonrepo/lock.json"
WHO = {"by": "me", "at": "2026-01-01T00:00:00Z"}


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A wait that a fault makes endless is a failure."""
    with ending("wait"):
        yield


class Moments:
    """A clock that advances when something waits, and what happens then."""

    def __init__(self) -> None:
        self.time = 0.0
        self.told: list[str] = []
        self.events: Iterator[Callable[[], None]] = iter(())

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        next(self.events, lambda: None)()

    @property
    def pace(self) -> Pace:
        return Pace(0, lambda: self.time, self.sleep)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(DirectoryStore(tmp_path), "r", "s3://models/r")


def taken(place: Place, moments: Moments) -> dict[str, str]:
    """Take the lock, and return what others then read in it."""
    with held(place, WHO, moments.pace, hearing(moments.told)):
        found = find(place)
        assert found is not None
        return found[0]


def left_there(place: Place, **changes: str) -> None:
    """Leave a lock like one of this process, except for some fields."""
    holder = taken(place, Moments()) | changes
    place.store.put(PATH, of_text(json.dumps(holder)))


def started(pid: int) -> str:
    """Return the 22nd field of a process's stat, its start in ticks since boot (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[22 - 3]


def test_a_lock_lies_beside_the_repository_as_long_as_it_is_held(place: Place, tmp_path: Path) -> None:
    assert taken(place, Moments())["by"] == "me"
    assert PATH == "r.tritonrepo/lock.json"
    assert find(place) is None
    assert not (tmp_path / "r").exists()


def test_a_second_push_of_this_machine_is_refused_at_once(place: Place) -> None:
    moments = Moments()
    with (
        held(place, WHO, moments.pace, hearing(moments.told)),
        pytest.raises(
            Stop, match=r"me on .* has been pushing to this prefix since 2026-01-01T00:00:00Z; nothing was sent"
        ),
        held(place, WHO, moments.pace, hearing(moments.told)),
    ):
        pass
    assert moments.time == 0
    assert find(place) is None


def test_the_lock_of_a_process_that_was_killed_is_taken_once_what_it_sent_is_too_late(place: Place) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        left_there(place, pid=str(process.pid), born=started(process.pid))
        with pytest.raises(Stop, match="has been pushing to this prefix since"):
            taken(place, Moments())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        moments = Moments()
        assert taken(place, moments)["by"] == "me"
    assert moments.time == 12
    assert moments.told == ["waiting 12 s for writes that a killed push may have sent"]


ENDED = {
    "its number is another's now": {"born": "1"},
    "its number is nobody's": {"pid": "", "born": ""},
    "its number is a path": {"pid": "../../proc/self", "born": ""},
    "it did not say when it started": {"born": ""},
}


@pytest.mark.parametrize("changes", ENDED.values(), ids=ENDED)
def test_the_lock_of_a_process_that_is_no_longer_this_one_is_taken(place: Place, changes: dict[str, str]) -> None:
    left_there(place, **changes)
    moments = Moments()
    assert taken(place, moments)["born"] == started(os.getpid())
    assert moments.time == 12


NAMED = "open('/proc/self/comm', 'w').write('a) Z 1'); print(flush=True); input()"


def test_a_process_that_runs_is_known_whatever_its_name(place: Place) -> None:
    command = [sys.executable, "-c", NAMED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        left_there(place, pid=str(process.pid), born=started(process.pid))
        with pytest.raises(Stop, match="has been pushing to this prefix since"):
            taken(place, Moments())
        process.kill()


def test_a_lock_says_who_holds_it_and_in_which_scope_of_process_numbers(place: Place) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    one, two = taken(place, Moments()), taken(place, Moments())
    pushes = [holder.pop("push") for holder in (one, two)]
    assert len({*pushes}) == 2
    assert {len(push) for push in pushes} == {32}
    host = os.uname().nodename
    assert one == {
        "by": "me",
        "at": "2026-01-01T00:00:00Z",
        "host": host,
        "machine": f"{host} {boot} {Path('/proc/self/ns/pid').readlink()}",
        "pid": str(os.getpid()),
        "born": started(os.getpid()),
        "beat": "0",
    }


def test_a_live_push_beats_several_times_before_it_counts_as_dead_and_what_it_sends_expires_earlier() -> None:
    assert 5 * lock.BEAT_S <= lock.SILENT_S
    assert lock.LOOK_S <= lock.BEAT_S
    assert lock.VALID_S + lock.GRACE_S < lock.SILENT_S / 2
    assert lock.GRACE_S >= 2  # what clocks in whole seconds may be off, at both ends


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", ""], ids=["empty", "a list", "no JSON", "nothing"])
def test_a_lock_that_says_nothing_is_watched_too(place: Place, content: str) -> None:
    place.store.put(PATH, of_text(content))
    moments = Moments()
    assert taken(place, moments)["by"] == "me"
    assert moments.time == 60
    assert moments.told == [
        "waiting up to 60 s to see whether the push by someone on an unknown machine is still running"
    ]


def test_another_machines_lock_is_taken_once_it_was_silent_for_long(place: Place) -> None:
    left_there(place, machine="other", host="ci-7")
    moments = Moments()
    assert taken(place, moments)["by"] == "me"
    assert moments.time == 60
    assert moments.told == ["waiting up to 60 s to see whether the push by me on ci-7 is still running"]


def test_another_machines_lock_that_beats_refuses_a_push(place: Place) -> None:
    left_there(place, machine="other", host="ci-7")
    moments = Moments()
    moments.events = (partial(beats, place, moment) for moment in range(100))
    with pytest.raises(Stop, match="me on ci-7 has been pushing to this prefix since 2026"):
        taken(place, moments)
    assert moments.time < 60


def beats(place: Place, beat: int) -> None:
    found = find(place)
    assert found is not None
    place.store.put(PATH, of_text(json.dumps({**found[0], "beat": beat})))


def test_a_lock_that_is_given_back_while_it_is_watched_is_taken(place: Place) -> None:
    left_there(place, machine="other")
    moments = Moments()
    moments.events = iter([partial(place.store.delete, PATH)])
    assert taken(place, moments)["by"] == "me"
    assert moments.time < 60


def test_a_lock_beats_as_long_as_it_is_held_and_tells_when_it_was_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    moments = Moments()
    with held(place, WHO, moments.pace, hearing(moments.told)) as hold:
        until(lambda: (found := find(place)) is not None and int(found[0]["beat"]) > 2)
        theirs = of_text("theirs")
        place.store.put(PATH, theirs)
        with pytest.raises(Stop, match="another push considered this one dead"):
            overwritten(place, theirs, hold.confirm)
    assert place.store.fetch(PATH) == (b"theirs", theirs.sha256)


def overwritten(place: Place, content: File, check: Callable[[], None]) -> None:
    """Write until `check` notices; a beat that was in progress may have overwritten the first write."""
    for _ in range(100):
        check()
        place.store.put(PATH, content)


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline


class Sick(DirectoryStore):
    """A store that does not respond to the first beats."""

    sick = 2

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        if if_match is not None and self.sick:
            self.sick -= 1
            raise fatal("store-access", path, "the endpoint does not respond")
        return super().put(path, file, if_absent=if_absent, if_match=if_match)


def test_a_lock_goes_on_beating_after_the_store_has_not_responded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    store = Sick(tmp_path)
    place, moments = Place(store, "r", "r"), Moments()
    with held(place, WHO, moments.pace, hearing(moments.told)):
        until(lambda: (found := find(place)) is not None and int(found[0]["beat"]) > 2)
    assert store.sick == 0
    assert find(place) is None


def test_the_push_that_took_a_watched_lock_over_is_named(place: Place) -> None:
    left_there(place, machine="other", host="ci-7")
    theirs = json.dumps({"by": "you", "host": "ci-9", "at": "2026-02-02T00:00:00Z"})
    moments = Moments()

    def takes_over() -> None:
        place.store.put(PATH, of_text(theirs))

    moments.events = iter([takes_over])
    with pytest.raises(Stop) as stop:
        taken(place, moments)
    assert str(stop.value) == (
        "s3://models/r: error: you on ci-9 has been pushing to this prefix since 2026-02-02T00:00:00Z; nothing was sent"
        " [push-locked]\n  Run the command again when that push has finished."
    )
    assert place.store.fetch(PATH) == (theirs.encode(), of_text(theirs).sha256)
