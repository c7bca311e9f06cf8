"""`pull`: what comes back from a bucket, and what never gets a name on the disk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import unmeasured
from tests.pushes import own_files, push, repository, stored
from tests.test_json import checked
from tests.test_stores import KINDS
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.events import Event
from tritonrepo.flows.pull import apply_pull, plan_pull
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores.directory import STAGING, folds
from tritonrepo.sync import record as records
from tritonrepo.sync.names import LONGEST_NAME, unfit
from tritonrepo.sync.revision import record_path
from tritonrepo.sync.telling import Began
from tritonrepo.tree import of_bytes

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def made(inside: Path) -> Path:
    """A repository that was pushed in two versions, v1 and v2, to s/prod."""
    for version in (1, 2):
        assert push(repository(inside / f"v{version}", version), "s/prod") == 0
    return inside


def pulled(place: Path | str) -> dict[str, bytes]:
    """Return the files of a pulled directory without its record."""
    top = Path(place)
    found = {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
    return {path: content for path, content in found.items() if path != records.NAME}


def pull(*arguments: str, code: int = 0) -> None:
    assert run(["pull", *arguments]) == code


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_revision_comes_back_byte_for_byte_and_a_push_of_it_sends_nothing(
    request: pytest.FixtureRequest, inside: Path, kind: Callable[[pytest.FixtureRequest], str], capsys: Capture
) -> None:
    uri = kind(request)
    for version in (1, 2):
        assert push(repository(inside / f"v{version}", version), uri) == 0
    pull(uri, "now")
    assert pulled("now") == own_files(inside / "v2")
    before = stored(uri), stored(f"{uri}.tritonrepo")
    capsys.readouterr()
    assert push("now", uri) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (stored(uri), stored(f"{uri}.tritonrepo")) == before
    pull(f"{uri}@1", "now")
    assert pulled("now") == own_files(inside / "v1")
    pull(f"{uri}@2", "again")
    assert pulled("again") == own_files(inside / "v2")


def test_an_edit_of_what_was_pulled_can_be_pushed(made: Path) -> None:
    pull("s/prod", "now")
    config = made / "now" / "top" / "config.pbtxt"
    config.write_text(config.read_text("utf-8") + "# mine\n", "utf-8")
    assert push("now", "s/prod") == 0
    assert stored("s/prod")["top/config.pbtxt"] == config.read_bytes()


def test_the_record_of_the_build_comes_back_with_what_the_push_has_of_it(rag_repository: Path, inside: Path) -> None:
    assert push(rag_repository, "s/prod") == 0
    pull("s/prod", "now")
    was, now = (json.loads((place / records.NAME).read_text("utf-8")) for place in (rag_repository, inside / "now"))
    assert now == was
    assert pulled("now") == pulled(rag_repository)


def test_a_second_pull_writes_nothing_and_check_tells_what_one_would_write(made: Path, capsys: Capture) -> None:
    pull("s/prod", "now", "--check", code=1)
    pull("s/prod", "now", "--dry-run")
    assert not (made / "now").exists()
    pull("s/prod", "now")
    capsys.readouterr()
    before = {path: path.stat().st_mtime_ns for path in (made / "now").rglob("*")}
    pull("s/prod", "now", "--check")
    pull("s/prod", "now")
    said = capsys.readouterr()
    assert said.out == "now: nothing to do\n" * 2
    assert said.err == "now: already has revision 2 of s/prod, nothing was written\n"
    assert {path: path.stat().st_mtime_ns for path in (made / "now").rglob("*")} == before


def test_foreign_files_and_edits_stay_until_they_are_overwritten(made: Path, capsys: Capture) -> None:
    pull("s/prod", "now")
    code, mine = made / "now" / "leaf" / "2" / "model.py", made / "now" / "mine.txt"
    code.write_text("edited", "utf-8")
    mine.write_text("mine", "utf-8")
    capsys.readouterr()
    pull("s/prod", "now", "-v")
    said = capsys.readouterr()
    assert "! leaf/2/model.py  changed by hand" in said.out
    assert "now/leaf/2/model.py: warning: the file was changed by hand after it was written here" in said.err
    assert "left alone: now/mine.txt\n" in said.err
    assert code.read_text("utf-8") == "edited"
    pull("s/prod@1", "now")
    assert code.read_text("utf-8") == "edited"
    pull("s/prod", "now", "--overwrite")
    assert pulled("now") == own_files(made / "v2") | {"mine.txt": b"mine"}


def test_a_file_of_others_in_the_way_stops_a_pull_before_it_writes(made: Path, capsys: Capture) -> None:
    (made / "now" / "leaf").mkdir(parents=True)
    (made / "now" / "leaf" / "config.pbtxt").write_text("mine", "utf-8")
    pull("s/prod", "now", code=2)
    assert capsys.readouterr().err == (
        "now/leaf/config.pbtxt: fatal: the pull needs this path, but tritonrepo did not write the file"
        " [plan-foreign-file]\n  Move the file elsewhere, or pull into another directory.\n"
    )
    assert pulled("now") == {"leaf/config.pbtxt": b"mine"}


def test_models_of_others_are_left_out_unless_everything_is_wanted(made: Path, capsys: Capture) -> None:
    theirs = made / "s" / "prod" / "theirs" / "1"
    theirs.mkdir(parents=True)
    (theirs / "x").write_text("x", "utf-8")
    pull("s/prod", "now", "-v")
    assert "left alone: s/prod/theirs\n" in capsys.readouterr().err
    assert pulled("now") == own_files(made / "v2")
    pull("s/prod", "now", "--all")
    assert pulled("now") == own_files(made / "v2") | {"theirs/1/x": b"x"}
    pull("s/prod", "now", "--all", "--check")


def test_without_a_record_everything_comes_back(made: Path) -> None:
    (made / "s" / "prod" / "README").write_text("read me", "utf-8")
    (made / "s" / "prod.tritonrepo" / "release.json").unlink()
    pull("s/prod", "now")
    everything = own_files(made / "v2") | own_files(made / "v1") | own_files(made / "v2")
    assert pulled("now") == everything | {"README": b"read me"}
    pull("s/prod", "now", "--check")
    (made / "s" / "prod" / "README").unlink()
    pull("s/prod", "now")
    assert pulled("now") == everything


def record(made: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = made / "s" / record_path("prod")
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")


NAMES = {
    "up": "leaf/../../x",
    "up at once": "../x",
    "from the root": "/etc/x",
    "nothing between slashes": "leaf//x",
    "here": "./x",
    "a backslash": "leaf\\..\\..\\x",
    "NUL": "leaf/x\0",
    "half a character": "leaf/\ud800",
    "no bytes of a name": "leaf/\udc80",
    "too long": f"leaf/{'x' * (LONGEST_NAME + 1)}",
    "too long in bytes": f"leaf/{'ä' * LONGEST_NAME}",
    "too deep": "leaf/" + "x/" * 1600 + "x",
    "a directory that is a file": "leaf/config.pbtxt/x",
    "our own record": records.NAME,
    "a slash at the end": "leaf/",
    "nothing": "",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_that_leads_out_refuses_the_whole_pull(made: Path, name: str, capsys: Capture) -> None:
    kept = of_bytes(b"evil")
    (made / "s" / "prod.tritonrepo" / "kept" / kept.sha256).write_bytes(b"evil")
    record(made, lambda data: data["files"].update({name: [kept.sha256, kept.size, "tag"]}))
    before = sorted(made.parent.rglob("*"))
    pull("s/prod", "now", code=1)
    assert "the name cannot be that of a file below a directory: " in capsys.readouterr().err
    assert sorted(made.parent.rglob("*")) == before
    assert not Path("/etc/x").exists()


def test_names_that_a_disk_takes_for_the_same_are_told_where_it_does(tmp_path: Path) -> None:
    paths = ["a/x", "A/x", "b/é", "b/e\u0301", "c"]
    assert list(unfit(paths, (), folded=False)) == []
    assert [path for path, _ in unfit(paths, (), folded=True)] == ["a", "a/x", "b/é"]
    (tmp_path / "name").mkdir()
    assert not folds(tmp_path / "name" / "new")
    (tmp_path / "NAME").symlink_to("name")  # as such a disk shows it
    assert folds(tmp_path / "name" / "1")


def test_a_swapped_object_is_named_and_gets_no_name(made: Path, capsys: Capture) -> None:
    victim = made / "s" / "prod" / "leaf" / "2" / "part-7"
    victim.write_bytes(bytes(len(victim.read_bytes())))
    pull("s/prod", "now", code=1)
    assert "s/prod: leaf/2/part-7: error: the content is not what was pushed" in capsys.readouterr().err
    assert not (made / "now" / "leaf" / "2" / "part-7").exists()
    assert not (made / STAGING).exists()
    victim.write_bytes(own_files(made / "v2")["leaf/2/part-7"])
    pull("s/prod", "now")
    assert pulled("now") == own_files(made / "v2")


def test_a_file_that_is_gone_or_has_another_size_is_named_before_anything_is_written(
    made: Path, capsys: Capture
) -> None:
    (made / "s" / "prod" / "leaf" / "2" / "part-7").write_bytes(b"longer than it was")
    (made / "s" / "prod" / "leaf" / "2" / "part-8").unlink()
    pull("s/prod", "now", code=1)
    message = "revision 2 is not complete: leaf/2/part-7 has other content, leaf/2/part-8 is gone [revision-incomplete]"
    assert message in capsys.readouterr().err
    assert not (made / "now").exists()


def test_an_interrupted_pull_continues_and_leaves_nothing_half_written(made: Path) -> None:
    def tell(event: Event) -> None:
        if isinstance(event, Began) and event.phase == "configs":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_pull(plan_pull("s/prod", "now", Workspace(tell=tell)))
    there = pulled("now")
    assert there == {path: content for path, content in own_files(made / "v2").items() if path in there}
    assert len(there) > 20
    assert not (made / STAGING).exists()
    left = plan_pull("s/prod", "now", Workspace()).plan.actions
    assert [action.path for action in left] == ["leaf/config.pbtxt", "top/config.pbtxt"]
    pull("s/prod", "now")
    assert pulled("now") == own_files(made / "v2")


KILLED = """
import os, signal, sys
from tritonrepo.flows.pull import apply_pull, plan_pull
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sync.telling import Sent
left = int(sys.argv[1])
def tell(event):
    global left
    left -= isinstance(event, Sent)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
