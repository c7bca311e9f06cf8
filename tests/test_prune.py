"""`prune`, and `push --prune`: what is removed, what stays and why, what is printed, and what has to be agreed to."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import unmeasured
from tests.pushes import CODE, LEAF, TOP, own_files, push, repository, stored
from tests.servers.gcs import GCSServer
from tests.test_json import checked
from tests.test_push_flow import AT_ONCE, release
from tests.test_push_history import contents, go_back
from tritonrepo.cli import removing, run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows import prune as pruning
from tritonrepo.flows.published import published
from tritonrepo.flows.push import apply_push, plan_push
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.flows.workspace import Workspace
from tritonrepo.shared import directory
from tritonrepo.stores import open_store
from tritonrepo.sync import history, holder
from tritonrepo.sync.pace import Pace
from tritonrepo.tree import of_text

WORK = Workspace()
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(inside: Path) -> Path:
    """Four revisions of a leaf and its pipeline; only the first has another model, which nothing calls."""
    first = repository(inside / "v1", 1)
    model(first / "old", LEAF.format(version=1).replace('"leaf"', '"old"'), 1)
    for version in (1, 2, 3, 4):
        made = first if version == 1 else repository(inside / f"v{version}", version)
        assert push(made, "prod") == 0
    return inside / "prod"


def model(folder: Path, config: str, *versions: int) -> None:
    """Write a model with these versions."""
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "model.py").write_text(CODE, "utf-8")
    (folder / "config.pbtxt").write_text(config, "utf-8")


def prune(*arguments: object) -> int:
    """Prune where no server reads, so that no write has to wait for the next second of the store's clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tritonrepo.sync.pace.GRAIN_S", 0)
        return run(["prune", *map(str, arguments), "--settle", "0"])


def beside(place: Path) -> list[str]:
    own = place.with_name(f"{place.name}.tritonrepo")
    return sorted({path.name for path in own.rglob("*.json")} - {"next.json"})


def removed(place: Path, keep: int) -> dict[str, str]:
    """Return what would be removed, and of which kind it is."""
    found = pruning.plan_prune(str(place), WORK, keep).pruning
    return {removal.path: str(removal.kind) for removal in found.removals}


def test_what_is_older_than_the_kept_revisions_is_removed_and_they_can_be_restored(
    place: Path, inside: Path, capsys: Capture
) -> None:
    capsys.readouterr()
    assert prune("prod", "--keep", 2, "--yes") == 0
    said = capsys.readouterr()
    assert said.out == (
        "prune\n"
        "  - leaf/1  no config names it, and no kept revision has it (21 files, 146 B)\n"
        "  - leaf/2  no config names it, and no kept revision has it (21 files, 146 B)\n"
        "  - old  no longer in the stack, and nothing calls it: servers unload it (2 files, 282 B)\n"
        "  ~ leaf/config.pbtxt  written again, because servers do not notice that files were deleted\n"
        "  - 4 copies of overwritten files  no kept revision has them\n"
        "  - revisions 1 to 2  not kept\n"
        "prod: 50 objects to remove (1.7 KiB)\n"
    )
    assert said.err.endswith("prod: 50 objects removed, 1.7 KiB freed\n")
    assert {path.split("/")[0] + "/" + path.split("/")[1] for path in stored(str(place))} == {
        "leaf/3",
        "leaf/4",
        "leaf/config.pbtxt",
        "top/1",
        "top/config.pbtxt",
    }
    assert beside(place) == ["3.json", "release.json"]
    for number in (3, 4):
        assert contents(place, number) == own_files(inside / f"v{number}")
    assert prune("prod", "--keep", 2, "--yes") == 0
    assert capsys.readouterr().out == "prod: nothing to remove\n"


def test_a_model_that_a_kept_revision_has_stays_served_and_the_plan_says_so(place: Path, capsys: Capture) -> None:
    capsys.readouterr()
    before = stored(str(place))
    assert prune("prod", "--dry-run") == 0
    said = capsys.readouterr()
    assert said.out == "prod: nothing to remove\n"
    assert said.err == (
        "prod/old: info: the stack no longer has the model, but revision 1 does [prune-kept]\n"
        "  Servers serve it until `--keep 1` removes it.\n"
    )
    assert stored(str(place)) == before
    assert removed(place, 1) == {"leaf/1": "version", "leaf/2": "version", "leaf/3": "version", "old": "model"}


