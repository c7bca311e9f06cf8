"""`tritonrepo lock`: what it pins, prints and refuses; numbers of a repository; numbers of both sides of a merge."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pushes import CODE, push, stored
from tests.servers.s3 import S3Server
from tests.test_doubts import own as indexed
from tests.test_lock_merge import git
from tests.test_own_stacks import SEARCH, edited, entered
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.events import Busy, Event
from tritonrepo.flows.lock import apply_lock, plan_lock
from tritonrepo.flows.workspace import Workspace
from tritonrepo.spec import lock_text
from tritonrepo.spec.lock import Lock, Version
from tritonrepo.stores import open_store
from tritonrepo.stores.directory import STAGING, DirectoryStore
from tritonrepo.stores.store import Tag
from tritonrepo.tree import File, of_text

__all__ = ["indexed"]

EMBEDDER = SEARCH[: SEARCH.index("  r:")]
LOCK = Path("tritonrepo.lock")
Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack of one embedder, in the current directory: the models e, which calls e_model."""
    place = entered(tmp_path / "own", monkeypatch)
    (place / "tritonrepo.yaml").write_text(EMBEDDER, "utf-8")
    return place


def branch(own: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the stack, as another checkout has it, and change to it."""
    place = shutil.copytree(own, own.parent / name)
    monkeypatch.chdir(place)
    return place


def limit(tokens: int) -> None:
    """Change the content of `e` alone."""
    text = re.sub("source: ./w[^}]*", f"source: ./w, max_tokens: {tokens}", Path("tritonrepo.yaml").read_text("utf-8"))
    Path("tritonrepo.yaml").write_text(text, "utf-8")


def locked() -> Lock:
    return lock_text.load(LOCK.read_bytes(), "l")


def numbers() -> dict[str, int]:
    return {name: version.version for name, version in locked().models.items()}


def said(capsys: Capsys, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run([*arguments]) == code
    return capsys.readouterr().out


def refused(capsys: Capsys, *arguments: str, code: int = 2) -> str:
    capsys.readouterr()
    assert run([*arguments]) == code
    return capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_it_writes_the_lock_of_a_build_and_nothing_else(capsys: Capsys) -> None:
    def there() -> set[str]:
        return {path.name for path in Path().iterdir()}

    before = there()
    wheel = r"tokenizers-[0-9.]+-cp310-abi3-[a-z0-9_.]+_x86_64\.whl [0-9a-f]{12}"
    plan = (
        r"\+ e  1\n\+ e_model  1\n\+ \./w  [0-9a-f]{12}\n"
        rf"\+ package:tokenizers==[0-9.]+ \(x86_64\)  {wheel}\n"
        r"tritonrepo\.lock: 4 changes\n"
    )
    assert re.fullmatch(plan, said(capsys, "lock", "--check", code=1))
    assert there() == before
    assert re.fullmatch(plan, said(capsys, "lock"))
    assert there() == before | {"tritonrepo.lock"}
    assert said(capsys, "lock", "--check") == said(capsys, "lock") == "tritonrepo.lock: nothing to do\n"
    text = LOCK.read_bytes()
    LOCK.unlink()
    assert run(["build"]) == 0
    assert LOCK.read_bytes() == text
    assert run(["build", "--check", "--locked"]) == 0


@pytest.mark.usefixtures("own")
def test_it_names_each_entry_that_changes_with_its_number_or_digest(capsys: Capsys) -> None:
    assert run(["lock"]) == 0
    old = locked().sources["./w"]["any"].sha256[:12]
    edited("w/config.json", "0.001", "0.5")
    out = said(capsys, "lock")
    new = locked().sources["./w"]["any"].sha256[:12]
    assert out == f"~ e  1 → 2\n~ e_model  1 → 2\n~ ./w  {old} → {new}\ntritonrepo.lock: 3 changes\n"
    edited("w/config.json", "0.5", "0.001")
    out = said(capsys, "lock")
    assert out == f"~ e  2 → 1\n~ e_model  2 → 1\n~ ./w  {new} → {old}\ntritonrepo.lock: 3 changes\n"
    shutil.copytree("w", "v")
    edited("tritonrepo.yaml", "./w", "./v")
    assert said(capsys, "lock") == f"+ ./v  {old}\n- ./w  not in the stack\ntritonrepo.lock: 2 changes\n"


@pytest.mark.usefixtures("own")
def test_a_content_that_comes_back_has_its_number_again_and_new_content_a_number_above_all() -> None:
    seen = []
    for tokens in (12, 13, 12, 14, 13, 15):
        limit(tokens)
        assert run(["lock"]) == 0
        seen.append(numbers()["e"])
    assert seen == [1, 2, 1, 3, 2, 4]
    assert numbers()["e_model"] == 1
    assert sorted(locked().models["e"].known) == [1, 2, 3, 4]


@pytest.mark.usefixtures("own")
def test_a_lock_of_schema_1_is_current_until_something_changes_and_is_then_written_anew(capsys: Capsys) -> None:
    assert run(["build"]) == 0
    new = LOCK.read_text("utf-8")
    data: dict[str, Any] = {"schema": 1, "indexes": {}, "models": {}, "sources": {}}
    data["models"] = {name: {"version": one.version, "content": one.content} for name, one in locked().models.items()}
    for name, pins in locked().sources.items():
        (pin,) = pins.values()
        data["sources"][name] = {"sha256": pin.sha256} | ({"file": pin.file} if pin.file else {})
    LOCK.write_text(json.dumps(data), "utf-8")
    assert run(["build", "--check", "--locked"]) == 0
    assert said(capsys, "lock", "--check") == "tritonrepo.lock: nothing to do\n"
    assert json.loads(LOCK.read_text("utf-8"))["schema"] == 1
    assert said(capsys, "build") == "model_repository: nothing to do\n"
    assert LOCK.read_text("utf-8") == new


@pytest.mark.usefixtures("own")
def test_a_new_number_is_the_next_free_one_and_earlier_contents_keep_theirs(capsys: Capsys) -> None:
    for tokens in (12, 13, 12):
        limit(tokens)
        assert run(["lock"]) == 0
    before = locked().models["e"]
    assert said(capsys, "lock", "--renumber", "e") == "~ e  1 → 3, version 1 taken\ntritonrepo.lock: 1 change\n"
    assert locked().models["e"] == Version(3, before.content, {1: "", 2: before.others[2]})
    assert run(["build", "--locked"]) == 0
    assert [path.parent.name for path in Path("model_repository/e").glob("*/model.py")] == ["3"]
    limit(13)
    assert run(["lock"]) == 0
    assert numbers()["e"] == 2
    out = said(capsys, "lock", "--renumber", "e_model", "--renumber", "e")
    assert out == "~ e  2 → 4\n~ e_model  1 → 2, version 1 taken\ntritonrepo.lock: 2 changes\n"
    assert numbers() == {"e": 4, "e_model": 2}
    calls = json.loads((Path("model_repository") / "e" / "3" / "calls.json").read_text("utf-8"))
    assert calls == {"e_model": 1}
    assert run(["build", "--locked"]) == 0
    assert json.loads(Path("model_repository/e/4/calls.json").read_text("utf-8")) == {"e_model": 2}


@pytest.mark.usefixtures("own")
def test_a_pin_is_forgotten_by_the_command_that_a_changed_package_names(capsys: Capsys) -> None:
    assert run(["lock"]) == 0
    good = LOCK.read_text("utf-8")
    (name,) = [source for source in locked().sources if source.startswith("package:")]
    sha256 = locked().sources[name]["x86_64"].sha256
    edited("tritonrepo.lock", sha256, "0" * 64)
    (command,) = re.findall("`(tritonrepo lock --upgrade .*?)`", refused(capsys, "build"))
    assert f"{'0' * 12} → " in said(capsys, *shlex.split(command)[1:])
    assert LOCK.read_text("utf-8") == good


NAMES = {
    "no model": (
        ["--renumber", "f"],
        'f: fatal: unknown model "f" in --renumber [lock-model]',
        "Use one of: e, e_model.",
    ),
    "a misspelt model": (["--renumber", "e_modle"], 'unknown model "e_modle"', 'Did you mean "e_model"?'),
    "no source": (["--upgrade", "./x"], '"./x" in --upgrade is neither a model with sources nor a source', "./w"),
    "a part of a source's name": (["--upgrade", "package:token"], "neither a model with sources nor", "package:token"),
    "nothing": (["--upgrade", ""], '"" in --upgrade is neither', "Use one of: ./w, e, package:"),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("options", "says", "hint"), NAMES.values(), ids=NAMES)
def test_a_name_that_the_stack_does_not_have_is_told(capsys: Capsys, options: list[str], says: str, hint: str) -> None:
    assert run(["lock"]) == 0
    before = LOCK.read_bytes()
    error = refused(capsys, "lock", *options, "--upgrade", "y")
    assert says in error
    assert hint in error
    assert '"y" in --upgrade' in error  # all at once
    assert LOCK.read_bytes() == before


@pytest.mark.usefixtures("own")
def test_a_number_that_the_stack_file_sets_is_changed_there_alone(capsys: Capsys) -> None:
    Path("m.py").write_text(CODE, "utf-8")
    more = "  own: {backend: python, versions: {4: ./m.py}, config: {max_batch_size: 0}}\nensembles:"
    Path("tritonrepo.yaml").write_text(EMBEDDER.rstrip() + f"\n{more} {{}}\n", "utf-8")
    assert run(["lock"]) == 0
    assert numbers() == {"e": 1, "e_model": 1, "own": 4}
    assert refused(capsys, "lock", "--renumber", "own") == (
        'tritonrepo.yaml:4:36: fatal: the stack file itself sets the version numbers of "own" [lock-model]\n'
        "  Change them there.\n"
    )
    assert run(["lock", "--upgrade", "own"]) == 0  # its source is the value of a version
    edited("tritonrepo.yaml", "versions: {4: ./m.py}", "source: ./m.py")
    assert run(["lock", "--check"]) == 0
    Path("m.py").write_text(f"{CODE}\n", "utf-8")
    assert said(capsys, "lock").startswith("~ own  4 → 5\n")


def test_an_index_that_is_behind_an_upgraded_embedder_is_told_and_the_pin_is_written(
    indexed: Path, capsys: Capsys
) -> None:
    assert run(["build"]) == 0
    before = locked()
    edited("w/config.json", "0.001", "0.5")
    assert "[index-embedder]" in refused(capsys, "lock")
    assert locked() == before
    assert run(["lock", "--upgrade", "e"]) == 0
    error = capsys.readouterr().err
    assert 'warning: the index of "r" was built with another embedder' in error
    assert "Run `tritonrepo index -f tritonrepo.yaml`." in error
    assert locked().models == before.models
    assert locked().sources.keys() == before.sources.keys()
    assert locked().sources["./w"] != before.sources["./w"]
    assert run(["index"]) == run(["build"]) == 0
    assert numbers() == {"e": 2, "e_model": 2, "r": 2, "s": 1}
    assert (indexed / "model_repository" / "r" / "2").is_dir()


def test_the_numbers_of_a_repository_decide_which_are_taken(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    assert run(["lock"]) == 0
    branch(own, "mine", monkeypatch)
    monkeypatch.chdir(own)
    for tokens in (12, 13, 14):
        limit(tokens)
        assert run(["build", "-o", "theirs"]) == 0
    served = Path("theirs").absolute()
    theirs = locked().models["e"]
    shutil.copytree(served / "e" / "4", served / "e" / "6_backup")  # counts as 6, and is what 4 is
    (served / "e" / "05").mkdir()
    shutil.copytree(served / "e" / "4", served / "e" / "999999999")  # a push's placeholder, which is no version
    monkeypatch.chdir(own.parent / "mine")
    limit(11)
    assert run(["lock"]) == 0
    mine = locked().models["e"]
    assert said(capsys, "lock", "--from", str(served)) == "~ e  2, versions 4, 6 taken\ntritonrepo.lock: 1 change\n"
    assert locked().models["e"] == Version(2, mine.content, {1: theirs.known[1], 4: "", 6: theirs.content})
    assert said(capsys, "lock", "--from", str(served)) == "tritonrepo.lock: nothing to do\n"
    for tokens, number in ((14, 6), (10, 7), (11, 2)):
        limit(tokens)
        assert run(["lock"]) == 0
        assert numbers() == {"e": number, "e_model": 1}


def pushed(uri: str, capsys: Capsys, code: int = 0) -> str:
    assert run(["build"]) == 0
    capsys.readouterr()
    assert push("model_repository", uri) == code
    return capsys.readouterr().err


def read(uri: str) -> list[str]:
    """Return what is told while the numbers of a bucket are taken over."""
    told: list[Event] = []
    plan_lock([], Workspace(dict(os.environ), tell=told.append), uri=uri)
    return [event.what for event in told if isinstance(event, Busy)]


def test_of_two_branches_with_one_number_the_second_pushes_under_the_next_by_the_command_that_push_names(
    own: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    uri = s3_server.fresh()
    pushed(uri, capsys)
    one = stored(uri)
    branch(own, "a", monkeypatch)
    limit(12)
    pushed(uri, capsys)
    two = stored(uri)
    assert numbers() == {"e": 2, "e_model": 1}
    branch(own, "b", monkeypatch)
    limit(13)
    error = pushed(uri, capsys, 1)
    assert numbers() == {"e": 2, "e_model": 1}
    assert f"{uri}/e: error: version 2 is being served, but this push would change its 2/settings.json" in error
    assert stored(uri) == two
    (command,) = re.findall("Run `(tritonrepo lock --from .*?)`, then build and push again.", error)
    assert said(capsys, *shlex.split(command)[1:]) == "~ e  2 → 3, version 2 taken\ntritonrepo.lock: 1 change\n"
    pushed(uri, capsys)
    three = stored(uri)
    versions = {
        number: {path: text for path, text in three.items() if path.startswith(f"e/{number}/")} for number in "123"
    }
    assert versions["1"] == {path: text for path, text in one.items() if path.startswith("e/1/")}
    assert versions["2"] == {path: text for path, text in two.items() if path.startswith("e/2/")}
    assert versions["3"] == {
        str(path.relative_to("model_repository")): path.read_bytes()
        for path in Path("model_repository/e/3").rglob("*")
        if path.is_file()
    }
    settings = [json.loads(versions[number][f"e/{number}/settings.json"])["max_tokens"] for number in "123"]
    assert settings[1:] == [12, 13]
    assert b"specific { versions: [ 3 ] }" in three["e/config.pbtxt"]


def test_the_record_of_a_repository_can_be_elsewhere(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    """The command that push names reads it from there."""
    place = [str(own.parent / "served"), "--record", str(own.parent / "record")]
    assert run(["build"]) == 0
    assert push("model_repository", *place) == 0
    branch(own, "a", monkeypatch)
    limit(12)
    assert run(["build"]) == 0
    assert push("model_repository", *place) == 0
    branch(own, "b", monkeypatch)
    limit(13)
    assert run(["build"]) == 0
    capsys.readouterr()
    assert push("model_repository", *place) == 1
    (command,) = re.findall("Run `(tritonrepo lock --from .*?)`, then build", capsys.readouterr().err)
    assert shlex.split(command)[-3:] == place
    assert run(["lock", "--from", place[0]]) == 2
    assert f"Add `--record {place[2]}`." in capsys.readouterr().err
    assert said(capsys, *shlex.split(command)[1:]) == "~ e  2 → 3, version 2 taken\ntritonrepo.lock: 1 change\n"


@pytest.mark.parametrize("kind", ["s3_server", "gcs_server"], ids=["s3", "gcs"])
def test_the_digests_of_the_last_push_are_taken_from_its_record_and_are_those_of_a_build(
    own: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: Capsys, kind: str
) -> None:
    uri: str = request.getfixturevalue(kind).fresh()
    pushed(uri, capsys)
    built = locked()
    branch(own, "fresh", monkeypatch)
    LOCK.unlink()
    limit(12)
    assert read(uri) == []
    assert run(["lock", "--from", uri]) == 0
    assert numbers() == {"e": 2, "e_model": 1}
    assert locked().models["e"].others == {1: built.models["e"].content}
    assert locked().models["e_model"] == built.models["e_model"]


def test_numbers_that_no_server_has_any_more_are_those_of_the_record_and_no_push_gives_them_again(
    own: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    uri = s3_server.fresh()
    pushed(uri, capsys)
    branch(own, "late", monkeypatch)
    monkeypatch.chdir(own)
    for tokens in (12, 13):
        limit(tokens)
        pushed(uri, capsys)
    theirs = locked().models["e"]
    before = stored(uri)
    monkeypatch.chdir(own.parent / "late")
    limit(11)
    error = pushed(uri, capsys, 1)
    assert error == (
        f"{uri}/e: error: version 2 was pushed earlier with other content, and a number is never used twice"
        " [push-version-taken]\n"
        f"  Run `tritonrepo lock --from {uri}`, then build and push again.\n"
    )
    assert stored(uri) == before
    assert read(uri) == []  # not even what the last push did not send
    assert said(capsys, "lock", "--from", uri) == "~ e  2 → 4, versions 2, 3 taken\ntritonrepo.lock: 1 change\n"
    assert {number: content for number, content in locked().models["e"].known.items() if number < 4} == theirs.known
    pushed(uri, capsys)
    limit(12)
    pushed(uri, capsys)
    assert numbers()["e"] == 2
    after = stored(uri)
    assert {path: after[path] for path in before if path.startswith("e/2/")} == {
        path: text for path, text in before.items() if path.startswith("e/2/")
    }


def test_what_no_record_knows_is_read(
    own: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    uri = s3_server.fresh()
    pushed(uri, capsys)
    built = locked()
    store, prefix = open_store(uri)
    store.put(f"{prefix}/e/5/settings.json", of_text("theirs"))
    store.put(f"{prefix}/e/1/settings.json", of_text("changed by hand"))
    branch(own, "fresh", monkeypatch)
    LOCK.unlink()
    assert read(uri) == [f"reading 2 files of {uri} that no push has recorded"]
    store.delete(f"{prefix}.tritonrepo/release.json")
    (told,) = read(uri)
    assert int(told.split()[1]) == sum(re.match("[a-z_]+/[1-9]/", path) is not None for path in stored(uri))
    assert said(capsys, "lock", "--from", uri).startswith("+ e  6, versions 1, 5 taken\n+ e_model  1\n")
    text = hashlib.sha256(b"theirs").hexdigest()
    assert locked().models["e"].known[5] == hashlib.sha256(f"settings.json\0{text}\n".encode()).hexdigest()
    assert locked().models["e"].content == built.models["e"].content


def another_stack(repository: Path) -> None:
    edited(str(repository / "tritonrepo.json"), '"name": "own"', '"name": "other"')


REPOSITORIES: dict[str, tuple[str, Callable[[Path], object] | None, int, str]] = {
    "none": ("nowhere", None, 2, "nowhere: fatal: the repository does not exist or is empty [lock-from]"),
    "a bucket": ("s3://models", None, 2, "s3://models: fatal: the URI is a bucket's root"),
    "no URI": ("as://models/prod", None, 2, "as://models/prod: fatal: as:// buckets are not supported yet"),
    "an empty variable": ("", None, 2, '"": fatal: an empty string is not a directory or a bucket URI [store-uri]'),
    "another stack's": (
        "model_repository",
        another_stack,
        2,
        'model_repository: fatal: the repository holds the stack "other", but this is the stack "own" [lock-from]',
    ),
    "a link that leads out": (
        "model_repository",
        lambda repository: (repository / "e" / "1" / "link").symlink_to("/etc/hostname"),
        2,
        "model_repository/e/1/link: fatal: the link points to /etc/hostname, outside model_repository",
    ),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("uri", "change", "code", "says"), REPOSITORIES.values(), ids=REPOSITORIES)
def test_a_repository_that_has_no_numbers_for_this_stack_is_told(
    capsys: Capsys, uri: str, change: Callable[[Path], object] | None, code: int, says: str
) -> None:
    assert run(["build"]) == 0
    if change is not None:
        change(Path("model_repository"))
    before = LOCK.read_bytes()
    assert says in refused(capsys, "lock", "--from", uri, code=code)
    assert LOCK.read_bytes() == before


@pytest.mark.usefixtures("own")
def test_a_conflict_is_refused_by_a_build_and_ended_by_a_lock(capsys: Capsys) -> None:
    sides = []
    for tokens in (12, 13):
        Path("tritonrepo.yaml").write_text(EMBEDDER, "utf-8")
        LOCK.unlink(missing_ok=True)
        for each in (None, tokens):
            if each:
                limit(each)
            assert run(["lock"]) == 0
        sides.append(LOCK.read_text("utf-8"))
    (ours, theirs) = (re.findall('"2": "([0-9a-f]{64})"', side)[0] for side in sides)
    conflict = f'<<<<<<< HEAD\n        "2": "{ours}"\n=======\n        "2": "{theirs}"\n>>>>>>> theirs'
    LOCK.write_text(sides[0].replace(f'        "2": "{ours}"', conflict), "utf-8")
    limit(14)  # what the merge made of both
    before = LOCK.read_bytes()
    assert "[lock-conflict]" in refused(capsys, "build")
    assert said(capsys, "lock", "--check", code=1) == (
        "~ e  2 → 3\n~ tritonrepo.lock  merge conflict resolved\ntritonrepo.lock: 2 changes\n"
    )
    assert LOCK.read_bytes() == before
    assert run(["lock"]) == 0
    assert numbers() == {"e": 3, "e_model": 1}
    assert locked().models["e"].others[2] == ""
    assert run(["build", "--locked"]) == 0


@pytest.mark.usefixtures("own")
def test_a_conflict_that_hides_no_other_change_is_still_a_change(capsys: Capsys) -> None:
    assert run(["lock"]) == 0
    text = LOCK.read_text("utf-8")
    LOCK.write_text(f"<<<<<<< a\n{text}=======\n{text}>>>>>>> b\n", "utf-8")
    out = "~ tritonrepo.lock  merge conflict resolved\ntritonrepo.lock: 1 change\n"
    assert said(capsys, "lock", "--check", code=1) == said(capsys, "lock") == out
    assert LOCK.read_text("utf-8") == text


def built_otherwise() -> None:
    limit(13)
    assert run(["build"]) == 0


def committed(message: str) -> None:
    for command in (["add", "tritonrepo.yaml", "tritonrepo.lock"], ["commit", "-qm", message]):
        done = git(Path(), *command)
        assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("own")
def test_branches_that_changed_different_models_merge_to_a_lock_that_a_build_leaves_as_it_is(capsys: Capsys) -> None:
    more = "".join(f"  {name}:\n    role: embedder\n    source: ./w\n    max_tokens: 9\n" for name in "fgh")
    Path("tritonrepo.yaml").write_text(f"{EMBEDDER}{more}", "utf-8")
    assert git(Path(), "init", "-qb", "main").returncode == 0
    assert run(["lock"]) == 0
    committed("base")
    for name, place in (("ours", 1), ("theirs", 2)):
        assert git(Path(), "checkout", "-qb", name, "main").returncode == 0
        parts = Path("tritonrepo.yaml").read_text("utf-8").split("max_tokens: 9")
        parts[place - 1 : place + 1] = [f"max_tokens: {10 + place}".join(parts[place - 1 : place + 1])]
        Path("tritonrepo.yaml").write_text("max_tokens: 9".join(parts), "utf-8")
        assert run(["build"]) == 0
        committed(name)
    done = git(Path(), "merge", "-qm", "x", "ours")
    assert done.returncode == 0, done.stdout
    assert said(capsys, "lock", "--check") == "tritonrepo.lock: nothing to do\n"
    one = dict.fromkeys(("e", "e_model", "f_model", "g_model", "h_model", "h"), 1)
    assert numbers() == one | {"f": 2, "g": 2}
    assert run(["build", "--locked"]) == 0


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a FIFO", "a directory"])
@pytest.mark.parametrize("command", ["build", "lock", "index"])
def test_a_lock_that_is_no_file_is_told(capsys: Capsys, command: str, make: Callable[[Path], object]) -> None:
    make(LOCK)
    assert "tritonrepo.lock: fatal: the lock file is not a regular file [lock-syntax]" in refused(capsys, command)


RIVALS: dict[str, Callable[[], object]] = {
    "another lock": lambda: run(["lock", "--renumber", "e_model"]),
    "a build": built_otherwise,
    "a hand": lambda: LOCK.write_text("{", "utf-8"),
    "a removal": LOCK.unlink,
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("rival", RIVALS.values(), ids=RIVALS)
def test_a_lock_that_somebody_else_changed_since_it_was_read_stays(rival: Callable[[], object]) -> None:
    assert run(["lock"]) == 0
    limit(12)
    late = plan_lock([], Workspace(dict(os.environ)))
    rival()
    before = LOCK.read_bytes() if LOCK.exists() else None
    with pytest.raises(Stop, match=r"somebody else changed the lock file|is not a valid lock file"):
        apply_lock(late)
    assert (LOCK.read_bytes() if LOCK.exists() else None) == before


@pytest.mark.usefixtures("own")
def test_a_lock_that_changes_in_the_moment_of_the_write_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read it unchanged; only one of them may write."""
    assert run(["lock"]) == 0
    limit(12)
    late = plan_lock([], Workspace(dict(os.environ)))
    put, theirs = DirectoryStore.put, LOCK.read_bytes() + b"\n"

    def rivalled(store: DirectoryStore, path: str, file: File, **conditions: Any) -> Tag:  # noqa: ANN401  a put's own
        LOCK.write_bytes(theirs)
        return put(store, path, file, **conditions)

    monkeypatch.setattr(DirectoryStore, "put", rivalled)
    with pytest.raises(Stop, match="somebody else changed the lock file after it was read"):
        apply_lock(late)
    assert LOCK.read_bytes() == theirs


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("moment", ["alone", "Path.replace"])
def test_a_command_killed_before_its_last_write_leaves_the_old_lock(moment: str) -> None:
    assert run(["lock"]) == 0
    old = LOCK.read_bytes()
    limit(12)
    script = (
        "import os, signal\n"
        "from tritonrepo.stores import directory\n"
        f"directory.{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from tritonrepo.cli import run\n"
        "run(['lock'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert LOCK.read_bytes() == old
    assert len([*Path(STAGING).rglob("*")]) > 1  # the new one was whole beside it
    assert run(["lock"]) == 0
    assert numbers()["e"] == 2
    assert not Path(STAGING).exists()


def test_files_of_one_name_in_two_directories_have_pins_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    """A path is relative to the file that says it, so both say `./m.py`; the lock is relative to itself."""
    model = "models:\n  {}:\n    backend: python\n    source: ./m.py\n    config:\n      max_batch_size: {}\n"
    code = "class TritonPythonModel:\n    def execute(self, requests):\n        return {}\n"
    for name, above, size in (("base", "", 1), ("here", "extends: ../base/tritonrepo.yaml\n", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(code.format([size]), "utf-8")
        ends = "".join(
            f"      {end}: [{{name: {end}, data_type: TYPE_FP32, dims: [1]}}]\n" for end in ("input", "output")
        )
        text = f"{above}name: {name}\n{model.format(name, size)}{ends}"
        (tmp_path / name / "tritonrepo.yaml").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path / "here")
    assert run(["build"]) == 0
    pins = {name: pin["any"].sha256 for name, pin in locked().sources.items()}
    assert pins.keys() == {"../base/m.py", "./m.py"}
    assert len(set(pins.values())) == 2
    capsys.readouterr()
    assert run(["build", "--locked", "--check"]) == 0
    (tmp_path / "base" / "m.py").write_text(code.format([3]), "utf-8")
    assert run(["build", "--locked"]) == 2
    assert re.search(r"^~ \.\./base/m\.py  ", said(capsys, "lock"), re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    assert run(["lock", "-f", "here", "--check"]) == 0
    monkeypatch.chdir(tmp_path / "base")
    assert run(["lock"]) == 0
    assert locked().sources.keys() == {"./m.py"}
