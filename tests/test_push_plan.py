"""The plan of a push: the laws that keep servers safe, for every tree and every moment at which a push is killed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.shared import directory, named
from tritonrepo.sync.gating import OUT, Released, serving
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put
from tritonrepo.sync.push import plan
from tritonrepo.sync.replacing import CODE, PLACEHOLDER, RULE, Switches
from tritonrepo.tree import Directory, Entry, File, Link, Outside, Tree, Unreadable, files, of_bytes, of_text

LEAVES, PIPELINES = ("a", "b", "c"), ("p", "q")
SHARING = ("a", "b")
POLICIES = {
    "specific": "version_policy {{ specific {{ versions: [ {numbers} ] }} }}",
    "split": "version_policy: {{\n  specific: {{ versions: {first} }} # by hand\n}}",
    "latest": "version_policy {{ latest {{ num_versions: 1 }} }}",
    "none": "",
}
STEP = 'step [ {{ model_name: "{name}" model_version: {version} }} ]'
Bytes = dict[str, bytes]


def config(name: str, version: int, policy: str, more: str) -> bytes:
    chosen = POLICIES[policy].format(numbers=version, first=version)
    return f'# {name}, by hand\nname: "{name}"\n{more}\n{chosen}  # kept\n'.encode()


def whole(name: str, version: int) -> Bytes:
    """The content of a version: a function of its number, because a number is never used twice."""
    names = (".keep",) if name in PIPELINES else ("model.py", "weights", "more/x")[: 1 + version % 3]
    own = {f"{name}/{version}/{file}": f"{name}{version}{file}".encode() for file in names}
    return own if name not in SHARING else own | shared(name, version)


def shared(name: str, version: int) -> Bytes:
    """What a version shares with the one before or after it, and its settings, which name the directories."""
    found: Bytes = {}
    settings = {}
    for key, group in (("packages", (version + 1) // 2), ("tokenizer", version // 2)):
        content = {f"{key}/{file}": f"{name}{group}{file}".encode() for file in "ab"}
        settings[key] = directory({path: of_bytes(each) for path, each in content.items()})
        found |= {f"{name}/{settings[key]}/{path}": each for path, each in content.items()}
    return found | {f"{name}/{version}/settings.json": json.dumps(settings).encode()}


@st.composite
def repositories(draw: st.DrawFn) -> Tree:
    """Leaves, and pipelines that pin their versions; the second pipeline may call the first."""
    tree: Bytes = {}
    chosen: dict[str, int] = {}
    for name in draw(st.sets(st.sampled_from(LEAVES), min_size=1)):
        version = draw(st.integers(1, 4))
        chosen[name] = version
        tree |= whole(name, version)
        parameter = draw(st.sampled_from(["", "max_batch_size: 4", "max_batch_size: 8"]))
        tree[f"{name}/config.pbtxt"] = config(name, version, draw(st.sampled_from(sorted(POLICIES))), parameter)
    for name in sorted(draw(st.sets(st.sampled_from(PIPELINES)))):
        called = draw(st.sets(st.sampled_from(sorted(chosen)), min_size=1))
        chosen[name] = version = draw(st.integers(1, 2))
        steps = "\n".join(STEP.format(name=other, version=chosen[other]) for other in sorted(called))
        tree |= whole(name, version)
        tree[f"{name}/config.pbtxt"] = config(name, version, "specific", f"ensemble_scheduling {{\n{steps}\n}}")
    return {path: of_bytes(content) for path, content in tree.items()}


def contents(tree: Tree) -> Bytes:
    return {path: file.content() for path, file in files(tree).items()}


def after(state: Mapping[str, Entry], action: Action) -> dict[str, Entry]:
    if isinstance(action, Put):
        return {**state, action.path: action.file}
    return {path: entry for path, entry in state.items() if path != action.path}


class Seen(NamedTuple):
    """What a server reads of a model, in other code than the plan's: policy, pins, version directories."""

    gated: bool
    specific: set[int] | None
    pins: dict[str, int]
    there: set[int]

    @property
    def served(self) -> set[int]:
        if self.gated:
            return set()
        return {max(self.there)} if self.specific is None and self.there else (self.specific or set()) & self.there


def seen(state: Bytes) -> dict[str, Seen]:
    found = {}
    for name in {path.split("/")[0] for path in state}:
        text = state.get(f"{name}/config.pbtxt", b"").decode()
        there = {int(path.split("/")[1]) for path in state if re.match(rf"{name}/[1-9][0-9]*/", path)}
        numbers = re.search(r"\bversions: *\[?([ 0-9,]+)", text)
        pins = re.findall(r'model_name: "(\w+)" model_version: (\d+)', text)
        found[name] = Seen(
            f'name: "{name}.' in text,
            {int(number) for number in re.findall("[0-9]+", numbers[1])} if numbers else None,
            {model: int(version) for model, version in pins},
            there,
        )
    return found


def unwhole(state: Bytes, name: str, version: int) -> bool:
    return any(state.get(path) != content for path, content in whole(name, version).items())


