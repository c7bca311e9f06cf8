"""Which versions of a model a server would serve from a tree, what calls what, and the configs that hold back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.ending import ending
from tests.tabled import tabled
from tritonrepo.repository import target
from tritonrepo.sync.gating import Model, depths, model_of, models, name_gate, needed, reached, serving
from tritonrepo.sync.order import turns
from tritonrepo.tree import Directory, Tree, of_text

STEP = 'step {{ model_name: "{}" model_version: {} }}'


def config(name: str, *steps: tuple[str, int], more: str = "") -> str:
    called = " ".join(STEP.format(*step) for step in steps)
    chain = f"ensemble_scheduling {{ {called} }}" if steps else ""
    return f'name: "{name}"\n{chain}\n{more}\n'


def policy(*numbers: int) -> str:
    return f"version_policy {{ specific {{ versions: [ {', '.join(map(str, numbers))} ] }} }}"


def found(tree: Mapping[str, str]) -> dict[str, Model]:
    return models({path: of_text(text) for path, text in tree.items()}, target())


def one(text: str | None, *versions: str) -> Model:
    """Return a model with this config and these version directories."""
    files = {f"{version}/model.py": of_text("") for version in versions}
    if text is not None:
        files["config.pbtxt"] = of_text(text)
    return model_of("m", files, target())


SERVED: dict[str, tuple[str | None, tuple[int, ...], bool, tuple[bool, bool]]] = {
    "specific versions": (config("m", more=policy(1)), (1,), False, (True, False)),
    "specific versions of which one is missing": (config("m", more=policy(1, 3)), (1,), False, (True, True)),
    "the latest": (config("m", more="version_policy { latest { num_versions: 1 } }"), (2,), False, (True, True)),
    "all": (config("m", more="version_policy { all { } }"), (1, 2), False, (True, True)),
    "no policy": (config("m"), (2,), False, (True, True)),
    "no name": (policy(2), (2,), False, (False, False)),
    "no config": (None, (2,), False, (True, True)),
    "another name": (config("n"), (), True, (False, False)),
    "the name of a gate": (config("m.uploading", more=policy(1)), (), True, (False, False)),
    "a text that is not a config": (config("m", more="max_batch_size: 8.0"), (), True, (False, False)),
    "an unknown field": (config("m", more="max_batchsize: 8"), (), True, (False, False)),
}


@tabled(("text", "served", "gated", "admits"), SERVED.values(), ids=SERVED)
def test_a_server_serves_what_the_policy_of_a_config_that_it_accepts_selects(
    text: str | None,
    served: tuple[int, ...],
    gated: bool,  # noqa: FBT001  a table's column
    admits: tuple[bool, bool],
) -> None:
    model = one(text, "1", "2")
    assert (model.served, model.gated) == (served, gated)
    assert (model.admits(1), model.admits(3)) == admits
    assert model.text == (text or "").encode()
    assert (model.config is None) == (gated or text is None)


def test_files_are_of_the_version_whose_directory_they_are_in() -> None:
    model = one(config("m"), "1", "12")
    assert set(model.within(1)) == {"1/model.py"}
    assert set(model.within(12)) == {"12/model.py"}
    assert model.within(2) == {}
    signed = one(config("m"), "+3")
    assert (set(signed.within(3)), signed.served) == ({"+3/model.py"}, (3,))


def test_what_a_model_calls_is_in_its_steps_and_in_the_calls_of_its_versions() -> None:
    tree = {
        "m/config.pbtxt": config("m", ("a", 1), ("b", -1), ("a", 1)),
        "m/1/calls.json": '{"c": 3}',
        "m/2/calls.json": '{"d": 4}',
        "m/2/more/calls.json": '{"e": 5}',
        "m/calls.json": '{"f": 6}',
        "m/2/mycalls.json": '{"g": 7}',
    }
    model = found(tree)["m"]
    assert model.is_ensemble
    assert model.steps() == [("a", 1), ("b", -1), ("a", 1)]
    assert model.called() == {("a", 1), ("b", -1), ("c", 3), ("d", 4)}
    assert model.called(1) == {("a", 1), ("b", -1), ("c", 3)}
    assert model.called(1, 2) == {("a", 1), ("b", -1), ("c", 3), ("d", 4)}
    assert model.called(9) == {("a", 1), ("b", -1)}
    assert model.calls() == {"a", "b", "c", "d"}
    leaf = one(config("m"), "1")
    assert (leaf.is_ensemble, leaf.steps(), leaf.called(), leaf.calls()) == (False, [], set(), set())


def test_models_are_directories_in_order_and_files_at_the_top_are_none() -> None:
    tree: Tree = {"b/1/x": of_text(""), "a/1/x": of_text(""), "top.json": of_text(""), "c/1": Directory()}
    there = models(tree, target())
    assert list(there) == ["a", "b"]
    assert set(there["b"].files) == {"1/x"}


def test_circles_of_calls_end() -> None:
    calls = {"a": ["b", "c"], "b": ["a"], "c": ["c"], "d": ["a"]}
    with ending("work"):
        assert reached(["a"], lambda name: calls[name]) == {"a", "b", "c"}
        assert reached(["d", "c"], lambda name: calls[name]) == {"a", "b", "c", "d"}
        assert reached([], lambda name: calls[name]) == set()


def calling(**calls: str) -> dict[str, Model]:
    """Return models by what the calls.json of their only version names."""
    tree = {f"{name}/config.pbtxt": config(name, more=policy(1)) for name in calls}
    pins = {name: ", ".join(f'"{called}": 1' for called in called_by.split()) for name, called_by in calls.items()}
    return found(tree | {f"{name}/1/calls.json": f"{{{text}}}" for name, text in pins.items()})


DEPTHS: dict[str, tuple[dict[str, str], dict[str, int]]] = {
    "a chain": ({"a": "b", "b": "c", "c": ""}, {"a": 2, "b": 1, "c": 0}),
    "two ways of different length": ({"a": "b c", "b": "c", "c": ""}, {"a": 2, "b": 1, "c": 0}),
    "a call that leads nowhere": ({"a": "gone", "b": "a"}, {"a": 0, "b": 1}),
    "itself": ({"a": "a", "b": "a"}, {"a": 0, "b": 1}),
    "a circle": ({"a": "b", "b": "a", "c": "b"}, {"a": 0, "b": 1, "c": 2}),
}


@tabled(("calls", "expected"), DEPTHS.values(), ids=DEPTHS)
def test_a_model_is_above_everything_that_it_calls(calls: dict[str, str], expected: dict[str, int]) -> None:
    with ending("work"):
        assert depths(calling(**calls)) == expected


def test_a_circle_of_calls_is_needed_as_a_whole_and_ends() -> None:
    there = calling(a="b", b="a", c="")
    with ending("work"):
        assert needed(there, {"a", "b", "c"}, {"a": {1}}) == {("a", 1), ("b", 1)}
        assert needed(there, {"a", "b"}, {}) == {("c", 1)}


BOTH = policy(1, 2)


def pipelines(inner: int, outer: int, more: str = policy(1)) -> dict[str, str]:
    """A leaf of which two versions serve, a pipeline that calls one, and a pipeline that calls that pipeline."""
    return {
        "leaf/config.pbtxt": config("leaf", more=BOTH),
        "leaf/1/model.py": "",
        "leaf/2/model.py": "",
        "inner/config.pbtxt": config("inner", ("leaf", inner), more=more),
        "inner/1/.keep": "",
        "inner/2/.keep": "",
        "outer/config.pbtxt": config("outer", ("inner", outer), more=policy(1)),
        "outer/1/.keep": "",
    }


RELEASED = {"leaf": {1}, "inner": {1}, "outer": {1}}
NEEDED: dict[str, tuple[dict[str, str], Mapping[str, set[int]], set[tuple[str, int]]]] = {
    "what the last finished push left": (
        pipelines(1, 1),
        RELEASED,
        {("leaf", 1), ("inner", 1), ("outer", 1)},
    ),
    "what the inner pipeline calls already": (
        pipelines(2, 1),
        RELEASED,
        {("leaf", 1), ("leaf", 2), ("inner", 1), ("outer", 1)},
    ),
    "a version 0, which is not the latest": (
        pipelines(0, 1),
        RELEASED,
        {("leaf", 0), ("leaf", 1), ("inner", 1), ("outer", 1)},
    ),
    "a new version of the inner pipeline, which others call": (
        pipelines(2, 1, policy(2)),
        {"leaf": {1}},
        {("leaf", 1), ("leaf", 2), ("inner", 1), ("inner", 2), ("outer", 1)},
    ),
    "the latest, which is the finished push's": (
        pipelines(-1, -1),
        RELEASED,
        {("leaf", 1), ("inner", 1), ("outer", 1)},
    ),
    "the latest where no push has finished": (
        pipelines(-1, -1, BOTH),
        {},
        {("leaf", 1), ("leaf", 2), ("inner", 1), ("inner", 2), ("outer", 1)},
    ),
}


@tabled(("tree", "released", "expected"), NEEDED.values(), ids=NEEDED)
def test_an_interrupted_push_is_cleaned_of_what_nothing_calls(
    tree: dict[str, str], released: Mapping[str, set[int]], expected: set[tuple[str, int]]
) -> None:
    assert needed(found(tree), {"leaf", "inner"}, released) == expected


def test_a_leaf_that_nobody_calls_is_needed_in_every_version_and_one_that_is_called_only_in_those() -> None:
    tree = {"m/config.pbtxt": config("m", more=BOTH), "m/1/x": "", "m/2/x": ""}
    assert needed(found(tree), set(), {"m": {1}}) == {("m", 1), ("m", 2)}
    assert needed(found(tree), {"m"}, {"m": {1}}) == {("m", 1)}
    assert needed(found(tree), {"m"}, {"m": {3}}) == set()


def test_a_gate_has_another_name_and_says_why() -> None:
    text = name_gate("m")
    assert text == b'# The files are being uploaded; the real config comes last.\nname: "m.uploading"\n'
    assert one(text.decode(), "1").gated


SERVING: dict[str, tuple[str, str]] = {
    "one that is there": (
        '# by hand\nname: "m"\nversion_policy { specific { versions: [ 1 ] } }  # kept\nmax_batch_size: 4\n',
        '# by hand\nname: "m"\nversion_policy { specific { versions: [ 2, 10 ] } }  # kept\nmax_batch_size: 4\n',
    ),
    "none yet": ('name: "m"\n', 'name: "m"\nversion_policy { specific { versions: [ 2, 10 ] } }\n'),
    "no text": ("", "version_policy { specific { versions: [ 2, 10 ] } }\n"),
}


@pytest.mark.parametrize(("before", "after"), SERVING.values(), ids=SERVING)
def test_a_policy_is_set_in_a_config_and_every_other_byte_stays(before: str, after: str) -> None:
    assert serving(before.encode(), [10, 2]).decode() == after


def chained(**calls: str) -> dict[str, str]:
    """Return pipelines by the models that their steps name."""
    tree = {f"{name}/1/.keep": "" for name in calls}
    steps = {name: [(called, 1) for called in text.split()] for name, text in calls.items()}
    return tree | {f"{name}/config.pbtxt": config(name, *steps[name], more=policy(1)) for name in calls}


UNSERVED = {**chained(p="a", q="a"), "p/2/calls.json": '{"q": 1}'}
TURNS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, int]]] = {
    "no calls among them": (chained(p="a", q="a"), chained(p="b", q="b"), {"p": 0, "q": 0}),
    "one begins to call the other": (chained(p="a", q="a"), chained(p="q", q="a"), {"q": 0, "p": 1}),
    "one is new": (chained(q="a"), chained(p="q", q="a"), {"q": 0, "p": 1}),
    "one no longer calls the other": (chained(p="q", q="a"), chained(p="a", q="a"), {"p": 0, "q": 1}),
    "one calls the other before and after": (chained(p="q", q="a"), chained(p="q b", q="b"), {"p": 0, "q": 0}),
    "one begins to call the other through a third": (
        chained(p="a", q="a", m="q"),
        chained(p="m", q="a", m="q"),
        {"q": 0, "p": 1},
    ),
    "three in a row": (chained(p="a", q="a", r="a"), chained(p="q", q="r", r="a"), {"r": 0, "q": 1, "p": 2}),
    "they change places": (chained(p="q", q="a"), chained(p="a", q="p"), {"p": 0, "q": 1}),
    "a circle of calls": (chained(p="a", q="a", r="a"), chained(p="q", q="p", r="p"), {"p": 0, "q": 0, "r": 0}),
    "a version that is not served calls the other": (chained(p="a", q="a"), UNSERVED, {"p": 0, "q": 0}),
}  # fmt: skip


@tabled(("before", "after", "expected"), TURNS.values(), ids=TURNS)
def test_a_pipeline_moves_after_what_it_will_call_and_before_what_it_no_longer_calls(
    before: dict[str, str], after: dict[str, str], expected: dict[str, int]
) -> None:
    assert turns(expected, found(before), found(after)) == expected
