"""The laws of removal, over histories of pushes, rollbacks and prunings in a store in memory, killed at any write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory import Memory
from tests.test_push_plan import Bytes, config, dangling, unfinished, whole
from tritonrepo.diagnostics import Stop
from tritonrepo.flows import prune, published, push, rollback
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores.store import Store, Tag, Write
from tritonrepo.sync import history, writing
from tritonrepo.sync.pace import Pace

URI, PREFIX, SOURCE = "memory", "prod", "source"
LOCK = f"{PREFIX}.tritonrepo/lock.json"
FOREIGN = {
    "z/config.pbtxt": config("z", 1, "specific", "# someone else's"),
    **whole("z", 1),
    "z/2/model.py": b"nobody names it",
    "z/README": b"and nobody asked",
}
STEPS = 'ensemble_scheduling {{\nstep [ {{ model_name: "{name}" model_version: {version} }} ]\n}}'
AT_ONCE = Pace(0, lambda: 0.0, lambda _: None)


class Killed(BaseException):
    """The end of a process that is killed."""


class Bucket(Memory):
    """A bucket that may let only so many more writes land, and is judged after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None
        self.then = self.landed

    def landed(self, write: Write) -> None:
        there = self.own()
        assert not unfinished(there), f"after {write.path}"
        assert not dangling(there, {}), f"after {write.path}"
        assert there.items() >= FOREIGN.items()

    def own(self) -> Bytes:
        return {p.removeprefix(f"{PREFIX}/"): b for p, b in self.objects.items() if p.startswith(f"{PREFIX}/")}

    def _done(self, how: str, write: Write) -> Tag | None:
        if self.left is not None:
            if not self.left:
                raise Killed
            self.left -= 1
        return super()._done(how, write)


def tree(leaves: dict[str, int], pipeline: str) -> Bytes:
    """Return leaves in these versions, and a pipeline that pins one of them, if it is one of them."""
    found: Bytes = {}
    for name, version in leaves.items():
        found |= whole(name, version) | {f"{name}/config.pbtxt": config(name, version, "specific", "")}
    if pipeline in leaves:
        steps = STEPS.format(name=pipeline, version=leaves[pipeline])
        found |= whole("p", 1) | {"p/config.pbtxt": config("p", 1, "specific", steps)}
    return found


trees = st.builds(
    tree,
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1),
    st.sampled_from(["", "a", "b"]),
)


class Act(NamedTuple):
    """What is done: a push of a tree, or, without one, a rollback by some revisions; how many revisions a pruning
    keeps, 0 for none; and after how many writes it is killed.
    """

    source: Bytes | None
    back: int
    keep: int
    killed: int | None


acts = st.builds(Act, st.none() | trees, st.integers(0, 3), st.integers(0, 3), st.none() | st.integers(0, 40))


class World:
    """A bucket with its history: what each revision was, and the first one that no pruning has begun to remove."""

    def __init__(self) -> None:
        self.bucket = Bucket()
        self.bucket.objects = {f"{PREFIX}/{path}": content for path, content in FOREIGN.items()}
        self.source = Memory()
        self.were: dict[int, Bytes] = {}
        self.first = 1

    def opened(self, uri: str, *_: object) -> tuple[Store, str]:
        return (self.bucket, PREFIX) if uri == URI else (self.source, SOURCE)

    def do(self, act: Act) -> None:
        """Do something, which may be refused or killed."""
        self.bucket.left = act.killed
        try:
            self.done(act)
        except Stop:
            pass
        except Killed:
            self.bucket.objects.pop(LOCK, None)  # it was silent for long enough
        self.bucket.left = None
        self.remember()
        if act.keep:
            self.first = max(self.first, self.number - act.keep + 1)

    def done(self, act: Act) -> None:
        if act.source is not None:
            self.source.objects = {f"{SOURCE}/{path}": content for path, content in act.source.items()}
            planned = push.plan_push(SOURCE, URI, Workspace())
            coming = prune.plan_after(planned, act.keep) if act.keep else None
            push.apply_push(planned, AT_ONCE)
            if coming is not None:
                prune.apply_after(planned, coming, AT_ONCE, keep=act.keep)
        elif act.back:
            numbers = history.numbers(published.published(URI).place)
            number = numbers[-act.back] if len(numbers) >= act.back else None
            push.apply_push(rollback.plan_rollback(URI, number, Workspace()), AT_ONCE)
        elif act.keep:
            self.pruned(act.keep)

    def pruned(self, keep: int) -> None:
        prune.apply_prune(prune.plan_prune(URI, Workspace(), keep), AT_ONCE)

    def remember(self) -> None:
        """Note what the current revision is, once it is finished."""
        number = self.number
        if number and number not in self.were:
            self.were[number] = self.revision(number)

    @property
    def number(self) -> int:
        there = published.published(URI)
        return there.before.number if there.before else 0

    def revision(self, number: int) -> Bytes:
        there = published.published(URI)
        found = history.restored(there.place, published.earlier(there, number), there.have)
        assert not found.missing, f"revision {number}"
        return {path: file.content() for path, file in found.tree.items()}


@pytest.fixture(scope="module")
def patched() -> Iterator[Callable[[World], None]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "AT_ONCE", 1)
        patch.setattr(history, "READS_AT_ONCE", 1)
        patch.setattr("tritonrepo.flows.sent._checked", lambda *_: None)
        patch.setattr("tritonrepo.sync.pace.GRAIN_S", 0)

        def use(world: World) -> None:
            patch.setattr("tritonrepo.flows.sent.open_store", world.opened)
            patch.setattr("tritonrepo.sync.place.open_store", world.opened)

        yield use


@given(st.lists(acts, min_size=2, max_size=7), st.integers(1, 3))
def test_whatever_was_done_and_killed_pruning_keeps_all_that_is_needed(
    patched: Callable[[World], None], history_of: list[Act], keep: int
) -> None:
    world = World()
    patched(world)
    for act in history_of:
        world.do(act)
    if not world.number:
        return
    before = world.bucket.own()
    world.pruned(keep)
    for number in range(max(world.first, world.number - keep + 1), world.number + 1):
        assert world.revision(number) == world.were[number]
    after = world.bucket.own()
    assert after.items() <= before.items()
    again = prune.plan_prune(URI, Workspace(), keep).pruning
    assert not again, again