def unfinished(state: Bytes) -> list[str]:
    """Versions that a config names, or that a server would load by itself, although their files are incomplete."""
    return [
        f"{name} {version}"
        for name, model in seen(state).items()
        for version in ((model.specific or set()) | model.served if not model.gated else set())
        if (unwhole(state, name, version) if version != OUT else state.get(f"{name}/{PLACEHOLDER}") != CODE.content())
    ]


def dangling(state: Bytes, replaced: Switches) -> list[str]:
    """Pipelines that a server knows and that call a version that is not served, of a model that is not replaced."""
    models = seen(state)
    return [
        f"{name} → {called} {version}"
        for name, model in models.items()
        for called, version in model.pins.items()
        if called not in replaced
        and model.served
        and version not in (models[called].served if called in models else set())
    ]


def twice(before: Bytes, now: Bytes, replaced: Switches) -> list[str]:
    """Replaced models of which something is loaded although something else has to go, or that are loaded again."""
    found = []
    for name in replaced.keys() & seen(before).keys():
        old, new = (seen(state)[name].served - {OUT} for state in (before, now))
        batches = [
            re.findall("max_batch_size.*", state.get(f"{name}/config.pbtxt", b"").decode()) for state in (before, now)
        ]
        if (new - old and old - new) or (old & new and batches[0] != batches[1]):
            found.append(f"{name} {old} → {new}")
    return found


def at_once(actions: Sequence[Action], random: Random) -> list[Action]:
    """Return the actions in a possible order: those of one wave are sent at the same time."""
    mixed: list[Action] = []
    for _, group in groupby(actions, key=lambda action: (action.phase, action.wave)):
        wave = list(group)
        mixed += random.sample(wave, len(wave))
    return mixed


def steps(made: Plan, state: Mapping[str, Entry]) -> Iterator[tuple[Action, Bytes, dict[str, Entry]]]:
    for action in made.actions:
        before = contents(state)
        state = after(state, action)
        yield action, before, dict(state)


@given(
    st.lists(st.tuples(repositories(), st.integers(0, 30)), min_size=1, max_size=4),
    repositories(),
    st.sampled_from([None, {}]),
    st.sets(st.tuples(st.sampled_from(LEAVES), st.integers(1, 4))) | st.just(set[tuple[str, int]]()),
    st.dictionaries(st.sampled_from(LEAVES), st.just("replace")),
    st.randoms(use_true_random=False),
)
def test_the_laws_hold_in_every_prefix_whatever_was_killed_before(
    killed: list[tuple[Tree, int]],
    last: Tree,
    released: Released | None,
    dead: set[tuple[str, int]],
    switches: Switches,
    random: Random,
) -> None:
    state: dict[str, Entry] = {}
    for want, count in [*killed, (last, 1000)]:
        made = plan(want, state, "r", released=released, dead=dead, switches=switches)
        for action, before, now in steps(Plan(tuple(at_once(made.actions, random)[:count])), state):
            name, _, rest = action.path.partition("/")
            live = seen(before)[name].served if name in seen(before) else set()
            assert rest.split("/")[0] not in map(str, live), f"{action} rewrites a live version"
            assert not (rest.startswith("0") and action.path in before), f"{action} changes what versions share"
            assert not unfinished(contents(now)), action
            assert dead or not dangling(contents(now), switches), action
            assert dead or not twice(before, contents(now), switches), action
            state = now
    done = plan(last, state, "r", switches=switches)
    if {each.rule for each in done.conflicts} <= {RULE}:
        assert not done
        for name, model in seen(contents(last)).items():
            assert seen(contents(state))[name].served == model.served
            assert contents(state)[f"{name}/config.pbtxt"] == contents(last)[f"{name}/config.pbtxt"]


@given(repositories())
def test_nothing_is_planned_for_what_is_there(tree: Tree) -> None:
    made = plan(tree, tree, "r")
    assert (made.actions, made.conflicts) == ((), ())


@given(repositories(), repositories())
def test_models_of_others_are_left_alone_and_named(want: Tree, have: Tree) -> None:
    made = plan(want, have, "r")
    theirs = {path.split("/")[0] for path in have} - {path.split("/")[0] for path in want}
    assert set(made.foreign) == theirs
    assert not theirs & {action.path.split("/")[0] for action in made.actions}


def repository(embedder: int, index: int, policy: str = "specific") -> Tree:
    """Two leaves, one that calls another by BLS, and a pipeline over the two."""
    pins = STEP.format(name="embedder", version=embedder) + STEP.format(name="retriever", version=index)
    return {
        f"graph/{embedder}/model.onnx": of_text(f"graph {embedder}"),
        "graph/config.pbtxt": of_bytes(config("graph", embedder, policy, "")),
        f"embedder/{embedder}/model.py": of_text(f"code {embedder}"),
        f"embedder/{embedder}/calls.json": of_text(f'{{"graph": {embedder}}}'),
        "embedder/config.pbtxt": of_bytes(config("embedder", embedder, policy, "")),
        f"retriever/{index}/index.npy": of_text(f"index {index}"),
        "retriever/config.pbtxt": of_bytes(config("retriever", index, policy, "")),
        "lone/1/model.py": of_text("lone"),
        "lone/config.pbtxt": of_bytes(config("lone", 1, policy, "")),
        "search/1": Directory(),
        "search/config.pbtxt": of_bytes(config("search", 1, "specific", f"ensemble_scheduling {{ {pins} }}")),
    }