def test_models_of_others_and_what_they_call_stay(place: Path, capsys: Capture) -> None:
    own = TOP.format(version=1).replace('"leaf"', '"old"').replace('name: "top"', 'name: "theirs"')
    model(place / "theirs", own, 1, 2)
    calls = {"leaf": 2}
    (place / "theirs" / "2" / "calls.json").write_text(json.dumps(calls), "utf-8")
    capsys.readouterr()
    assert removed(place, 1) == {"leaf/1": "version", "leaf/3": "version"}
    assert prune("prod", "--keep", 1, "--dry-run", "-v") == 0
    assert capsys.readouterr().err == (
        "prod/old: info: the stack no longer has the model, but theirs can call it [prune-called]\n"
        "  It stays until nothing calls it.\n"
        "left alone: prod/theirs\n"
    )
    before = stored(str(place))
    assert prune("prod", "--keep", 1, "--yes") == 0
    left = stored(str(place))
    assert left.items() <= before.items()
    assert {path for path in before if path.startswith(("theirs/", "old/", "leaf/2/"))} <= left.keys()
    assert beside(place) == ["1.json", "release.json"], "the last record with a model shows whose it is"
    (place / "theirs" / "config.pbtxt").unlink()
    for path in ("theirs/1/model.py", "theirs/2/model.py", "theirs/2/calls.json"):
        (place / path).unlink()
    assert removed(place, 1) == {"leaf/2": "version", "old": "model"}


UNCLEAR: dict[str, Callable[[Path], object]] = {
    "another config": lambda old: (old / "config.pbtxt").write_text(LEAF.format(version=9), "utf-8"),
    "an empty directory": lambda old: (old / "7").mkdir(),
}


@pytest.mark.parametrize("change", UNCLEAR.values(), ids=UNCLEAR)
def test_a_model_that_may_be_of_others_by_now_stays(
    place: Path, capsys: Capture, change: Callable[[Path], object]
) -> None:
    change(place / "old")
    assert removed(place, 1).keys() == {"leaf/1", "leaf/2", "leaf/3"}
    capsys.readouterr()
    assert prune("prod", "--keep", 1, "--yes", "-q") == 0
    assert "prod/old: warning: the model is not as a finished push left it" in capsys.readouterr().err
    assert (place / "old" / "1" / "model.py").exists()


def test_of_a_model_whose_config_no_server_accepts_nothing_is_removed(place: Path) -> None:
    (place / "leaf" / "config.pbtxt").write_text("name: ", "utf-8")
    assert removed(place, 1) == {"old": "model"}


def test_what_an_interrupted_push_left_is_removed(place: Path, inside: Path) -> None:
    def tell(event: object) -> None:
        if getattr(event, "phase", "") == "expand":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_push(repository(inside / "v5", 5), "prod", Workspace(tell=tell)), AT_ONCE)
    (place / "leaf" / "5" / "part-1").unlink()
    assert removed(place, 5) == {"leaf/5": "left"}
    assert prune("prod", "--yes") == 0
    assert push(inside / "v5", "prod") == 0
    assert contents(place, 5) == own_files(inside / "v5")


def test_a_version_that_an_interrupted_push_has_opened_stays(place: Path, inside: Path) -> None:
    def tell(event: object) -> None:
        if getattr(event, "phase", "") == "switch":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_push(repository(inside / "v5", 5), "prod", Workspace(tell=tell)), AT_ONCE)
    assert removed(place, 1).keys() == {"leaf/1", "leaf/2", "leaf/3", "old"}


def test_what_an_interrupted_rollback_was_to_restore_stays(place: Path, inside: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_rollback("prod", 1, Workspace(tell=stop_at(2))), AT_ONCE)
    assert removed(place, 1).keys() == {"leaf/2", "leaf/3"}
    assert prune("prod", "--keep", 1, "--yes") == 0
    go_back(place)
    assert contents(place, 5) == own_files(inside / "v1")


def test_files_next_to_versions_go_with_the_last_revision_that_has_them(inside: Path) -> None:
    made = repository(inside / "v1", 1)
    (made / "leaf" / "labels-a.txt").write_text("a", "utf-8")
    assert push(made, "prod") == 0
    (made / "leaf" / "labels-a.txt").rename(made / "leaf" / "labels-b.txt")
    assert push(made, "prod") == 0
    assert removed(inside / "prod", 2) == {}
    assert removed(inside / "prod", 1) == {"leaf/labels-a.txt": "file"}


