"""`status`: what a bucket holds of a repository, told without reading more than needed, whatever is in it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.pushes import push, repository
from tests.servers.s3 import S3Server
from tests.test_json import checked
from tests.test_push_flow import AT_ONCE, release
from tests.test_push_history import go_back, pushed
from tests.test_rollback import interrupt, with_extra
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.published import published
from tritonrepo.flows.push import USUAL, apply_push, plan_push
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.flows.status import status
from tritonrepo.stores import open_store
from tritonrepo.stores.s3 import S3Store
from tritonrepo.sync import history
from tritonrepo.sync.lock import held

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, place: object, *options: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(["status", str(place), *options]) == code
    return re.sub(r"20\d\d-\d\d-\d\dT[0-9:]+Z", "TIME", capsys.readouterr().out).replace(str(place), "URI")


def document(capsys: Capture, place: object, *options: str, code: int = 0) -> Any:  # noqa: ANN401  JSON
    capsys.readouterr()
    assert run(["status", str(place), "--format", "json", *options]) == code
    return checked("status", capsys.readouterr().out)


def rules(place: object) -> list[str]:
    return [diagnostic.rule for diagnostic in status(str(place)).found]


def test_revisions_and_models_are_listed(tmp_path: Path, capsys: Capture) -> None:
    place = with_extra(tmp_path)
    go_back(place)
    shutil.copytree(place / "leaf", place / "theirs")
    (place / "leaf" / "2" / "part-3").unlink()
    (place / "extra" / "config.pbtxt").write_text('name: "extra', "utf-8")
    by = release(place)["made"]["by"]
    text = re.sub(" +", " ", said(capsys, place, code=1).replace(f"  {by} ", "  ME "))
    assert re.sub("tritonrepo [0-9.]+", "TOOL", text).splitlines()[:13] == [
        "URI: a repository without a stack, revision 3, 4 models",
        "",
        "revision published by what commit tool restorable",
        "3 current TIME ME rollback to 1 - TOOL -",
        "2 TIME ME push - TOOL no: extra/config.pbtxt and 1 more gone",
        "1 TIME ME push - TOOL yes",
        "",
        "model serves kept of",
        "extra - 1 (0 B) other revision",
        "leaf 1, 2",
        "theirs - 1, 2 (292 B) not recorded",
        "top 1",
        "",
    ]


def test_each_version_is_listed_when_asked_for(tmp_path: Path, capsys: Capture) -> None:
    place = pushed(tmp_path, 1, 2)
    assert said(capsys, place, "-v").splitlines()[-3:] == [
        "leaf 1: kept, 21 files, 146 B",
        "leaf 2: serves, 21 files, 146 B",
        "top 1: serves, 1 file, 0 B",
    ]


def test_only_the_last_revisions_are_read(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    place = pushed(tmp_path, 1, 2, 3)
    records = place.with_name("prod.tritonrepo") / history.REVISIONS
    for number in range(3, 10_000):
        (records / f"{number}.json").touch()
    record = place.with_name("prod.tritonrepo") / "release.json"
    record.write_text(json.dumps(release(place) | {"number": 10_000}), "utf-8")
    read: list[int] = []
    monkeypatch.setattr(history, "read", lambda _, number: read.append(number))
    monkeypatch.setattr(history, "lacking", lambda *_: ())
    assert "and 9,997 earlier: --all shows them" in said(capsys, place, "--last", "3")
    assert sorted(read) == [9_998, 9_999]
    read.clear()
    assert len(document(capsys, place, "--all")["revisions"]) == 10_000
    assert len(read) == 9_999


def test_what_a_killed_push_or_rollback_left_is_told(tmp_path: Path, capsys: Capture) -> None:
    place = pushed(tmp_path, 1, 2)
    by = release(place)["made"]["by"]
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_push(repository(tmp_path / "v3", 3), place, interrupt("files")), AT_ONCE)
    line = f"URI: warning: a push by {by} after revision 2 was interrupted before it changed a config of that revision"
    assert f"{line} [status-interrupted]" in said(capsys, place)
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_push(tmp_path / "v3", place, interrupt("switch")), AT_ONCE)
    line = f"URI: error: a push by {by} after revision 2 was interrupted: it has changed leaf [status-interrupted]"
    assert line in said(capsys, place, code=1)
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_rollback(str(place), 1, interrupt("contract")), AT_ONCE)
    assert f"error: a rollback to revision 1 by {by} after revision 2 was interrupted" in said(capsys, place, code=1)
    assert document(capsys, place, code=1)["summary"]["error"] == 1
    go_back(place)
    assert rules(place) == []


def test_a_first_push_that_was_killed_is_told(tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "served" / "prod"
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_push(repository(tmp_path / "v1", 1), place, interrupt("switch")), AT_ONCE)
    text = said(capsys, place, code=1)
    assert text.startswith("URI: a repository without a stack, no revision yet, 2 models\n")
    assert "URI: error: the first push was interrupted [status-interrupted]" in text


def test_what_others_changed_or_removed_is_told(tmp_path: Path, capsys: Capture) -> None:
    place = pushed(tmp_path, 1)
    assert rules(place) == []
    for number in range(5):
        (place / "leaf" / "1" / f"part-{number}").unlink()
    (place / "leaf" / "1" / "model.py").write_text("x" * len((place / "leaf" / "1" / "model.py").read_bytes()), "utf-8")
    (place / "top" / "config.pbtxt").write_text("name: 'top'", "utf-8")
    text = said(capsys, place, code=1)
    gone = "leaf/1/part-0, leaf/1/part-1, leaf/1/part-2 and 2 more"
    assert f"URI: error: files of the current revision are gone: {gone} [status-missing]" in text
    changed = "leaf/1/model.py, top/config.pbtxt"
    assert f"URI: error: files were changed after the last push: {changed} [status-changed]" in text


def test_a_push_that_runs_is_told_and_what_it_changes_is_no_fault(tmp_path: Path, capsys: Capture) -> None:
    place = published(str(pushed(tmp_path, 1))).place
    (Path(place.uri) / "top" / "config.pbtxt").unlink()
    with held(place, {"by": "ann", "at": "noon"}, USUAL, lambda _: None):
        text = said(capsys, place.uri)
        assert re.search(r"\nlocked by ann on .* since noon: its process is running\n", text)
        assert document(capsys, place.uri)["lock"]["running"] is True
    assert rules(place.uri) == ["status-missing"]
    path = Path(place.uri).with_name("prod.tritonrepo") / "lock.json"
    path.write_text('{"by": "\\u001b[31m", "machine": "another"}', "utf-8")
    assert r"locked by \x1b[31m on an unknown machine: it is on another machine" in said(capsys, place.uri)
    path.write_text("[]", "utf-8")
    assert "locked by someone on an unknown machine" in said(capsys, place.uri)


def test_a_repository_that_no_push_has_recorded_is_listed(tmp_path: Path, capsys: Capture) -> None:
    assert said(capsys, repository(tmp_path / "m", 1)) == (
        "URI: 2 models; no push has recorded anything\n\n"
        "model  serves  kept  of\nleaf   1             not recorded\ntop    1             not recorded\n"
    )
    assert document(capsys, tmp_path / "m")["name"] is None


@pytest.mark.parametrize(
    ("uri", "rule"),
    [("nowhere", "status-nothing"), ("s3://bbb", "push-root")],
)
def test_what_is_no_repository_is_told(tmp_path: Path, capsys: Capture, uri: str, rule: str) -> None:
    place = tmp_path / uri if rule == "status-nothing" else uri
    found = document(capsys, place, code=2)
    assert ([each["rule"] for each in found["diagnostics"]], found["revisions"], found["name"]) == ([rule], [], None)


def test_a_server_is_no_repository() -> None:
    with pytest.raises(Stop, match="the URL is that of a server") as stop:
        status("HTTP://localhost:8000")
    assert [found.rule for found in stop.value.diagnostics] == ["status-server"]


def test_a_hostile_record_drives_nothing_and_a_damaged_one_hides_no_other(tmp_path: Path, capsys: Capture) -> None:
    place = pushed(tmp_path, 1, 2, 3)
    records = place.with_name("prod.tritonrepo") / history.REVISIONS
    record = json.loads((records / "1.json").read_text("utf-8"))
    record["made"] = {"by": "\x1b[2J" + "b" * 1_000_000, "at": "\n::error::x", "rollback": "9" * 5000}
    record["files"] |= {"../\x1b[2J": ["0" * 64, 1, "t"]}
    (records / "1.json").write_text(json.dumps(record), "utf-8")
    (records / "2.json").write_text("[" * 100_000, "utf-8")
    text = said(capsys, place)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 400
    assert len([line for line in text.splitlines() if line.startswith(("1  ", "2  ", "3  ", "3 current"))]) == 3
    assert "no: its record cannot be read" in text
    assert "warning: the file is not a release record" in text
    assert document(capsys, place)["revisions"][2]["restorable"] is False


def test_a_bucket_is_told_with_a_few_requests_and_no_file_of_a_version_is_read(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = s3_server.fresh()
    for version in (1, 2):
        assert push(repository(tmp_path / f"v{version}", version), uri) == 0
    store, _ = open_store(uri)
    assert isinstance(store, S3Store)
    read: list[str] = []
    real = S3Store.scan

    def scan(self: S3Store, prefix: str) -> Any:  # noqa: ANN401  a Tree
        read.append(prefix.rpartition("/")[2])
        return real(self, prefix)

    monkeypatch.setattr(S3Store, "scan", scan)
    found = status(uri)
    assert [(past.number, past.missing) for past in found.past] == [(2, ()), (1, ())]
    assert found.found == ()
    assert sorted(read) == ["kept", "prod", "revisions"]
