"""The lock from its holder's side: when it is confirmed, what a store does to it, how it is taken and given back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.ending import ending
from tests.memory import Memory, tag_of
from tests.pushes import hearing
from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores.store import Capabilities, Conflict, Fetched, Late, Send, Store, Tag, Unconditional, Write
from tritonrepo.sync.lock import Hold, held
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.tree import File

PATH = "r.tritonrepo/lock.json"
LOST = "another push considered this one dead and took over its lock"


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A wait that a fault makes endless is a failure."""
    with ending("wait"):
        yield


class Time:
    """A clock that moves only when something waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def holding(store: Memory, time: Time | None = None) -> Iterator[Hold]:
    """Hold the lock of a repository in this store; its thread beats every 10 s, so not once in a test."""
    time = time or Time()
    pace = Pace(0, lambda: time.now, time.sleep)
    with held(Place(store, "r", "s3://models/r"), {"by": "me"}, pace, hearing(time.told)) as hold:
        yield hold


def beat(store: Memory) -> int:
    return int(json.loads(store.objects[PATH])["beat"])


def test_the_lock_is_taken_where_none_is_rewritten_as_it_was_and_removed_in_time() -> None:
    store = Memory()
    with holding(store) as hold:
        hold.confirm()
        hold.confirm()
        assert beat(store) == 2
    first, *others = store.log
    assert first == f"put {PATH} if absent"
    assert [line.split(" if ")[0] for line in others] == [
        *[f"put {PATH}"] * 2,
        f"prepare {PATH} for 10 s",
        f"put {PATH}",
        f"send -{PATH}",
    ]
    rewritten = {line.split(" if ")[1] for line in others if line.startswith("put")}
    assert len(rewritten) == 3  # each on the tag of the one before
    assert store.objects == {}


class Revoking(Memory):
    """A store that does not count the time of what is prepared, and can remove an object on a condition."""

    def __init__(self) -> None:
        super().__init__()
        self.caps = Capabilities(stray=Tag("0" * 32), sees_changes=True, guards_removals=True)

    def revoke(self, directory: str, there: Store | None = None) -> None:
        assert there is None
        self.log.append(f"revoke {directory}")


def test_what_others_have_prepared_is_revoked_once_the_lock_is_held_and_the_lock_is_removed_as_it_is() -> None:
    store = Revoking()
    with holding(store):
        assert store.log == [f"put {PATH} if absent", "revoke r.tritonrepo/prepared"]
        tag = tag_of(store.objects[PATH])
    confirmed, prepared, removed = store.log[2:]
    assert confirmed == f"put {PATH} if {tag[:4]}"
    assert prepared == f"prepare {PATH} for 10 s"
    assert removed.startswith(f"send -{PATH} if ")
    assert store.objects == {}


def test_a_lock_that_cannot_be_used_is_given_back() -> None:
    class Denied(Revoking):
        def revoke(self, directory: str, there: Store | None = None) -> None:
            assert there is None
            raise fatal("store-access", directory, "cannot delete: no")

    store = Denied()
    with pytest.raises(Stop, match="cannot delete: no"), holding(store):
        pytest.fail("the lock is held")
    assert store.objects == {}


def test_a_file_is_added_without_a_confirmation_only_within_two_beats_of_the_last() -> None:
    store, time = Memory(), Time()
    with holding(store, time) as hold:
        for now, count in ((20, 0), (20.5, 1), (40.5, 1), (40.6, 2)):
            time.now = now
            hold.recent()
            assert beat(store) == count


def test_a_confirmation_counts_from_when_it_was_sent() -> None:
    store, time = Memory(), Time()
    with holding(store, time) as hold:
        store.then = lambda _: time.sleep(15)
        hold.confirm()
        time.now = 20.1
        hold.recent()
        assert beat(store) == 2


@pytest.mark.parametrize("theirs", [b'{"push": "theirs"}', b"theirs", None], ids=["another's", "no JSON", "none"])
def test_a_lock_that_is_gone_or_anothers_stays_lost(theirs: bytes | None) -> None:
    store = Memory()
    with holding(store) as hold:
        mine = store.objects.pop(PATH)
        if theirs:
            store.objects[PATH] = theirs
        for _ in range(2):
            with pytest.raises(Stop, match=LOST) as stop:
                hold.confirm()
            assert str(stop.value).startswith("s3://models/r: error: ")
            assert "[push-locked]" in str(stop.value)
            store.objects[PATH] = mine  # too late
    assert store.objects[PATH] == mine


class Deaf(Memory):
    """A store that writes the lock, and whose replies are lost."""

    replies_lost = 0

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        tag = super().put(path, file, if_absent=if_absent, if_match=if_match)
        if self.replies_lost:
            self.replies_lost -= 1
            raise Conflict(path)
        return tag


def test_a_lock_whose_reply_was_lost_is_known_as_our_own() -> None:
    store, time = Deaf(), Time()
    store.replies_lost = 1
    with holding(store, time) as hold:
        assert (time.now, time.told, beat(store)) == (0, [], 0)
        store.replies_lost = 4
        hold.confirm()
        assert beat(store) == 5
        store.replies_lost = 5
        with pytest.raises(Stop, match=LOST):
            hold.confirm()
        hold.confirm()
        assert beat(store) == 11
    assert store.objects == {}


class Careless(Memory):
    """A store that ignores conditions of one kind, in one way of writing."""

    def __init__(self, way: str, condition: str) -> None:
        super().__init__()
        self.way, self.condition, self.times = way, condition, 1000

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        write = self.ignoring("put", Write(path, file, if_absent, if_match))
        return super().put(path, file, if_absent=write.if_absent, if_match=write.if_match)

    def ticket(self, write: Write, seconds: int) -> Send:
        return super().ticket(self.ignoring("ticket", write), seconds)

    def ignoring(self, way: str, write: Write) -> Write:
        wrong = write.if_absent and PATH in self.objects
        if self.condition == "if_match":
            wrong = write.if_match == self.caps.stray
        if not self.times or way != self.way or not wrong:
            return write
        self.times -= 1
        return Write(write.path, write.file)


WAYS = [(way, condition) for way in ("put", "ticket") for condition in ("if_absent", "if_match")]


@pytest.mark.parametrize(("way", "condition"), WAYS)
def test_a_store_proves_each_condition_in_each_way_of_writing(way: str, condition: str) -> None:
    store = Careless(way, condition)
    with holding(store) as hold:
        assert not hold.proven()
        hold.confirm()  # what was written meanwhile is our own lock
        store.times = 1  # as if another push had taken the lock over and ended just before
        assert hold.proven()
        store.times = 2
        assert not hold.proven()
    assert store.objects == {}


class Replying(Memory):
    """A store that replies to a conditional write with an exception."""

    def __init__(self, reply: type[Exception]) -> None:
        super().__init__()
        self.reply = reply

    def ticket(self, write: Write, seconds: int) -> Send:
        def send() -> Tag | None:
            raise self.reply(write.path)

        return send if write.if_absent or write.if_match else super().ticket(write, seconds)


@pytest.mark.parametrize(
    ("reply", "proven"),
    [(Conflict, True), (Late, True), (Unconditional, False)],
    ids=["a conflict", "too late", "unknown to it"],
)
def test_what_a_store_replies_proves_that_it_refuses_or_not(reply: type[Exception], proven: bool) -> None:  # noqa: FBT001  a table's column
    with holding(Replying(reply)) as hold:
        assert hold.proven() is proven


def test_a_store_that_honors_conditions_is_proven_without_a_change() -> None:
    store = Memory()
    with holding(store) as hold:
        before = dict(store.objects)
        assert hold.proven()
        assert store.objects == before
        assert [line for line in store.log[1:] if not line.startswith("prepare")] == [
            f"send {PATH} if absent",
            f"put {PATH} if absent",
            f"send {PATH} if 0000",
            f"put {PATH} if 0000",
        ]


class Failing(Memory):
    """A store whose removals fail."""

    fails: Callable[[str], Exception]

    def ticket(self, write: Write, seconds: int) -> Send:
        send = super().ticket(write, seconds)

        def sent() -> Tag | None:
            if write.file is None:
                raise self.fails(write.path)
            return send()

        return sent


FAILURES: dict[str, Callable[[str], Exception]] = {
    "no response": lambda path: fatal("store-access", path, "the endpoint does not respond"),
    "a conflict": Conflict,
    "too late": Late,
}


@pytest.mark.parametrize("fails", FAILURES.values(), ids=FAILURES)
def test_a_lock_that_cannot_be_removed_is_left_to_be_seen_silent(fails: Callable[[str], Exception]) -> None:
    store = Failing()
    store.fails = fails
    with holding(store):
        pass
    assert [*store.objects] == [PATH]


def test_a_failure_of_the_push_is_what_is_reported_and_gives_the_lock_back() -> None:
    store = Memory()
    with pytest.raises(KeyError), holding(store):
        raise KeyError
    assert store.objects == {}


class Contended(Memory):
    """A store in which others always write the lock first, and remove it again before it is read."""

    tries = 0

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:  # noqa: ARG002
        self.tries += 1
        raise Conflict(path)


def test_a_lock_that_others_always_take_first_is_given_up() -> None:
    store = Contended()
    with pytest.raises(Stop) as stop, holding(store):
        pass
    assert str(stop.value).startswith(
        "s3://models/r: error: someone on an unknown machine has been pushing to this prefix since just now;"
        " nothing was sent [push-locked]"
    )
    assert store.tries == 5


class Raced(Memory):
    """A store in which another push takes a silent lock over after the last look at it."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self.objects[PATH] = b'{"by": "they", "host": "ci-8"}'
        self.time, self.raced = time, False

    def fetch(self, path: str) -> Fetched | None:
        found = super().fetch(path)
        if self.time.now >= 60 and not self.raced:
            self.raced = True
            self.objects[path] = b'{"by": "you", "host": "ci-9"}'
        return found


def test_a_silent_lock_that_another_push_takes_first_is_watched_anew() -> None:
    time = Time()
    with holding(Raced(time), time):
        assert time.now == 120
    assert [line.partition("push by ")[2] for line in time.told] == [
        "they on ci-8 is still running",
        "you on ci-9 is still running",
    ]


def test_a_stray_tag_is_of_the_store() -> None:
    store = Memory()
    store.caps = Capabilities(stray=Tag("1234"), sees_changes=True)
    with holding(store) as hold:
        assert hold.proven()
    assert f"put {PATH} if 1234" in store.log