def told(made: Plan) -> list[str]:
    return [f"{a.phase.name} {a.wave} {'-' if isinstance(a, Delete) else ''}{a.path}: {a.reason}" for a in made.actions]


def test_a_change_of_all_goes_leaves_first_and_the_pipeline_at_once() -> None:
    made = plan(repository(2, 2), repository(1, 1), "r")
    assert told(made) == [
        "FILES 0 embedder/2/calls.json: new",
        "FILES 0 embedder/2/model.py: new",
        "FILES 0 graph/2/model.onnx: new",
        "FILES 0 retriever/2/index.npy: new",
        "EXPAND 0 graph/config.pbtxt: serves versions 1 and 2",
        "EXPAND 0 retriever/config.pbtxt: serves versions 1 and 2",
        "EXPAND 1 embedder/config.pbtxt: serves versions 1 and 2",
        "SWITCH 0 search/config.pbtxt: calls embedder version 2, retriever version 2",
        "CONTRACT 1 embedder/config.pbtxt: serves only version 2",
        "CONTRACT 2 graph/config.pbtxt: serves only version 2",
        "CONTRACT 2 retriever/config.pbtxt: serves only version 2",
    ]


def answering(embedder: int, index: int, version: int) -> Tree:
    """The same, with a pipeline that is a Python model and calls the same leaves."""
    pins = {"embedder": embedder, "retriever": index}
    return {
        **repository(embedder, index),
        f"answer/{version}/calls.json": of_text(json.dumps(pins)),
        f"answer/{version}/settings.json": of_text("{}"),
        "answer/config.pbtxt": of_bytes(config("answer", version, "specific", "")),
    }


def test_a_pipeline_that_is_a_python_model_switches_with_the_others() -> None:
    """Between its first new file and the switch, no config names its new version: the old one serves alone."""
    assert told(plan(answering(1, 2, 2), answering(1, 1, 1), "r")) == [
        "FILES 0 answer/2/calls.json: new",
        "FILES 0 answer/2/settings.json: new",
        "FILES 0 retriever/2/index.npy: new",
        "EXPAND 0 retriever/config.pbtxt: serves versions 1 and 2",
        "SWITCH 0 answer/config.pbtxt: serves version 2",
        "SWITCH 0 search/config.pbtxt: calls retriever version 2",
        "CONTRACT 2 retriever/config.pbtxt: serves only version 2",
    ]


def expanded(*versions: int) -> Tree:
    """What a push of the last of these versions left when it was interrupted before the pipeline moved."""
    tree = {path: file for version in versions for path, file in repository(version, version).items()}
    for name in ("graph", "embedder", "retriever"):
        tree[f"{name}/config.pbtxt"] = of_bytes(serving(config(name, versions[-1], "specific", ""), versions))
    return tree | {"search/config.pbtxt": repository(versions[0], versions[0])["search/config.pbtxt"]}


def test_what_a_broken_off_push_left_and_no_pipeline_calls_ends_with_the_next() -> None:
    released = {name: {1} for name in ("graph", "embedder", "retriever", "search", "lone")}
    made = plan(repository(3, 3), expanded(1, 2), "r", resumed=True, released=released)
    assert [line for line in told(made) if line.startswith("EXPAND")] == [
        "EXPAND 0 graph/config.pbtxt: serves versions 1 and 3",
        "EXPAND 0 retriever/config.pbtxt: serves versions 1 and 3",
        "EXPAND 1 embedder/config.pbtxt: serves versions 1 and 3",
    ]
    switched = dict(expanded(1, 2)) | {"search/config.pbtxt": repository(2, 2)["search/config.pbtxt"]}
    made = plan(repository(3, 3), switched, "r", resumed=True, released=released)
    assert "EXPAND 0 graph/config.pbtxt: serves versions 1 and 2 and 3" in told(made)


def test_a_version_that_no_server_loads_is_not_kept_beside_the_new_one() -> None:
    dead = {("retriever", 1), ("search", 1)}
    assert told(plan(repository(1, 2), repository(1, 1), "r", dead=dead))[1:] == [
        "EXPAND 0 retriever/config.pbtxt: serves version 2 without version 1, which does not load",
        "SWITCH 0 search/config.pbtxt: calls retriever version 2",
    ]
    assert told(plan(repository(1, 2, "none"), repository(1, 1, "none"), "r", dead=dead)) == [
        "GATE 1 retriever/config.pbtxt: hidden from servers until its files are uploaded",
        "FILES 0 retriever/2/index.npy: new",
        "EXPAND 0 retriever/config.pbtxt: serves version 2 without version 1, which does not load",
        "SWITCH 0 search/config.pbtxt: calls retriever version 2",
    ]
    assert told(plan(repository(1, 2), repository(1, 2), "r", dead={("retriever", 2)})) == []