apply_pull(plan_pull("s/prod", "now", Workspace(tell=tell)))
"""


@pytest.mark.parametrize("after", [0, 7, 30])
def test_a_killed_pull_continues(made: Path, after: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(after)], env=unmeasured(), check=False)
    assert done.returncode == -signal.SIGKILL
    there, all_of_it = pulled("now") if (made / "now").exists() else {}, own_files(made / "v2")
    assert there == {path: all_of_it[path] for path in there}
    pull("s/prod", "now")
    assert pulled("now") == all_of_it
    assert not (made / STAGING).exists()


def test_what_changed_in_the_directory_since_the_plan_stays(made: Path) -> None:
    planned = plan_pull("s/prod", "now", Workspace(os.environ))
    (made / "now" / "leaf").mkdir(parents=True)
    (made / "now" / "leaf" / "config.pbtxt").write_text("mine", "utf-8")
    with pytest.raises(Stop, match="was changed after this pull was planned"):
        apply_pull(planned)
    assert pulled("now") == {"leaf/config.pbtxt": b"mine"}


def test_a_uri_that_could_mean_two_things_is_refused_with_both_ways_out(made: Path, capsys: Capture) -> None:
    assert push("v1", "s/prod@1") == 0
    capsys.readouterr()
    pull("s/prod@1", "now", code=2)
    said = capsys.readouterr().err
    hint = re.search(r"Use `(.*?)` for the prefix, or `(.*?)` for the revision", said)
    assert "s/prod@1: fatal: the URI is revision 1 of what is at s/prod, and a prefix of its own" in said
    assert hint
    for uri, version in zip(hint.groups(), ("v1", "v1"), strict=True):
        pull(uri, "now")
        assert pulled("now") == own_files(made / version)


@pytest.mark.parametrize("uri", ["s/prod@0", "s/prod@01", "s/prod@-1", "s/prod@x", "s/prod@"])
@pytest.mark.usefixtures("made")
def test_only_a_number_after_the_sign_is_a_revision(uri: str, capsys: Capture) -> None:
    pull(uri, "now", code=2)
    message = f"{uri}: fatal: nothing is stored under this prefix [pull-empty]\n  Check the URI: `URI@N` is revision N"
    assert message in capsys.readouterr().err


def test_an_interrupted_first_push_is_no_revision(inside: Path, capsys: Capture) -> None:
    assert push(repository(inside / "v1", 1), "s/prod") == 0
    record(inside, lambda data: data.update({"files": {}, "number": 0}))
    pull("s/prod", "now", code=1)
    assert "no push to this prefix has finished yet" in capsys.readouterr().err
    pull("s/prod", "now", "--all")
    assert pulled("now") == own_files(inside / "v1")


def test_the_document_says_what_was_pulled(made: Path, capsys: Capture) -> None:
    pull("s/prod", "now", "--format", "json")
    document = checked("pull", capsys.readouterr().out)
    assert document["revision"]["number"] == 2
    assert document["written"] == {**document["written"], "files": len(own_files(made / "v2")) + 1, "removed": 0}
    assert document["summary"]["write"] == len(document["plan"])
    assert document["diagnostics"] == []
    pull("s/prod@9", "now", "--format", "json", code=2)
    assert [each["rule"] for each in checked("pull", capsys.readouterr().out)["diagnostics"]] == ["revision-unknown"]
    pull("s/prod", "now", "-q")
    assert capsys.readouterr() == ("now: nothing to do\n", "")
