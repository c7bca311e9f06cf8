"""What a push tells while it runs: every byte once, one event at a time, and how far it came before Ctrl-C."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.memory import Memory
from tests.pushes import beside, repository
from tests.tabled import tabled
from tritonrepo.flows.events import Event
from tritonrepo.flows.push import apply_push, plan_push
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores.intact import whole
from tritonrepo.stores.store import Tag, Write
from tritonrepo.sync.apply import apply
from tritonrepo.sync.fetching import arriving
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Delete, Phase, Plan, Put
from tritonrepo.sync.telling import Began, Interrupted, Meter, Sent, Told
from tritonrepo.sync.writing import Alone, Writer
from tritonrepo.tree import File, of_bytes

AT_ONCE = Pace(0, lambda: 1000, lambda _: None)
BODY = os.urandom(1000)


def place(store: Memory) -> Place:
    return Place(store, "r", "s3://b/r")


def in_pieces(file: File) -> None:
    list(file.chunks())


def in_parts(file: File) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda start: file.read(start, 10), range(0, file.size, 10)))


def again(file: File) -> None:
    for start in (0, 500, 0, 500, 900):
        file.read(start, 500)


def verified_on_the_way(file: File) -> None:
    """As `pull` reads what it brings back."""
    list(arriving(file, "u", threading.Event()).chunks())


def in_part(file: File) -> None:
    """What an earlier push has sent is not read again."""
    file.read(900, 100)


READS: list[Callable[[File], None]] = [in_pieces, in_parts, again, verified_on_the_way, in_part]


@tabled("reads", READS)
def test_bytes_are_counted_once_however_the_store_reads_them(reads: Callable[[File], None]) -> None:
    class Reading(Memory):
        def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
            reads(file)
            return super().put(path, of_bytes(BODY), if_absent=if_absent, if_match=if_match)

    told: list[Told] = []
    files = tuple(Put(Phase.FILES, f"m/1/{number}", of_bytes(BODY), "new") for number in range(40))
    apply(Plan(files), {}, Writer(place(Reading()), None), AT_ONCE, told.append)
    assert told[0] == Began("files", 40, 40_000)
    sent = [event for event in told[1:] if isinstance(event, Sent)]
    assert len(sent) == len(told) - 1
    assert (sum(each.size for each in sent), sum(each.files for each in sent)) == (40_000, 40)


def test_what_the_source_verifies_is_counted_as_it_is_read() -> None:
    told: list[Told] = []
    large = arriving(of_bytes(BODY * 3000), "u", threading.Event())
    with Meter(told.append, 1).counted(large) as file:
        chunks = file.chunks()
        first = len(next(chunks))
        assert told == [Sent(first)]
        list(chunks)
    assert told == [Sent(first), *told[1:-1], Sent(0, 1)]
    assert sum(event.size for event in told if isinstance(event, Sent)) == 3_000_000


def test_a_file_is_not_read_again_for_the_digest_that_the_store_has_computed() -> None:
    reads: list[int] = []

    def read(offset: int, n: int) -> bytes:
        reads.append(offset)
        return BODY[offset : offset + n]

    source = File(len(BODY), read)
    with Meter(lambda _: None, 1).counted(source) as file:
        assert whole(file) == BODY
    assert source.sha256 == of_bytes(BODY).sha256
    assert reads == [0]


def test_a_deletion_is_counted_without_bytes() -> None:
    told: list[Told] = []
    plan = Plan((Put(Phase.PRUNE, "m/config.pbtxt", of_bytes(b"12"), ""), Delete(Phase.PRUNE, "m/1/a", "")))
    store = Memory(r__m__1__a=b"123")
    apply(plan, store.scan("r"), Alone(place(store)), tell=told.append)
    assert told == [Began("prune", 2, 2), Sent(2, 1, 1)]


def test_events_arrive_one_at_a_time(tmp_path: Path) -> None:
    """So that a receiver needs no lock: two threads of a push never call it together."""
    inside = threading.Lock()
    threads = set[int]()

    def tell(_: Event) -> None:
        assert inside.acquire(blocking=False)
        threads.add(threading.get_ident())
        inside.release()

    push = plan_push(repository(tmp_path / "m", 1), tmp_path / "served" / "prod", Workspace(tell=tell))
    apply_push(push, AT_ONCE)
    assert len(threads) > 1


def test_how_far_a_push_came_is_told_before_anything_else_ends() -> None:
    class Last(Memory):
        def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
            if path.endswith("/b"):
                raise KeyboardInterrupt
            return super().put(path, file, if_absent=if_absent, if_match=if_match)

    told: list[Told] = []
    files = tuple(Put(Phase.FILES, f"m/1/{name}", of_bytes(b"x"), "new") for name in "abc")
    with pytest.raises(KeyboardInterrupt):
        apply(Plan(files, served=True), {}, Alone(place(Last())), tell=told.append)
    assert told[-1] == Interrupted("files", 1, 3, served=True)
    assert told[-1].text.startswith("stopping in phase files after 1 of 3 actions: servers keep what they have, and ")
    assert Interrupted("", 0, 3).text == "stopping before the first of 3 actions: the next run continues from here"


@pytest.mark.parametrize(
    ("phases", "out"),
    [
        pytest.param((Phase.EXPAND, Phase.REPLACE), True, id="the placeholder is written"),
        pytest.param((Phase.REPLACE, Phase.SWITCH), True, id="the new version loads"),
        pytest.param((Phase.REPLACE, Phase.SWITCH, Phase.CONTRACT), False, id="it serves"),
        pytest.param((Phase.SWITCH,), False, id="nothing is replaced"),
    ],
)
def test_after_ctrl_c_a_model_that_is_being_replaced_is_told_to_be_out(
    phases: tuple[Phase, ...],
    out: bool,  # noqa: FBT001  a table's column
) -> None:
    told: list[Told] = []
    meter = Meter(told.append, len(phases), served=True)

    def interrupted() -> None:
        with meter.ending():
            for phase in phases:
                meter.began([Put(phase, "m/config.pbtxt", of_bytes(b""), "")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert isinstance(told[-1], Interrupted)
    assert told[-1].text.endswith("a model that is being replaced answers no request") is out


def test_a_push_that_is_interrupted_while_it_writes_its_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, place, told = repository(tmp_path / "m", 1), tmp_path / "served" / "prod", list[Event]()
    push = plan_push(made, place, Workspace(tell=told.append))
    real = Writer.write

    def write(writer: Writer, writes: Sequence[Write]) -> list[Tag | None]:
        if told and isinstance(told[-1], Sent) and writes[0].path.endswith("release.json"):
            raise KeyboardInterrupt
        return real(writer, writes)

    monkeypatch.setattr(Writer, "write", write)
    with pytest.raises(KeyboardInterrupt):
        apply_push(push, AT_ONCE)
    count = len(push.plan.actions)
    assert told[-1] == Interrupted("record", count, count)
    assert "lock.json" not in beside(str(place))
