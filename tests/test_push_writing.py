"""What a push sends, on which condition and in which order, and what ends it: no server, a store in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import Memory, tag_of
from tests.pushes import hearing
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Late, Send, Stored, Tag, Write
from tritonrepo.sync import pace
from tritonrepo.sync.apply import apply
from tritonrepo.sync.lock import held
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place, beside
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put
from tritonrepo.sync.sealed import broken, seal
from tritonrepo.sync.writing import Alone, Writer, both, each
from tritonrepo.tree import Directory, File, of_bytes, of_text

LOCK = "r.tritonrepo/lock.json"
NEW, OLD = of_text("new"), of_text("old")


def place(store: Memory) -> Place:
    return Place(store, "r", "s3://models/r")


class Time:
    def __init__(self) -> None:
        self.now = 0.0


@contextmanager
def writing(store: Memory, time: Time | None = None) -> Iterator[Writer]:
    """Write while holding the lock."""
    time = time or Time()
    pace = Pace(0, lambda: time.now, lambda _: None)
    with held(place(store), {"by": "me"}, pace, lambda _: None) as hold:
        yield Writer(place(store), hold)


def test_what_belongs_to_a_repository_is_next_to_it() -> None:
    at = Place(Memory(), "a/prod", "s3://models/a/prod")
    assert (at.beside("lock.json"), at.path("m/1/a")) == ("a/prod.tritonrepo/lock.json", "a/prod/m/1/a")
    assert beside("prod", "release.json") == "prod.tritonrepo/release.json"


def test_each_batch_is_prepared_then_the_lock_is_confirmed_then_it_is_sent() -> None:
    store = Memory()
    with writing(store) as writer:
        store.log.clear()
        writes = [Write(f"r/m/{number:03}", NEW, if_absent=True) for number in range(130)]
        assert writer.write(writes) == [tag_of(b"new")] * 130
        log = [line.split(" ")[0] if LOCK not in line else "confirm" for line in store.log]
    batches = [(64, 1), (64, 1), (2, 1)]
    expected = [["prepare"] * size + ["confirm"] * once + ["send"] * size for size, once in batches]
    assert log == [word for batch in expected for word in batch]
    assert "prepare r/m/000 for 10 s" in store.log
    assert "send r/m/000 if absent" in store.log


def test_a_push_that_lost_its_lock_writes_nothing_more() -> None:
    store, time = Memory(r__m__1__there=b"x"), Time()
    with writing(store, time) as writer:
        writer.add("r/m/1/a", NEW)
        store.objects[LOCK] = b"theirs"
        before = dict(store.objects)
        with pytest.raises(Stop, match="another push considered this one dead"):
            writer.write([Write("r/m/config.pbtxt", NEW), Write("r/m/1/there", None)])
        time.now = 21
        with pytest.raises(Stop, match="another push considered this one dead"):
            writer.add("r/m/1/b", NEW)
        assert store.objects == before


class Slow(Memory):
    """A store in which writes to some paths arrive too late a number of times."""

    def __init__(self, **late: int) -> None:
        super().__init__()
        self.late = {f"r/m/{name}": times for name, times in late.items()}

    def ticket(self, write: Write, seconds: int) -> Send:
        send = super().ticket(write, seconds)

        def sent() -> Tag | None:
            if self.late.get(write.path, 0):
                self.late[write.path] -= 1
                raise Late(write.path)
            return send()

        return sent


def test_what_came_too_late_is_sent_again_alone_and_the_tags_keep_their_order() -> None:
    store = Slow(b=2)
    writer = Writer(place(store), None)
    bodies = {"a": b"1", "b": b"2", "c": b"3"}
    tags = writer.write([Write(f"r/m/{name}", of_bytes(body), if_absent=True) for name, body in bodies.items()])
    assert tags == [tag_of(b"1"), tag_of(b"2"), tag_of(b"3")]
    assert [line for line in store.log if line.startswith("prepare")] == [
        f"prepare r/m/{name} for 10 s" for name in "abcbb"
    ]
    assert sorted(line for line in store.log if line.startswith("send")) == [
        f"send r/m/{name} if absent" for name in "abc"
    ]


def test_a_store_that_is_too_slow_three_times_ends_the_push() -> None:
    writer = Writer(place(Slow(b=3)), None)
    with pytest.raises(Stop) as stop:
        writer.write([Write("r/m/b", NEW)])
    assert str(stop.value) == (
        "s3://models/r: error: the store takes more than 10 s to write a small object [push-late]\n"
        "  Run the command again when the store responds faster."
    )


OVERTAKEN = (
    "s3://models/r: r/m/a: error: someone else wrote this file after the plan was made [push-overtaken]\n"
    "  Find out who writes to this prefix, and run the command again."
)
FOUND: dict[str, tuple[dict[str, bytes], Write, str]] = {
    "our own content": ({"r/m/a": b"new"}, Write("r/m/a", NEW, if_absent=True), "new"),
    "our own content instead of what was seen": (
        {"r/m/a": b"new"},
        Write("r/m/a", NEW, if_match=tag_of(b"old")),
        "new",
    ),
    "another's": ({"r/m/a": b"theirs"}, Write("r/m/a", NEW, if_absent=True), ""),
    "another's instead of what was seen": ({"r/m/a": b"xxx"}, Write("r/m/a", NEW, if_match=tag_of(b"old")), ""),
    "nothing where something was seen": ({}, Write("r/m/a", NEW, if_match=tag_of(b"old")), ""),
    "another's where it is to be removed": ({"r/m/a": b"x"}, Write("r/m/a", None, if_match=tag_of(b"old")), ""),
}


@tabled(("there", "write", "content"), FOUND.values(), ids=FOUND)
def test_what_is_found_instead_is_right_only_if_it_is_what_was_sent(
    there: dict[str, bytes], write: Write, content: str
) -> None:
    store = Memory()
    store.objects = dict(there)
    writer = Writer(place(store), None)
    if content:
        assert writer.write([write]) == [tag_of(content.encode())]
    else:
        with pytest.raises(Stop) as stop:
            writer.write([write])
        assert str(stop.value) == OVERTAKEN
    assert store.objects == there


def test_what_is_gone_already_was_removed_by_a_request_whose_reply_was_lost() -> None:
    assert Writer(place(Memory()), None).write([Write("r/m/a", None, if_match=tag_of(b"old"))]) == [None]


@pytest.mark.parametrize(("there", "right"), [(b"new", True), (b"old", False), (b"older", False)])
def test_a_file_is_added_only_where_none_or_the_same_exists(there: bytes, right: bool) -> None:  # noqa: FBT001  a table's column
    store = Memory()
    store.objects = {"r/m/a": there}
    writer = Writer(place(store), None)
    assert writer.add("r/m/b", NEW) == tag_of(b"new")
    assert store.log == ["put r/m/b if absent"]
    if right:
        assert writer.add("r/m/a", NEW) == tag_of(b"new")
    else:
        with pytest.raises(Stop) as stop:
            writer.add("r/m/a", NEW)
        assert str(stop.value) == OVERTAKEN
    assert store.objects == {"r/m/a": there, "r/m/b": b"new"}


def test_a_store_without_conditions_gets_none() -> None:
    store = Memory(r__m__a=b"x", r__m__c=b"x")
    writer = Writer(place(store), None, conditions=False)
    writer.write([Write("r/m/a", NEW, if_absent=True), Write("r/m/b", NEW, if_match=Tag("y")), Write("r/m/c", None)])
    writer.add("r/m/a", OLD)
    assert [line for line in store.log if not line.startswith("prepare")][-1] == "put r/m/a"
    assert sorted(line for line in store.log if line.startswith("send")) == ["send -r/m/c", "send r/m/a", "send r/m/b"]
    assert store.objects == {"r/m/a": b"old", "r/m/b": b"new"}


def test_alone_everything_is_written_in_order_and_without_conditions() -> None:
    store = Memory(r__m__a=b"x", r__m__b=b"x")
    alone = Alone(place(store))
    assert alone.lanes == 1
    tags = alone.write([Write("r/m/a", NEW, if_absent=True), Write("r/m/b", None), Write("r/m/c", OLD)])
    assert tags == [tag_of(b"new"), None, tag_of(b"old")]
    assert store.log == ["put r/m/a", "delete -r/m/b", "put r/m/c"]


@pytest.mark.parametrize("lanes", [1, 4])
def test_results_are_in_order_and_nothing_begins_after_an_error(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert each(lambda number: number * 10, range(20), lanes) == list(range(0, 200, 10))
    begun: list[int] = []
    released = threading.Event()
    real = ThreadPoolExecutor.shutdown

    def shutdown(pool: ThreadPoolExecutor, *arguments: bool, **named: bool) -> None:
        real(pool, *arguments, **named)
        released.set()

    def fails(number: int) -> None:
        begun.append(number)
        if number:
            released.wait(1)
        raise KeyError(number)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    with pytest.raises(KeyError, match=r"^0$"):
        each(fails, range(9), lanes)
    assert len(begun) <= (1 if lanes == 1 else lanes + 1)


def test_the_error_of_what_waits_for_a_store_counts_if_something_else_fails_as_well() -> None:
    def fails(name: str) -> None:
        raise KeyError(name)

    assert both(lambda: 1, lambda: "2") == (1, "2")
    with pytest.raises(KeyError, match="slow"):
        both(lambda: fails("slow"), lambda: fails("other"))
    with pytest.raises(KeyError, match="slow"):
        both(lambda: fails("slow"), lambda: None)
    with pytest.raises(KeyError, match="other"):
        both(lambda: None, lambda: fails("other"))


def actions(*made: Action) -> Plan:
    return Plan(made, served=True)


HAVE = {"m/config.pbtxt": OLD, "m/1/a": OLD, "m/2/big": of_text("older than"), "m/big.bin": of_text("older than")}
BIG = of_text("larger")
SENT: dict[str, tuple[Action, list[str]]] = {
    "a new file of a version": (Put(Phase.FILES, "m/2/a", NEW, ""), ["put r/m/2/a if absent"]),
    "a file that is there": (Put(Phase.FILES, "m/1/a", NEW, ""), [f"send r/m/1/a if {tag_of(b'old')[:4]}"]),
    "a large new file": (Put(Phase.FILES, "m/2/b", BIG, ""), ["put r/m/2/b if absent"]),
    "a large file that is there": (
        Put(Phase.FILES, "m/2/big", BIG, ""),
        ["send -r/m/2/big", "put r/m/2/big if absent"],
    ),
    "a large file next to the versions": (
        Put(Phase.FILES, "m/big.bin", BIG, ""),
        [f"send r/m/big.bin if {tag_of(b'older than')[:4]}"],
    ),
    "a new config": (Put(Phase.GATE, "n/config.pbtxt", NEW, ""), ["send r/n/config.pbtxt if absent"]),
    "a config that is there": (
        Put(Phase.SWITCH, "m/config.pbtxt", NEW, ""),
        [f"send r/m/config.pbtxt if {tag_of(b'old')[:4]}"],
    ),
    "a file that goes": (Delete(Phase.FILES, "m/1/a", ""), ["send -r/m/1/a"]),
}  # fmt: skip


@pytest.mark.parametrize(("action", "sent"), SENT.values(), ids=SENT)
def test_each_action_is_one_write_on_what_was_seen(
    action: Action, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritonrepo.sync.apply.LARGE_BYTES", 5)
    store = Memory()
    store.objects = {f"r/{path}": file.content() for path, file in HAVE.items()}
    written = apply(actions(action), store.scan("r"), Writer(place(store), None))
    assert [line for line in store.log if not line.startswith("prepare")] == sent
    assert written == {action.path: tag_of(action.file.content()) if isinstance(action, Put) else None}


GUARDED: dict[str, tuple[Action, str]] = {
    "a file that goes": (Delete(Phase.FILES, "m/1/a", ""), f"send -r/m/1/a if {tag_of(b'old')[:4]}"),
    "a large file that is there": (
        Put(Phase.FILES, "m/2/big", BIG, ""),
        f"send -r/m/2/big if {tag_of(b'older than')[:4]}",
    ),
}


@pytest.mark.parametrize(("action", "sent"), GUARDED.values(), ids=GUARDED)
def test_a_removal_is_on_what_was_seen_where_the_store_can_do_that(
    action: Action, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritonrepo.sync.apply.LARGE_BYTES", 5)
    store = Memory()
    store.caps = replace(store.caps, guards_removals=True)
    store.objects = {f"r/{path}": file.content() for path, file in HAVE.items()}
    apply(actions(action), store.scan("r"), Writer(place(store), None))
    assert sent in store.log


def test_what_is_too_large_to_hold_is_more_than_eight_mebibytes() -> None:
    bodies = {"m/2/a": bytes(8 << 20), "m/2/b": bytes((8 << 20) + 1)}
    store = Memory()
    store.objects = dict.fromkeys((f"r/{path}" for path in bodies), b"x")
    plan = actions(*(Put(Phase.FILES, path, of_bytes(body), "") for path, body in bodies.items()))
    apply(plan, store.scan("r"), Writer(place(store), None))
    sent = sorted(line.split(" if ")[0] for line in store.log if not line.startswith("prepare"))
    assert sent == ["put r/m/2/b", "send -r/m/2/b", "send r/m/2/a"]


def test_a_second_write_is_on_what_the_first_one_wrote() -> None:
    store = Memory()
    path = "m/config.pbtxt"
    plan = actions(
        Put(Phase.GATE, path, OLD, ""),
        Put(Phase.EXPAND, path, NEW, ""),
        Delete(Phase.PRUNE, path, ""),
        Put(Phase.CLOSE, path, OLD, ""),
    )
    apply(plan, {}, Writer(place(store), None))
    assert [line for line in store.log if line.startswith("send")] == [
        "send r/m/config.pbtxt if absent",
        f"send r/m/config.pbtxt if {tag_of(b'old')[:4]}",
        "send -r/m/config.pbtxt",
        "send r/m/config.pbtxt if absent",
    ]


LOSSES: dict[str, tuple[Callable[[Memory], object], str]] = {
    "what was written is another's": (lambda store: store.objects.update({"r/m/2/a": b"xxx"}), "r/m/2/a"),
    "what was written is gone": (lambda store: store.objects.pop("r/m/2/a"), "r/m/2/a"),
    "what was removed is there": (lambda store: store.objects.update({"r/m/1/a": b"old"}), "r/m/1/a"),
    "what was seen is another's of the same size": (lambda store: store.objects.update({"r/m/b": b"xxx"}), "r/m/b"),
    "what was seen is gone": (lambda store: store.objects.pop("r/m/b"), "r/m/b"),
    "there is something new": (lambda store: store.objects.update({"r/m/3/a": b""}), "r/m/3/a"),
    "another model changes": (lambda store: store.objects.update({"r/n/a": b"xxx", "r/o/a": b""}), ""),
}


@pytest.mark.parametrize("lists_parts", [False, True])
def test_what_a_push_wrote_and_saw_is_verified_after_each_phase(
    *, lists_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PAGE", 1)  # of four objects, three are of the model
    for change, path in LOSSES.values():
        verified(change, path, lists_parts=lists_parts)


def verified(change: Callable[[Memory], object], path: str, *, lists_parts: bool) -> None:
    store = Memory(r__m__1__a=b"old", r__m__b=b"old", r__n__a=b"old")
    store.caps = replace(store.caps, lists_parts=lists_parts)
    have = store.scan("r")
    plan = actions(
        Put(Phase.FILES, "m/2/a", NEW, ""), Delete(Phase.FILES, "m/1/a", ""), Put(Phase.SWITCH, "m/c", NEW, "")
    )
    at_once = Pace(0, lambda: 0, lambda _: None)

    def then(write: Write) -> None:
        if write.path == "r/m/2/a":  # sent after the removal
            change(store)

    store.then = then
    if not path:
        apply(plan, have, Writer(place(store), None), at_once)
        assert store.objects["r/m/c"] == b"new"
        return
    with pytest.raises(Stop) as stop:
        apply(plan, have, Writer(place(store), None), at_once)
    assert str(stop.value) == (
        f"{path}: error: the file is not what this push saw or wrote; someone else writes to this prefix"
        " [push-lost-write]\n  Find out who writes to this prefix, and run the command again.\n"
        "s3://models/r: error: the push was interrupted after at least 2 of 3 actions [push-broken-off]\n"
        "  Fix the cause and run the command again: it continues from this point. Servers keep what they have."
    )
    assert "r/m/c" not in store.objects


LISTED: dict[str, tuple[bool, int, list[str]]] = {
    "one page": (True, 1000, ["r"] * 2),
    "many objects of others": (True, 2, ["r/m"] * 2),
    "links may lead elsewhere": (False, 2, ["r"] * 2),
}


@pytest.mark.parametrize(("lists_parts", "page", "listed"), LISTED.values(), ids=LISTED)
def test_only_the_models_of_a_plan_are_listed_if_that_is_less(
    *, lists_parts: bool, page: int, listed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listing(Memory):
        def files(self, prefix: str) -> Iterator[tuple[str, File]]:
            listings.append(prefix)
            yield from reversed(list(super().files(prefix)))

    listings: list[str] = []
    store = Listing(r__m__1__a=b"", r__n__a=b"", r__o=b"")
    store.caps = replace(store.caps, lists_parts=lists_parts)
    have = store.scan("r")
    monkeypatch.setattr(pace, "PAGE", page)
    plan = actions(Put(Phase.FILES, "m/2/a", NEW, ""), Put(Phase.SWITCH, "m/c", NEW, ""))
    apply(plan, have, Writer(place(store), None), Pace(0, lambda: 0, lambda _: None))
    assert listings == listed
    store.objects = {"r/o": b"", "r/n/a": b"", "r/p/a": b""}  # an object with the name of a model of the plan
    listings.clear()
    apply(
        actions(Put(Phase.FILES, "o/1/a", NEW, "")),
        store.scan("r"),
        Writer(place(store), None),
        Pace(0, lambda: 0, lambda _: None),
    )
    assert listings == ["r"]


SEEN: dict[str, tuple[dict[str, bytes], dict[str, bytes | None], str | None]] = {
    "what was seen": ({"m/a": b"1", "m/b": b"2"}, {}, None),
    "what was written": ({"m/a": b"1", "m/b": b"2", "n/c": b"2"}, {"n/c": b"2"}, None),
    "one less": ({"m/a": b"1"}, {}, "m/b"),
    "one less of what was written": ({"m/a": b"1", "m/b": b"2"}, {"m/c": b"2"}, "m/c"),
    "one more": ({"m/a": b"1", "m/b": b"2", "m/aa": b"1"}, {}, "m/aa"),
    "another content": ({"m/a": b"2", "m/b": b"2"}, {}, "m/a"),
    "another than was written": ({"m/a": b"1", "m/b": b"2"}, {"m/b": b"1"}, "m/b"),
    "what was removed": ({"m/a": b"1", "m/b": b"2"}, {"m/a": None}, "m/a"),
    "the first of several": ({"m/b": b"1", "m/0": b"1"}, {"m/c": b"2"}, "m/0"),
    "in a model of others": ({"m/a": b"1", "m/b": b"2", "x/a": b"2"}, {"y/b": b"2"}, None),
}


@tabled(("now", "written", "path"), SEEN.values(), ids=SEEN)
def test_the_first_path_is_told_at_which_something_else_is_in_whatever_order(
    now: dict[str, bytes], written: dict[str, bytes | None], path: str | None
) -> None:
    def listed(found: Mapping[str, bytes]) -> dict[str, File]:
        return {each: Stored(len(body), of_bytes(body).read, tag=tag_of(body)) for each, body in found.items()}

    tags = {each: None if body is None else tag_of(body) for each, body in written.items()}
    there = [*listed(now).items()]
    for files in (there, there[::-1], [*there, *there]):
        assert pace.astray(files, listed({"m/a": b"1", "m/b": b"2"}), tags, {"m", "n"}) == path


def test_a_push_that_wrote_nothing_yet_was_not_interrupted() -> None:
    class Closed(Memory):
        def ticket(self, write: Write, seconds: int) -> Send:  # noqa: ARG002
            raise fatal("store-access", write.path, "cannot write")

    with pytest.raises(Stop) as stop:
        apply(
            actions(Put(Phase.SWITCH, "m/c", NEW, "")),
            {},
            Writer(place(Closed()), None),
            Pace(0, lambda: 0, lambda _: None),
        )
    assert str(stop.value) == "r/m/c: error: cannot write [store-access]"


class Timeline:
    """A clock, and what was told and waited for, in order."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.told.append(f"+{seconds:.1f}")

    def pace(self, settle_s: float, drain_s: float, sees: Sequence[bool]) -> Pace:
        answers = iter(sees)
        return Pace(settle_s, lambda: self.now, self.sleep, drain_s, (lambda _: next(answers)) if sees else None)