def test_a_pipeline_that_calls_the_newest_version_does_not_keep_what_a_broken_off_push_brought() -> None:
    def newest(tree: Tree) -> Tree:
        config = tree["search/config.pbtxt"]
        assert isinstance(config, File)
        text = re.sub("model_version: [0-9]+", "model_version: -1", config.content().decode())
        return {**tree, "search/config.pbtxt": of_text(text)}

    released = {name: {1} for name in ("graph", "embedder", "retriever", "search", "lone")}
    made = plan(newest(repository(3, 3)), newest(expanded(1, 2)), "r", resumed=True, released=released)
    assert [line for line in told(made) if line.startswith("EXPAND")] == [
        "EXPAND 0 graph/config.pbtxt: serves versions 1 and 3",
        "EXPAND 0 retriever/config.pbtxt: serves versions 1 and 3",
        "EXPAND 1 embedder/config.pbtxt: serves versions 1 and 3",
    ]
    new = plan(newest(repository(3, 3)), newest(expanded(1, 2)), "r", resumed=True, released={})
    assert "EXPAND 0 graph/config.pbtxt: serves versions 1 and 2 and 3" in told(new)


REASONS: dict[str, tuple[Mapping[str, str], Mapping[str, str], list[str]]] = {
    "several steps, one twice, the latest": (
        {"p/config.pbtxt": "a 2, a 2, b -1, c 1", "p/1/.keep": ""},
        {"p/config.pbtxt": "a 1, b 1, c 1", "p/1/.keep": ""},
        ["SWITCH 0 p/config.pbtxt: calls a version 2, the latest version of b"],
    ),
    "another parameter": (
        {"p/config.pbtxt": "a 1", "p/1/.keep": "", "q/config.pbtxt": "", "q/1/x": ""},
        {"p/config.pbtxt": "a 1", "p/1/.keep": "", "q/config.pbtxt": "a 1", "q/1/x": ""},
        ["SWITCH 0 q/config.pbtxt: changed"],
    ),
    "two new versions of a model that serves the latest": (
        {"q/config.pbtxt": "", "q/2/x": "", "q/3/x": ""},
        {"q/config.pbtxt": "", "q/1/x": ""},
        [
            "GATE 0 q/config.pbtxt: keeps serving only version 1 while versions 2 and 3 are uploaded",
            "FILES 0 q/2/x: new",
            "FILES 0 q/3/x: new",
            "SWITCH 0 q/config.pbtxt: serves version 3",
        ],
    ),
}  # fmt: skip


def pipelines(texts: Mapping[str, str]) -> Tree:
    """Return a repository in which a config's text is the list of its steps."""

    def whole(path: str, text: str) -> str:
        name, _, rest = path.partition("/")
        if rest != "config.pbtxt":
            return text
        steps = [each.split(" ") for each in text.split(", ") if each]
        lines = "\n".join(STEP.format(name=called, version=version) for called, version in steps)
        return f'name: "{name}"\n' + (f"ensemble_scheduling {{\n{lines}\n}}\n" if steps else "")

    return {path: of_text(whole(path, text)) for path, text in texts.items()}


@pytest.mark.parametrize(("want", "have", "lines"), REASONS.values(), ids=REASONS)
def test_each_action_says_why(want: Mapping[str, str], have: Mapping[str, str], lines: list[str]) -> None:
    assert told(plan(pipelines(want), pipelines(have), "r")) == lines


def test_a_gate_that_is_not_needed_is_not_written_and_one_of_a_dead_version_is_not_called_new() -> None:
    have = pipelines({"q/config.pbtxt": "", "q/1/x": ""})
    want = pipelines({"q/config.pbtxt": "", "q/2/x": "", "q/3/x": ""})
    assert told(plan(want, have, "r", dead={("q", 1), ("other", 1)})) == [
        "GATE 1 q/config.pbtxt: hidden from servers until its files are uploaded",
        "FILES 0 q/2/x: new",
        "FILES 0 q/3/x: new",
        "SWITCH 0 q/config.pbtxt: serves version 3 without version 1, which does not load",
    ]
    gated = {**have, "q/config.pbtxt": of_text('name: "q.uploading"')}
    assert told(plan(want, gated, "r"))[:1] == ["FILES 0 q/2/x: new"]


@pytest.mark.parametrize(
    ("resumed", "have", "served"),
    [
        (True, {}, False),
        (False, repository(1, 1), True),
        (False, {"lone/config.pbtxt": of_text('name: "lone.uploading"'), "lone/1/model.py": of_text("lone")}, False),
    ],
    ids=["nothing there", "all of the first revision", "only what a gate hides"],
)
def test_a_plan_says_whether_it_resumes_one_and_whether_anything_serves(
    resumed: bool,  # noqa: FBT001  a table's column
    have: Tree,
    served: bool,  # noqa: FBT001  a table's column
) -> None:
    made = plan(repository(2, 2), have, "r", resumed=resumed)
    assert (made.resumed, made.served) == (resumed, served)


def test_only_what_changed_is_named() -> None:
    made = plan(repository(1, 2), repository(1, 1), "r")
    assert {action.path.split("/")[0] for action in made.actions} == {"retriever", "search"}


