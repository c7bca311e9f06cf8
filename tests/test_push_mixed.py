"""Whether a push mixes two revisions in one response: by a model of the server in other code than the plan's."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import groupby, pairwise, product
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.pushes import push
from tests.tabled import tabled
from tests.test_push_nest import NESTED, repository
from tests.test_push_plan import STEP, after, at_once, contents
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.sync.mixing import admit
from tritonrepo.sync.plan import Phase, Plan
from tritonrepo.sync.push import plan
from tritonrepo.tree import Tree, of_bytes

LEAVES, PIPELINES, PYTHON = ("a", "b"), ("p", "q", "t"), "k"
ORDER = ("a", "b", "p", "k", "q", "t")
"""Each calls only earlier ones."""

Calls = tuple[tuple[str, int], ...]
Answer = tuple[object, ...]
"""A model, its version or, for a pipeline, the names that it calls; then the responses that these returned."""


class Model(NamedTuple):
    """A model of a revision: its version, what it calls; -1 is the latest."""

    version: int
    calls: Calls = ()


Revision = Mapping[str, Model]


def tree(revision: Revision) -> Tree:
    """Write a revision as a repository; content is a function of name, version and calls."""
    found: dict[str, bytes] = {}
    for name, model in revision.items():
        steps = "\n".join(STEP.format(name=called, version=version) for called, version in model.calls)
        more = f"ensemble_scheduling {{\n{steps}\n}}" if name in PIPELINES else ""
        policy = f"version_policy {{ specific {{ versions: [ {model.version} ] }} }}"
        found[f"{name}/config.pbtxt"] = f'name: "{name}"\n{more}\n{policy}\n'.encode()
        found[f"{name}/{model.version}/content"] = b""
        if name == PYTHON:
            found[f"{name}/{model.version}/calls.json"] = json.dumps(dict(model.calls)).encode()
    return {path: of_bytes(content) for path, content in found.items()}


@st.composite
def calls(draw: st.DrawFn, name: str, revision: Revision) -> Calls:
    """What a model calls of the earlier ones: pinned or the latest; a pipeline the same one again."""
    there = [other for other in ORDER[: ORDER.index(name)] if other in revision]
    chosen = draw(st.lists(st.sampled_from(there), min_size=1, max_size=3, unique=name == PYTHON))
    return tuple((other, draw(st.sampled_from([revision[other].version] * 3 + [-1]))) for other in chosen)


@st.composite
def revisions(draw: st.DrawFn, before: Revision | None = None) -> Revision:
    """A revision; after another one, the next: mostly the same, except for the versions that are called."""
    found: dict[str, Model] = {}
    for name in ORDER:
        old = before.get(name) if before else None
        if name in LEAVES:
            version = old.version + draw(st.integers(0, 1)) if old else 1
            found[name] = Model(version)
            continue
        if draw(st.integers(0, 5)) == 0:
            continue
        same = old is not None and draw(st.integers(0, 3)) and all(called in found for called, _ in old.calls)
        now = draw(calls(name, found))
        if old and same:
            now = tuple((called, v if v == -1 else found[called].version) for called, v in old.calls)
        newer = old is not None and (draw(st.booleans()) if name in PIPELINES else now != old.calls)
        found[name] = Model(old.version + newer if old else 1, now)
    return found


class Seen(NamedTuple):
    """A model on a server: the served versions; for a pipeline its steps, for others calls by version."""

    served: frozenset[int]
    steps: Calls | None
    calls: tuple[tuple[int, Calls], ...]


State = Mapping[str, Seen]


def seen(there: Mapping[str, bytes]) -> dict[str, Seen]:
    found = {}
    for path, text in there.items():
        name, _, rest = path.partition("/")
        if rest == "config.pbtxt" and f'name: "{name}"' in text.decode():
            numbers = re.search(r"versions: \[([ 0-9,]+)\]", text.decode())
            steps = re.findall(r'model_name: "(\w+)" model_version: (-?\d+)', text.decode())
            versions = {int(number) for number in re.findall("[0-9]+", numbers[1])} if numbers else set()
            called = {
                version: tuple(json.loads(there[f"{name}/{version}/calls.json"]).items())
                for version in versions
                if f"{name}/{version}/calls.json" in there
            }
            served = frozenset(
                version for version in versions if any(p.startswith(f"{name}/{version}/") for p in there)
            )
            pinned = tuple((called, int(version)) for called, version in steps)
            found[name] = Seen(served, pinned if name in PIPELINES else None, tuple(called.items()))
    return found


class Server:
    """A server between two states: at each moment, each model is loaded as in either of them."""

    def __init__(self, *states: State) -> None:
        self.states = states
        self.answers = cache(self._answers)

    def loaded(self, name: str, version: int) -> set[tuple[Seen, int]]:
        models = [state[name] for state in self.states if name in state and state[name].served]
        asked = [(model, max(model.served) if version == -1 else version) for model in models]
        return {(model, number) for model, number in asked if number in model.served}

    def _answers(self, name: str, version: int) -> frozenset[Answer]:
        """All possible responses to a request to a model."""
        return frozenset(a for model, number in self.loaded(name, version) for a in self.run(name, model, number))

    def run(self, name: str, model: Seen, number: int) -> Iterator[Answer]:
        """A pipeline resolves one loaded model for each name and version at its start; Python models when they call."""
        if model.steps is None:
            called = dict(model.calls).get(number, ())
            for parts in product(*(self.answers(*call) for call in called for _ in range(2))):
                yield (name, number, *parts)
            return
        names = tuple(called for called, _ in model.steps)
        different = sorted(set(model.steps))
        for held in product(*(self.loaded(*call) for call in different)):
            at = dict(zip(different, held, strict=True))
            for parts in product(*({*self.run(call[0], *at[call])} for call in model.steps)):
                yield (name, names, *parts)


def whole(state: State, name: str, version: int) -> frozenset[Answer]:
    """The response of a revision, with its latest version if it does not serve the requested one."""
    server = Server(state)
    return server.answers(name, version) or server.answers(name, -1)


def groups(made: Plan, tree: Tree, random: Random) -> Iterator[Tree]:
    """The repository as it is, and after each group of writes."""
    state = dict(tree)
    yield state
    for _, group in groupby(made.actions, key=lambda action: (action.phase, action.wave)):
        for action in at_once(list(group), random):
            state = after(state, action)
        yield state


def torn(trees: Collection[Tree], ends: Collection[Tree]) -> set[str]:
    """The pipelines with a mixed response on the way: one that neither the first nor the last revision returns."""
    found = set()
    known = [seen(contents(tree)) for tree in ends]
    for states in pairwise(seen(contents(tree)) for tree in trees):
        server = Server(*states)
        for name in {name for state in states for name in state} - {*LEAVES}:
            served = {version for state in states if name in state for version in state[name].served}
            for version in {-1, *served} if served else ():
                right = {answer for state in known for answer in whole(state, name, version)}
                if not server.answers(name, version) <= right:
                    found.add(name)
    return found


def refused(made: Plan) -> set[str]:
    assert {each.rule for each in made.conflicts} <= {"push-mixed"}
    return {each.model for each in made.conflicts}


def others(made: Plan) -> bool:
    """Whether something else is in the way, such as a pipeline that left the tree and keeps its callees."""
    return any(each.rule != "push-mixed" for each in made.conflicts)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Revision, Revision, Revision]:
    first = draw(revisions())
    second = draw(revisions(first))
    return first, second, draw(st.one_of(revisions(second), st.sampled_from([first, second])))


@given(histories(), st.integers(0, 20), st.randoms(use_true_random=False))
def test_what_is_refused_mixes_and_what_is_not_does_not(
    history: tuple[Revision, Revision, Revision], killed: int, random: Random
) -> None:
    first, second, third = map(tree, history)
    made = plan(second, first, "r")
    assume(not others(made))
    way = list(groups(made, first, random))
    assert refused(made) == torn(way, [first, way[-1]])
    if made.conflicts:
        return
    state = dict(first)
    for action in at_once(made.actions, random)[:killed]:
        state = after(state, action)
    released = {name: {model.version} for name, model in history[0].items()}
    again = plan(third, state, "r", resumed=True, released=released)
    assume(not others(again))
    assert third != second or not again.conflicts, "a killed push is finished by the next"
    if not again.conflicts:
        way = list(groups(again, state, random))
        assert not torn(way, [first, {**first, **second}, way[-1]])


def revision(version: int = 1, **models: str) -> Revision:
    """Two leaves, the first in this version, and models by what they call: `p="a1 b"`, without a version the latest."""
    found = {"a": Model(version), "b": Model(1)}
    for name, text in models.items():
        own, _, called = text.rpartition(":")
        calls = tuple((call[0], int(call[1:] or -1)) for call in called.split())
        found[name] = Model(int(own or 1), calls)
    return found


b2 = {"b": Model(2)}
CASES: dict[str, tuple[Revision, Revision, str, str]] = {
    "nothing but what the inner pipeline calls": (revision(p="a1", t="p1 b1"), revision(2, p="a2", t="p1 b1"), "", "p"),
    "nothing but what the outer pipeline calls": (
        revision(p="a1", t="p1 b1"),
        {**revision(p="a1", t="p1 b2"), **b2},
        "",
        "t",
    ),
    "both, in one leaf": (revision(p="a1", t="p1 a1"), revision(2, p="a2", t="p1 a2"), "t", "pt"),
    "both, in two leaves": (revision(p="a1", t="p1 b1"), {**revision(2, p="a2", t="p1 b2"), **b2}, "t", "pt"),
    "both, and two pipelines above": (
        revision(p="a1", q="p1 a1", t="q1"),
        revision(2, p="a2", q="p1 a2", t="q1"),
        "qt",
        "pq",
    ),
    "the inner pipeline has a new number": (revision(p="a1", t="p1 b1"), revision(2, p="2:a2", t="p2 b1"), "", "t"),
    "two inner pipelines": (revision(p="a1", q="a1", t="p1 q1"), revision(2, p="a2", q="a2", t="p1 q1"), "t", "pq"),
    "an inner pipeline twice": (revision(p="a1", t="p1 p1"), revision(2, p="a2", t="p1 p1"), "", "p"),
    "an inner pipeline by two ways": (
        revision(p="a1", q="p1", t="p1 q1"),
        revision(2, p="a2", q="p1", t="p1 q1"),
        "t",
        "p",
    ),
    "Python that calls a pipeline": (revision(p="a1", k="p1"), revision(2, p="a2", k="p1"), "k", "p"),
    "Python that calls the latest leaf": (revision(k="a"), revision(2, k="a"), "k", ""),
    "Python that pins a leaf": (revision(k="a1", t="k1"), revision(2, k="2:a2", t="k2"), "", "t"),
    "the latest leaf, and nothing else": (revision(p="a", t="p1 b1"), revision(2, p="a", t="p1 b1"), "", ""),
    "the latest leaf twice": (revision(p="a a"), revision(2, p="a a"), "", ""),
    "the latest leaf in a pipeline that is called twice": (
        revision(p="a", t="p1 p1"),
        revision(2, p="a", t="p1 p1"),
        "t",
        "",
    ),
    "the latest of two leaves": (revision(p="a b"), {**revision(2, p="a b"), **b2}, "p", ""),
    "the latest leaf and a pinned one": (revision(p="a b1"), {**revision(2, p="a b2"), **b2}, "p", "p"),
    "leaves that were the latest are pinned as they are": (revision(p="a b"), revision(p="a1 b1"), "", "p"),
    "what was pinned becomes the latest": (revision(p="a1 b1"), revision(2, p="a b1"), "", "p"),
    "the outer pipeline calls the leaves itself": (
        revision(p="a1", t="p1 a1"),
        revision(2, p="a2", t="a2 a2"),
        "",
        "t,p",
    ),
    "and the inner one has a new number": (revision(p="a1", t="p1 a1"), revision(2, p="2:a2", t="a2 a2"), "", "t,p"),
    "the outer pipeline begins to call the inner one": (
        revision(p="a1", t="a1 a1"),
        revision(2, p="a2", t="p1 a2"),
        "",
        "p,t",
    ),
    "a new pipeline over one that changes": (revision(p="a1"), revision(2, p="a2", t="p1 a2"), "", "p,t"),
    "the inner pipeline has a new name": (
        revision(p="a1", t="p1 a1"),
        revision(2, p="a2", q="a2", t="q1 a2"),
        "",
        "t,p",
    ),
    "pipelines change places": (revision(p="q1 a1", q="a1"), revision(2, p="a2", q="p1 a2"), "", "p,q"),
}
"""The old and the new revision; the pipelines that are refused; those that move at the switch, in their turns."""


@tabled(("before", "now", "wrong", "order"), CASES.values(), ids=CASES)
def test_a_pipeline_is_refused_where_no_turn_helps(before: Revision, now: Revision, wrong: str, order: str) -> None:
    made = plan(tree(now), tree(before), "r")
    assert not others(made)
    switch = [a for a in made.actions if a.phase is Phase.SWITCH]
    turns = ["".join(a.path[0] for a in group) for _, group in groupby(switch, key=lambda action: action.wave)]
    assert (refused(made), ",".join(turns)) == ({*wrong}, order)
    way = list(groups(made, tree(before), Random(1)))
    assert torn(way, [tree(before), tree(now)]) == {*wrong}


SAID = {
    "a nest": (
        CASES["both, in one leaf"],
        """\