PHASES = (
    Put(Phase.GATE, "m/config.pbtxt", NEW, "", 0),
    Put(Phase.GATE, "n/config.pbtxt", NEW, "", 1),
    Put(Phase.FILES, "m/2/a", NEW, ""),
    Put(Phase.FILES, "m/2/b", NEW, ""),
    Put(Phase.EXPAND, "m/config.pbtxt", OLD, "", 0),
    Put(Phase.EXPAND, "o/config.pbtxt", OLD, "", 1),
    Put(Phase.SWITCH, "n/config.pbtxt", OLD, ""),
)
LOAD, DRAIN = "waiting 30 s for servers to load what was written", "waiting 5 s for running requests to finish"
LINES: dict[str, tuple[Plan, Sequence[bool], list[str]]] = {
    "nothing serves": (
        Plan(PHASES),
        (),
        ["+1.1", "gate: 1 action", "gate: 1 action", "files: 2 actions", "+1.1", "expand: 1 action", "+1.1",
         "expand: 1 action", "+1.1", "switch: 1 action"],
    ),
    "servers that nobody named": (
        Plan(PHASES, served=True),
        (),
        ["+1.1", "gate: 1 action", LOAD, "+30.0", "gate: 1 action", "files: 2 actions", "+1.1", "expand: 1 action",
         LOAD, "+30.0", "expand: 1 action", LOAD, "+30.0", "switch: 1 action"],
    ),
    "after an interrupted push": (
        Plan(PHASES[:1], served=True, resumed=True),
        (),
        [LOAD, "+30.0", "gate: 1 action"],
    ),
    "servers that are watched": (
        Plan(PHASES, served=True, resumed=True),
        (True, True, True, True, False, True),
        ["+1.1", "gate: 1 action", DRAIN, "+5.0", "gate: 1 action", "files: 2 actions", "+1.1", "expand: 1 action",
         DRAIN, "+5.0", "expand: 1 action", LOAD, "+30.0", "switch: 1 action"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("plan", "sees", "lines"), LINES.values(), ids=LINES)
def test_servers_get_time_only_after_what_they_see(plan: Plan, sees: Sequence[bool], lines: list[str]) -> None:
    store, time = Memory(r__m__1__a=b"", r__n__1__a=b"", r__o__1__a=b""), Timeline()
    apply(plan, store.scan("r"), Writer(place(store), None), time.pace(30, 5, sees), hearing(time.told))
    assert time.told == lines


def test_a_model_that_no_server_can_know_is_opened_at_once_and_then_written_a_second_apart() -> None:
    store, time = Memory(r__m__1__a=b""), Timeline()
    gate, opens = Put(Phase.GATE, "n/config.pbtxt", NEW, "", 1), Put(Phase.EXPAND, "n/config.pbtxt", OLD, "")
    plan = Plan((gate, Put(Phase.FILES, "n/1/a", NEW, ""), opens, Put(Phase.SWITCH, "n/config.pbtxt", NEW, "")))
    apply(plan, store.scan("r"), Writer(place(store), None), time.pace(30, 5, ()), hearing(time.told))
    assert time.told == ["gate: 1 action", "files: 1 action", "expand: 1 action", "+1.1", "switch: 1 action"]


def test_without_a_pace_nothing_is_waited_for_and_nothing_is_verified() -> None:
    store = Memory()
    store.then = lambda _: store.objects.update({"r/m/x": b""})
    told: list[str] = []
    apply(Plan(PHASES), {}, Writer(place(store), None), tell=hearing(told))
    assert told == [line for line in LINES["nothing serves"][2] if not line.startswith("+")]


def resized(path: Path) -> None:
    path.write_bytes(b"newer")
    os.utime(path, ns=(5, 5))


def replaced(path: Path) -> None:
    path.rename(path.with_name("old"))
    path.write_bytes(b"NEW")
    os.utime(path, ns=(5, 5))


CHANGES: dict[str, Callable[[Path], object]] = {
    "another content of equal size": lambda path: path.write_bytes(b"NEW"),
    "another size": resized,
    "another file of the same size and time": replaced,
    "none": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_is_known_by_inode_size_or_time(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "r" / "m" / "1" / "a"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"new")
    os.utime(path, ns=(5, 5))
    sealed = seal(dict(DirectoryStore(tmp_path).scan("r")))["m/1/a"]
    assert isinstance(sealed, File)
    assert not broken(sealed)
    change(path)
    assert broken(sealed)
    store = Memory()
    with pytest.raises(Stop) as stop:
        apply(
            actions(Put(Phase.FILES, "m/0/a", OLD, ""), Put(Phase.FILES, "m/1/a", sealed, "")),
            {},
            Writer(place(store), None),
        )
    assert str(stop.value) == (
        f"{path}: error: the file changed while it was being pushed [push-source-changed]\n"
        "  Push again. Nothing serves the file yet."
    )


def sealed_file(root: Path) -> tuple[Path, File]:
    path = root / "r" / "m" / "1" / "a"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"new")
    file = seal(dict(DirectoryStore(root).scan("r")))["m/1/a"]
    assert isinstance(file, File)
    return path, file


def test_the_file_that_is_gone_is_named_and_no_other_of_its_batch(tmp_path: Path) -> None:
    path, file = sealed_file(tmp_path)
    path.unlink()
    store = Memory(r__m__0__a=b"x", r__m__1__a=b"x", r__m__2__a=b"x")
    puts = [Put(Phase.FILES, name, content, "") for name, content in (("m/0/a", OLD), ("m/1/a", file), ("m/2/a", OLD))]
    with pytest.raises(Stop) as stop:
        apply(actions(*puts), store.scan("r"), Writer(place(store), None))
    assert [each.at.path for each in stop.value.diagnostics] == [str(path)]


def test_the_digest_that_is_recorded_is_that_of_what_was_sent(tmp_path: Path) -> None:
    path, file = sealed_file(tmp_path)
    store = Memory()
    apply(actions(Put(Phase.FILES, "m/1/a", file, "")), {}, Writer(place(store), None))
    path.write_bytes(b"later")
    assert file.sha256 == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"


def test_configs_and_calls_are_read_once_and_what_is_not_on_a_disk_stays_as_it_is(tmp_path: Path) -> None:
    held = ("m/config.pbtxt", "m/1/calls.json")
    for name in (*held, "m/1/config.pbtxt"):
        path = tmp_path / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"new")
    tree = {**DirectoryStore(tmp_path).scan("r"), "m/2": Directory(), "m/1/b": OLD}
    sealed = seal(dict(tree))
    assert list(sealed) == list(tree)
    assert (sealed["m/2"], sealed["m/1/b"]) == (Directory(), OLD)
    for name in (*held, "m/1/config.pbtxt"):
        (tmp_path / "r" / name).write_bytes(b"other")
    found = {name: (broken(file), file.content()) for name, file in sealed.items() if isinstance(file, File)}
    assert found == {
        "m/config.pbtxt": (False, b"new"),
        "m/1/calls.json": (False, b"new"),
        "m/1/config.pbtxt": (True, b"other"),
        "m/1/b": (False, b"old"),
    }


def test_a_sealed_file_keeps_the_digest_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "r" / "m" / "1").mkdir(parents=True)
    (tmp_path / "r" / "m" / "1" / "a").write_bytes(b"new")
    asked: list[int] = []

    def cached(file: File) -> str:
        asked.append(file.size)
        return "digest"

    entry = seal(dict(DirectoryStore(tmp_path, hasher=cached).scan("r")))["m/1/a"]
    assert isinstance(entry, File)
    assert (entry.size, entry.sha256, entry.sha256, asked) == (3, "digest", "digest", [3])