def test_a_new_repository_is_gated_by_name_until_its_files_are_there() -> None:
    made = plan(repository(1, 1), {}, "r")
    assert [a.path for a in made.actions if a.phase is Phase.GATE] == [
        f"{name}/config.pbtxt" for name in ("embedder", "graph", "lone", "retriever", "search")
    ]
    assert "FILES 0 search/1/.keep: new" in told(made)
    assert [line for line in told(made) if line.startswith("SWITCH")] == [
        "SWITCH 0 lone/config.pbtxt: new: starts serving",
        "SWITCH 0 search/config.pbtxt: new: starts serving",
    ]
    assert not made.served


def test_a_hand_written_config_that_serves_the_latest_is_pinned_before_files_arrive() -> None:
    made = plan(repository(1, 2, "none"), repository(1, 1, "none"), "r")
    gate = made.actions[0]
    assert told(made)[0] == "GATE 0 retriever/config.pbtxt: keeps serving only version 1 while version 2 is uploaded"
    assert isinstance(gate, Put)
    text = gate.file.content().decode()
    assert text.startswith('# retriever, by hand\nname: "retriever"\n')
    assert "version_policy { specific { versions: [ 1 ] } }" in text
    assert made.actions[-1].path == "retriever/config.pbtxt"


def test_a_model_that_nobody_calls_is_switched_by_one_write() -> None:
    want = {
        **repository(1, 1),
        "lone/2/model.py": of_text("new"),
        "lone/config.pbtxt": of_bytes(config("lone", 2, "specific", "")),
    }
    del want["lone/1/model.py"]
    assert told(plan(want, repository(1, 1), "r")) == [
        "FILES 0 lone/2/model.py: new",
        "SWITCH 0 lone/config.pbtxt: serves version 2",
    ]


def test_pipelines_that_call_one_another_switch_together_and_a_new_one_is_there_before_it_is_called() -> None:
    def nested(version: int, *, called: bool) -> Tree:
        step = STEP.format(name="search", version=1) if called else STEP.format(name="retriever", version=version)
        more = f"ensemble_scheduling {{ {step} {STEP.format(name='lone', version=1)} }}"
        tree = dict(repository(1, version)) | {"answers/1": Directory()}
        tree["answers/config.pbtxt"] = of_bytes(config("answers", 1, "specific", more))
        return tree if called else {path: entry for path, entry in tree.items() if not path.startswith("search/")}

    both = told(plan(nested(2, called=True), nested(1, called=True), "r"))
    assert [line for line in both if line.startswith("SWITCH")] == [
        "SWITCH 0 search/config.pbtxt: calls retriever version 2"
    ]
    new = told(plan(nested(1, called=True), nested(1, called=False), "r"))
    assert new[-2:] == [
        "EXPAND 2 search/config.pbtxt: new: starts serving",
        "SWITCH 0 answers/config.pbtxt: calls search version 1",
    ]


def nested(version: int) -> Tree:
    """A pipeline over a pipeline, both in this version, over leaves that stay."""
    outer = f"ensemble_scheduling {{ {STEP.format(name='search', version=version)} }}"
    inner = f"ensemble_scheduling {{ {STEP.format(name='retriever', version=1)} }}"
    tree = {path: entry for path, entry in repository(1, 1).items() if not path.startswith("search/")}
    tree |= {f"answers/{version}": Directory(), f"search/{version}": Directory()}
    tree["answers/config.pbtxt"] = of_bytes(config("answers", version, "specific", outer))
    tree["search/config.pbtxt"] = of_bytes(config("search", version, "specific", inner))
    return tree


def test_a_new_version_of_a_pipeline_serves_before_another_pipeline_calls_it() -> None:
    assert told(plan(nested(2), nested(1), "r"))[2:] == [
        "EXPAND 1 search/config.pbtxt: serves versions 1 and 2",
        "SWITCH 0 answers/config.pbtxt: calls search version 2",
        "CONTRACT 1 search/config.pbtxt: serves only version 2",
    ]


def test_old_versions_end_in_the_order_in_which_they_called_one_another() -> None:
    def calling(*called: str, version: int) -> Tree:
        """The retriever calls the graph until it no longer does, and a pipeline needs both to change."""
        calls = {f"retriever/{version}/calls.json": of_text(f'{{"graph": {version}}}')} if called else {}
        return dict(repository(version, version)) | calls

    lines = told(plan(calling(version=2), calling("graph", version=1), "r"))
    assert [line for line in lines if line.startswith("CONTRACT")] == [
        "CONTRACT 1 embedder/config.pbtxt: serves only version 2",
        "CONTRACT 1 retriever/config.pbtxt: serves only version 2",
        "CONTRACT 2 graph/config.pbtxt: serves only version 2",
    ]


def test_a_model_without_a_config_is_pinned_as_it_is_and_gets_no_line_of_the_new_one() -> None:
    have = {path: entry for path, entry in repository(1, 1).items() if path != "search/config.pbtxt"}
    want = {**repository(2, 2), "search/2": Directory()}
    want["search/config.pbtxt"] = of_bytes(
        config("search", 2, "specific", f"ensemble_scheduling {{ {STEP.format(name='embedder', version=2)} }}")
    )
    gate = plan(want, have, "r").actions[0]
    assert isinstance(gate, Put)
    assert (gate.phase, gate.path) == (Phase.GATE, "search/config.pbtxt")
    assert gate.file.content() == b"version_policy { specific { versions: [ 1 ] } }\n"


