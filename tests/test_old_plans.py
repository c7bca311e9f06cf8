"""A plan of a build that is applied later: what changed in the meantime is not lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tritonrepo import api

PROMPT = "prompt.j2"


@pytest.fixture
def work() -> api.Workspace:
    return api.Workspace(os.environ)


def load(rag: Path, work: api.Workspace) -> api.Loaded:
    return api.load([rag], work)


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def append(path: Path) -> None:
    path.write_text(path.read_text("utf-8") + "# mine\n", "utf-8")


Change = Callable[[Path], object]

CHANGES: dict[str, tuple[str, Change]] = {
    "a file that it writes over": ("r/generator_prompt/config.pbtxt", append),
    "its record": ("r/tritonrepo.json", append),
    "a file that it writes over is gone": ("r/generator_prompt/config.pbtxt", Path.unlink),
    "a file where it writes a new one": ("r/generator_prompt/2/model.py", lambda path: path.write_text("mine\n")),
}


@pytest.mark.parametrize(("name", "change"), CHANGES.values(), ids=CHANGES)
def test_what_changed_since_a_build_was_planned_stays_and_nothing_is_written(
    rag: Path, tmp_path: Path, work: api.Workspace, name: str, change: Change
) -> None:
    out = tmp_path / "r"
    api.apply_build(api.plan_build(load(rag, work), out))
    stack = rag / "tritonrepo.yaml"
    stack.write_text(stack.read_text("utf-8").replace('"26.07"', '"26.06"'), "utf-8")
    append(rag / PROMPT)
    plan = api.plan_build(load(rag, work), out)
    assert {action.path for action in plan.plan.actions} >= {name.removeprefix("r/")}
    (tmp_path / name).parent.mkdir(exist_ok=True)
    change(tmp_path / name)
    before = contents(tmp_path) | contents(rag)
    with pytest.raises(api.Stop, match="was changed after this build was planned") as stopped:
        api.apply_build(plan)
    assert contents(tmp_path) | contents(rag) == before
    assert [(found.rule, found.severity) for found in stopped.value.diagnostics] == [
        ("build-overtaken", api.Severity.ERROR)
    ]


def test_a_lock_that_another_command_wrote_stays(rag: Path, tmp_path: Path, work: api.Workspace) -> None:
    """Both would use one number for two contents."""
    stale = load(rag, work)
    append(rag / PROMPT)
    api.apply_build(api.plan_build(load(rag, work), tmp_path / "r"))
    append(rag / PROMPT)
    late = api.plan_build(stale, tmp_path / "other")
    before = contents(tmp_path) | contents(rag)
    with pytest.raises(api.Stop, match="lock: error: somebody else changed the lock file after it was read"):
        api.apply_build(late)
    assert contents(tmp_path) | contents(rag) == before


def test_a_plan_may_be_carried_out_again_and_twice_at_once(rag: Path, tmp_path: Path, work: api.Workspace) -> None:
    plans = [api.plan_build(load(rag, work), tmp_path / "r") for _ in range(2)]
    threads = [threading.Thread(target=api.apply_build, args=[plan]) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    once = contents(tmp_path / "r")
    api.apply_build(plans[0])
    assert contents(tmp_path / "r") == once
    assert not api.plan_build(load(rag, work), tmp_path / "r").plan
