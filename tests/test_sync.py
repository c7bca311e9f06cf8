"""Plans: the laws that hold for every tree, even after killed runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.repository.paths import is_config
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import record as records
from tritonrepo.sync.apply import apply
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Action, Delete, Plan, Put, plan
from tritonrepo.sync.record import NAME, Record
from tritonrepo.sync.writing import Alone
from tritonrepo.tree import Directory, Entry, File, Link, Tree, Unreadable, files, of_bytes, of_text

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
def test_no_prefix_has_a_config_whose_version_is_not_all_there_and_what_goes_goes_last(want: Tree, have: Tree) -> None:
    """A config that was there already with other files can be complete only at the end of the writes."""
    state, already = dict(have), {*unfinished(have, want)}
    actions = plan(want, have, ours(have), "r").actions
    for action in actions:
        state = after(state, action)
        assert {*unfinished(state, want)} <= already
    assert not unfinished(state, want)
    kinds = [type(action) for action in actions]
    assert kinds == sorted(kinds, key=[Put, Delete].index)


def test_a_build_writes_files_then_configs_and_deletes_last() -> None:
    paths = ("m/1/config.pbtxt", "m/config.pbtxt", "é/1/a", "z/1/a", "Z/1/a", "m/1/changed", "config.pbtxt")
    want = {path: of_bytes(path.encode()) for path in paths}
    have = {"a/1/gone": of_bytes(b"1"), "a/config.pbtxt": of_bytes(b"2"), "m/1/changed": of_bytes(b"3")}
    made = plan(want, have, ours(have), "r")
    assert [(action.phase.name, action.path, action.reason) for action in made.actions] == [
        ("FILES", "Z/1/a", "new"),
        ("FILES", "config.pbtxt", "new"),
        ("FILES", "m/1/changed", "changed"),
        ("FILES", "m/1/config.pbtxt", "new"),
        ("FILES", "z/1/a", "new"),
        ("FILES", "é/1/a", "new"),
        ("CONFIGS", "m/config.pbtxt", "new"),
        ("PRUNE", "a/1/gone", "not in the stack"),
        ("PRUNE", "a/config.pbtxt", "not in the stack"),
    ]


CONFIGS = {"m/config.pbtxt": True, "m/1/config.pbtxt": False, "config.pbtxt": False, "m/config.pbtxt.bak": False}


@tabled(("path", "right"), [*CONFIGS.items(), ("m/myconfig.pbtxt", False)])
def test_a_models_config_is_directly_in_its_directory(path: str, right: bool) -> None:  # noqa: FBT001  a table's column
    assert is_config(path) is right


def test_only_files_of_ours_are_deleted_and_only_equal_ones_of_others_are_no_conflict() -> None:
    have: Tree = {
        "m/1/same": of_bytes(b"1"),
        "m/1/size": of_bytes(b"12"),
        "m/1/theirs": of_bytes(b"1"),
        "m/2": Directory(),
        "m/1/link": Link(".."),
    }
    want = {"m/1/same": of_bytes(b"1"), "m/1/size": of_bytes(b"1")}
    made = plan(want, have, {}, "r")
    (conflict,) = made.conflicts
    assert str(conflict) == (
        "r/m/1/size: fatal: the build needs this path, but tritonrepo did not write the file [plan-foreign-file]\n"
        "  Move the file elsewhere, or build into another directory with -o."
    )
    assert made.foreign == ("m/1/link", "m/1/theirs", "m/2")
    assert made.kept == ()
    ours_by_name = dict.fromkeys(have, ("x",))
    deleted = plan({}, have, ours_by_name, "r", overwrite=True).actions
    assert [action.path for action in deleted] == ["m/1/same", "m/1/size", "m/1/theirs"]


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


def test_what_kept_settings_share_is_kept_with_them() -> None:
    one, two = "012345678901234567890", "098765432109876543210"
    first = {
        "m/1/settings.json": of_text(f'{{"packages": "{one}", "max": 1}}'),
        "n/1/settings.json": of_text(f'{{"packages": "{two}", "max": 1}}'),
        **{f"{name}/{top}/p/{file}": of_text(file) for name in "mn" for top in (one, two) for file in "ab"},
    }
    have = {**first, "m/1/settings.json": of_text(f'{{"packages": "{one}", "max": 2}}')}
    made = plan({}, have, ours(first), "r")
    assert made.kept == ("m/1/settings.json",)
    assert made.needed == (f"m/{one}/p/a", f"m/{one}/p/b")
    assert {action.path for action in made.actions} == first.keys() - {*made.kept, *made.needed}
    assert {action.path for action in plan({}, have, ours(first), "r", overwrite=True).actions} == first.keys()
    broken = plan({}, {**first, "m/1/settings.json": Unreadable.DANGLING}, ours(first), "r")
    assert (broken.kept, broken.needed) == (("m/1/settings.json",), ())


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
    "a target of lists of lists": b'{"schema": 1, "name": "s", "target": {"a": [[]]}, "files": {}, "local": {}}',
    "a target with a fraction": b'{"schema": 1, "name": "s", "target": {"a": 1.5}, "files": {}, "local": {}}',
    "nested too deep": b"[" * 100_000,
    "another schema": json.dumps({"schema": 9}).encode(),
    "no files": b'{"schema": 1}',
}


@tabled("content", WRONG_RECORDS.values(), ids=WRONG_RECORDS)
def test_a_wrong_record_is_told(content: bytes) -> None:
    with pytest.raises(Stop, match=r"^r/tritonrepo.json: fatal: the (file is not|build record has schema 9)"):
        records.load({NAME: of_bytes(content)}, "r")


RECORD = """\
{
  "before": {
    "a": "0"
  },
  "files": {
    "a": "1"
  },
  "local": {
    "o/m": "./x.gguf"
  },
  "name": "s",
  "schema": 1,
  "target": {
    "release": "26.07"
  }
}
"""


def test_a_record_is_this_text_and_without_a_build_that_was_killed_has_no_before() -> None:
    full = Record("s", {"release": "26.07"}, {"a": "1"}, {"o/m": "./x.gguf"}, {"a": "0"})
    assert records.dump(full).content().decode() == RECORD
    assert records.load({NAME: of_bytes(RECORD.encode())}, "r") == full
    short = RECORD.replace('  "before": {\n    "a": "0"\n  },\n', "")
    assert records.dump(replace(full, before={})).content().decode() == short
    assert records.load({NAME: of_bytes(short.encode())}, "r") == replace(full, before={})
    assert NAME == "tritonrepo.json"
    assert records.load({}, "r") == Record()
    assert full.written() == {"a": ("1", "0")}
    assert replace(full, before={"b": "0"}).written() == {"a": ("1",)}


def test_files_that_are_not_what_a_build_wrote_are_edited() -> None:
    wrote = Record(files=records.digests({"a": of_bytes(b"1"), "b": of_bytes(b"2"), "gone": of_bytes(b"3")}))
    tree: Tree = {"a": of_bytes(b"1"), "b": of_bytes(b"x"), "theirs": of_bytes(b"4"), "d": Directory()}
    assert records.edited(tree, wrote) == ["b"]
    killed = replace(wrote, before=records.digests({"b": of_bytes(b"x")}))
    assert records.edited(tree, killed) == []


def test_the_record_claims_first_and_closes_last_and_names_what_is_replaced() -> None:
    have = {"m/1/a": of_bytes(b"1"), "m/1/gone": of_bytes(b"2"), "m/1/same": of_bytes(b"3")}
    want = {"m/1/a": of_bytes(b"11"), "m/1/new": of_bytes(b"4"), "m/1/same": of_bytes(b"3")}
    before, after_it = (Record("s", {}, records.digests(tree)) for tree in (have, want))
    there = {**have, NAME: records.dump(before)}
    made = records.with_record(plan(want, have, before.written(), "r"), after_it, before, there)
    told = [(type(a).__name__, a.phase.name, a.path, a.reason) for a in made.actions]
    assert told == [
        ("Put", "CLAIM", NAME, "changed"),
        ("Put", "FILES", "m/1/a", "changed"),
        ("Put", "FILES", "m/1/new", "new"),
        ("Delete", "PRUNE", "m/1/gone", "not in the stack"),
        ("Put", "CLOSE", NAME, "changed"),
    ]
    claim, *_, close = (json.loads(a.file.content()) for a in made.actions if a.path == NAME and isinstance(a, Put))
    digest = {path: hashlib.sha256(file.content()).hexdigest() for path, file in {**have, **want}.items()}
    assert claim["files"] == digest
    assert claim["before"] == {"m/1/a": hashlib.sha256(b"1").hexdigest()}
    assert close["files"] == {path: digest[path] for path in want}
    assert "before" not in close
    claimed = {**have, NAME: next(a.file for a in made.actions if isinstance(a, Put))}
    begun = records.load(claimed, "r")
    again = records.with_record(plan(want, have, begun.written(), "r"), after_it, begun, claimed)
    assert [a.phase.name for a in again.actions] == ["FILES", "FILES", "PRUNE", "CLOSE"]
    assert not records.with_record(plan(want, want, {}, "r"), after_it, before, {NAME: records.dump(after_it)})
    first = records.with_record(plan({}, {}, {}, "r"), Record("s"), Record(), {})
    assert [(a.phase.name, a.reason) for a in first.actions] == [("CLOSE", "new")]


def test_a_record_survives_its_text() -> None:
    full = Record("s", {"release": "26.07"}, {"a": "1"}, {"o/m": "./x.gguf"}, {"a": "0"})
    file = records.dump(full)
    assert isinstance(file, File)
    assert records.load({NAME: file}, "r") == full