def test_a_shared_directory_goes_with_the_last_version_that_needs_it(inside: Path) -> None:
    shared = []
    for version in (1, 2):
        made = repository(inside / f"v{version}", version)
        shared.append(directory({"p.py": of_text(str(version))}))
        (made / "leaf" / shared[-1]).mkdir()
        (made / "leaf" / shared[-1] / "p.py").write_text(str(version), "utf-8")
        settings = json.dumps({"packages": shared[-1]})
        (made / "leaf" / str(version) / "settings.json").write_text(settings, "utf-8")
        assert push(made, "prod") == 0
    assert removed(inside / "prod", 1) == {f"leaf/{shared[0]}": "shared", "leaf/1": "version"}
    own = TOP.format(version=1).replace('name: "top"', 'name: "theirs"')
    model(inside / "prod" / "theirs", own, 1)
    assert removed(inside / "prod", 1) == {}, "what somebody else calls needs it"


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.usefixtures("place")
def test_servers_get_time_before_files_are_deleted_that_they_may_have_used(keep: int) -> None:
    """Before the first deletion, if the last revision had what goes; before the deletions of a model that is hidden."""
    done: list[str] = []

    def tell(event: object) -> None:
        done.extend(["waits"] * hasattr(event, "seconds"))
        done.extend(["wrote"] * getattr(event, "files", 0) + ["removed"] * (getattr(event, "removed", 0) > 0))

    planned = pruning.plan_prune("prod", Workspace(tell=tell), keep)
    pruning.apply_prune(planned, Pace(30, lambda: 1000, lambda _: None))
    assert done == ["waits"] * (keep == 1) + ["wrote", "waits", "removed", "wrote", "removed"]


def test_a_model_that_comes_back_after_a_removal_was_killed_is_complete(place: Path, inside: Path) -> None:
    gone = [path for path in stored("prod") if path.startswith("old/")]
    killed = pruning.plan_prune("prod", Workspace(tell=stop_at(3)), 1)
    with pytest.raises(KeyboardInterrupt):
        pruning.apply_prune(killed, AT_ONCE)
    assert [path for path in stored("prod") if path.startswith("old/")] == ["old/config.pbtxt"]
    assert push(inside / "v1", "prod") == 0
    assert contents(place, 5) == own_files(inside / "v1")
    assert [path for path in stored("prod") if path.startswith("old/")] == gone


def stop_at(count: int) -> Callable[[object], None]:
    """Return a receiver of progress that stops the work when it begins with this group."""
    left = [count]

    def tell(event: object) -> None:
        left[0] -= hasattr(event, "actions")
        if not left[0]:
            raise KeyboardInterrupt

    return tell


def test_what_python_left_next_to_deleted_code_does_not_keep_a_model_in_the_directory(place: Path) -> None:
    cache = place / "old" / "1" / "__pycache__"
    cache.mkdir()
    (cache / "model.cpython-310.pyc").write_bytes(b"1")
    assert prune("prod", "--keep", 1, "--yes") == 0
    assert not (place / "old").exists()


def test_without_a_record_nothing_is_removed(inside: Path, capsys: Capture) -> None:
    repository(inside / "prod", 1)
    assert prune("prod", "--yes") == 2
    assert capsys.readouterr().err == (
        "prod: fatal: the release record is missing, so it is unknown which models are from a push [prune-unrecorded]\n"
        "  Check the URI. `tritonrepo push` writes the record.\n"
    )


def test_while_another_push_holds_the_lock_nothing_is_removed(place: Path, capsys: Capture) -> None:
    before = stored(str(place))
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        try:
            pid = str(sleeping.pid)
            found = {"by": "ann", "machine": holder.machine(), "pid": pid, "born": holder.born(pid)}
            place.with_name("prod.tritonrepo").joinpath("lock.json").write_text(json.dumps(found), "utf-8")
            assert prune("prod", "--keep", 1, "--yes") == 1
        finally:
            sleeping.kill()
    assert "ann on an unknown machine has been pushing to this prefix" in capsys.readouterr().err
    assert stored(str(place)) == before


def test_what_changes_meanwhile_stops_the_removal(place: Path) -> None:
    planned = pruning.plan_prune("prod", WORK, 1)
    go_back(place, 3)
    before = stored("prod")
    with pytest.raises(Stop, match="the prefix was changed"):
        pruning.apply_prune(planned, AT_ONCE)
    assert stored("prod") == before


