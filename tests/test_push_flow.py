"""`push` from its options to its record, over directories: what it reads, in which order it writes, what it says."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.pushes import CODE, LEAF, beside, hearing, push, repository, stored
from tritonrepo import __version__
from tritonrepo.cli import publishing, run
from tritonrepo.cli import push as command
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.events import Event
from tritonrepo.flows.prepared import Accepted, Push
from tritonrepo.flows.push import Servers, apply_push, paced, plan_push
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores import open_store
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Tag, Unconditional, Write
from tritonrepo.sync.lock import Hold
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.sync.revision import Revision
from tritonrepo.sync.telling import Began
from tritonrepo.sync.writing import Writer
from tritonrepo.tree import Tree, of_text

AT_ONCE = Pace(0, lambda: 1000, lambda _: None)


def release(place: Path) -> dict[str, Any]:
    return dict(json.loads(place.with_name(f"{place.name}.tritonrepo").joinpath("release.json").read_text("utf-8")))


def built(made: Path, name: str = "rag", **record: object) -> Path:
    """Put the record of a build into a repository."""
    data = {"schema": 1, "name": name, "target": {"release": "26.07"}, "files": {}, "local": {}, **record}
    (made / "tritonrepo.json").write_text(json.dumps(data), "utf-8")
    return made


def lined(told: list[str]) -> Workspace:
    """Return a workspace that records lines of progress."""

    return Workspace(tell=hearing(told))


def test_the_record_of_a_push_says_what_who_when_with_what_and_for_which_target(tmp_path: Path) -> None:
    place = tmp_path / "served" / "prod"
    made = built(repository(tmp_path / "m", 1), target={"release": "26.07", "gpus": 2}, local={"o/m": "./x"})
    assert push(made, place) == 0
    record = release(place)
    assert set(record) == {"schema", "name", "target", "local", "files", "made", "contents", "number"}
    assert record["name"] == "rag"
    assert record["target"] == {"release": "26.07", "gpus": 2}
    assert record["local"] == {"o/m": "./x"}
    assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", record["made"].pop("at"))
    assert record["made"] == {"by": getpass.getuser(), "tool": f"tritonrepo {__version__}"}
    assert set(record["files"]) == stored(str(place)).keys()
    assert record["files"]["top/1/.keep"][:2] == [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        0,
    ]


def test_a_first_push_is_recorded_empty_before_anything_is_sent_and_a_later_one_only_at_its_end(
    tmp_path: Path,
) -> None:
    place, seen = tmp_path / "served" / "prod", list[tuple[str, int, bool]]()

    def tell(event: Event) -> None:
        if not isinstance(event, Began):
            return
        locked = "lock.json" in beside(str(place))
        seen.append((event.phase, len(release(place)["files"]), locked))

    for version in (1, 2):
        planned = plan_push(repository(tmp_path / str(version), version), place, Workspace(tell=tell))
        apply_push(planned, AT_ONCE)
        assert beside(str(place)) == ["release.json"]
    first = [("gate", 0, True), ("files", 0, True), ("expand", 0, True), ("switch", 0, True)]
    assert seen == [*first, *[(name, 24, True) for name in ("files", "expand", "switch", "contract")]]
    assert len(release(place)["files"]) == 24


@pytest.mark.parametrize("no_lock", [True, False])
def test_without_a_lock_there_is_none_at_any_moment_and_every_write_is_unconditional(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_lock: bool,  # noqa: FBT001  a table's column
) -> None:
    place, found = tmp_path / "served" / "prod", set[tuple[bool, bool, bool]]()
    real = Writer.write

    def write(writer: Writer, writes: Sequence[Write]) -> list[Tag | None]:
        found.add((writer.hold is None, not writer.conditions, "lock.json" not in beside(str(place))))
        return real(writer, writes)

    monkeypatch.setattr(Writer, "write", write)
    apply_push(plan_push(repository(tmp_path / "m", 1), place, Workspace()), AT_ONCE, no_lock=no_lock)
    assert found == {(no_lock, no_lock, no_lock)}


def test_a_push_that_changes_nothing_takes_no_lock_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, made = tmp_path / "served" / "prod", repository(tmp_path / "m", 1)
    assert push(made, place) == 0
    recorded = release(place)
    planned = plan_push(made, place, Workspace())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "put", refuse)
        patch.setattr(DirectoryStore, "ticket", refuse)
        apply_push(planned, AT_ONCE)
    place.with_name("prod.tritonrepo").joinpath("release.json").unlink()
    apply_push(plan_push(made, place, Workspace()), AT_ONCE)  # nothing to send, but nothing is recorded
    assert release(place)["files"] == recorded["files"]


def test_a_push_of_an_earlier_version_sends_its_config_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "served" / "prod"
    for number, version in enumerate((1, 2, 1)):
        capsys.readouterr()
        assert push(repository(tmp_path / str(number), version), place) == 0
    assert capsys.readouterr().out == (
        "expand\n  ~ leaf/config.pbtxt  serves versions 1 and 2\n"
        "switch\n  ~ top/config.pbtxt  calls leaf version 1\n"
        "contract\n  ~ leaf/config.pbtxt  serves only version 1\n"
        f"{place}: 3 to write (790 B), 0 to delete\n"
    )
    assert {path.split("/")[1] for path in stored(str(place)) if path.startswith("leaf/")} == {"1", "2", "config.pbtxt"}


def renewed(made: Path, version: int, text: str) -> Path:
    (made / "leaf" / str(version) / "part-0").write_text(text, "utf-8")
    return made


def test_a_record_keeps_the_digest_of_each_version_that_was_ever_pushed(tmp_path: Path) -> None:
    place = tmp_path / "served" / "prod"
    for version in (1, 2):
        assert push(built(repository(tmp_path / str(version), version)), place) == 0
    found = release(place)
    assert found["contents"].keys() == {"leaf/1", "leaf/2", "top/1"}
    parts = sorted((path.name, path.read_bytes()) for path in (tmp_path / "1" / "leaf" / "1").iterdir())
    lines = "".join(f"{name}\0{hashlib.sha256(content).hexdigest()}\n" for name, content in parts)
    assert found["contents"]["leaf/1"] == hashlib.sha256(lines.encode()).hexdigest()
    assert not any(path.startswith("leaf/1/") for path in found["files"])


REUSED: dict[str, tuple[str, str, int]] = {
    "the same content": ("rag", "1 0", 0),
    "other content": ("rag", "other", 1),
    "other content without a stack": ("", "other", 0),
}


@pytest.mark.parametrize(("name", "text", "code"), REUSED.values(), ids=REUSED)
def test_a_number_that_no_server_has_any_more_keeps_its_content_where_a_stack_is_pushed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, code: int
) -> None:
    place = tmp_path / "served" / "prod"
    for version in (1, 2):
        assert push(built(repository(tmp_path / str(version), version), name), place) == 0
    before = stored(str(place))
    capsys.readouterr()
    assert push(built(renewed(repository(tmp_path / "3", 1), 1, text), name), place) == code
    if code:
        assert capsys.readouterr().err == (
            f"{place}/leaf: error: version 1 was pushed earlier with other content, and a number is never used twice"
            f" [push-version-taken]\n  Run `tritonrepo lock --from {place}`, then build and push again.\n"
        )
        assert stored(str(place)) == before
    else:
        assert stored(str(place))["leaf/1/part-0"] == text.encode()


def test_what_an_interrupted_push_left_of_a_version_can_be_replaced(tmp_path: Path) -> None:
    """It was never published, so nobody has its content."""
    place = tmp_path / "served" / "prod"
    assert push(built(repository(tmp_path / "1", 1)), place) == 0
    (place / "leaf" / "2").mkdir()
    (place / "leaf" / "2" / "part-0").write_text("half", "utf-8")
    assert push(built(repository(tmp_path / "2", 2)), place) == 0
    assert stored(str(place))["leaf/2/part-0"] == b"2 0"


NAMES = {
    "another stack": ("other", "rag", 'the stack "other", but this is the stack "rag"'),
    "a stack over a repository without one": ("", "rag", 'a repository without a stack, but this is the stack "rag"'),
    "no stack over a stack": ("other", "", 'the stack "other", but this is a repository without a stack'),
    "the same stack": ("rag", "rag", ""),
    "none over none": ("", "", ""),
}


@pytest.mark.parametrize(("there", "here", "message"), NAMES.values(), ids=NAMES)
def test_a_prefix_belongs_to_the_stack_that_was_pushed_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str, here: str, message: str
) -> None:
    place, made = tmp_path / "served" / "prod", repository(tmp_path / "m", 1)
    assert push(built(made, there) if there else made, place) == 0
    before = sorted((path, path.read_bytes()) for path in place.rglob("*") if path.is_file())
    (made / "tritonrepo.json").unlink(missing_ok=True)
    second = repository(made, 2)
    capsys.readouterr()
    assert push(built(second, here) if here else second, place) == (1 if message else 0)
    if message:
        assert capsys.readouterr().err == (
            f"{place}: error: the prefix holds {message} [push-other-stack]\n"
            "  Push each to a separate prefix. To replace what is there, delete prod.tritonrepo/release.json first.\n"
        )
        assert sorted((path, path.read_bytes()) for path in place.rglob("*") if path.is_file()) == before


GPU = "instance_group {{ kind: KIND_GPU gpus: [ {} ] }}\n"
GPUS = {
    "none": (0, 0, 1),
    "one, the first": (1, 0, 0),
    "one, the second": (1, 1, 1),
    "two, the second": (2, 1, 0),
    "not said, the first": (None, 0, 0),
    "not said, the second": (None, 1, 0),
}


@pytest.mark.parametrize(("gpus", "used", "code"), GPUS.values(), ids=GPUS)
def test_a_repository_is_checked_for_the_target_of_its_record_and_faults_have_their_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gpus: int | None, used: int, code: int
) -> None:
    made = repository(tmp_path / "m", 1)
    with (made / "leaf" / "config.pbtxt").open("a", encoding="utf-8") as config:
        config.write(GPU.format(used))
    built(made, target={"release": "26.07"} | ({} if gpus is None else {"gpus": gpus}))
    assert push(f"{made}/", tmp_path / "served" / "prod") == code
    said = capsys.readouterr()
    if code:
        assert said.err.startswith(f"{made}/leaf/config.pbtxt:7:")
        assert said.out == ""
        assert not (tmp_path / "served").exists()


def test_warnings_of_the_checks_do_not_stop_a_push_and_those_of_the_plan_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, made = tmp_path / "served" / "prod", repository(tmp_path / "m", 1)
    files = {"leaf/1/model.py": "0" * 64}
    assert push(built(made, files=files), place) == 0
    (edited,) = [line for line in capsys.readouterr().err.splitlines() if "warning:" in line]
    assert edited == (
        f"{made}/leaf/1/model.py: warning: the file was changed by hand after build wrote it, and is sent as it is"
        " [build-hand-edited]"
    )


def test_what_is_unknown_of_the_release_of_a_record_is_told_and_stops_no_push(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = built(repository(tmp_path / "m", 1), target={"release": "26.11"})
    assert push(made, tmp_path / "served" / "prod") == 0
    assert f"{made}: info: some facts about Triton 26.11 are unknown: image backends, " in capsys.readouterr().err
    assert release(tmp_path / "served" / "prod")["target"] == {"release": "26.11"}


def test_what_is_left_alone_is_listed_on_demand_and_advice_is_given_where_something_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "served" / "prod"
    assert push(repository(tmp_path / "m", 1), place) == 0
    (place / "theirs" / "1").mkdir(parents=True)
    second = repository(tmp_path / "n", 2)
    capsys.readouterr()
    assert push(second, place, "--dry-run") == 0
    quiet = capsys.readouterr()
    assert push(second, place, "--dry-run", "--verbose") == 0
    verbose = capsys.readouterr()
    monkeypatch.setattr(publishing, "PAGE", 2)
    assert push(second, place, "--dry-run") == 0
    assert verbose.out == quiet.out == capsys.readouterr().out
    assert verbose.err == f"left alone: {place}/theirs\n{quiet.err}"
    assert quiet.err.startswith("note: servers must run with --strict-readiness=false --exit-on-error=false")
    assert release(place)["files"].keys().isdisjoint({"leaf/2/model.py"})
    assert push(second, place) == 0
    capsys.readouterr()
    assert push(second, place) == 0
    said = capsys.readouterr()
    assert said.out == f"{place}: nothing to do\n"
    assert said.err == f"{place}: revision 2 is up to date, nothing was sent\n"


ALL = """
--server http://a:1 --server b:2 --timeout 7 --settle 3 --allow-mixed top --allow-mixed leaf --allow-downtime leaf
--no-lock --pin-versions --rehash --allow-links .
"""
OPTIONS: dict[str, tuple[str, tuple[object, ...]]] = {
    "none": ("", ([], 600, ((), ()), False, False, (30, 5), False, ())),
    "each": (
        ALL,
        (
            [("http://a:1", 10, 10), ("b:2", 10, 10)],
            7,
            (("top", "leaf"), ("leaf",)),
            True,
            True,
            (3, 3),
            True,
            (Path(),),
        ),
    ),
    "no pause": ("--settle 0", ([], 600, ((), ()), False, False, (0, 0), False, ())),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_each_option_reaches_the_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, expected: tuple[object, ...]
) -> None:
    found: list[object] = []
    made, place = str(repository(tmp_path / "m", 1)), str(tmp_path / "served" / "prod")

    def planned(
        directory: str, uri: Place, work: Workspace, servers: Servers, accepted: Accepted, *, pin: bool
    ) -> Push:
        assert (directory, uri.uri) == (made, place)
        found.append([(each.url, each.timeout_s, each.whole_s) for each in servers.endpoints])
        found.extend([servers.timeout_s, accepted, pin, work.rehash])
        return plan_push(directory, uri, work)

    def applied(push: Push, pace: Pace, *, no_lock: bool) -> Revision:
        found.extend([(pace.settle_s, pace.drain_s), no_lock, push.work.links])
        return Revision()

    monkeypatch.setattr(command, "plan_push", planned)
    monkeypatch.setattr(command, "apply_push", applied)
    assert run(["push", made, place, *options.split()]) == 0
    assert tuple(found) == expected


def test_the_usual_pace_has_time_for_two_polls_and_another_one_is_the_same_everywhere() -> None:
    assert [(pace.settle_s, pace.drain_s) for pace in (paced(), paced(7), paced(0))] == [(30, 5), (7, 7), (0, 0)]


def test_what_is_not_there_is_one_message_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "m"
    assert push(made, tmp_path / "served" / "prod") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"{made}: fatal: the model repository does not exist or is empty [push-source]\n"
        "  Create it with `tritonrepo build`.\n"
    )
    assert not (tmp_path / "served").exists()


def test_a_target_of_another_tritonrepo_is_told_with_the_record_that_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = built(repository(tmp_path / "m", 1), target={"release": "99.01"})
    assert push(made, tmp_path / "served" / "prod") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f'{made}/tritonrepo.json: fatal: the repository was built for release "99.01", which this tritonrepo does not'
        " know [push-target]\n  Upgrade tritonrepo, or rebuild the repository.\n"
    )
    assert not (tmp_path / "served").exists()


def test_a_bucket_itself_is_no_place_for_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert push(repository(tmp_path / "m", 1), "s3://http://127.0.0.1:1/models/") == 2
    assert capsys.readouterr().err == (
        "s3://http://127.0.0.1:1/models/: fatal: the URI is a bucket's root, which has no place next to it for the"
        " release record [push-root]\n  Use a prefix, such as `s3://http://127.0.0.1:1/models/NAME`, or name a"
        " place in another bucket, such as `--record s3://http://127.0.0.1:1/OTHER-BUCKET/models`.\n"
    )


def left_open(place: Path) -> None:
    """Leave what a push left that was interrupted before its pipeline moved."""
    config = place / "leaf" / "config.pbtxt"
    config.write_text(LEAF.format(version="1, 2"), "utf-8")
    (place / "leaf" / "2").mkdir()
    (place / "leaf" / "2" / "model.py").write_text(CODE, "utf-8")


def test_a_push_after_an_interrupted_one_gives_servers_time_and_retires_what_nothing_calls(tmp_path: Path) -> None:
    place = tmp_path / "served" / "prod"
    assert push(repository(tmp_path / "m", 1), place) == 0
    third = repository(tmp_path / "n", 3)
    (place / "theirs").mkdir()
    (place / "theirs" / "config.pbtxt").write_text('name: "theirs"', "utf-8")
    assert not plan_push(third, place, Workspace()).plan.resumed
    left_open(place)
    told: list[str] = []
    planned = plan_push(third, place, lined(told))
    assert planned.plan.resumed
    reasons = {action.phase.name: action.reason for action in planned.plan.actions if "config" in action.path}
    assert reasons["EXPAND"] == "serves versions 1 and 3"
    apply_push(planned, Pace(30, lambda: 0, lambda _: None))
    assert told[:2] == ["waiting 30 s for servers to load what was written", "files: 21 actions"]


OTHERS = {
    "a new file": "prod/theirs/1/x",
    "another size": "prod/leaf/1/model.py",
    "the record": "prod.tritonrepo/release.json",
}


@pytest.mark.parametrize("path", OTHERS.values(), ids=OTHERS)
def test_a_plan_is_carried_out_only_on_what_it_was_made_from(tmp_path: Path, path: str) -> None:
    place = tmp_path / "served" / "prod"
    assert push(repository(tmp_path / "m", 1), place) == 0
    planned = plan_push(repository(tmp_path / "n", 2), place, Workspace())
    open_store(str(place))[0].put(path, of_text("x"))
    with pytest.raises(Stop) as stop:
        apply_push(planned, AT_ONCE)
    assert str(stop.value) == (
        f"{place}: error: the prefix was changed while this push was planned, so nothing was sent"
        " [push-overtaken]\n  Run the command again."
    )
    assert "leaf/2/model.py" not in stored(str(place))
    assert beside(str(place)) == ["release.json"]


@pytest.mark.parametrize("name", ["leaf/config.pbtxt", "leaf/1/model.py"])
def test_a_file_that_goes_while_the_directory_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    made, real = repository(tmp_path / "m", 1), DirectoryStore.scan

    def scan(store: DirectoryStore, prefix: str) -> Tree:
        tree = real(store, prefix)
        if prefix == "m":
            (made / name).unlink()
        return tree

    monkeypatch.setattr(DirectoryStore, "scan", scan)
    assert push(made, tmp_path / "served" / "prod") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"{made}: fatal: {made / name} cannot be read: No such file or directory [push-source]\n"
        "  If a build is writing to the directory, push again once it has finished.\n"
    )
    assert not (tmp_path / "served").exists()


def test_a_store_that_does_not_know_conditions_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "served" / "prod"
    planned = plan_push(repository(tmp_path / "m", 1), place, Workspace())

    def unknown(*_: object, **__: object) -> None:
        raise Unconditional

    def unproven(_: Hold) -> bool:
        return False

    for kind, name, instead in ((DirectoryStore, "put", unknown), (Hold, "proven", unproven)):
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, instead)
            with pytest.raises(Stop) as stop:
                apply_push(planned, AT_ONCE)
        assert str(stop.value) == (
            f"{place}: error: the store ignores conditional writes, so it cannot prevent two concurrent pushes"
            " [push-unconditional]\n"
            "  Make sure that nobody else pushes to this prefix, then add --no-lock."
        )
        assert (stored(str(place)), beside(str(place))) == ({}, [])


def test_a_record_that_another_push_wrote_is_not_written_over(tmp_path: Path) -> None:
    place = tmp_path / "served" / "prod"
    assert push(repository(tmp_path / "m", 1), place) == 0

    def tell(event: Event) -> None:
        if isinstance(event, Began) and event.phase == "contract":
            open_store(str(place))[0].put("prod.tritonrepo/release.json", of_text("theirs"))

    with pytest.raises(Stop) as stop:
        apply_push(plan_push(repository(tmp_path / "n", 2), place, Workspace(tell=tell)), AT_ONCE)
    assert str(stop.value).startswith(
        f"{place}: prod.tritonrepo/release.json: error: someone else wrote this file after the plan was made"
    )
    assert place.with_name("prod.tritonrepo").joinpath("release.json").read_text("utf-8") == "theirs"
