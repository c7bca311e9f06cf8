"""Plans: the laws that hold for every tree, even after killed runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonrepo.diagnostics import Stop
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import record as records
from tritonrepo.sync.apply import apply
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put, plan
from tritonrepo.sync.record import NAME, Record
from tritonrepo.sync.writing import Alone
from tritonrepo.tree import Directory, Entry, File, Tree, files, of_bytes

NAMES = st.sampled_from(["m", "n"])
CONTENT = st.sampled_from([b"", b"1", b"22"])


@st.composite
def repositories(draw: st.DrawFn) -> Tree:
    """Repositories of up to two models, each with one version of up to three files and a config that names it."""
    tree: dict[str, Entry] = {}
    for model in draw(st.sets(NAMES)):
        version = draw(st.integers(1, 3))
        for name in draw(st.sets(st.sampled_from(["a", "b", "vendor/c"]), min_size=1)):
            tree[f"{model}/{version}/{name}"] = of_bytes(draw(CONTENT) + str(version).encode())
        tree[f"{model}/config.pbtxt"] = of_bytes(f"{version}".encode())
    return tree


def ours(tree: Tree) -> dict[str, tuple[str, ...]]:
    return Record(files=records.digests(tree)).written()


def after(state: Mapping[str, Entry], action: Action) -> dict[str, Entry]:
    match action:
        case Put():
            return {**state, action.path: action.file}
        case Delete():
            return {path: entry for path, entry in state.items() if path != action.path}


def contents(tree: Tree) -> dict[str, bytes]:
    return {path: file.content() for path, file in files(tree).items()}


def unfinished(state: Tree, want: Tree) -> list[str]:
    """Models whose config names a version of `want` that is incomplete."""
    wrong = []
    for path, file in files(state).items():
        if path.endswith("config.pbtxt") and contents(want).get(path) == file.content():
            model, version = path.split("/")[0], file.content().decode()
            whole = {p: c for p, c in contents(want).items() if p.startswith(f"{model}/{version}/")}
            wrong += [model] if any(contents(state).get(p) != c for p, c in whole.items()) else []
    return wrong


@given(repositories(), repositories())
def test_no_prefix_has_a_config_whose_version_is_not_all_there(want: Tree, have: Tree) -> None:
    state = dict(have)
    for action in plan(want, have, ours(have), "r").actions:
        if action.phase is Phase.PRUNE:
            break
        state = after(state, action)
        assert not unfinished(state, want) or unfinished(have, want)


@given(repositories(), repositories())
def test_a_plan_carried_out_leaves_an_empty_plan(want: Tree, have: Tree) -> None:
    state = dict(have)
    for action in plan(want, have, ours(have), "r").actions:
        state = after(state, action)
    assert contents(state) == contents(want)
    assert not plan(want, state, ours(want), "r")


@given(repositories())
def test_nothing_is_planned_for_what_is_there(tree: Tree) -> None:
    assert not plan(tree, tree, ours(tree), "r")
    assert not plan(tree, tree, {}, "r").conflicts


@given(repositories(), repositories(), st.integers(0, 12))
def test_a_killed_run_is_finished_by_the_next(first: Tree, second: Tree, killed_after: int) -> None:
    with TemporaryDirectory() as place:
        store = DirectoryStore(Path(place))
        for want, limit in ((first, None), (second, killed_after), (second, None)):
            have = store.scan("r")
            made = whole_plan(want, have)
            carried_out(Plan(made.actions[:limit]), store)
        have = store.scan("r")
        assert contents({path: entry for path, entry in have.items() if path != NAME}) == contents(second)
        assert records.load(have, "r") == Record("s", {}, records.digests(second))
        assert not whole_plan(second, have)


@given(repositories(), st.integers(0, 12))
def test_what_a_killed_run_wrote_is_removed_by_a_run_that_wants_something_else(first: Tree, killed_after: int) -> None:
    with TemporaryDirectory() as place:
        store = DirectoryStore(Path(place))
        carried_out(Plan(whole_plan(first, {}).actions[:killed_after]), store)
        carried_out(whole_plan({}, store.scan("r")), store)
        assert set(store.scan("r")) <= {NAME}


def carried_out(made: Plan, store: DirectoryStore) -> None:
    apply(made, {}, Alone(Place(store, "r", "r")))


def whole_plan(want: Tree, have: Tree, *, overwrite: bool = False) -> Plan:
    before = records.load(have, "r")
    there = {path: entry for path, entry in have.items() if path != NAME}
    made = plan(want, there, before.written(), "r", overwrite=overwrite)
    assert not made.conflicts
    kept = {path: before.files[path] for path in made.kept}
    return records.with_record(made, Record("s", {}, records.digests(want) | kept), before, have)


def test_files_of_others_are_left_alone_and_named() -> None:
    want, have = {"m/1/a": of_bytes(b"1")}, {"other/config.pbtxt": of_bytes(b""), "m/notes": of_bytes(b"")}
    made = plan(want, have, {}, "r")
    assert made.foreign == ("m/notes", "other/config.pbtxt")
    assert [type(action) for action in made.actions] == [Put]


CONFLICTS = {
    "a file of somebody else": (
        {"m/a": of_bytes(b"1")},
        {"m/a": of_bytes(b"2")},
        "r/m/a: fatal: the build needs this path, but",
    ),
    "a directory in a file's place": (
        {"m": of_bytes(b"1")},
        {"m/a": of_bytes(b"2")},
        "r/m: fatal: the build needs a file",
    ),
    "an empty directory in a file's place": (
        {"m": of_bytes(b"1")},
        {"m": Directory()},
        "r/m: fatal: the build needs a file",
    ),
    "a file in a directory's place": (
        {"m/a/b": of_bytes(b"1")},
        {"m/a": of_bytes(b"2")},
        "r/m/a: fatal: the build needs a file",
    ),
}


@pytest.mark.parametrize(("want", "have", "message"), CONFLICTS.values(), ids=CONFLICTS)
def test_what_stands_in_the_way_is_told_before_anything_is_written(want: Tree, have: Tree, message: str) -> None:
    assert message in "\n".join(map(str, plan(want, have, {}, "r").conflicts))


EDITED = {"m/a": of_bytes(b"edited"), "m/gone": of_bytes(b"edited too"), "m/b": of_bytes(b"2")}
WROTE = {"m/a": of_bytes(b"0"), "m/gone": of_bytes(b"1"), "m/b": of_bytes(b"2")}


def test_files_of_ours_that_were_edited_are_kept_and_named() -> None:
    made = plan({"m/a": of_bytes(b"1"), "m/b": of_bytes(b"3")}, EDITED, ours(WROTE), "r")
    assert not made.conflicts
    assert not made.foreign
    assert made.kept == ("m/a", "m/gone")
    assert [(action.path, action.reason) for action in made.actions] == [("m/b", "changed")]


def test_files_of_ours_that_were_edited_are_overwritten_where_that_is_asked_for() -> None:
    made = plan({"m/a": of_bytes(b"1"), "m/b": of_bytes(b"2")}, EDITED, ours(WROTE), "r", overwrite=True)
    assert not made.kept
    told = [(type(action), action.path, action.reason) for action in made.actions]
    assert told == [(Put, "m/a", "changed by hand"), (Delete, "m/gone", "not in the stack")]


@given(repositories(), repositories(), repositories(), st.integers(0, 12), st.integers(0, 12))
def test_no_run_takes_what_killed_ones_left_for_changed_by_hand(
    first: Tree, second: Tree, third: Tree, killed_after: int, killed_again: int
) -> None:
    with TemporaryDirectory() as place:
        store = DirectoryStore(Path(place))
        for want, limit in ((first, None), (second, killed_after), (third, killed_again), (second, None)):
            made = whole_plan(want, store.scan("r"))
            assert not made.kept
            carried_out(Plan(made.actions[:limit]), store)
        assert contents(store.scan("r")).keys() - {NAME} == contents(second).keys()


@pytest.mark.parametrize("overwrite", [False, True])
@given(first=repositories(), second=repositories(), killed_after=st.integers(0, 12))
def test_an_edit_is_known_as_one_through_killed_runs(
    *, first: Tree, second: Tree, killed_after: int, overwrite: bool
) -> None:
    with TemporaryDirectory() as place:
        store = DirectoryStore(Path(place))
        carried_out(whole_plan(first, {}), store)
        for path in files(first):
            store.put(f"r/{path}", of_bytes(b"by hand"))
        made = whole_plan(second, store.scan("r"), overwrite=overwrite)
        assert overwrite or set(made.kept) == set(files(first))
        carried_out(Plan(made.actions[:killed_after]), store)
        left = {path for path, content in contents(store.scan("r")).items() if content == b"by hand"}
        assert set(whole_plan(second, store.scan("r")).kept) == left


def test_an_empty_directory_is_no_conflict() -> None:
    assert not plan({"m/1/a": of_bytes(b"")}, {"m/1": Directory()}, {}, "r").conflicts


WRONG_RECORDS = {
    "no JSON": b"{",
    "no object": b"[]",
    "nested too deep": b"[" * 100_000,
    "another schema": json.dumps({"schema": 9}).encode(),
    "no files": b'{"schema": 1}',
}


@pytest.mark.parametrize("content", WRONG_RECORDS.values(), ids=WRONG_RECORDS)
def test_a_wrong_record_is_told(content: bytes) -> None:
    with pytest.raises(Stop, match=r"^r/tritonrepo.json: fatal: the (file is not|build record has schema 9)"):
        records.load({NAME: of_bytes(content)}, "r")


def test_a_record_survives_its_text() -> None:
    full = Record("s", {"release": "26.07"}, {"a": "1"}, {"o/m": "./x.gguf"}, {"a": "0"})
    file = records.dump(full)
    assert isinstance(file, File)
    assert records.load({NAME: file}, "r") == full
