"""One push at a time: who holds the lock, what a killed push leaves, and what happens to one that lost it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tritonrepo.diagnostics import Stop
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import lock
from tritonrepo.sync.lock import SILENT_S, find, held
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.tree import File, of_text

PATH = "r.tritonrepo/lock.json"
WHO = {"by": "me", "at": "2026-01-01T00:00:00Z"}


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
    with held(place, WHO, moments.pace, moments.told.append):
        found = find(place)
        assert found is not None
        return found[0]


def left_there(place: Place, **changes: str) -> None:
    """Leave a lock like one of this process, except for some fields."""
    holder = taken(place, Moments()) | changes
    place.store.put(PATH, of_text(json.dumps(holder)))


def test_a_lock_lies_beside_the_repository_as_long_as_it_is_held(place: Place, tmp_path: Path) -> None:
    assert taken(place, Moments())["by"] == "me"
    assert PATH == "r.tritonrepo/lock.json"
    assert find(place) is None
    assert not (tmp_path / "r").exists()


def test_a_second_push_of_this_machine_is_refused_at_once(place: Place) -> None:
    moments = Moments()
    with (
        held(place, WHO, moments.pace, moments.told.append),
        pytest.raises(
            Stop, match=r"me on .* has been pushing to this prefix since 2026-01-01T00:00:00Z; nothing was sent"
        ),
        held(place, WHO, moments.pace, moments.told.append),
    ):
        pass
    assert moments.time == 0
    assert find(place) is None


def test_the_lock_of_a_process_that_was_killed_is_taken_once_what_it_sent_is_too_late(place: Place) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = lock._born(str(process.pid))  # noqa: SLF001  as it writes it itself
        left_there(place, pid=str(process.pid), born=born)
        with pytest.raises(Stop, match="has been pushing to this prefix since"):
            taken(place, Moments())
        process.kill()
        process.stdout, moments = None, Moments()
        while lock._born(str(process.pid)) == born:  # noqa: SLF001  it ends as a zombie: nobody has waited for it
            pass
        assert taken(place, moments)["by"] == "me"
    assert moments.time == lock.VALID_S + lock.GRACE_S
    assert moments.told == ["waiting 12 s for writes that a killed push may have sent"]


def test_the_lock_of_a_process_whose_number_is_anothers_now_is_taken(place: Place) -> None:
    left_there(place, born="1")
    assert taken(place, Moments())["born"] != "1"


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", ""], ids=["empty", "a list", "no JSON", "nothing"])
def test_a_lock_that_says_nothing_is_watched_too(place: Place, content: str) -> None:
    place.store.put(PATH, of_text(content))
    moments = Moments()
    taken(place, moments)
    assert moments.time == SILENT_S


def test_another_machines_lock_is_taken_once_it_was_silent_for_long(place: Place) -> None:
    left_there(place, machine="other", host="ci-7")
    moments = Moments()
    assert taken(place, moments)["by"] == "me"
    assert moments.time == SILENT_S
    assert moments.told == ["waiting up to 60 s to see whether the push by me on ci-7 is still running"]


def test_another_machines_lock_that_beats_refuses_a_push(place: Place) -> None:
    left_there(place, machine="other", host="ci-7")
    moments = Moments()
    moments.events = (partial(beats, place, moment) for moment in range(100))
    with pytest.raises(Stop, match="me on ci-7 has been pushing to this prefix since 2026"):
        taken(place, moments)
    assert moments.time < SILENT_S


def beats(place: Place, beat: int) -> None:
    found = find(place)
    assert found is not None
    place.store.put(PATH, of_text(json.dumps({**found[0], "beat": beat})))


def test_a_lock_that_is_given_back_while_it_is_watched_is_taken(place: Place) -> None:
    left_there(place, machine="other")
    moments = Moments()
    moments.events = iter([partial(place.store.delete, PATH)])
    assert taken(place, moments)["by"] == "me"
    assert moments.time < SILENT_S


def test_a_lock_beats_as_long_as_it_is_held_and_tells_when_it_was_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    moments = Moments()
    with held(place, WHO, moments.pace, moments.told.append) as hold:
        while (found := find(place)) is None or found[0]["beat"] == "0":
            hold.confirm()
        theirs = of_text("theirs")
        place.store.put(PATH, theirs)
        with pytest.raises(Stop, match="another push considered this one dead"):
            overwritten(place, theirs, hold.confirm)
    assert place.store.fetch(PATH) == (b"theirs", theirs.sha256)


def overwritten(place: Place, content: File, check: Callable[[], None]) -> None:
    """Write until `check` notices; a beat that was in progress may have overwritten the first write."""
    while True:
        check()
        place.store.put(PATH, content)