@pytest.mark.usefixtures("place")
def test_a_removal_that_stops_in_the_middle_says_how_to_go_on() -> None:
    store, _ = open_store("prod")

    def tell(_: object) -> None:
        store.put("prod/leaf/by-others", of_text(""))

    with pytest.raises(Stop) as stop:
        pruning.apply_prune(pruning.plan_prune("prod", Workspace(tell=tell), 1), AT_ONCE)
    assert [each.rule for each in stop.value.diagnostics] == ["push-lost-write", "push-broken-off"]
    assert prune("prod", "--keep", 1, "--yes") == 0


def test_a_push_prunes_what_it_has_shown_and_no_more(place: Path, inside: Path, capsys: Capture) -> None:
    capsys.readouterr()
    repository(inside / "v5", 5)
    assert push("v5", "prod", "--prune", "--keep", 2, "--dry-run") == 0
    planned = capsys.readouterr().out
    assert push("v5", "prod", "--prune", "--keep", 2, "--yes") == 0
    assert capsys.readouterr().out == planned
    assert "\n  - leaf/3  no config names it" in planned
    assert (release(place)["number"], beside(place)) == (5, ["4.json", "release.json"])
    assert push("v5", "prod", "--prune", "--keep", 2, "--yes") == 0
    assert capsys.readouterr().out == "prod: nothing to do\nprod: nothing to remove\n"
    go_back(place)
    assert contents(place, 6) == own_files(inside / "v4")


def test_a_push_removes_nothing_that_it_has_not_shown(place: Path, inside: Path) -> None:
    planned = plan_push(repository(inside / "v5", 5), "prod", WORK)
    coming = pruning.plan_after(planned, 2)
    apply_push(planned, AT_ONCE)
    (place / "leaf" / "1" / "more").write_text("by others", "utf-8")
    before = stored("prod")
    with pytest.raises(Stop, match="something else would be removed than the plan has shown"):
        pruning.apply_after(planned, coming, AT_ONCE, keep=2)
    assert stored("prod") == before


WRONG = {
    "nobody to ask": (["prune", "prod"], "nobody can agree to the removal. Add --yes."),
    "nobody to ask, by push": (["push", "v4", "prod", "--prune"], "nobody can agree to the removal. Add --yes."),
    "nothing kept": (["prune", "prod", "--keep", "0", "--yes"], "0 is not in the range x>=1"),
    "kept for no pruning": (["push", "v4", "prod", "--keep", "3"], "--keep has no effect without --prune"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_usage_is_refused_before_anything_is_done(
    place: Path, capsys: Capture, arguments: list[str], message: str
) -> None:
    before = stored(str(place))
    capsys.readouterr()
    assert run(arguments) == 2
    assert message in capsys.readouterr().err
    assert stored(str(place)) == before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_on_a_terminal_its_user_is_asked(place: Path, answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tritonrepo", "prune", "prod", "--keep", "3", "--settle", "0"]
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            command, stdin=theirs, capture_output=True, check=False, text=True, timeout=60, env=unmeasured()
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "Remove this? [y/N]: " in done.stderr
    assert (place / "leaf" / "1").exists() == (answer == "n")


def test_the_document_has_what_is_removed(place: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert prune("prod", "--keep", 3, "--yes", "--format", "json") == 0
    said = checked("push", capsys.readouterr().out)
    assert said["pruned"]["removals"] == [
        {
            "path": "leaf/1",
            "kind": "version",
            "files": 21,
            "bytes": 146,
            "reason": "no config names it, and no kept revision has it",
        },
        {
            "path": "old",
            "kind": "model",
            "files": 2,
            "bytes": 282,
            "reason": "no longer in the stack, and nothing calls it: servers unload it",
        },
    ]
    assert (said["pruned"]["revisions"], said["pruned"]["copies"]) == ([1], 2)
    assert said["written"] == {
        "objects": 2,
        "bytes": 50 + len((place / "leaf" / "config.pbtxt").read_bytes()),
        "removed": 23,
    }
    assert said["revision"]["number"] == 4


def test_where_a_config_that_is_written_again_has_another_tag_the_record_has_it_too(
    tmp_path: Path, gcs_server: GCSServer
) -> None:
    uri = gcs_server.fresh()
    for version in (1, 2):
        assert push(repository(tmp_path / str(version), version), uri) == 0
    assert prune(uri, "--keep", 1, "--yes") == 0
    there = published(uri)
    assert there.before
    assert there.before.number == 2
    assert {path: entry.tag for path, entry in there.before.files.items()} == {
        path: file.tag for path, file in there.have.items() if hasattr(file, "tag")
    }
    assert history.numbers(there.place) == []


def test_who_has_no_standard_input_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Exception, match="nobody can agree"):
        removing.answerable(yes=False)