def test_a_warm_up_file_that_changes_is_followed_by_its_models_config() -> None:
    want = {**repository(1, 1), "lone/warmup/data": of_text("x")}
    assert told(plan(want, repository(1, 1), "r")) == [
        "FILES 0 lone/warmup/data: new",
        "EXPAND 0 lone/config.pbtxt: rewritten because files next to it changed",
    ]


def test_a_warm_up_file_that_changes_with_the_version_is_followed_by_the_new_config_only() -> None:
    want = {
        **repository(1, 1),
        "lone/warmup/data": of_text("x"),
        "lone/2/model.py": of_text("new"),
        "lone/config.pbtxt": of_bytes(config("lone", 2, "specific", "")),
    }
    assert told(plan(want, repository(1, 1), "r")) == [
        "FILES 0 lone/2/model.py: new",
        "FILES 0 lone/warmup/data: new",
        "SWITCH 0 lone/config.pbtxt: serves version 2",
    ]


def test_what_another_push_left_in_a_new_version_is_removed_before_it_opens() -> None:
    have = {**repository(1, 1), "retriever/2/stale": of_text("x"), "retriever/2/index.npy": of_text("other")}
    made = plan(repository(1, 2), have, "r")
    assert told(made)[:2] == [
        "FILES 0 retriever/2/index.npy: changed",
        "FILES 0 -retriever/2/stale: left over from an interrupted push",
    ]
    assert made.notes == ()


def test_a_directory_marker_is_a_version_directory_like_a_keep_file() -> None:
    assert not plan(repository(1, 1), repository(1, 1), "r")
    kept = {path: entry for path, entry in repository(1, 1).items() if path != "search/1"}
    assert not plan(repository(1, 1), {**kept, "search/1/.keep": of_bytes(b"")}, "r")


def test_a_file_of_a_version_may_be_named_like_a_config() -> None:
    want = {**repository(1, 2), "retriever/2/config.pbtxt": of_text("x"), "retriever/2/sub/calls.json": of_text("x")}
    assert told(plan(want, repository(1, 1), "r"))[:3] == [
        "FILES 0 retriever/2/config.pbtxt: new",
        "FILES 0 retriever/2/index.npy: new",
        "FILES 0 retriever/2/sub/calls.json: new",
    ]


def test_files_at_the_top_stay_here() -> None:
    want = {**repository(1, 1), "tritonrepo.json": of_text("{}"), "README.md": of_text("x")}
    assert not plan(want, repository(1, 1), "r")


REFUSED: dict[str, tuple[dict[str, Entry], str]] = {
    "a live version that changed": (
        {"retriever/1/index.npy": of_text("other")},
        "r/retriever: error: version 1 is being served, but this push would change its 1/index.npy",
    ),
    "a file added to a live version": ({"retriever/1/more": of_text("x")}, "would change its 1/more"),
    "a name that Triton misreads": ({"lone/1/a b": of_text("x")}, "r/lone/1/a b: error: the path has characters other"),
    "no config": ({"naked/1/model.py": of_text("x")}, "r/naked: error: config.pbtxt is missing"),
    "many files of a live version": (
        {f"retriever/1/{name}": of_text("x") for name in "dcba"},
        "r/retriever: error: version 1 is being served, but this push would change its 1/a, 1/b, 1/c [push-live-ver",
    ),
    "a link out": ({"lone/link": Outside("/etc")}, "is a link that leads out of the repository"),
    "a link round": ({"lone/link": Link("..")}, "is a link to a directory that contains the link"),
    "a FIFO": ({"lone/fifo": Unreadable.FIFO}, "the entry is a FIFO; a bucket can hold only regular files"),
    "a version that shares what is not there": (
        {"lone/8/settings.json": of_text('{"packages": "012345678901234567890"}')},
        "lone/012345678901234567890: error: files of the directory are missing or changed, but all versions that share",
    ),
    "a version that shares a file of what is not there": (
        {"lone/8/settings.json": of_text('{"n": 1, "tokenizer": "012345678901234567890/t.json"}')},
        "lone/012345678901234567890: error: files of the directory are missing or changed, but all versions that share",
    ),
    "a shared directory with other files than its name says": (
        {"lone/012345678901234567890/t.json": of_text("{}")},
        "lone/012345678901234567890: error: files of the directory are missing or changed, but all versions that share",
    ),
    "a policy that would serve what only the bucket has": (
        {"lone/config.pbtxt": of_bytes(config("lone", 1, "latest", ""))},
        "version_policy would select other versions in the bucket than in this repository: versions 1, 7",
    ),
}  # fmt: skip


