"""Locks of two branches, merged by git itself: what merges, what conflicts, and what becomes of a conflict."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tritonrepo.diagnostics import Stop
from tritonrepo.spec import lock_text
from tritonrepo.spec.lock import Index, Lock, Pin, Version, joined

OWN = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C"}
NAMED = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
WHEEL = "t-1-cp310-abi3-manylinux2014_{}.whl"


def pin(arch: str, sha256: str) -> Pin:
    return Pin(sha256, WHEEL.format(arch), size=7)


BASE = Lock(
    {"./w": {"any": Pin("1", size=1)}, "package:t==1": {"x86_64": pin("x86_64", "2")}, "z": {"any": Pin("3", size=3)}},
    {"i": Index("1", "2", "3", "4"), "j": Index("5", "6", "7", "8")},
    {name: Version(1, f"{name}1") for name in ("a", "b", "c", "d")},
)

Change = Callable[[Lock], Lock]


def content(name: str, *digests: str) -> Change:
    """Return the change of a build that finds these contents of a model, one after the other."""

    def change(lock: Lock) -> Lock:
        models = dict(lock.models)
        for digest in digests:
            models[name] = models[name].having(digest) if name in models else Version(1, digest)
        return replace(lock, models=models)

    return change


def source(name: str, pins: Mapping[str, Pin]) -> Change:
    return lambda lock: replace(lock, sources={**lock.sources, name: {**lock.sources.get(name, {}), **pins}})


def without(name: str) -> Change:
    return lambda lock: replace(lock, sources={key: pins for key, pins in lock.sources.items() if key != name})


def index(name: str, *digests: str) -> Change:
    return lambda lock: replace(lock, indexes={**lock.indexes, name: Index(*digests)})


def git(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(place), *NAMED, *arguments]
    return subprocess.run(command, env=OWN, capture_output=True, text=True, check=False)


def committed(place: Path, lock: Lock) -> None:
    (place / "tritonrepo.lock").write_text(lock_text.dump(lock), "utf-8")
    assert git(place, "add", ".").returncode == 0
    assert git(place, "commit", "-qm", "x").returncode == 0


def merge(place: Path, base: Lock, ours: Lock, theirs: Lock, style: str = "merge") -> tuple[int, bytes]:
    """Return the exit code of `git merge`, and what is then in the lock."""
    place.mkdir(exist_ok=True)
    assert git(place, "init", "-qb", "ours").returncode == 0
    committed(place, base)
    assert git(place, "checkout", "-qb", "theirs").returncode == 0
    committed(place, theirs)
    assert git(place, "checkout", "-q", "ours").returncode == 0
    committed(place, ours)
    code = git(place, "-c", f"merge.conflictStyle={style}", "merge", "-qm", "x", "theirs").returncode
    return code, (place / "tritonrepo.lock").read_bytes()


CLEAN: dict[str, tuple[Lock, Change, Change]] = {
    "neighbours": (BASE, content("b", "b2"), content("c", "c2")),
    "all models": (BASE, lambda lock: content("c", "c2")(content("a", "a2")(lock)), content("d", "d2", "d3")),
    "a model and a source": (BASE, content("d", "d2"), source("./w", {"any": Pin("9", size=9)})),
    "a model added on each side": (BASE, content("aa", "x"), content("cc", "y")),
    "a model added next to a changed one": (BASE, content("cc", "x"), content("c", "c2")),
    "a model added behind the last one, which changes": (BASE, content("e", "x"), content("d", "d2")),
    "an index and a model": (BASE, index("j", *"abcd"), content("a", "a2")),
    "two indexes": (BASE, index("i", *"abcd"), index("j", *"efgh")),
    "an index added behind the last one, which changes": (BASE, index("k", *"abcd"), index("j", *"efgh")),
    "two processors": (
        BASE,
        source("package:t==1", {"aarch64": pin("aarch64", "8")}),
        source("package:t==1", {"x86_64": pin("x86_64", "9")}),
    ),
    "a source that goes and the next one": (BASE, without("package:t==1"), source("z", {"any": Pin("9", size=3)})),
    "the last source, which goes, and the one before": (
        BASE,
        without("z"),
        source("package:t==1", {"x86_64": pin("x86_64", "9")}),
    ),
    "the first index and the first model": (Lock(), index("i", *"abcd"), content("a", "a1")),
    "the first model and the first source": (Lock(), content("a", "a1"), source("z", {"any": Pin("9", size=3)})),
    "the same content": (BASE, content("b", "b2"), lambda lock: content("d", "d2")(content("b", "b2")(lock))),
}


@pytest.mark.parametrize(("base", "ours", "theirs"), CLEAN.values(), ids=CLEAN)
def test_git_merges_changes_of_different_items_into_the_lock_of_both(
    tmp_path: Path, base: Lock, ours: Change, theirs: Change
) -> None:
    code, merged = merge(tmp_path, base, ours(base), theirs(base))
    assert code == 0
    assert lock_text.load(merged, "l") == ours(theirs(base)) == theirs(ours(base))


EDITS: tuple[Change, ...] = (
    *(content(name, f"{name}2") for name in "abcd"),
    content("bb", "1"),
    content("e", "1", "2", "3"),
    *(index(name, *"abcd") for name in "ijk"),
    source("./w", {"any": Pin("9", size=9)}),
    source("package:t==1", {"aarch64": pin("aarch64", "8")}),
    source("z", {"any": Pin(revision="r")}),
    source("zz", {"any": Pin(revision="r")}),
)


def test_each_two_changes_merge_whichever_they_are(tmp_path: Path) -> None:
    for name, lock in (("base", BASE), *((str(number), edit(BASE)) for number, edit in enumerate(EDITS))):
        (tmp_path / name).write_text(lock_text.dump(lock), "utf-8")
    for one, other in combinations(range(len(EDITS)), 2):
        done = git(tmp_path, "merge-file", "-p", str(one), "base", str(other))
        assert done.returncode == 0, done.stdout
        assert lock_text.load(done.stdout.encode(), "l") == EDITS[one](EDITS[other](BASE))


CONFLICTS: dict[str, tuple[Change, Change, dict[str, Version]]] = {
    "two models added in one place": (
        content("e", "e1"),
        content("f", "f1"),
        {"e": Version(1, "e1"), "f": Version(1, "f1")},
    ),
    "two contents of one number": (content("b", "b2"), content("b", "x2"), {"b": Version(2, "", {1: "b1"})}),
    "two contents of one number, and a next one": (
        content("b", "b2"),
        content("b", "x2", "x3"),
        {"b": Version(3, "x3", {1: "b1", 2: ""})},
    ),
    "one content under two numbers": (
        content("b", "b2"),
        content("b", "x2", "b2"),
        {"b": Version(3, "b2", {1: "b1", 2: ""})},
    ),
    "a content that went back": (content("b", "b2", "b1"), content("b", "x2"), {"b": Version(2, "", {1: "b1"})}),
}


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize(("ours", "theirs", "models"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_conflict_has_its_own_message_and_both_sides_can_be_read(
    tmp_path: Path, ours: Change, theirs: Change, models: dict[str, Version], style: str
) -> None:
    code, merged = merge(tmp_path, BASE, ours(BASE), theirs(BASE), style)
    assert code == 1
    line = merged.split(b"<<<<<<<")[0].count(b"\n") + 1
    with pytest.raises(Stop) as stop:
        lock_text.load(merged, "l")
    assert str(stop.value) == (
        f"l:{line}: fatal: the lock file has an unresolved merge conflict [lock-conflict]\n"
        "  Run `tritonrepo lock`: it keeps the version numbers of both sides."
    )
    found = lock_text.merged(merged, "l")
    assert found.models == {**BASE.models, **models}
    assert found.schema == 0  # it must be written, even if nothing else changes
    assert lock_text.load(lock_text.dump(found).encode(), "l") == found


def test_of_two_pins_of_one_source_ours_counts() -> None:
    ours, theirs = (source("z", {"any": Pin(revision=name)})(BASE) for name in ("ours", "theirs"))
    both = '\n<<<<<<< HEAD\n"revision": "ours"\n=======\n"revision": "theirs"\n>>>>>>> theirs\n'
    text = lock_text.dump(ours).replace('"revision": "ours"', both)
    assert lock_text.merged(text.encode(), "l") == ours != theirs


def test_both_sides_together_have_all_that_either_has_and_ours_counts_where_they_differ() -> None:
    one, two, three = (Index(name, name, name, name) for name in "123")
    x86, arm = pin("x86_64", "1"), pin("aarch64", "2")
    ours = Lock({"t": {"x86_64": x86}, "a": {"any": Pin("1")}}, {"i": one, "j": two}, {"m": Version(1, "a")})
    theirs = Lock({"t": {"aarch64": arm}, "a": {"any": Pin("2")}}, {"i": three, "k": three}, {"n": Version(2, "b")})
    assert joined(ours, theirs) == Lock(
        {"t": {"x86_64": x86, "aarch64": arm}, "a": {"any": Pin("1")}},
        {"i": one, "j": two, "k": three},
        {"m": Version(1, "a"), "n": Version(2, "b")},
    )


BROKEN = {
    "a side that is no JSON": ("<<<<<<< a\n{\n=======\n%s>>>>>>> b\n", "the file is not a valid lock file: Expecting"),
    "a side with a wrong section": (
        '<<<<<<< a\n{"schema": 2, "indexes": {}, "models": 3, "sources": {}}\n=======\n%s>>>>>>> b\n',
        'the file is not a valid lock file: "models" is 3, not an object',
    ),
    "a side of a later schema": (
        '<<<<<<< a\n%s=======\n{"schema": 9}\n>>>>>>> b\n',
        "the lock file has schema 9, but this tritonrepo reads schemas 1 to 2",
    ),
}


@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN)
def test_a_conflict_with_a_side_that_is_no_lock_is_told_without_a_line(text: str, says: str) -> None:
    """A side has other lines than the file."""
    content = text.replace("%s", lock_text.dump(BASE)).encode()
    with pytest.raises(Stop, match="unresolved merge conflict"):
        lock_text.load(content, "l")
    with pytest.raises(Stop) as stop:
        lock_text.merged(content, "l")
    assert str(stop.value).startswith(f"l: fatal: {says}")


def test_an_end_of_a_conflict_without_its_begin_is_one() -> None:
    content = f"{lock_text.dump(BASE)}>>>>>>> b\n".encode()
    with pytest.raises(Stop, match=r"^l:[0-9]+: fatal: the lock file has an unresolved merge conflict"):
        lock_text.load(content, "l")
    assert lock_text.merged(content, "l") == BASE
