"""Some of many models are looked at while the others are read; what that finds out, or fails at, changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tritonrepo import repository
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.validate import Judgement, validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Model, Said, Target, Tops, target
from tritonrepo.rules import RULES, aside
from tritonrepo.rules.ahead import NOT_AHEAD, ahead
from tritonrepo.rules.registry import Finding
from tritonrepo.stores import open_store
from tritonrepo.tree import Tree

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
MAPS = 'input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" }'
ENSEMBLE = (
    f"platform: 'ensemble'\n{IO}ensemble_scheduling {{ step {{ model_name: 'm01' model_version: -1 {MAPS} }} }}\n"
)
ON_GPU = f'backend: "identity"\n{IO}instance_group {{ kind: KIND_GPU gpus: [ 0 ] }}\n'
ASKED = "version-zero"
COUNT = 12
OWN = os.getpid()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository of an ensemble and models on a GPU, of which every fourth is refused."""
    monkeypatch.setattr(aside, "MANY", 1)
    monkeypatch.setattr(aside, "cores", lambda: 2)
    write(tmp_path / "models", "e", ENSEMBLE)
    for number in range(COUNT):
        batch = "max_batch_size: -1\n" if number % 4 == 0 else ""
        write(tmp_path / "models", f"m{number:02}", batch + ON_GPU)
    return tmp_path / "models"


def write(models: Path, name: str, config: str) -> None:
    (models / name / "1").mkdir(parents=True, exist_ok=True)
    (models / name / "1/weights").touch()
    (models / name / "config.pbtxt").write_text(config)


def judged(models: Path, said: Said = Said("26.07")) -> Judgement:  # noqa: B008  immutable
    def aim(_record: Said, _stack: Said) -> Target:
        return target(said)

    return validate(models, Workspace({"XDG_CACHE_HOME": str(models.parent / "cache")}), aim)


def alone(models: Path, said: Said = Said("26.07")) -> Judgement:  # noqa: B008  immutable
    with pytest.MonkeyPatch.context() as one:
        one.setattr(aside, "cores", lambda: 1)
        return judged(models, said)


def same(found: Judgement, other: Judgement) -> bool:
    return (*found[:2], *found[3:]) == (*other[:2], *other[3:])


@pytest.mark.parametrize("piece", [1, 16])
@pytest.mark.parametrize("cores", [2, 3, 64])
def test_the_findings_are_the_same(
    cores: int, piece: int, models: Path, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(models)
    assert [each.model for each in expected.diagnostics if each.severity == "error"] == ["m00", "m04", "m08"]
    assert sorted(looked_at) == ["e", *(f"m{number:02}" for number in range(COUNT))]
    looked_at.clear()
    monkeypatch.setattr(aside, "cores", lambda: cores)
    monkeypatch.setattr(aside, "PIECE", piece)
    assert same(judged(models), expected)
    assert {"m00", "m01", "m04", "m08"} <= {*looked_at}, "what an ensemble names, and what has findings"
    assert len(looked_at) == len({*looked_at})
    if piece > COUNT:
        assert len(looked_at) < COUNT // 2


OTHERS = {
    "a model lists more GPUs": "gpus: [ 0, 3 ]",
    "one does in hexadecimal": "gpus: [ 0x3 ]",
    "it is only a comment": "gpus: [ 0 ] # gpus: [ 7 ]",
    "an index is absurd": "gpus: [ 0, 4000 ]",
    "the field is on two lines": "gpus\n#\n: 2",
}


@pytest.mark.parametrize("said", [Said("26.07"), Said("26.07", gpus=1)], ids=["counted", "said"])
@pytest.mark.parametrize("listed", OTHERS.values(), ids=OTHERS)
def test_a_wrong_guess_of_gpus_changes_no_finding(
    listed: str, said: Said, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(model: Model) -> Iterator[Finding]:
        if model.target.gpus in {3, 4}:
            yield Finding(None, "it has as many GPUs as are listed")

    monkeypatch.setitem(RULES, ASKED, replace(RULES[ASKED], check=check))
    write(models, "m07", ON_GPU.replace("gpus: [ 0 ]", listed))
    write(models, "m09", ON_GPU.replace("gpus: [ 0 ]", "gpus: [ 2 ]") if "7" in listed else ON_GPU)
    found = judged(models, said)
    assert same(found, alone(models, said))
    counted = said.gpus is None and "4000" not in listed
    assert len([each for each in found.diagnostics if each.rule == ASKED]) == (COUNT + 1 if counted else 0)


def ended(number: int) -> Callable[[Model], Iterator[Finding]]:
    """Return a check that ends every process but this one."""

    def check(_: Model) -> Iterator[Finding]:
        if os.getpid() != OWN:
            os.kill(os.getpid(), number)
        return iter(())

    return check


def raising(_: Model) -> Iterator[Finding]:
    if os.getpid() != OWN:
        raise ValueError
    return iter(())


FAILURES = {"killed": ended(signal.SIGKILL), "ended": ended(signal.SIGTERM), "it raises something": raising}


@pytest.mark.parametrize("check", FAILURES.values(), ids=FAILURES)
def test_a_process_that_fails_costs_only_time(
    check: Callable[[Model], Iterator[Finding]],
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(RULES, ASKED, replace(RULES[ASKED], check=check))
    assert same(judged(models), alone(models))
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_system_that_allows_no_more_processes_costs_only_time(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, before = alone(models), len([*Path("/proc/self/fd").iterdir()])

    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    assert same(judged(models), expected)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_config_that_cannot_be_read_ends_it_as_on_one_core(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tops = repository.tops

    def replaced(tree: Tree) -> Tops:
        (models / "m03/config.pbtxt").unlink(missing_ok=True)
        (models / "m03/config.pbtxt").symlink_to("../m02/config.pbtxt")
        return tops(tree)

    monkeypatch.setattr(repository, "tops", replaced)
    said = list[str]()
    for way in (judged, alone):
        (models / "m03/config.pbtxt").unlink()
        write(models, "m03", ON_GPU)
        with pytest.raises(Stop) as stopped:
            way(models)
        said += map(str, stopped.value.diagnostics)
    assert said[0] == said[1]
    assert "[store-link]" in said[0]


def test_processes_end_when_the_run_is_interrupted(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_: Model) -> Iterator[Finding]:
        if os.getpid() == OWN:
            raise KeyboardInterrupt
        signal.pause()
        return iter(())

    monkeypatch.setitem(RULES, ASKED, replace(RULES[ASKED], check=check))
    with pytest.raises(KeyboardInterrupt):
        judged(models)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_repository_of_which_something_is_known_is_looked_at_once_it_is_read(
    models: Path, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(models)
    looked_at.clear()
    monkeypatch.setattr("tritonrepo.flows.validate.FEW", 1)
    monkeypatch.setattr("tritonrepo.flows.validate.is_known", lambda *_: True)
    monkeypatch.setattr("tritonrepo.flows.validate.ahead", None)
    assert same(judged(models), expected)
    assert len(looked_at) < COUNT


@pytest.mark.parametrize(("kept", "ahead_of"), [(COUNT + 1, True), (COUNT, False)])
def test_no_processes_read_ahead_where_memory_counts(
    models: Path, monkeypatch: pytest.MonkeyPatch, kept: int, *, ahead_of: bool
) -> None:
    monkeypatch.setattr(repository, "KEPT", kept)
    store, prefix = open_store(str(models))
    tree = store.scan(prefix)
    with ahead(tree, repository.tops(tree), target(), "") as found:
        assert (found is not NOT_AHEAD) is ahead_of