@tabled(("more", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_unsafe_is_refused_before_anything_is_sent(more: dict[str, Entry], message: str) -> None:
    have = {**repository(1, 1), "lone/7/model.py": of_text("old")}
    made = plan({**repository(1, 1), **more}, have, "r")
    assert message in "\n".join(map(str, made.conflicts))
    assert not made


@tabled("character", [*"+=@,:;%&?*#~!()[]{}'\"\\ \té\n"])
def test_a_path_has_only_characters_that_triton_reads_in_a_uri(character: str) -> None:
    path = f"lone/1/a{character}b"
    made = plan({**repository(1, 1), path: of_text("x")}, {}, "r")
    assert [(each.rule, each.at.path) for each in made.conflicts] == [("push-name", f"r/{path}")]


def test_letters_digits_dots_hyphens_and_underscores_are_such_characters() -> None:
    assert not plan({**repository(1, 1), "lone/1/Az09._-": of_text("x")}, {}, "r").conflicts


def test_every_fault_is_told_at_once_in_order_and_with_what_is_left_alone() -> None:
    want: dict[str, Entry] = {**repository(1, 1), "retriever/1/x": of_text("x"), "a b/1/x": of_text(""), "z": Link(".")}
    theirs = {f"{name}/1/x": of_text("") for name in ("theirs", "d", "e", "b", "c", "z2")}
    theirs["a b/7/x"] = of_text("")  # no policy selects it before there is a config
    made = plan(want, {**repository(1, 1), **theirs}, "r")
    assert [(each.rule, each.at.path) for each in made.conflicts] == [
        ("push-name", "r/a b/1/x"),
        ("push-entry", "z"),
        ("push-config-missing", "r/a b"),
        ("push-live-version", "r/retriever"),
    ]
    assert made.foreign == ("b", "c", "d", "e", "theirs", "z2")
    assert not made.actions


def test_what_is_left_alone_keeps_what_it_calls_by_its_own_code() -> None:
    left = {
        "theirs/1/calls.json": of_text('{"graph": 1}'),
        "theirs/2/calls.json": of_text('{"retriever": 1}'),
        "theirs/config.pbtxt": of_bytes(config("theirs", 1, "specific", "")),
    }
    want = {path: entry for path, entry in repository(2, 2).items() if not path.startswith("search/")}
    have = {path: entry for path, entry in repository(1, 1).items() if not path.startswith("search/")} | left
    (refusal,) = plan(want, have, "r").conflicts  # its second version is not served
    assert str(refusal) == (
        'r/theirs: error: "theirs" is not in this repository but stays in the bucket, and calls graph version 1, which'
        " this push would retire [push-orphan]\n"
        "  Keep theirs in the repository, or delete it from the bucket once no client uses it."
    )
    gated = {**have, "theirs/config.pbtxt": of_text('name: "theirs.uploading"')}
    assert not plan(want, gated, "r").conflicts
    kept = {**want, "graph/1/model.onnx": of_text("graph 1")}
    kept["graph/config.pbtxt"] = of_bytes(serving(config("graph", 2, "specific", ""), (1, 2)))
    assert not plan(kept, have, "r").conflicts


TOP = "012345678901234567890"
NAMED: dict[str, tuple[str, set[str]]] = {
    "a directory, a path in one, and neither": (
        f'{{"a": "{TOP}", "b": "{TOP[:-1]}1/x/y", "c": "x/{TOP}", "d": 7}}',
        {TOP, f"{TOP[:-1]}1"},
    ),
    "a digit more, a digit less, no zero": (f'{{"a": "{TOP}0", "b": "{TOP[:-1]}", "c": "1{TOP[1:]}"}}', set()),
    "another script's digits": (f'{{"a": "{TOP[:-1]}١"}}', set()),
    "a list": (f'["{TOP}"]', set()),
    "no JSON": (f'{{"a": "{TOP}"', set()),
    "deep": ("[" * 100_000, set()),
    "as large as is read": (f'{{"a": "{TOP}"}}'.ljust(4 << 20), {TOP}),
    "larger": (f'{{"a": "{TOP}"}}'.ljust((4 << 20) + 1), set()),
}  # fmt: skip


@tabled(("settings", "tops"), NAMED.values(), ids=NAMED)
def test_settings_name_what_a_version_shares(settings: str, tops: set[str]) -> None:
    assert named(of_text(settings)) == tops


def sharing(version: int, packages: str) -> dict[str, Entry]:
    """A model whose version shares its packages with other versions."""
    top = directory({"p/a.py": of_text(packages), "p/b.py": of_text(packages)})
    return {
        f"lone/{version}/settings.json": of_text(json.dumps({"packages": top})),
        f"lone/{top}/p/a.py": of_text(packages),
        f"lone/{top}/p/b.py": of_text(packages),
        "lone/config.pbtxt": of_bytes(config("lone", version, "specific", "")),
    }


def test_what_versions_share_is_sent_once_and_stays() -> None:
    (first, *_), (third, *_) = sorted(sharing(1, "old")), sorted(sharing(3, "new"))
    assert told(plan(sharing(2, "old"), sharing(1, "old"), "r")) == [
        "FILES 0 lone/2/settings.json: new",
        "SWITCH 0 lone/config.pbtxt: serves version 2",
    ]
    assert told(plan(sharing(3, "new"), {**sharing(1, "old"), **sharing(2, "old")}, "r")) == [
        f"FILES 0 {third}: new",
        f"FILES 0 {third.replace('a.py', 'b.py')}: new",
        "FILES 0 lone/3/settings.json: new",
        "SWITCH 0 lone/config.pbtxt: serves version 3",
    ]
    back = plan(sharing(1, "old"), {**sharing(1, "old"), **sharing(3, "new")}, "r")
    assert told(back) == ["SWITCH 0 lone/config.pbtxt: serves version 1"]
    assert first != third


def test_a_missing_file_that_versions_share_is_put_back_and_no_model_is_reloaded() -> None:
    want = sharing(1, "old")
    file = next(path for path in want if path.endswith("/b.py"))
    made = plan(want, {path: entry for path, entry in want.items() if path != file}, "r")
    assert told(made) == [f"FILES 0 {file}: new"]
    loose = plan({**want, "lone/README": of_text("x")}, want, "r")
    assert told(loose)[-1] == "EXPAND 0 lone/config.pbtxt: rewritten because files next to it changed"


def test_a_shared_file_that_somebody_changed_in_the_bucket_is_not_overwritten() -> None:
    want = sharing(2, "old")
    file = next(path for path in want if path.endswith("/b.py"))
    made = plan(want, {**sharing(1, "old"), file: of_text("old!")}, "r")
    (refusal,) = made.conflicts
    assert str(refusal) == (
        f"r/{file}: error: the file in the bucket was changed, but versions that are being served may share it"
        " [push-shared]\n  Delete the file from the bucket, and push again."
    )
    assert not made.actions


def engine(version: int, backend: str = "vllm") -> Tree:
    """An engine, and a pipeline over it."""
    step = STEP.format(name="llm", version=version)
    return {
        "llm/config.pbtxt": of_bytes(config("llm", version, "specific", f'backend: "{backend}"')),
        f"llm/{version}/model.json": of_text(f"{version}"),
        "rag/config.pbtxt": of_bytes(config("rag", 1, "specific", f"ensemble_scheduling {{ {step} }}")),
        "rag/1": Directory(),
    }


def test_two_engines_in_memory_are_told() -> None:
    overlap = {"llm": "overlap"}
    (note,) = plan(engine(2), engine(1), "r", switches=overlap).notes
    assert str(note) == (
        "r/llm: warning: two copies of the vLLM engine are in memory until the old version is unloaded"
        " [push-two-engines]\n  Check that the GPU has enough memory for both."
    )
    alone = [{p: entry for p, entry in engine(version).items() if p.startswith("llm")} for version in (2, 1)]
    quiet = {
        "another backend": plan(engine(2, "python"), engine(1, "python"), "r"),
        "the same version": plan(engine(1), engine(1), "r", switches=overlap),
        "a new engine": plan(engine(1), {}, "r", switches=overlap),
        "an old one that does not load": plan(engine(2), engine(1), "r", dead={("llm", 1)}, switches=overlap),
        "nobody calls it: one write": plan(alone[0], alone[1], "r", switches=overlap),
        "one after the other": plan(engine(2), engine(1), "r"),
    }
    assert {name: made.notes for name, made in quiet.items()} == dict.fromkeys(quiet, ())


def test_a_pipeline_that_is_left_alone_keeps_what_it_calls() -> None:
    want = {path: entry for path, entry in repository(2, 1).items() if not path.startswith("search/")}
    (refusal,) = plan(want, repository(1, 1), "r").conflicts
    said = 'r/search: error: "search" is not in this repository but stays in the bucket, and calls embedder version 1, '
    assert f"{said}which this push would retire" in str(refusal)


def test_the_first_three_files_that_a_live_version_keeps_are_named() -> None:
    have = {**repository(1, 1), **{f"retriever/1/{name}": of_text("x") for name in "dbca"}}
    (note,) = plan(repository(1, 1), have, "r").notes
    assert str(note) == (
        "r/retriever: warning: a served version keeps files that this repository no longer has: 1/a, 1/b, 1/c"
        " [push-left]\n  Use the next version number to get a version with only this repository's files."
    )


def test_a_file_that_a_live_version_keeps_is_told() -> None:
    want, have = repository(1, 1), {**repository(1, 1), "retriever/1/old.npy": of_text("x"), "lone/old": of_text("x")}
    made = plan(want, have, "r")
    (note,) = made.notes
    assert "r/retriever: warning: a served version keeps files that this repository no longer has: 1/old.npy" in str(
        note
    )
    assert not made
    changed = plan(repository(1, 2), have, "r")
    assert not changed.notes  # the old version ends


TENSOR = '{} {{ name: "T" data_type: TYPE_FP32 dims: [ 1 ] }}'


@pytest.mark.parametrize("more", ["max_batch_size: 8", TENSOR.format("input"), TENSOR.format("output"), ""])
def test_an_interface_that_changes_while_both_versions_serve_is_told(more: str) -> None:
    def retriever(version: int, more: str) -> Tree:
        own = of_bytes(config("retriever", version, "specific", f"dynamic_batching {{ }} {more}"))
        return {**repository(1, version), "retriever/config.pbtxt": own}

    told = "the inputs or outputs change while old and new versions are served side by side with one config"
    hint = "Rename the changed model if requests of the old pipeline must not fail until the switch."
    notes = [str(note) for note in plan(retriever(2, more), retriever(1, ""), "r").notes]
    assert notes == ([f"r/retriever: warning: {told} [push-interface]\n  {hint}"] if more else [])
    assert not plan(retriever(1, more), retriever(1, ""), "r").notes