r/t: error: a response of "t" can mix both releases: t → p → a 2 is new, t → a 1 is old [push-mixed]
  "p" has one config for all its versions, so "t" cannot keep calling the old one.
  Call the models of "p" directly in "t", or rename the new "p".
  Add `--allow-mixed t` to accept such responses.""",
    ),
    "the latest": (
        CASES["the latest leaf and a pinned one"],
        """\
r/p: error: a response of "p" can mix both releases: p → a 2 is new, p → b 1 is old [push-mixed]
  "p" calls "a" without a version, so it gets a new one as soon as that is served.
  Pin "a" in "p" to the version that is served, push that, and then push this release.
  Add `--allow-mixed p` to accept such responses.""",
    ),
    "Python": (
        CASES["Python that calls a pipeline"],
        """\
r/k: error: a response of "k" can mix both releases: k → p → a 2 is new, k → p → a 1 is old [push-mixed]
  "k" can call "p" several times per request, before and after it changes.
  Call the models of "p" directly in "k", or rename the new "p".
  Add `--allow-mixed k` to accept such responses.""",
    ),
}


@pytest.mark.parametrize(("case", "text"), SAID.values(), ids=SAID)
def test_a_refusal_says_where_why_and_what_to_do(case: tuple[Revision, Revision, str, str], text: str) -> None:
    (refusal,) = plan(tree(case[1]), tree(case[0]), "r").conflicts
    assert str(refusal) == text


def test_a_nest_of_any_depth_is_judged() -> None:
    def nest(version: int) -> Tree:
        names = [f"p{number:04}" for number in range(600)]
        steps = [*((name, 1) for name in names[1:]), ("a", version)]
        text = 'name: "{}"\nensemble_scheduling {{ {} }}\nversion_policy {{ specific {{ versions: [ 1 ] }} }}\n'
        configs = {
            f"{name}/config.pbtxt": text.format(name, STEP.format(name=called, version=number)).encode()
            for name, (called, number) in zip(names, steps, strict=True)
        }
        deep = {path: of_bytes(content) for path, content in configs.items()}
        return {**tree(revision(version)), **deep, **{f"{name}/1/.keep": of_bytes(b"") for name in names}}

    made = plan(nest(2), nest(1), "r")
    assert [a.path for a in made.actions if a.phase is Phase.SWITCH] == ["p0599/config.pbtxt"]
    assert not made.conflicts


def test_what_is_admitted_is_planned_and_told() -> None:
    before, now, *_ = CASES["both, and two pipelines above"]
    made = plan(tree(now), tree(before), "r")
    admitted = admit(made, ["q", "b"])
    assert [each.model for each in admitted.conflicts] == ["t"]
    admitted = admit(made, ["q", "t"])
    assert (admitted.conflicts, admitted.actions) == ((), made.actions)
    assert [str(each).split(": ")[:2] for each in admitted.notes] == [["r/q", "warning"], ["r/t", "warning"]]
    assert [each.hint for each in admitted.notes] == ["", ""]
    other, note = (Diagnostic(rule, Severity.ERROR, Span("r/q"), "no", model="q") for rule in ("push-other", "note"))
    mixed = admit(Plan((), (*made.conflicts, other), notes=(note,)), ["q", "t"])
    assert mixed.conflicts == (other,)
    assert [each.rule for each in mixed.notes] == ["push-mixed", "push-mixed", "note"]


def test_nothing_is_written_until_the_pipeline_is_admitted_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "served" / "prod"
    assert push(repository(tmp_path / "1", 1, NESTED), place) == 0
    second, there = repository(tmp_path / "2", 2, NESTED), sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert push(second, place) == 1
    assert capsys.readouterr().err.startswith(f'{place}/outer: error: a response of "outer" can mix both releases: ')
    assert push(second, place, "--allow-mixed", "pipe") == 1
    assert push(second, place, "--allow-mixed", "outr") == 2
    assert capsys.readouterr().err.endswith(
        'unknown model "outr" in --allow-mixed [push-allow-mixed]\n  Did you mean "outer"?\n'
    )
    assert sorted(tmp_path.rglob("*")) == there
    assert push(second, place, "--allow-mixed", "outer") == 0
    assert f"{place}/outer: warning: a response of" in capsys.readouterr().err
