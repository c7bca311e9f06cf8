"""The laws of pushes and rollbacks together, in memory: whatever was pushed, restored and killed, and in any order.

After each write, no config names an incomplete version, no pipeline calls what is not served, and no version that was
served is another one. A rollback is never refused, restores its revision, and a second one finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory import Memory
from tests.test_push_plan import Bytes, contents, dangling, repositories, seen, unfinished
from tritonrepo.diagnostics import Stop
from tritonrepo.flows import push as pushing
from tritonrepo.flows.prepared import Push
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository.paths import is_config
from tritonrepo.stores.store import Store, Write
from tritonrepo.sync import history, writing
from tritonrepo.sync.gating import serving
from tritonrepo.sync.lock import Hold
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.revision import Revision, load, record_path
from tritonrepo.tree import Tree

WORK, AT_ONCE = Workspace(), Pace(0, lambda: 0.0, lambda _: None)
NEVER = 1_000


class Killed(BaseException):
    """The process is gone."""


class Op(NamedTuple):
    """A push of a tree, or a rollback: to the revision of this index, or without a number; killed after some writes."""

    want: Tree | None
    back: int | None
    lives: int

    def __repr__(self) -> str:
        """Return it as short as a failure must show it."""
        files = {path: body.decode() if is_config(path) else "" for path, body in contents(self.want or {}).items()}
        return f"{f'push {files}' if self.want else f'rollback {self.back}'} killed after {self.lives}"


class Held(Hold):
    """The lock of the only one."""

    def __init__(self) -> None: ...

    def confirm(self) -> None: ...

    def recent(self) -> None: ...

    def proven(self) -> bool:
        return True

    @contextmanager
    def sending(self) -> Iterator[None]:
        yield


class World:
    """A bucket, the finished revisions by number, and what was begun last and not finished."""

    def __init__(self) -> None:
        self.bucket, self.source = Memory(), Memory()
        self.bucket.then = self.wrote
        self.revisions: dict[int, Bytes] = {}
        self.before: Bytes = {}
        self.left = NEVER
        self.begun: int | None = None
        self.goal = 0

    def opened(self, uri: str, *_: object) -> tuple[Store, str]:
        return (self.source, "src") if uri == "src" else (self.bucket, "prod")

    def there(self) -> Bytes:
        return {p.removeprefix("prod/"): b for p, b in self.bucket.objects.items() if p.startswith("prod/")}

    def wrote(self, write: Write) -> None:
        if write.path.startswith("prod/"):
            self.judged(write.path.removeprefix("prod/"))
        if write.path.endswith(history.NEXT):
            self.begun = self.goal
        self.left -= 1
        if self.left <= 0:
            raise Killed

    def judged(self, path: str) -> None:
        state, name = self.there(), path.split("/", maxsplit=1)[0]
        live = seen(self.before)[name].served if name in seen(self.before) else set[int]()
        assert path.split("/")[1] not in map(str, live), f"{path} rewrites a served version"
        assert not unfinished(state), path
        assert not dangling(state, {}), path
        self.before = state

    @property
    def last(self) -> int:
        return max(self.revisions, default=0)

    def planned(self, op: Op) -> Push | None:
        """Return what an operation would do; None if a push is refused, or if there is no revision to go back to."""
        if op.want is not None:
            self.source.objects = {f"src/{path}": content for path, content in contents(op.want).items()}
            try:
                return pushing.plan_push("src", "bucket", WORK)
            except Stop:
                return None
        number = None if op.back is None else sorted(self.revisions)[op.back % max(len(self.revisions), 1)]
        goal = number or self.expected()
        if goal not in self.revisions:
            with pytest.raises(Stop, match="no earlier revision exists"):
                plan_rollback("bucket", None, WORK)
            return None
        plan = plan_rollback("bucket", number, WORK)
        assert plan.back
        assert plan.back.number == goal
        return plan

    def expected(self) -> int:
        """Return the revision that is restored if none is named."""
        if self.begun is not None:
            return self.begun or self.last
        return max((number for number in self.revisions if number < self.last), default=0)

    def run(self, op: Op) -> None:
        plan = self.planned(op) if op.back is None or self.revisions else None
        if plan is None:
            return
        self.left, self.goal = op.lives, plan.back.number if plan.back else 0
        try:
            pushing.apply_push(plan, AT_ONCE)
        except Killed:
            self.left = NEVER
            self.finished(plan)
        else:
            self.left = NEVER
            self.finished(plan)
            self.whole(plan)

    def record(self) -> Revision | None:
        found = self.bucket.fetch(record_path("prod"))
        return load(found.content, "") if found else None

    def finished(self, plan: Push) -> None:
        """Note what the record says by now, also if the process was killed right after it had written that."""
        record = self.record()
        if record and record.number > self.last:
            self.revisions[record.number], self.begun = contents(plan.want), None

    def whole(self, plan: Push) -> None:
        """Check that what was wanted is there, a rollback restored its revision, and nothing is left to do."""
        there, record = self.there(), self.record()
        assert record
        assert contents(plan.want).items() <= there.items()
        assert {path: entry.sha256 for path, entry in record.files.items()} == {
            path: sha256(content).hexdigest() for path, content in contents(plan.want).items()
        }
        if plan.back:
            self.restored(self.revisions[plan.back.number], there)
        log = len(self.bucket.log)
        again = plan_rollback("bucket", record.number, WORK)
        assert not again.plan
        pushing.apply_push(again, AT_ONCE)
        assert len(self.bucket.log) == log

    def restored(self, was: Bytes, there: Bytes) -> None:
        """Check that a revision is there byte for byte, and serves no other version than models need which it lacks."""
        assert [path for path in was if plain(path, was[path]) != plain(path, there[path])] == []
        now = seen(there)
        others = [model for name, model in now.items() if name not in seen(was) and model.served]
        for name, model in seen(was).items():
            assert now[name].served == model.served | {other.pins[name] for other in others if name in other.pins}


def plain(path: str, content: bytes) -> bytes:
    """Return a config with the same policy as every other one."""
    return serving(content, [1]) if is_config(path) else content


def ops(lives: st.SearchStrategy[int]) -> st.SearchStrategy[Op]:
    push = st.builds(Op, repositories(), st.none(), lives)
    rollback = st.builds(Op, st.none(), st.none() | st.integers(0, 5), lives)
    return st.one_of(push, push, rollback)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    @contextmanager
    def held(*_: object) -> Iterator[Hold]:
        yield Held()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "AT_ONCE", 1)
        patch.setattr(pushing, "held", held)
        patch.setattr(pushing, "commit", lambda _: "")
        patch.setattr("tritonrepo.flows.sent._checked", lambda *_: None)
        patch.setattr("tritonrepo.sync.push.mixed", lambda *_: [])
        yield


@given(
    repositories(),
    st.lists(ops(st.integers(1, 25) | st.just(NEVER)), min_size=1, max_size=6),
    ops(st.just(NEVER)),
)
def test_whatever_was_pushed_restored_and_killed_the_laws_hold(first: Tree, history_: list[Op], last: Op) -> None:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        for module in ("tritonrepo.flows.sent", "tritonrepo.sync.place"):
            patch.setattr(f"{module}.open_store", world.opened)
        for op in [Op(first, None, NEVER), *history_, last]:
            world.run(op)
        for number in sorted(world.revisions):
            world.run(Op(None, sorted(world.revisions).index(number), NEVER))
