"""`rollback`: what it restores, what it leaves, what it says, and how it goes on after it was interrupted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.pushes import TOP, own_files, push, repository, stored
from tests.test_json import checked
from tests.test_push_flow import AT_ONCE, release
from tests.test_push_history import WORK, contents, go_back, pushed
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.events import Event
from tritonrepo.flows.published import published
from tritonrepo.flows.push import USUAL, apply_push, plan_push
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sync import history
from tritonrepo.sync.lock import held


def rollback(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tritonrepo.sync.pace.GRAIN_S", 0)
        return run(["rollback", *map(str, arguments), "--settle", "0"])


def with_extra(tmp_path: Path) -> Path:
    """Push two revisions; the second one brings a pipeline that calls the new leaf."""
    place = pushed(tmp_path, 1)
    extra = repository(tmp_path / "v2", 2) / "extra"
    (extra / "1").mkdir(parents=True)
    (extra / "config.pbtxt").write_text(TOP.format(version=2).replace('"top"', '"extra"', 1), "utf-8")
    assert push(tmp_path / "v2", place) == 0
    return place


def interrupt(phase: str) -> Workspace:
    """Return a workspace in which Ctrl-C comes once a phase has begun."""

    def tell(event: Event) -> None:
        if phase in str(event):
            raise KeyboardInterrupt

    return Workspace(tell=tell)


def test_the_plan_says_first_where_it_leads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = pushed(tmp_path, 1, 2)
    capsys.readouterr()
    assert rollback(place, "--dry-run") == 0
    title, *plan = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"back to revision 1: the push of 20[-0-9]+T[0-9:]+Z by \w+", title)
    assert plan == [
        "expand",
        "  ~ leaf/config.pbtxt  serves versions 1 and 2",
        "switch",
        "  ~ top/config.pbtxt  calls leaf version 1",
        "contract",
        "  ~ leaf/config.pbtxt  serves only version 1",
        f"{place}: 3 to write (790 B), 0 to delete",
    ]
    assert release(place)["number"] == 2
    assert rollback(place, "-q") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == plan
    assert said.err == ""
    assert stored(str(place)).items() >= own_files(tmp_path / "v1").items()


def test_a_rollback_takes_back_the_one_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = pushed(tmp_path, 1, 2)
    for title in (
        "back to revision 1: the push of",
        "back to revision 2: the push of",
        "back to revision 3: the rollback",
    ):
        assert rollback(place) == 0
        assert title in capsys.readouterr().out
    assert release(place)["number"] == 5
    assert contents(place, 5) == contents(place, 3) == own_files(tmp_path / "v1")


@pytest.mark.parametrize("number", [1, 3])
def test_there_is_nothing_to_do_for_what_is_there(
    tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    place = pushed(tmp_path, 1, 2)
    go_back(place)
    assert rollback(place, number) == 0
    assert capsys.readouterr().out.endswith(f"{place}: nothing to do\n")
    assert release(place)["number"] == 3


def test_a_pipeline_of_a_later_revision_stays_whole_and_the_user_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = with_extra(tmp_path)
    capsys.readouterr()
    assert rollback(place, "-q") == 0
    assert capsys.readouterr().err.splitlines() == [
        f'{place}/leaf: warning: version 2 stays in service, because "extra" calls it [rollback-policy]',
        "  Remove what later revisions added with `tritonrepo prune` once no client uses it.",
        f"{place}/extra: warning: the model is not in revision 1, and servers continue to serve it [rollback-left]",
        "  Remove it with `tritonrepo prune` once no client uses it.",
    ]
    there, first = stored(str(place)), own_files(tmp_path / "v1")
    assert b"versions: [ 1, 2 ]" in there["leaf/config.pbtxt"]
    assert {path for path, content in first.items() if there[path] != content} == {"leaf/config.pbtxt"}
    assert rollback(place, 1) == 0
    assert capsys.readouterr().out.endswith("nothing to do\n")
    assert rollback(place) == 0
    assert stored(str(place)) == own_files(tmp_path / "v2") | {
        path: content for path, content in (first | {"extra/1/.keep": b""}).items() if "/config" not in path
    }


def test_a_policy_that_counts_directories_is_pinned_to_what_the_revision_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "served" / "prod"
    for version in (1, 2):
        config = repository(tmp_path / f"v{version}", version) / "leaf" / "config.pbtxt"
        config.write_text(re.sub("version_policy.*\n", "", config.read_text("utf-8")), "utf-8")
        assert push(tmp_path / f"v{version}", place) == 0
    capsys.readouterr()
    assert rollback(place, "-q") == 0
    message = "version_policy is set to version 1, because the bucket also has later versions [rollback-policy]"
    assert capsys.readouterr().err.startswith(f"{place}/leaf: warning: {message}\n")
    assert b"versions: [ 1 ]" in stored(str(place))["leaf/config.pbtxt"]
    assert push(tmp_path / "v2", place) == 0
    assert stored(str(place)).items() >= own_files(tmp_path / "v2").items()


@pytest.mark.parametrize("phase", ["expand", "switch", "contract"])
def test_an_interrupted_rollback_is_continued_by_the_next_one_or_replaced_by_a_push(
    tmp_path: Path, phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = pushed(tmp_path, 1, 2, 3)
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_rollback(str(place), 1, interrupt(phase)), AT_ONCE)
    capsys.readouterr()
    assert rollback(place, "-q") == 0
    assert capsys.readouterr().err.startswith(
        f"{place}: warning:"
        f" a rollback to revision 1 was interrupted, and this one continues it [rollback-interrupted]\n"
        f"  To restore another revision, name it: `tritonrepo rollback {place} N`.\n"
    )
    assert contents(place, 4) == own_files(tmp_path / "v1")
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_rollback(str(place), 2, interrupt(phase)), AT_ONCE)
    assert push(tmp_path / "v3", place) == 0
    assert release(place)["number"] == 5
    assert contents(place, 5) == own_files(tmp_path / "v3")


@pytest.mark.parametrize("phase", ["files", "switch"])
def test_after_an_interrupted_push_the_last_revision_is_restored_whatever_was_changed(
    tmp_path: Path, phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = pushed(tmp_path, 1, 2)
    with pytest.raises(KeyboardInterrupt):
        apply_push(plan_push(repository(tmp_path / "v3", 3), place, interrupt(phase)), AT_ONCE)
    capsys.readouterr()
    assert rollback(place, "-q") == 0
    assert "warning: a push after revision 2 was interrupted, so that revision is restored" in capsys.readouterr().err
    assert contents(place, release(place)["number"]) == own_files(tmp_path / "v2")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"after": 2}', '{"after": "2", "made": {}}', "[" * 100_000])
def test_what_was_begun_is_not_believed_if_it_is_something_else(tmp_path: Path, content: str) -> None:
    place = pushed(tmp_path, 1, 2)
    place.with_name("prod.tritonrepo").joinpath(history.NEXT).write_text(content, "utf-8")
    assert rollback(place) == 0
    assert contents(place, 3) == own_files(tmp_path / "v1")


def test_where_a_revision_came_from_stays_with_it(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1)
    path = place.with_name("prod.tritonrepo") / "release.json"
    made = {**release(place)["made"], "commit": "c" * 40, "stack": "s" * 64}
    path.write_text(json.dumps({**release(place), "made": made}), "utf-8")
    assert push(repository(tmp_path / "v2", 2), place) == 0
    go_back(place)
    assert release(place)["made"].items() >= {"commit": "c" * 40, "stack": "s" * 64, "rollback": "1"}.items()


def test_a_rollback_is_called_one_in_messages(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2)

    def tell(event: Event) -> None:
        if "switch" in str(event):
            (place / "leaf" / "1" / "model.py").write_text("other", "utf-8")

    with pytest.raises(Stop) as stop:
        apply_push(plan_rollback(str(place), None, Workspace(tell=tell)), AT_ONCE)
    said = [each.message for each in stop.value.diagnostics]
    assert said[0] == "the file is not what this rollback saw or wrote; someone else writes to this prefix"
    assert re.fullmatch(r"the rollback was interrupted after at least \d of 3 actions", said[1])


def test_a_push_says_that_a_rollback_is_under_way(tmp_path: Path) -> None:
    place = published(str(pushed(tmp_path, 1, 2))).place
    with (
        held(place, {"by": "ann", "at": "noon", "rollback": "1"}, USUAL, lambda _: None),
        pytest.raises(Stop, match=r"ann on .* has been rolling back this prefix since noon; nothing was sent"),
    ):
        apply_push(plan_push(repository(tmp_path / "v3", 3), place.uri, WORK), AT_ONCE)


def test_the_document_of_a_rollback_names_the_revision_that_is_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = pushed(tmp_path, 1, 2)
    capsys.readouterr()
    for dry in (["--dry-run"], []):
        assert rollback(place, "--format", "json", *dry) == 0
        document = checked("push", capsys.readouterr().out)
        assert (document["restored"]["number"], document["revision"]["number"]) == (1, 2 if dry else 3)
        assert [row["path"] for row in document["plan"]] == [f"{name}/config.pbtxt" for name in ("leaf", "top", "leaf")]
    assert rollback(place, 7, "--format", "json") == 2
    document = checked("push", capsys.readouterr().out)
    assert ([each["rule"] for each in document["diagnostics"]], document["restored"]) == (["revision-unknown"], None)
