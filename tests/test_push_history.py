"""What a push keeps of the revision that it replaces, and what is read back of it: see sync/history.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.pushes import LEAF, own_files, push, repository, stored
from tests.test_push_flow import AT_ONCE, release
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.events import Event
from tritonrepo.flows.published import earlier, published
from tritonrepo.flows.push import apply_push, plan_push
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.flows.workspace import Workspace
from tritonrepo.sync import history
from tritonrepo.tree import files

WORK = Workspace()


def pushed(tmp_path: Path, *versions: int) -> Path:
    """Push the repository in these versions, one after the other, and return where."""
    place = tmp_path / "served" / "prod"
    for version in versions:
        made = tmp_path / f"v{version}"
        assert push(made if made.exists() else repository(made, version), place) == 0
    return place


def contents(place: Path, number: int) -> dict[str, bytes]:
    """Return the files of a revision, read from what is there now."""
    there = published(str(place))
    found = history.restored(there.place, earlier(there, number), there.have)
    assert found.missing == ()
    return {path: file.content() for path, file in files(found.tree).items()}


def go_back(place: Path, number: int | None = None) -> None:
    apply_push(plan_rollback(str(place), number, WORK), AT_ONCE)


def test_revisions_are_numbered_and_each_can_be_read_back_byte_for_byte(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2, 3)
    assert release(place)["number"] == 3
    assert history.numbers(published(str(place)).place) == [1, 2]
    for number in (1, 2, 3):
        assert contents(place, number) == own_files(tmp_path / f"v{number}")


def test_a_push_that_sends_nothing_makes_no_revision(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2, 2)
    assert release(place)["number"] == 2


def test_a_rollback_moves_only_configs_and_is_a_revision_of_its_own(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2)
    planned = plan_rollback(str(place), None, WORK)
    assert {action.path for action in planned.plan.actions} == {"leaf/config.pbtxt", "top/config.pbtxt"}
    go_back(place)
    record = release(place)
    assert (record["number"], record["made"]["rollback"]) == (3, "1")
    assert contents(place, 3) == contents(place, 1) == own_files(tmp_path / "v1")
    assert stored(str(place))["top/config.pbtxt"] == (tmp_path / "v1" / "top" / "config.pbtxt").read_bytes()
    assert push(tmp_path / "v2", place) == 0
    assert release(place)["number"] == 4
    assert contents(place, 4) == own_files(tmp_path / "v2")


def test_a_rollback_without_a_number_undoes_an_interrupted_push(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2)

    def tell(event: Event) -> None:
        if str(event).find("contract") >= 0:
            raise KeyboardInterrupt

    planned = plan_push(repository(tmp_path / "v3", 3), place, Workspace(tell=tell))
    with pytest.raises(KeyboardInterrupt):
        apply_push(planned, AT_ONCE)
    assert stored(str(place))["leaf/config.pbtxt"] != (tmp_path / "v2" / "leaf" / "config.pbtxt").read_bytes()
    go_back(place)
    assert release(place)["made"]["rollback"] == "2"
    assert contents(place, 3) == own_files(tmp_path / "v2")


def test_models_of_others_are_not_taken_for_an_interrupted_push(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2)
    shutil.copytree(place / "leaf", place / "theirs")
    go_back(place)
    assert release(place)["made"]["rollback"] == "1"


def test_a_number_never_comes_back_even_if_the_record_was_removed(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2, 3)
    place.with_name("prod.tritonrepo").joinpath("release.json").unlink()
    assert push(tmp_path / "v1", place) == 0
    assert release(place)["number"] == 3
    assert contents(place, 2) == own_files(tmp_path / "v2")


def test_a_revision_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2)
    with pytest.raises(Stop) as stop:
        plan_rollback(str(place), 7, WORK)
    assert [line for each in stop.value.diagnostics for line in each.lines] == [
        f"{place}: fatal: revision 7 does not exist [revision-unknown]",
        "  Earlier revisions: 1.",
    ]


@pytest.mark.parametrize("number", [1, 0])
def test_without_an_earlier_revision_there_is_nothing_to_go_back_to(tmp_path: Path, number: int) -> None:
    place = pushed(tmp_path, *range(1, number + 1))
    with pytest.raises(Stop, match="no earlier revision exists to go back to"):
        plan_rollback(str(place), None, WORK)


def test_a_revision_whose_files_are_gone_is_not_restored(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2)
    (place / "leaf" / "1" / "model.py").unlink()
    with pytest.raises(Stop, match=r"revision 1 cannot be restored: leaf/1/model\.py is gone"):
        plan_rollback(str(place), 1, WORK)


def test_what_was_kept_is_not_believed_if_it_has_changed(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2)
    kept = place.with_name("prod.tritonrepo") / history.KEPT
    for file in kept.iterdir():
        file.write_bytes(bytes(len(file.read_bytes())))
    with pytest.raises(Stop, match="SHA-256 is another one"):
        plan_rollback(str(place), 1, WORK)


def test_the_record_of_another_revision_under_its_name_is_not_believed(tmp_path: Path) -> None:
    place = pushed(tmp_path, 1, 2, 3)
    records = place.with_name("prod.tritonrepo") / history.REVISIONS
    (records / "1.json").write_bytes((records / "2.json").read_bytes())
    with pytest.raises(Stop, match="says that it is that of revision 2"):
        plan_rollback(str(place), 1, WORK)


def test_a_large_file_that_is_overwritten_is_not_kept_and_the_plan_says_so(tmp_path: Path) -> None:
    place, made = tmp_path / "served" / "prod", repository(tmp_path / "v1", 1)
    (made / "leaf" / "labels.txt").write_bytes(bytes(history.MOST_BYTES + 1))
    assert push(made, place) == 0
    (made / "leaf" / "labels.txt").write_bytes(b"1" * (history.MOST_BYTES + 1))
    planned = plan_push(made, place, WORK)
    assert [note.rule for note in planned.warnings] == ["push-not-kept"]
    apply_push(planned, AT_ONCE)
    with pytest.raises(Stop, match=r"leaf/labels\.txt is gone"):
        plan_rollback(str(place), 1, WORK)


@pytest.mark.parametrize("number", [-1, True, "1", None])
def test_a_record_with_another_number_is_no_record(tmp_path: Path, number: object) -> None:
    place = pushed(tmp_path, 1)
    path = place.with_name("prod.tritonrepo") / "release.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"number": number}), "utf-8")
    with pytest.raises(Stop, match="is not a release record"):
        published(str(place))


def test_what_only_an_earlier_revision_had_is_kept_when_it_is_overwritten(tmp_path: Path) -> None:
    first, second = repository(tmp_path / "v1", 1), repository(tmp_path / "v2", 1)
    shutil.copytree(first / "leaf", first / "more")
    (first / "more" / "config.pbtxt").write_text(LEAF.format(version=1).replace('"leaf"', '"more"'), "utf-8")
    place = tmp_path / "served" / "prod"
    assert push(first, place) == push(second, place) == 0
    shutil.copytree(first / "more", second / "more")
    (second / "more" / "config.pbtxt").write_text(LEAF.format(version=1).replace('"leaf"', '"more" # 2'), "utf-8")
    assert push(second, place) == 0
    assert contents(place, 1) == own_files(first)
