"""Two pushes or rollbacks at once, in every order: one stops at any moment, the other runs a while, then both go on.

They are the real ones; the store is a small exact one, whose tags are made of the content, as S3's are, so that
what was written and written back looks untouched. Waiting takes no time here, so that hundreds of orders run.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.memory import Memory, tag_of
from tests.pushes import CODE, LEAF, TOP
from tritonrepo.diagnostics import Stop
from tritonrepo.flows import push as pushing
from tritonrepo.flows.prepared import Push as Planned
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.flows.workspace import Workspace
from tritonrepo.pbtxt import parse
from tritonrepo.repository import target
from tritonrepo.shared import directory
from tritonrepo.stores import open_store
from tritonrepo.stores.store import Fetched, Late, Send, Store, Tag, Write
from tritonrepo.sync import holder, lock, writing
from tritonrepo.sync.gating import models
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.revision import load, record_path
from tritonrepo.tree import File, Tree, of_bytes

PREFIX = "prod"
LOCK = f"{PREFIX}.tritonrepo/lock.json"
LOOK_S = 31.0
"""So that a silent lock is read twice, not thirty times."""

EVERY = 1 if os.environ.get("PUSH_ORDERS") == "all" else 10
"""Of the moments at which the second push can pause, every which one is tried; `PUSH_ORDERS=all` tries them all."""

RARER = EVERY if EVERY == 1 else 25
"""The same where one of the two is a rollback."""

STORES: dict[str, Command] = {}
"""How a push finds its own view of the store."""

MANY = 100
"""In how many of all orders of two commands each of them must have been the one that finished."""

Plan = Callable[[str], Planned]
"""Plans a push or a rollback in the view of this name."""

SERVED: dict[frozenset[tuple[str, bytes]], dict[str, tuple[int, ...]]] = {}
"""What a server would serve of each content, so that each is checked once."""


class Shelf(Memory):
    """The store, the time, and whose writes arrived, in order: each push is a thread of its name."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__()
        self.objects, self.time = dict(objects), 0.0
        self.landed: list[tuple[str, str]] = []
        self.then = self._arrived

    def _arrived(self, write: Write) -> None:
        self.landed.append((threading.current_thread().name, write.path))
        if write.file is not None:
            self.served()

    def served(self) -> dict[str, tuple[int, ...]]:
        """Return what a server would serve; fail if a config names an incomplete version, or one that is not served."""
        head = f"{PREFIX}/"
        there = frozenset((p.removeprefix(head), b) for p, b in self.objects.items() if p.startswith(head))
        if there not in SERVED:
            SERVED[there] = self._served({path: of_bytes(body) for path, body in there})
        return SERVED[there]

    def _served(self, there: Tree) -> dict[str, tuple[int, ...]]:
        found = models(there, target())
        for model in found.values():
            for version in model.served if model.name == "leaf" else ():
                content = {path: file.content() for path, file in model.files.items()}
                assert content.items() >= parts(version).items(), f"version {version} is incomplete"
            for name, version in model.called(*model.served):
                assert version in found[name].served, f"{model.name} calls {name} {version}, which does not serve"
        return {name: model.served for name, model in found.items()}


class Command:
    """A push or a rollback in a thread that does one thing with the store, or waits once, each time it may."""

    def __init__(self, shelf: Shelf, plan: Plan, by: str) -> None:
        self.shelf, self.plan, self.by = shelf, plan, by
        STORES[by] = self
        self.planned: Planned | None = None
        self.failed: Stop | None = None
        self.bug: BaseException | None = None
        self.over = False
        self.caps = shelf.caps
        self._let, self._came = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, name=by, daemon=True).start()
        assert self._came.acquire(timeout=60)

    def _run(self) -> None:
        try:
            self.planned = self.plan(self.by)
            pushing.apply_push(self.planned, Pace(1, lambda: self.shelf.time, self.sleep))
        except Stop as stop:
            self.failed = stop
        except BaseException as error:  # noqa: BLE001  raised where the test waits for it
            self.bug = error
        self.over = True
        self._came.release()

    @property
    def goal(self) -> int:
        """The revision that it publishes."""
        assert self.planned
        return models(self.planned.want, target())["leaf"].served[0]

    @property
    def changes(self) -> bool:
        """Whether it planned to change anything."""
        return self.planned is None or bool(self.planned.plan)

    def steps(self, most: int | None = None) -> None:
        """Let it do this many things, or everything."""
        for number in count():
            if self.over or number == most:
                break
            self._let.release()
            assert self._came.acquire(timeout=60)
        if self.bug:
            raise self.bug

    def _turn(self) -> None:
        self._came.release()
        self._let.acquire()

    def sleep(self, seconds: float) -> None:
        self._turn()
        self.shelf.time += seconds

    def scan(self, prefix: str) -> Tree:
        self._turn()
        return self.shelf.scan(prefix)

    def files(self, prefix: str) -> Iterator[tuple[str, File]]:
        self._turn()
        return self.shelf.files(prefix)

    def fetch(self, path: str) -> Fetched | None:
        self._turn()
        return self.shelf.fetch(path)

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        self._turn()
        return self.shelf.put(path, file, if_absent=if_absent, if_match=if_match)

    def delete(self, path: str) -> None:
        self._turn()
        self.shelf.delete(path)

    def ticket(self, write: Write, seconds: int) -> Send:
        self._turn()
        end, sent = self.shelf.time + seconds, self.shelf.ticket(write, seconds)

        def send() -> Tag | None:
            self._turn()
            if self.shelf.time > end:
                raise Late(write.path)
            return sent()

        return send

    def revoke(self, directory: str, there: Store | None = None) -> None:
        """The time of a prepared write is counted."""

    def tidy(self, prefix: str = "", directories: Collection[str] = ()) -> str:  # noqa: ARG002  the Store's
        """Nothing is half-written here."""
        return ""

    def server_environment(self) -> dict[str, str]:
        return {}


def parts(version: int) -> dict[str, bytes]:
    """Return the files of a version; the first and the third have the same packages."""
    file = of_bytes(str(version % 2).encode())
    packages = directory({"p.py": file})
    settings = json.dumps({"packages": packages}).encode()
    return {
        f"{version}/model.py": CODE.encode(),
        f"{version}/settings.json": settings,
        f"{packages}/p.py": file.content(),
    }


def revision(place: Path, version: int) -> Path:
    """Write a pipeline and the leaf that it pins, in this version."""
    for name, text in (("leaf", LEAF), ("top", TOP)):
        (place / name).mkdir(parents=True)
        (place / name / "config.pbtxt").write_text(text.format(version=version), "utf-8")
    for path, content in parts(version).items():
        (place / "leaf" / path).parent.mkdir(exist_ok=True)
        (place / "leaf" / path).write_bytes(content)
    (place / "top" / "1").mkdir()
    return place


def pushes(source: Path) -> Plan:
    return lambda by: pushing.plan_push(str(source), by, Workspace())


def goes_back(by: str) -> Planned:
    return plan_rollback(by, None, Workspace())


def opened(uri: str, *_: object) -> tuple[Store, str]:
    return (STORES[uri], PREFIX) if uri in STORES else open_store(uri)


def whole(shelf: Shelf, source: Path) -> bool:
    """Whether only this revision is served, completely, and the record says so."""
    own = {f"{PREFIX}/{p.relative_to(source)}": p.read_bytes() for p in source.rglob("*") if p.is_file()}
    own |= {f"{PREFIX}/top/1/.keep": b""}
    recorded = load(shelf.objects[record_path(PREFIX)], "record").files
    tags = {path: tag_of(content) for path, content in own.items()}
    return (
        {path: shelf.objects.get(path) for path in own} == own
        and {f"{PREFIX}/{path}": entry.tag for path, entry in recorded.items()} == tags
        and shelf.served() == {"leaf": (int(source.name),), "top": (1,)}
    )


def pushed(shelf: Shelf, source: Path, by: str) -> None:
    push = Command(shelf, pushes(source), by)
    push.steps()
    assert push.failed is None, push.failed
    assert whole(shelf, source)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, Path]:
    monkeypatch.setattr(writing, "AT_ONCE", 1)
    monkeypatch.setattr(lock, "LOOK_S", LOOK_S)
    monkeypatch.setattr(holder, "machine", lambda: threading.current_thread().name)
    # who pushes which commit is asked of the system and of git, a process, by every command
    monkeypatch.setenv("LOGNAME", "tests")
    monkeypatch.setattr(pushing, "commit", lambda _: "")
    # the same few texts and trees are read in every order: what comes of them is known, and nothing is nested
    monkeypatch.setattr("tritonrepo.repository.parse", cache(parse))
    monkeypatch.setattr("tritonrepo.sync.push.mixed", lambda *_: [])
    monkeypatch.setattr("tritonrepo.flows.sent._checked", lambda *_: None)
    monkeypatch.setattr("tritonrepo.flows.sent.open_store", opened)
    monkeypatch.setattr("tritonrepo.sync.place.open_store", opened)
    return {number: revision(tmp_path / str(number), number) for number in (1, 2, 3)}


class Order(NamedTuple):
    """Two at once: the first is stopped before one of its steps, the second has made some progress."""

    shelf: Shelf
    one: Command
    two: Command


def orders(before: dict[str, bytes], first: Plan, second: Plan, every: int = EVERY) -> Iterator[Order]:
    """Yield each order of two pushes or rollbacks of what was there before."""
    for stop_at in count():
        for as_far_as in count(stop_at % every, every):
            shelf = Shelf(before)
            one = Command(shelf, first, "one")
            while ("one", LOCK) not in shelf.landed:
                assert not one.over, one.failed
                one.steps(1)
            one.steps(stop_at)
            if one.over:
                return
            two = Command(shelf, second, "two")
            two.steps(as_far_as)
            at_the_end = two.over
            yield Order(shelf, one, two)
            if at_the_end:
                break


BACK = 0
ORDERS = {
    "two pushes": (1, 2, 3, EVERY),
    "a push, and one of the revision that serves": (1, 2, 1, EVERY),
    "a push, and a rollback": (2, 3, BACK, RARER),
    "a rollback, and a push": (2, BACK, 3, RARER),
    "two rollbacks": (2, BACK, BACK, RARER),
}
"""The revision that serves, which two are published at once, and how many moments are tried."""


@pytest.fixture(params=ORDERS.values(), ids=list(ORDERS))
def tried(request: pytest.FixtureRequest, sources: dict[int, Path]) -> Iterator[Order]:
    """Every order of two commands."""
    serves, first, second, every = request.param
    before = Shelf({})
    for number in range(1, serves + 1):
        pushed(before, sources[number], "before")
    one, two = (pushes(sources[number]) if number != BACK else goes_back for number in (first, second))
    return orders(before.objects, one, two, every)


def test_what_a_killed_command_sent_comes_too_late(
    sources: dict[int, Path], tried: Iterator[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The killed one was on the same machine, so its lock need not be silent; its last write takes long to arrive."""
    monkeypatch.setattr(holder, "machine", lambda: "the same")
    monkeypatch.setattr(holder, "born", lambda _: "runs" if threading.current_thread().name == "one" else "")
    for shelf, one, two in tried:
        one.steps(1)
        two.steps()
        shelf.served()
        if two.failed is None and ("two", LOCK) in shelf.landed:
            assert whole(shelf, sources[two.goal])
        one.steps()  # so that its thread ends


def test_no_write_lands_once_another_command_holds_the_lock(sources: dict[int, Path], tried: Iterator[Order]) -> None:
    overtaken = Counter[bool]()
    for shelf, one, two in tried:
        one.steps()
        two.steps()
        overtaken[judged(shelf, one, two, sources)] += 1
        if two.failed:
            shelf.time += 2 * lock.SILENT_S
            pushed(shelf, sources[3], "third")
    assert overtaken[True] > MANY / EVERY, overtaken
    assert overtaken[False] > MANY / EVERY, overtaken


def judged(shelf: Shelf, one: Command, two: Command, sources: dict[int, Path]) -> bool:
    """Check what two did together; return whether the second one took over the lock."""
    shelf.served()
    if ("two", LOCK) not in shelf.landed:
        assert two.failed or not two.changes
        assert one.failed is None
        assert whole(shelf, sources[one.goal])
        return False
    late = shelf.landed[shelf.landed.index(("two", LOCK)) :]
    # it may write the lock: where the second one has ended, nobody holds it
    news = {LOCK, *(f"{PREFIX}/leaf/{path}" for path in parts(one.goal))}
    same = (f"{PREFIX}.tritonrepo/kept/", *(f"{PREFIX}.tritonrepo/revisions/{n}.json" for n in sources))
    assert not [path for by, path in late if by == "one" and path not in news and not path.startswith(same)]
    if two.failed is None:
        assert whole(shelf, sources[two.goal])
    else:
        assert {"push-overtaken", "push-lost-write"} & {each.rule for each in two.failed.diagnostics}
    return one.failed is not None
